//! The same statements on the older version of the request schema (`get_list`) and on the older reader (`readByQuery`):
//! they push less, and answer as 3.0 does.

use fastrand::Rng;
use postgres::Client;
use sage_intacct_fdw_tests::company::Company;

use super::column::Table;
use super::{SHOWN, run, seed, statement, statements};

/// The tables that both versions have, and what tells their rows apart.
pub const LISTED: &[(&str, &str)] = &[
    ("customer", "customerid"),
    ("arinvoice", "recordno"),
    ("vendor", "vendorid"),
    ("arterm", "name"),
    ("project", "projectid"),
    ("contact", "contactname"),
];

/// Tables for `readByQuery`.
const STORED: &[(&str, &str)] = &[
    ("customer", "recordno"),
    ("arinvoice", "recordno"),
    ("glbatch", "recordno"),
    ("mca_attendee", "id"),
];

/// A company with tables of 3.0 in schema `g`, of another kind in the schema of foreign tables, and local copies of
/// what 3.0 shows of the columns that these have.
fn prepare(
    name: &str,
    tables: &[(&str, &str)],
    readings: &[(&str, &str)],
    make: impl FnOnce(&mut Client, &str),
) -> Company {
    let company = Company::start(name);
    for (key, value) in readings {
        company.gateway.set(key, value);
    }
    let mut client = company.connect();
    let names: Vec<_> = tables.iter().map(|(table, _)| *table).collect();
    let names = names.join(", ");
    client
        .batch_execute(&format!(
            "CREATE SCHEMA g; CREATE SCHEMA {f}; CREATE SCHEMA {l};
             IMPORT FOREIGN SCHEMA intacct LIMIT TO ({names}) FROM SERVER acme INTO g;",
            f = run::FOREIGN,
            l = run::LOCAL,
        ))
        .expect("imported");
    make(&mut client, &names);
    for (table, _) in tables {
        let columns: String = client
            .query_one(
                "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
                 WHERE attrelid = ($1 || '.' || $2)::text::regclass AND attnum > 0 AND NOT attisdropped",
                &[&run::FOREIGN, table],
            )
            .expect("columns")
            .get(0);
        client
            .batch_execute(&format!(
                "CREATE TABLE {l}.{table} AS SELECT {columns} FROM g.{table}; ANALYZE {l}.{table}",
                l = run::LOCAL,
            ))
            .expect("copied");
    }
    company
}

/// Compares statements, and counts requests that hold `work`.
fn compare(company: &Company, name: &str, tables: &[(&str, &str)], work: &str) {
    let seed = seed();
    let mut client = company.connect();
    let tables: Vec<_> = tables
        .iter()
        .map(|(table, key)| Table::read(&mut client, run::LOCAL, table, key))
        .collect();
    let mut rng = Rng::with_seed(
        name.bytes()
            .fold(seed, |hash, byte| hash.rotate_left(5) ^ u64::from(byte)),
    );
    println!("differential {name}: seed {seed}, {} statements", statements());
    let mut differences = Vec::new();
    let mut pushed = 0;
    for number in 0..statements() {
        // A lookup join is one of these objects with something local.
        let statement = match rng.u8(..10) {
            0..=2 => statement::lookup(&mut rng, &tables),
            _ => statement::without_joins(&mut rng, &tables),
        };
        company.gateway.forget_requests();
        if let Err(difference) = run::check(&mut client, &statement) {
            differences.push(format!("statement {number}: {difference}"));
            if differences.len() == SHOWN {
                break;
            }
        }
        let requests = company.gateway.tap.requests();
        pushed += requests.iter().filter(|request| request.contains(work)).count();
        assert!(
            requests
                .iter()
                .all(|request| !request.contains("<query><object>")),
            "read by query"
        );
    }
    assert!(
        differences.is_empty(),
        "differences, seed {seed} (SEED={seed} replays):\n{}",
        differences.join("\n\n")
    );
    println!("{pushed} requests with conditions");
    assert!(
        pushed >= statements() as usize / 10,
        "{pushed} requests with {work}"
    );
}

fn listed(name: &str, readings: &[(&str, &str)]) {
    let company = prepare(name, LISTED, readings, |client, names| {
        let options = format!("company_id 'acme', dtd_version '2.1', url '{}'", url(client));
        client
            .batch_execute(&format!(
                "CREATE SERVER old FOREIGN DATA WRAPPER sage_intacct_fdw OPTIONS ({options});
                 CREATE USER MAPPING FOR CURRENT_USER SERVER old
                   OPTIONS (user_id 'apiuser', password 'secret', sender_id 'sender1', sender_password 'senderpw');
                 IMPORT FOREIGN SCHEMA intacct LIMIT TO ({names}) FROM SERVER old INTO {};
                 ALTER SERVER old OPTIONS (ADD page_size '37')",
                run::FOREIGN
            ))
            .expect("a server of 2.1");
    });
    compare(&company, name, LISTED, "<expression>");
    let mut client = company.connect();
    lines_are_the_real_ones(&mut client);
}

fn url(client: &mut Client) -> String {
    let sql = "SELECT option_value FROM pg_foreign_server, pg_options_to_table(srvoptions)
               WHERE srvname = 'acme' AND option_name = 'url'";
    client.query_one(sql, &[]).expect("a url").get(0)
}

/// 2.1 shows the lines of an invoice inside of it, without the offsets that 3.0 has beside them.
fn lines_are_the_real_ones(client: &mut Client) {
    client
        .batch_execute(
            "CREATE SCHEMA old_lines; CREATE SCHEMA new_lines;
             IMPORT FOREIGN SCHEMA intacct LIMIT TO (arinvoiceitem) FROM SERVER old INTO old_lines;
             IMPORT FOREIGN SCHEMA intacct LIMIT TO (arinvoiceitem) FROM SERVER acme INTO new_lines;",
        )
        .expect("imported");
    let columns = "recordno, recordkey, line_no, accountno, amount, entrydescription, locationid, currency";
    let row = client
        .query_one(
            &format!(
                // Lines of documents that the top level does not show are no lines of a list.
                "WITH old AS (SELECT {columns} FROM old_lines.arinvoiceitem),
                      new AS (SELECT {columns} FROM new_lines.arinvoiceitem n
                              WHERE lineitem AND EXISTS (SELECT FROM g.arinvoice i WHERE i.recordno = n.recordkey))
                 SELECT (SELECT count(*) FROM old),
                        (SELECT count(*) FROM (TABLE old EXCEPT ALL TABLE new) x)
                        + (SELECT count(*) FROM (TABLE new EXCEPT ALL TABLE old) x)"
            ),
            &[],
        )
        .expect("counts");
    let (lines, differences): (i64, i64) = (row.get(0), row.get(1));
    assert!(lines > 0);
    assert_eq!(differences, 0);
}

#[test]
fn version_2_1() {
    listed("version_2_1", &[]);
}

#[test]
fn version_2_1_otherwise() {
    let readings = [
        ("nulls", "first"),
        ("text_order", "linguistic"),
        ("trailing_blanks", "ignored"),
        ("unset_booleans", "false"),
        ("numbers", "padded"),
        ("unordered", "stable"),
        ("time_zone", "America/Los_Angeles"),
    ];
    listed("version_2_1_otherwise", &readings);
}

#[test]
fn query_strings() {
    let readings = [("unset_booleans", "false"), ("trailing_blanks", "ignored")];
    let company = prepare("query_strings", STORED, &readings, |client, names| {
        client
            .batch_execute(&format!(
                "IMPORT FOREIGN SCHEMA intacct LIMIT TO ({names}) FROM SERVER acme INTO {}",
                run::FOREIGN
            ))
            .expect("imported");
        for table in names.split(", ") {
            client
                .batch_execute(&format!(
                    "ALTER FOREIGN TABLE {}.{table} OPTIONS (ADD function 'readByQuery')",
                    run::FOREIGN
                ))
                .expect("an option");
        }
    });
    company
        .connect()
        .batch_execute("ALTER SERVER acme OPTIONS (ADD page_size '37')")
        .expect("an option");
    compare(&company, "query_strings", STORED, "</fields><query>");
}
