//! What another role can do with a server that it may use, and what it sees of others.

use std::fs;
use std::io::Write;
use std::os::unix::net::UnixListener;

use postgres::Client;
use sage_intacct_fdw_tests::cluster;
use sage_intacct_fdw_tests::company::{Company, ServerFiles};

/// Drops a role with what it owns, also in a test that fails.
struct Role<'a> {
    company: &'a Company,
    name: &'static str,
}

impl<'a> Role<'a> {
    /// A role that may use the server and make tables.
    fn create(company: &'a Company, name: &'static str) -> Role<'a> {
        company
            .connect()
            .batch_execute(&format!(
                "CREATE ROLE {name} LOGIN; GRANT USAGE ON FOREIGN SERVER acme TO {name};
                 GRANT CREATE, USAGE ON SCHEMA public TO {name}"
            ))
            .expect("a role");
        Role { company, name }
    }

    fn connect(&self) -> Client {
        self.company.database.connect_as(self.name)
    }
}

impl Drop for Role<'_> {
    fn drop(&mut self) {
        let _ = self
            .company
            .connect()
            .batch_execute(&format!("DROP OWNED BY {0} CASCADE; DROP ROLE {0}", self.name));
    }
}

/// SQLSTATE, and everything that the error says.
#[track_caller]
fn refused(client: &mut Client, sql: &str) -> (String, String) {
    let error = client.simple_query(sql).map(drop).expect_err(sql);
    let error = error.as_db_error().unwrap_or_else(|| panic!("{sql}: {error:?}"));
    (error.code().code().to_owned(), format!("{error:?}"))
}

fn writes(company: &Company) -> usize {
    let requests = company.gateway.tap.requests();
    let writes = ["<create", "<update", "<delete"];
    requests
        .iter()
        .filter(|xml| writes.iter().any(|verb| xml.contains(verb)))
        .count()
}

const MAPPING: &str =
    "OPTIONS (user_id 'apiuser', password 'secret', sender_id 'sender1', sender_password 'senderpw')";

#[test]
fn a_server_that_is_closed_to_writes_stays_closed() {
    let company = Company::start("roles_updatable");
    company
        .connect()
        .batch_execute(&format!(
            "ALTER SERVER acme OPTIONS (ADD updatable 'off'); CREATE USER MAPPING FOR PUBLIC SERVER acme {MAPPING}"
        ))
        .expect("a server");
    let role = Role::create(&company, "roles_writer");
    let mut client = role.connect();
    let columns =
        "(recordno bigint OPTIONS (type 'INTEGER'), customerid text OPTIONS (type 'TEXT', key 'on'),
                    name text OPTIONS (type 'TEXT'))";
    client
        .batch_execute(&format!(
            "CREATE FOREIGN TABLE mine {columns} SERVER acme OPTIONS (object 'CUSTOMER', updatable 'on');
             CREATE FOREIGN TABLE quiet {columns} SERVER acme OPTIONS (object 'CUSTOMER');
             CREATE TABLE parted (recordno bigint, customerid text, name text) PARTITION BY LIST (customerid);
             CREATE FOREIGN TABLE part PARTITION OF parted DEFAULT SERVER acme
               OPTIONS (object 'CUSTOMER', updatable 'on');
             CREATE VIEW through AS SELECT customerid, name FROM mine"
        ))
        .expect("tables of its own");
    let statements = [
        "INSERT INTO mine (customerid, name) VALUES ('R1', 'x')",
        "INSERT INTO mine (customerid, name) SELECT 'R' || g, 'x' FROM generate_series(1, 300) g",
        "INSERT INTO mine (customerid, name) VALUES ('R1', 'x') ON CONFLICT DO NOTHING",
        "INSERT INTO quiet (customerid, name) VALUES ('R1', 'x') RETURNING recordno",
        "INSERT INTO parted (customerid, name) VALUES ('R1', 'x')",
        "INSERT INTO through VALUES ('R1', 'x')",
        "UPDATE mine SET name = 'x' WHERE recordno = 1",
        "DELETE FROM mine WHERE recordno = 1",
        "SELECT * FROM sage_intacct.upsert('mine', '[{\"customerid\": \"R1\", \"name\": \"x\"}]')",
        "SELECT * FROM sage_intacct.upsert('mine', '[]')",
        "WITH w AS (INSERT INTO mine (customerid, name) VALUES ('R1', 'x') RETURNING 1) SELECT * FROM w",
        "EXPLAIN INSERT INTO mine (customerid) VALUES ('R1')",
        "DO $$ BEGIN INSERT INTO mine (customerid, name) VALUES ('R1', 'x'); END $$",
    ];
    company.gateway.tap.forget();
    for sql in statements {
        let (code, said) = refused(&mut client, sql);
        assert_eq!(code, "55000", "{sql}: {said}");
        // PostgreSQL itself refuses for a partition, in its own words.
        assert!(
            said.contains("ALTER SERVER acme") || sql.contains("INTO parted"),
            "{sql}: {said}"
        );
    }
    for table in ["mine", "parted"] {
        // The driver gives up a connection whose COPY is refused on the way.
        let mut client = role.connect();
        let copied = client.copy_in(&format!("COPY {table} (customerid, name) FROM STDIN"));
        let copied = copied.and_then(|mut copy| {
            copy.write_all(b"R1\tx\n").expect("the server reads");
            copy.finish()
        });
        copied.map(drop).expect_err("COPY is refused");
    }
    let updatable: bool = role
        .connect()
        .query_one("SELECT pg_relation_is_updatable('mine', false) <> 0", &[])
        .expect("a number")
        .get(0);
    assert!(!updatable);
    assert_eq!(company.gateway.tap.requests().len(), 0, "nothing was asked");
}

#[test]
fn a_server_that_is_closed_while_rows_wait_takes_none() {
    let company = Company::start("roles_queue");
    let mut owner = company.connect();
    owner
        .batch_execute(
            "ALTER SERVER acme OPTIONS (ADD write_mode 'on_commit');
             CREATE FOREIGN TABLE mine (customerid text OPTIONS (type 'TEXT', key 'on'), name text) SERVER acme
               OPTIONS (object 'CUSTOMER', updatable 'on')",
        )
        .expect("a table");
    let mut client = company.connect();
    client
        .batch_execute(
            "PREPARE w AS INSERT INTO mine VALUES ($1, 'x'); BEGIN; EXECUTE w('Q1'); EXECUTE w('Q2')",
        )
        .expect("rows wait");
    owner
        .batch_execute("ALTER SERVER acme OPTIONS (ADD updatable 'off')")
        .expect("closed");
    let (code, said) = refused(&mut client, "COMMIT");
    assert_eq!(code, "55000", "{said}");
    // The plan that was made before is no way around it either.
    let (code, said) = refused(&mut client, "EXECUTE w('Q3')");
    assert_eq!(code, "55000", "{said}");
    assert_eq!(writes(&company), 0);
    owner
        .batch_execute("ALTER SERVER acme OPTIONS (SET updatable 'on')")
        .expect("open");
    client.batch_execute("EXECUTE w('Q3')").expect("it is written");
    assert_eq!(writes(&company), 1);
}

#[test]
fn private_rows_that_the_server_withholds_are_asked_for_by_no_table() {
    let company = Company::start("roles_private");
    let mut owner = company.connect();
    owner
        .batch_execute(&format!("CREATE USER MAPPING FOR PUBLIC SERVER acme {MAPPING}"))
        .expect("a mapping");
    let role = Role::create(&company, "roles_reader");
    let mut client = role.connect();
    client
        .batch_execute(
            "CREATE FOREIGN TABLE private (recordno bigint) SERVER acme OPTIONS (object 'CUSTOMER', show_private 'on');
             CREATE FOREIGN TABLE plain (recordno bigint) SERVER acme OPTIONS (object 'CUSTOMER')",
        )
        .expect("tables");
    // Unless the server says so, tables decide.
    client.query("SELECT * FROM private", &[]).expect("rows");
    owner
        .batch_execute("ALTER SERVER acme OPTIONS (ADD show_private 'off')")
        .expect("an option");
    company.gateway.tap.forget();
    for sql in [
        "SELECT * FROM private",
        "SELECT count(*) FROM private",
        "ANALYZE private",
    ] {
        let (code, said) = refused(&mut client, sql);
        assert_eq!(code, "42501", "{said}");
        assert!(said.contains("show_private"), "{said}");
    }
    assert!(company.gateway.tap.requests().is_empty());
    client.query("SELECT * FROM plain", &[]).expect("rows");
}

#[test]
fn sessions_of_others_are_neither_seen_nor_ended() {
    let company = Company::start("roles_sessions");
    company.import("customer");
    let role = Role::create(&company, "roles_other");
    let mut client = company.connect();
    client
        .batch_execute(
            "CREATE VIEW owned AS SELECT recordno FROM customer; GRANT SELECT ON owned, customer TO roles_other;
             GRANT roles_other TO CURRENT_USER",
        )
        .expect("a view");
    let servers = |client: &mut Client| -> Vec<Option<String>> {
        let rows = client.query("SELECT mapping FROM sage_intacct.sessions()", &[]);
        rows.expect("rows").iter().map(|row| row.get(0)).collect()
    };
    let disconnect = |client: &mut Client| -> i32 {
        client
            .query_one("SELECT sage_intacct.disconnect('acme')", &[])
            .expect("a number")
            .get(0)
    };
    // Another role reads through the owner's view: the session is the owner's.
    let mut other = role.connect();
    other.query("SELECT * FROM owned", &[]).expect("rows");
    assert_eq!(servers(&mut other), []);
    assert_eq!(disconnect(&mut other), 0);
    company.gateway.tap.forget();
    other.query("SELECT * FROM owned", &[]).expect("rows");
    let signs_in = |company: &Company| {
        let requests = company.gateway.tap.requests();
        requests.iter().any(|xml| xml.contains("<getAPISession"))
    };
    assert!(!signs_in(&company), "the session was ended");
    // The same session as two roles, each with a mapping.
    company
        .connect()
        .batch_execute(&format!(
            "CREATE USER MAPPING FOR roles_other SERVER acme {MAPPING}"
        ))
        .expect("a mapping");
    client.query("SELECT * FROM customer", &[]).expect("rows");
    assert_eq!(servers(&mut client), [Some("postgres".to_owned())]);
    client.batch_execute("SET ROLE roles_other").expect("the role");
    assert_eq!(servers(&mut client), []);
    client.query("SELECT * FROM customer", &[]).expect("rows");
    assert_eq!(servers(&mut client), [Some("roles_other".to_owned())]);
    assert_eq!(disconnect(&mut client), 1);
    client.batch_execute("RESET ROLE").expect("the role");
    assert_eq!(servers(&mut client), [Some("postgres".to_owned())]);
    assert_eq!(disconnect(&mut client), 1);
    assert_eq!(disconnect(&mut client), 0);
}

#[test]
fn where_a_password_is_kept_is_told_to_those_who_may_see_the_mapping() {
    let company = Company::start("roles_paths");
    let files = ServerFiles::create("roles_paths");
    let empty = files.path.join("empty-hideout");
    fs::write(&empty, "\n").expect("a file");
    let broken = files.path.join("broken-hideout");
    fs::write(&broken, b"\xff\xfe\n").expect("a file");
    let huge = files.path.join("huge-hideout");
    fs::write(&huge, vec![b'x'; 70_000]).expect("a file");
    let missing = files.path.join("missing-hideout");
    let mut owner = company.connect();
    owner
        .batch_execute(&format!(
            "CREATE FOREIGN TABLE customer (recordno bigint) SERVER acme;
             CREATE FOREIGN TABLE foreign_customer (recordno bigint) SERVER acme OPTIONS (object 'CUSTOMER');
             CREATE VIEW owned AS SELECT recordno FROM customer;
             CREATE FUNCTION definer() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM customer';
             CREATE USER MAPPING FOR PUBLIC SERVER acme {MAPPING}"
        ))
        .expect("objects");
    let stranger = Role::create(&company, "roles_stranger");
    let own = Role::create(&company, "roles_own");
    owner
        .batch_execute("GRANT SELECT ON customer, owned TO roles_stranger, roles_own")
        .expect("a grant");
    for option in ["password", "sender_password"] {
        for file in [&empty, &broken, &huge, &missing] {
            let wrong = format!("(DROP {option}, ADD {option}_file '{}')", file.display());
            let right = format!("(DROP {option}_file, ADD {option} 'x')");
            let set = |owner: &mut Client, of: &str, what: &str| {
                owner
                    .batch_execute(&format!("ALTER USER MAPPING FOR {of} SERVER acme OPTIONS {what}"))
                    .expect("an option");
            };
            set(&mut owner, "PUBLIC", &wrong);
            set(&mut owner, "CURRENT_USER", &wrong);
            let mut client = stranger.connect();
            let check =
                "SELECT string_agg(concat_ws(' ', detail, hint), ' ') FROM sage_intacct.check('acme')";
            let direct = "SELECT * FROM customer";
            let query = "SELECT * FROM sage_intacct.query('acme', 'select RECORDNO from CUSTOMER')";
            // Through PUBLIC, through the view of the owner, through a function of the owner.
            for sql in [direct, query, "SELECT * FROM owned", "SELECT definer()"] {
                let (code, said) = refused(&mut client, sql);
                assert_eq!(code, "58030", "{sql}: {said}");
                assert!(
                    said.contains(option) && !said.contains("hideout"),
                    "{sql}: {said}"
                );
            }
            let report: String = client.query_one(check, &[]).expect("a report").get(0);
            assert!(report.contains(option) && !report.contains("hideout"), "{report}");
            // Its own mapping a role may look at.
            owner
                .batch_execute(&format!(
                    "CREATE USER MAPPING FOR roles_own SERVER acme {MAPPING}"
                ))
                .expect("a mapping");
            set(&mut owner, "roles_own", &wrong);
            let (_, said) = refused(&mut own.connect(), direct);
            assert!(said.contains("hideout"), "{said}");
            // The owner of the server may look at that for PUBLIC, and a superuser at all.
            let (_, said) = refused(&mut owner, direct);
            assert!(said.contains("hideout"), "{said}");
            owner
                .batch_execute("DROP USER MAPPING FOR roles_own SERVER acme")
                .expect("dropped");
            set(&mut owner, "PUBLIC", &right);
            set(&mut owner, "CURRENT_USER", &right);
        }
    }
}

#[test]
fn what_is_no_regular_file_is_not_waited_for() {
    let company = Company::start("roles_fifo");
    let files = ServerFiles::create("roles_fifo");
    let mut client = company.connect();
    client
        .batch_execute(
            "CREATE FOREIGN TABLE customer (recordno bigint) SERVER acme;
             ALTER USER MAPPING FOR CURRENT_USER SERVER acme OPTIONS (DROP password, ADD password_file '/dev/null');
             SET statement_timeout = '120s'",
        )
        .expect("objects");
    let path = |name: &str| files.path.join(name);
    let all = rustix::fs::Mode::from_raw_mode(0o666);
    rustix::fs::mknodat(rustix::fs::CWD, path("fifo"), rustix::fs::FileType::Fifo, all, 0).expect("a FIFO");
    std::os::unix::fs::symlink(path("fifo"), path("link")).expect("a link");
    let _socket = UnixListener::bind(path("socket")).expect("a socket");
    fs::create_dir(path("folder")).expect("a folder");
    let names = ["fifo", "link", "socket", "folder"].map(|name| path(name).display().to_string());
    let devices = ["/dev/null", "/dev/zero", "/dev/tty"].map(str::to_owned);
    for file in names.iter().chain(&devices) {
        let target = [
            "USER MAPPING FOR CURRENT_USER SERVER acme OPTIONS (SET password_file",
            "SERVER acme OPTIONS (ADD ca_file",
        ];
        for (target, undo) in target
            .into_iter()
            .zip(["", "ALTER SERVER acme OPTIONS (DROP ca_file)"])
        {
            client
                .batch_execute(&format!("ALTER {target} '{file}')"))
                .expect("an option");
            let (code, said) = refused(&mut client, "SELECT * FROM customer");
            assert_eq!(code, "58030", "{file}: {said}");
            assert!(
                said.contains("it is not a regular file") && said.contains(file),
                "{said}"
            );
            client.batch_execute(undo).expect("an option");
        }
    }
}

#[test]
fn functions_obey_the_setting_that_keeps_foreign_data_out() {
    let company = Company::start("roles_restrict");
    let mut client = company.connect();
    let known: i64 = client
        .query_one(
            "SELECT count(*) FROM pg_settings WHERE name = 'restrict_nonsystem_relation_kind'",
            &[],
        )
        .expect("a number")
        .get(0);
    if known == 0 {
        eprintln!(
            "SKIP: PostgreSQL {} has no such setting",
            cluster::major_version()
        );
        return;
    }
    client
        .batch_execute(
            "CREATE FOREIGN TABLE customer (recordno bigint, customerid text, name text) SERVER acme",
        )
        .expect("a table");
    let statements = [
        "SELECT * FROM sage_intacct.query('acme', 'select RECORDNO from CUSTOMER limit 1')",
        "SELECT * FROM sage_intacct.check('acme')",
        "SELECT * FROM sage_intacct.objects('acme', false)",
        "SELECT * FROM sage_intacct.describe('acme', 'CUSTOMER')",
        "SELECT * FROM sage_intacct.entities('acme')",
        "SELECT * FROM sage_intacct.schema_diff('public')",
        "SELECT * FROM sage_intacct.upsert('customer', '[{\"customerid\": \"X1\", \"name\": \"x\"}]')",
        "SELECT * FROM sage_intacct.mirror_totals('customer'::regclass, NULL, NULL)",
    ];
    for value in ["foreign-table", "view, foreign-table", "FOREIGN-TABLE,view"] {
        client
            .batch_execute(&format!("SET restrict_nonsystem_relation_kind = '{value}'"))
            .expect("a setting");
        company.gateway.tap.forget();
        for sql in statements {
            let (code, said) = refused(&mut client, sql);
            assert_eq!(code, "55000", "{sql}: {said}");
        }
        assert!(company.gateway.tap.requests().is_empty(), "{value}");
    }
    client
        .batch_execute("SET restrict_nonsystem_relation_kind = 'view'")
        .expect("a setting");
    for sql in &statements[..2] {
        client.simple_query(sql).expect(sql);
    }
}
