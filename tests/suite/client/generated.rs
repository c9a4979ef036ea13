//! Generated columns of foreign tables: nothing of them is in Intacct, and nobody asks for them there.

use postgres::Client;
use sage_intacct_fdw_tests::cluster;
use sage_intacct_fdw_tests::company::Company;
use sage_intacct_fdw_tests::sql::texts;

const TABLE: &str = "CREATE FOREIGN TABLE t (
   recordno bigint OPTIONS (type 'INTEGER'),
   customerid text OPTIONS (type 'TEXT', key 'off'),
   name text OPTIONS (type 'TEXT'),
   creditlimit numeric OPTIONS (type 'CURRENCY'),
   whenmodified timestamptz OPTIONS (type 'TIMESTAMP'),
   label text GENERATED ALWAYS AS (customerid || ': ' || name) STORED,
   doubled numeric GENERATED ALWAYS AS (2 * coalesce(creditlimit, 0)) STORED NOT NULL,
   -- Named as a field, and typed as one.
   status text OPTIONS (type 'TEXT') GENERATED ALWAYS AS (upper(left(name, 3))) STORED,
   seven integer GENERATED ALWAYS AS (7) STORED,
   place regclass GENERATED ALWAYS AS (tableoid) STORED
 ) SERVER acme OPTIONS (object 'CUSTOMER')";

fn company(name: &str) -> (Company, Client) {
    let company = Company::start(name);
    let mut client = company.connect();
    client.batch_execute(TABLE).expect("a table");
    client
        .batch_execute(
            "CREATE TABLE l AS SELECT recordno, customerid, name, creditlimit, whenmodified,
                    customerid || ': ' || name AS label, 2 * coalesce(creditlimit, 0) AS doubled,
                    upper(left(name, 3)) AS status, 7 AS seven, 't'::regclass AS place FROM t",
        )
        .expect("the same here");
    (company, client)
}

fn rows(client: &mut Client, sql: &str) -> Vec<String> {
    texts(client, sql, "|", "NULL")
}

/// Statements give the same over the foreign table as over a table with the same rows, and no request names a column
/// that Intacct does not have.
fn assert_same(company: &Company, client: &mut Client, statements: &[&str]) {
    for sql in statements {
        company.gateway.tap.forget();
        let there = rows(client, &sql.replace("{t}", "t"));
        let here = rows(client, &sql.replace("{t}", "l"));
        assert_eq!(there, here, "{sql}");
        for request in company.gateway.tap.requests() {
            for name in ["LABEL", "DOUBLED", "STATUS", "SEVEN", "PLACE"] {
                assert!(!request.contains(name), "{sql}: {request}");
            }
        }
    }
}

#[test]
fn stored_columns_are_computed_from_each_row() {
    let (company, mut client) = company("generated_scan");
    let statements = [
        "SELECT * FROM {t} ORDER BY recordno",
        "SELECT label FROM {t} ORDER BY recordno",
        "SELECT doubled FROM {t} ORDER BY doubled, recordno LIMIT 7",
        "SELECT seven FROM {t} LIMIT 3",
        "SELECT place FROM {t} LIMIT 1",
        "SELECT seven, place, label FROM {t} WHERE recordno < 5 ORDER BY recordno",
        "SELECT count(*) FROM {t} WHERE doubled > 20000",
        "SELECT recordno FROM {t} WHERE label LIKE '%1%' ORDER BY recordno",
        "SELECT recordno FROM {t} WHERE status = 'ABC' OR label IS NULL ORDER BY recordno",
        "SELECT recordno FROM {t} WHERE status IN (SELECT status FROM {t} WHERE recordno = 2) ORDER BY recordno",
        "SELECT count(*), count(label), count(doubled), sum(doubled), max(status) FROM {t}",
        "SELECT status, count(*) FROM {t} GROUP BY status ORDER BY status COLLATE \"C\"",
        "SELECT DISTINCT doubled FROM {t} ORDER BY doubled",
        "SELECT a.recordno FROM {t} a JOIN {t} b ON a.label = b.label WHERE b.recordno < 9 ORDER BY a.recordno",
        "SELECT a.label FROM {t} a LEFT JOIN {t} b USING (recordno) ORDER BY a.recordno OFFSET 5 LIMIT 4",
        "SELECT label FROM {t} WHERE recordno > 3 ORDER BY recordno OFFSET 2 LIMIT 3",
        "SELECT label FROM {t} WHERE length(name) > 3 ORDER BY recordno OFFSET 2 LIMIT 3",
        "SELECT (x).label, (x).doubled FROM (SELECT x FROM {t} x ORDER BY x.recordno LIMIT 3) s",
        "SELECT label FROM {t} UNION ALL SELECT status FROM {t} ORDER BY 1 LIMIT 9",
        "SELECT v.label FROM generate_series(1, 4) g, LATERAL (SELECT label FROM {t} WHERE recordno = g) v ORDER BY 1",
        "SELECT EXISTS (SELECT FROM {t} WHERE doubled < 0), (SELECT label FROM {t} WHERE recordno = 1)",
    ];
    assert_same(&company, &mut client, &statements);
    client
        .batch_execute("PREPARE p AS SELECT label FROM t WHERE doubled = $1 ORDER BY recordno")
        .expect("a statement");
    for _ in 0..7 {
        let here = rows(
            &mut client,
            "SELECT label FROM l WHERE doubled = 0 ORDER BY recordno",
        );
        assert_eq!(rows(&mut client, "EXECUTE p(0)"), here);
    }
    client
        .batch_execute(
            "BEGIN; DECLARE c SCROLL CURSOR FOR SELECT label FROM t ORDER BY recordno; MOVE 10 IN c",
        )
        .expect("a cursor");
    let here = rows(
        &mut client,
        "SELECT label FROM l ORDER BY recordno OFFSET 9 LIMIT 1",
    );
    assert_eq!(rows(&mut client, "FETCH RELATIVE 0 FROM c"), here);
    client.batch_execute("COMMIT").expect("the end");
}

#[test]
fn an_expression_that_fails_is_an_error_of_its_own_kind() {
    let company = Company::start("generated_error");
    let mut client = company.connect();
    client
        .batch_execute(
            "CREATE FOREIGN TABLE t (recordno bigint OPTIONS (type 'INTEGER'),
               f bigint GENERATED ALWAYS AS (1 / (recordno % 2)) STORED)
               SERVER acme OPTIONS (object 'CUSTOMER')",
        )
        .expect("a table");
    for _ in 0..3 {
        let error = client
            .simple_query("SELECT f FROM t")
            .map(drop)
            .expect_err("by zero");
        assert_eq!(error.code().map(|code| code.code()), Some("22012"), "{error:?}");
    }
    let odd = rows(
        &mut client,
        "SELECT max(recordno) FROM (SELECT recordno FROM t OFFSET 0) s WHERE recordno % 2 = 1",
    );
    let one = format!("SELECT f FROM t WHERE recordno = {}", odd[0]);
    assert_eq!(rows(&mut client, &one), ["1"]);
    assert_ne!(rows(&mut client, "SELECT count(*) FROM t"), ["0"]);
}

#[test]
fn partitions_with_generated_columns_are_read_at_the_same_time() {
    let company = Company::start("generated_append");
    let mut client = company.connect();
    client
        .batch_execute(
            "CREATE TABLE p (recordno bigint, customerid text, label text GENERATED ALWAYS AS ('<' || customerid || '>') STORED);
             CREATE FOREIGN TABLE a () INHERITS (p) SERVER acme OPTIONS (object 'CUSTOMER', filter 'RECORDNO < 5');
             CREATE FOREIGN TABLE b () INHERITS (p) SERVER acme OPTIONS (object 'CUSTOMER', filter 'RECORDNO > 8')",
        )
        .expect("tables");
    let wrong = "SELECT count(*) FROM p WHERE label IS DISTINCT FROM '<' || customerid || '>'";
    assert_eq!(rows(&mut client, wrong), ["0"]);
    assert_ne!(rows(&mut client, "SELECT count(label) FROM p"), ["0"]);
}

#[test]
fn rows_are_written_without_generated_columns_and_shown_with_them() {
    let (company, mut client) = company("generated_writes");
    let shown = |client: &mut Client, sql: &str| rows(client, sql).join(" ");
    company.gateway.tap.forget();
    let steps = [
        (
            "INSERT INTO t (customerid, name, creditlimit) VALUES ('G1', 'One', 5) RETURNING label, doubled, status, seven",
            "G1: One|10|ONE|7",
        ),
        // What Intacct makes of the row counts, not what was sent.
        (
            "INSERT INTO t (customerid, name) VALUES ('G2', 'Two') RETURNING doubled >= 0, label",
            "t|G2: Two",
        ),
        (
            "INSERT INTO t (customerid, name) VALUES ('G3', 'Three'), ('G4', 'Four') RETURNING label",
            "G3: Three G4: Four",
        ),
        (
            "UPDATE t SET name = 'Uno' WHERE customerid = 'G1' RETURNING label, doubled",
            "G1: Uno|10",
        ),
        (
            "UPDATE t SET creditlimit = 8 WHERE customerid = 'G1' RETURNING doubled, status",
            "16|UNO",
        ),
        (
            "UPDATE t SET creditlimit = 9, label = DEFAULT WHERE customerid = 'G1' RETURNING (t).doubled",
            "18",
        ),
        (
            "UPDATE t SET name = 'Deux' WHERE label = 'G2: Two' RETURNING label",
            "G2: Deux",
        ),
        ("UPDATE t SET name = 'x' WHERE label = 'none' RETURNING label", ""),
        (
            "DELETE FROM t WHERE label = 'G3: Three' RETURNING label, seven",
            "G3: Three|7",
        ),
        ("DELETE FROM t WHERE customerid = 'G4' RETURNING *", "*"),
    ];
    for (sql, expected) in steps {
        let found = shown(&mut client, sql);
        if expected == "*" {
            assert!(found.contains("G4|Four") && found.contains("G4: Four"), "{found}");
        } else {
            assert_eq!(found, expected, "{sql}");
        }
    }
    assert_eq!(
        shown(
            &mut client,
            "SELECT label FROM t WHERE customerid LIKE 'G%' ORDER BY recordno"
        ),
        "G1: Uno G2: Deux"
    );
    for sql in [
        "INSERT INTO t (customerid, label) VALUES ('G9', 'x')",
        "UPDATE t SET label = 'x'",
    ] {
        let error = client.simple_query(sql).map(drop).expect_err(sql);
        assert_eq!(error.code().map(|code| code.code()), Some("428C9"), "{error:?}");
    }
    use std::io::Write;
    let mut copy = client
        .copy_in("COPY t (customerid, name) FROM STDIN")
        .expect("COPY");
    copy.write_all(b"G5\tFive\nG6\tSix\n").expect("rows");
    assert_eq!(copy.finish().expect("written"), 2);
    assert_eq!(
        shown(
            &mut client,
            "SELECT label FROM t WHERE customerid IN ('G5', 'G6') ORDER BY recordno"
        ),
        "G5: Five G6: Six"
    );
    let upserted = "SELECT created, updated FROM sage_intacct.upsert('t', '[{\"customerid\": \"G6\", \"name\": \"Sechs\"}]')";
    assert_eq!(shown(&mut client, upserted), "0|1");
    assert_eq!(
        shown(&mut client, "SELECT label FROM t WHERE customerid = 'G6'"),
        "G6: Sechs"
    );
    for request in company.gateway.tap.requests() {
        for name in ["LABEL>", "DOUBLED>", "SEVEN>", "PLACE>"] {
            assert!(!request.to_uppercase().contains(name), "{request}");
        }
    }
    // With the commit, what is shown is what is known before.
    client
        .batch_execute("ALTER SERVER acme OPTIONS (ADD write_mode 'on_commit')")
        .expect("an option");
    let insert = "INSERT INTO t (customerid, name) VALUES ('G7', 'Seven') RETURNING label";
    assert_eq!(shown(&mut client, insert), "G7: Seven");
    assert_eq!(
        shown(
            &mut client,
            "UPDATE t SET name = 'Sept' WHERE customerid = 'G7' RETURNING status"
        ),
        "SEP"
    );
    for sql in [
        "INSERT INTO t (customerid, name) VALUES ('G8', 'Eight') RETURNING doubled",
        "UPDATE t SET name = 'x' WHERE customerid = 'G7' RETURNING label",
    ] {
        let error = client.simple_query(sql).map(drop).expect_err(sql);
        assert_eq!(error.code().map(|code| code.code()), Some("0A000"), "{error:?}");
    }
}

#[test]
fn triggers_see_generated_columns() {
    let (_company, mut client) = company("generated_triggers");
    client
        .batch_execute(
            "CREATE TABLE seen (label text);
             CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
               'BEGIN INSERT INTO seen VALUES (TG_OP || '' '' || NEW.label || '' '' || NEW.doubled); RETURN NULL; END';
             CREATE TRIGGER note AFTER INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION note();
             INSERT INTO t (customerid, name, creditlimit) VALUES ('T1', 'One', 1);
             UPDATE t SET creditlimit = 3 WHERE customerid = 'T1'",
        )
        .expect("writes");
    assert_eq!(
        rows(&mut client, "SELECT label FROM seen"),
        ["INSERT T1: One 2", "UPDATE T1: One 6"]
    );
}

#[test]
fn analyze_samples_generated_columns_here_and_counts_once() {
    let (company, mut client) = company("generated_analyze");
    company.gateway.tap.forget();
    client.batch_execute("ANALYZE t").expect("ANALYZE");
    let requests = company.gateway.tap.requests();
    for request in &requests {
        for name in ["LABEL", "DOUBLED", "STATUS", "SEVEN", "PLACE"] {
            assert!(!request.contains(name), "{request}");
        }
    }
    let counts = requests.iter().filter(|xml| xml.contains("<pagesize>1<")).count();
    assert_eq!(counts, 1, "{requests:#?}");
    let known = "SELECT attname || ' ' || n_distinct FROM pg_stats WHERE tablename = 't' AND attname IN ('seven', 'label', 'doubled')
                 ORDER BY attname";
    let known = rows(&mut client, known);
    assert_eq!(known.len(), 3, "{known:?}");
    assert_eq!(known[2], "seven 1");
    // Again and again, each counts anew.
    for _ in 0..2 {
        company.gateway.tap.forget();
        client.batch_execute("ANALYZE t (label)").expect("ANALYZE");
        let requests = company.gateway.tap.requests();
        assert_eq!(
            requests.iter().filter(|xml| xml.contains("<pagesize>1<")).count(),
            1
        );
    }
}

#[test]
fn analyze_asks_as_the_owner_of_the_table() {
    let company = Company::start("generated_owner");
    let mut admin = company.connect();
    admin
        .batch_execute(
            "CREATE ROLE analyze_owner LOGIN; GRANT USAGE ON FOREIGN SERVER acme TO analyze_owner;
             GRANT CREATE, USAGE ON SCHEMA public TO analyze_owner;
             CREATE USER MAPPING FOR analyze_owner SERVER acme
               OPTIONS (user_id 'limited', password 'secret', sender_id 'sender1', sender_password 'senderpw');
             CREATE FOREIGN TABLE t (recordno bigint, customerid text) SERVER acme OPTIONS (object 'CUSTOMER');
             CREATE TABLE p (recordno bigint, customerid text) PARTITION BY RANGE (recordno);
             CREATE FOREIGN TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (1000000) SERVER acme OPTIONS (object 'CUSTOMER');
             ALTER TABLE t OWNER TO analyze_owner; ALTER TABLE p1 OWNER TO analyze_owner",
        )
        .expect("a table of another role");
    let mut users = Vec::new();
    for sql in ["ANALYZE t", "ANALYZE p", "VACUUM (ANALYZE) t"] {
        company.gateway.tap.forget();
        let mut fresh = company.connect();
        let ended = fresh.batch_execute(sql);
        for request in company.gateway.tap.requests() {
            if let Some((_, rest)) = request.split_once("<userid>") {
                users.push((sql, rest.split('<').next().unwrap_or_default().to_owned()));
            }
        }
        drop(ended);
    }
    assert!(!users.is_empty());
    for (sql, user) in &users {
        assert_eq!(user, "limited", "{sql}: {users:?}");
    }
    admin
        .batch_execute("DROP OWNED BY analyze_owner CASCADE; DROP ROLE analyze_owner")
        .expect("gone");
}

#[test]
fn virtual_columns_are_local() {
    if cluster::major_version() < 18 {
        return;
    }
    let company = Company::start("generated_virtual");
    let mut client = company.connect();
    client
        .batch_execute(
            "CREATE FOREIGN TABLE t (recordno bigint, customerid text, name text,
               label text GENERATED ALWAYS AS (customerid || ': ' || name) VIRTUAL,
               status text OPTIONS (type 'TEXT') GENERATED ALWAYS AS (upper(name)) VIRTUAL)
               SERVER acme OPTIONS (object 'CUSTOMER');
             CREATE TABLE l AS SELECT recordno, customerid, name, customerid || ': ' || name AS label, upper(name) AS status FROM t",
        )
        .expect("tables");
    let statements = [
        "SELECT * FROM {t} ORDER BY recordno",
        "SELECT label FROM {t} ORDER BY recordno",
        "SELECT x FROM {t} x ORDER BY recordno",
        "SELECT recordno FROM {t} WHERE label LIKE '%1%' AND status <> 'X' ORDER BY recordno",
        "SELECT count(label), max(status) FROM {t}",
    ];
    assert_same(&company, &mut client, &statements);
    let steps = [
        (
            "INSERT INTO t (customerid, name) VALUES ('V1', 'One') RETURNING label",
            "V1: One",
        ),
        (
            "UPDATE t SET name = 'Uno' WHERE customerid = 'V1' RETURNING label, status",
            "V1: Uno|UNO",
        ),
        ("DELETE FROM t WHERE label = 'V1: Uno' RETURNING label", "V1: Uno"),
    ];
    for (sql, expected) in steps {
        assert_eq!(rows(&mut client, sql), [expected], "{sql}");
    }
    client.batch_execute("ANALYZE t").expect("ANALYZE");
}
