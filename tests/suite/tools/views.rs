//! `create_views`: both styles, over foreign tables and over mirrors.

use super::{lines, refused, run};
use postgres::Client;
use sage_intacct_fdw_tests::company::Company;

const OBJECTS: &str = "glaccount, glbatch, gldetail, apbill, apbillitem, arinvoice, arinvoiceitem";

/// The views of Fivetran's shape.
const VIEWS: [&str; 7] = [
    "ap_bill",
    "ap_bill_item",
    "ar_invoice",
    "ar_invoice_item",
    "gl_account",
    "gl_batch",
    "gl_detail",
];

/// A company with these objects in schema `acme`, and schemas for mirrors and views.
fn company(name: &str, objects: &str) -> (Company, Client) {
    let company = Company::start(name);
    let mut client = company.connect();
    run(
        &mut client,
        &format!(
            "CREATE SCHEMA acme;
CREATE SCHEMA copies;
CREATE SCHEMA tools;
IMPORT FOREIGN SCHEMA intacct LIMIT TO ({objects}) FROM SERVER acme INTO acme"
        ),
    );
    (company, client)
}

/// What a catalog-reading tool sees of a schema: relation, kind, column, type.
fn shape(client: &mut Client, schema: &str) -> Vec<String> {
    lines(
        client,
        &format!(
            "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = '{schema}'
              ORDER BY table_name, ordinal_position"
        ),
    )
}

#[test]
fn plain_views_show_each_table_as_it_is() {
    let (company, mut client) = company("views_plain", "customer, arinvoice");
    run(
        &mut client,
        "ALTER FOREIGN TABLE acme.arinvoice RENAME TO \"Odd \"\"name\";
ALTER FOREIGN TABLE acme.customer RENAME name TO \"Customer's name\";
CREATE TABLE acme.local (a int)",
    );
    let made = "SELECT * FROM sage_intacct.create_views('acme', 'tools')";
    assert_eq!(
        lines(&mut client, made),
        [
            "tools.\"Odd \"\"name\"|acme.\"Odd \"\"name\"|{}",
            "tools.customer|acme.customer|{}"
        ]
    );
    let expected: Vec<String> = shape(&mut client, "acme")
        .into_iter()
        .filter(|line| !line.starts_with("local|"))
        .collect();
    assert!(expected.len() > 60);
    assert_eq!(shape(&mut client, "tools"), expected);
    let kinds = "SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = 'tools' ORDER BY 1";
    assert_eq!(lines(&mut client, kinds), ["Odd \"name|VIEW", "customer|VIEW"]);
    let options = "SELECT DISTINCT array_to_string(reloptions, ','), relowner::regrole FROM pg_class
                    WHERE relnamespace = 'tools'::regnamespace";
    assert_eq!(lines(&mut client, options), ["security_invoker=true|postgres"]);
    let label = "SELECT col_description('tools.customer'::regclass, attnum) FROM pg_attribute
                  WHERE attrelid = 'tools.customer'::regclass AND attname = 'Customer''s name'";
    let told = "SELECT option_value FROM pg_attribute, pg_options_to_table(attfdwoptions)
                 WHERE attrelid = 'acme.customer'::regclass AND attname = 'Customer''s name' AND option_name = 'label'";
    let expected = lines(&mut client, told);
    assert_eq!((expected.len(), lines(&mut client, label)), (1, expected));
    // What is pushed through it.
    let plan = lines(
        &mut client,
        "EXPLAIN (COSTS off) SELECT \"Customer's name\" FROM tools.customer WHERE customerid = 'X' ORDER BY recordno LIMIT 3",
    );
    assert!(
        plan.iter().any(|line| line.contains("CUSTOMERID = 'X'")),
        "{plan:#?}"
    );
    let counted = lines(
        &mut client,
        "EXPLAIN (COSTS off) SELECT count(*) FROM tools.customer",
    );
    assert!(counted[0].starts_with("Foreign Scan"), "{counted:#?}");
    company.gateway.tap.forget();
    assert_eq!(
        lines(&mut client, "SELECT count(*) FROM tools.customer"),
        [company.rows("CUSTOMER").to_string()]
    );
    // Again: nothing else than before, a new table and a new column are seen.
    assert_eq!(lines(&mut client, made).len(), 2);
    run(
        &mut client,
        "ALTER FOREIGN TABLE acme.customer ADD comments2 text OPTIONS (field 'COMMENTS');
CREATE FOREIGN TABLE acme.another (recordno bigint) SERVER acme OPTIONS (object 'VENDOR')",
    );
    assert_eq!(lines(&mut client, made).len(), 3);
    let last = shape(&mut client, "tools");
    assert!(last.contains(&"another|recordno|bigint".to_owned()));
    assert!(last.contains(&"customer|comments2|text".to_owned()));
    // A column of another type.
    run(
        &mut client,
        "DROP VIEW tools.another; ALTER FOREIGN TABLE acme.another ALTER recordno TYPE numeric",
    );
    run(&mut client, made);
    run(
        &mut client,
        "ALTER VIEW tools.another RENAME TO aside; ALTER FOREIGN TABLE acme.another ADD x text; DROP VIEW tools.aside",
    );
    run(&mut client, made);
    run(
        &mut client,
        "CREATE OR REPLACE VIEW tools.another AS SELECT recordno, x, 1 AS more FROM acme.another",
    );
    let (code, said) = refused(&mut client, made);
    assert_eq!(code, "42P16", "{said}");
    assert!(said.contains("DROP VIEW tools.another"), "{said}");
}

#[test]
fn the_reader_needs_rights_of_its_own() {
    let (company, mut client) = company("views_rights", "customer");
    run(
        &mut client,
        "CALL sage_intacct.create_mirror('acme.customer', 'copies.customer');
DROP ROLE IF EXISTS views_reader;
CREATE ROLE views_reader LOGIN;
CREATE SCHEMA live;
GRANT USAGE ON SCHEMA tools, live, copies, acme TO views_reader",
    );
    run(&mut client, "SELECT sage_intacct.create_views('copies', 'tools')");
    run(&mut client, "SELECT sage_intacct.create_views('acme', 'live')");
    run(
        &mut client,
        "GRANT SELECT ON tools.customer, live.customer TO views_reader",
    );
    let mut reader = company.database.connect_as("views_reader");
    for table in ["tools.customer", "live.customer"] {
        assert_eq!(refused(&mut reader, &format!("SELECT * FROM {table}")).0, "42501");
    }
    run(
        &mut client,
        "GRANT SELECT ON copies.customer, acme.customer TO views_reader",
    );
    assert_eq!(
        lines(&mut reader, "SELECT count(*) FROM tools.customer"),
        [company.rows("CUSTOMER").to_string()]
    );
    // Live, it is the reader's user mapping that counts.
    assert_eq!(refused(&mut reader, "SELECT * FROM live.customer").0, "42704");
    // A role makes views of its own, and replaces nobody else's.
    run(&mut client, "GRANT CREATE ON SCHEMA tools TO views_reader");
    let again = "SELECT sage_intacct.create_views('copies', 'tools')";
    assert_eq!(refused(&mut reader, again).0, "42501");
    run(&mut client, "DROP VIEW tools.customer");
    run(&mut reader, again);
    assert_eq!(
        lines(
            &mut client,
            "SELECT relowner::regrole FROM pg_class WHERE oid = 'tools.customer'::regclass"
        ),
        ["views_reader"]
    );
    run(&mut client, "DROP OWNED BY views_reader;\nDROP ROLE views_reader");
}

#[test]
fn fivetrans_tables_and_columns_are_there_over_foreign_tables_and_mirrors() {
    let (company, mut client) = company("views_fivetran", OBJECTS);
    let made = lines(
        &mut client,
        "SELECT view, source FROM sage_intacct.create_views('acme', 'tools', style => 'fivetran')",
    );
    assert_eq!(made.len(), 7);
    for view in VIEWS {
        assert_eq!(
            made.iter()
                .filter(|line| line.starts_with(&format!("tools.{view}|")))
                .count(),
            1,
            "{made:?}"
        );
    }
    let columns = shape(&mut client, "tools");
    for (view, count) in VIEWS.into_iter().zip([26, 40, 30, 37, 29, 29, 47]) {
        let own = columns
            .iter()
            .filter(|line| line.starts_with(&format!("{view}|")))
            .count();
        assert_eq!(own, count, "{view}");
    }
    for line in [
        "gl_detail|recordno|text",
        "gl_detail|batchkey|text",
        "gl_detail|amount|numeric",
        "gl_detail|entry_date|date",
        "gl_batch|recordno|text",
        "gl_account|recordno|bigint",
        "gl_account|taxable|boolean",
        "ap_bill_item|recordkey|text",
        "ap_bill|whencreated|date",
        "ap_bill_item|whencreated|timestamp with time zone",
        "ar_invoice|whenmodified|timestamp with time zone",
    ] {
        assert!(columns.contains(&line.to_owned()), "{line}: {columns:#?}");
    }
    let synced = columns
        .iter()
        .filter(|line| line.ends_with("|_fivetran_synced|timestamp with time zone"));
    assert_eq!(synced.count(), 7);
    let deleted = columns
        .iter()
        .filter(|line| line.ends_with("|_fivetran_deleted|boolean"));
    assert_eq!(deleted.count(), 5);
    // The columns that UNION ALL of both kinds of lines brings together have one type.
    let union = "SELECT count(*) FROM (SELECT recordkey, recordno, accountno, accounttitle, amount, classid, classname, currency, customerid,
                   customername, departmentid, departmentname, entry_date, entrydescription, itemid, itemname, line_no, lineitem,
                   locationid, locationname, offsetglaccountno, offsetglaccounttitle, totalpaid, vendorid, vendorname,
                   whencreated, whenmodified FROM tools.%1 UNION ALL SELECT recordkey, recordno, accountno, accounttitle,
                   amount, classid, classname, currency, customerid, customername, departmentid, departmentname, entry_date, entrydescription,
                   itemid, itemname, line_no, lineitem, locationid, locationname, offsetglaccountno, offsetglaccounttitle, totalpaid,
                   vendorid, vendorname, whencreated, whenmodified FROM tools.%2) u";
    let both = union
        .replace("%1", "ap_bill_item")
        .replace("%2", "ar_invoice_item");
    assert!(lines(&mut client, &both)[0].parse::<i64>().expect("a number") > 0);

    // Values: those of the foreign tables, and none of them deleted.
    for (view, object) in VIEWS.into_iter().zip([
        "apbill",
        "apbillitem",
        "arinvoice",
        "arinvoiceitem",
        "glaccount",
        "glbatch",
        "gldetail",
    ]) {
        let counts = format!(
            "SELECT (SELECT count(*) FROM tools.{view}) = (SELECT count(*) FROM acme.{object}), (SELECT count(*) > 0 FROM acme.{object})"
        );
        assert_eq!(lines(&mut client, &counts), ["t|t"], "{view}");
    }
    let lined = "SELECT count(*) FROM tools.ap_bill_item i JOIN tools.ap_bill b ON i.recordkey = b.recordno
                  WHERE NOT coalesce(b._fivetran_deleted, false)";
    assert!(lines(&mut client, lined)[0].parse::<i64>().expect("a number") > 0);
    let posted = "SELECT count(*) FROM tools.gl_detail d JOIN tools.gl_batch b ON b.recordno = d.batchkey
                   JOIN tools.gl_account a ON a.accountno = d.accountno WHERE a.accounttype IN ('balancesheet', 'incomestatement')";
    assert!(lines(&mut client, posted)[0].parse::<i64>().expect("a number") > 0);
    let plan = lines(
        &mut client,
        "EXPLAIN (COSTS off) SELECT totaldue FROM tools.ar_invoice
          WHERE customerid = 'C1' AND totaldue > 0 AND NOT coalesce(_fivetran_deleted, false)",
    );
    assert!(
        plan.iter()
            .any(|line| line.contains("CUSTOMERID = 'C1'") && line.contains("TOTALDUE > 0")),
        "{plan:#?}"
    );

    // Over mirrors; a materialized view may stand for one.
    for table in ["glaccount", "glbatch", "apbill", "apbillitem", "arinvoice"] {
        run(
            &mut client,
            &format!("CALL sage_intacct.create_mirror('acme.{table}', 'copies.{table}')"),
        );
    }
    let over_mirrors =
        "SELECT view, source, missing::text FROM sage_intacct.create_views('copies', 'mirrored', 'fivetran')";
    run(&mut client, "CREATE SCHEMA mirrored");
    let (code, said) = refused(&mut client, over_mirrors);
    assert_eq!(code, "42P01");
    for part in [
        "ARINVOICEITEM, GLDETAIL",
        "CALL sage_intacct.create_mirror('acme.arinvoiceitem', 'copies.arinvoiceitem');",
        "CALL sage_intacct.create_mirror('acme.gldetail', 'copies.gldetail');",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    run(
        &mut client,
        "CALL sage_intacct.create_mirror('acme.arinvoiceitem', 'copies.arinvoiceitem');
CREATE MATERIALIZED VIEW copies.gldetail AS SELECT * FROM acme.gldetail",
    );
    assert_eq!(lines(&mut client, over_mirrors).len(), 7);
    let mirrored: Vec<String> = shape(&mut client, "mirrored");
    assert_eq!(mirrored, columns);
    company.gateway.tap.forget();
    for view in VIEWS {
        let rows = format!("SELECT count(*) > 0 FROM mirrored.{view}");
        assert_eq!(lines(&mut client, &rows), ["t"], "{view}");
    }
    let synced = "SELECT DISTINCT _fivetran_synced = (SELECT last_refresh FROM sage_intacct.mirrors WHERE target = 'copies.apbill'::regclass)
                    FROM mirrored.ap_bill";
    assert_eq!(lines(&mut client, synced), ["t"]);
    assert_eq!(
        lines(
            &mut client,
            "SELECT DISTINCT _fivetran_synced FROM mirrored.gl_detail"
        ),
        ["-"]
    );
    assert!(company.gateway.tap.requests().is_empty(), "mirrors ask nobody");
    let columns = "recordno, totaldue, whencreated, whenmodified, vendorid";
    let equal = format!(
        "SELECT count(*) FROM (SELECT {columns} FROM tools.ap_bill EXCEPT SELECT {columns} FROM mirrored.ap_bill) d"
    );
    assert_eq!(lines(&mut client, &equal), ["0"]);
    // Again, and what is another's is left alone.
    assert_eq!(lines(&mut client, over_mirrors).len(), 7);
    run(&mut client, "COMMENT ON VIEW mirrored.gl_batch IS 'mine'");
    let (code, said) = refused(&mut client, over_mirrors);
    assert_eq!(code, "42P07", "{said}");
    run(
        &mut client,
        "DROP VIEW mirrored.gl_batch; CREATE TABLE mirrored.gl_batch (a int)",
    );
    assert_eq!(refused(&mut client, over_mirrors).0, "42P07");
}

#[test]
fn what_is_missing_is_named() {
    let (_company, mut client) = company("views_missing", "glaccount, glbatch, gldetail");
    let all = "SELECT sage_intacct.create_views('acme', 'tools', 'fivetran')";
    let (code, said) = refused(&mut client, all);
    assert_eq!(code, "42P01");
    assert!(
        said.contains("IMPORT FOREIGN SCHEMA intacct LIMIT TO (apbill, apbillitem, arinvoice, arinvoiceitem) FROM SERVER acme INTO acme;"),
        "{said}"
    );
    let some = "SELECT view FROM sage_intacct.create_views('acme', 'tools', 'fivetran', missing_ok => true)";
    assert_eq!(
        lines(&mut client, some),
        ["tools.gl_account", "tools.gl_batch", "tools.gl_detail"]
    );
    // A field that the source does not have is null, of the type that is expected, and shown.
    run(
        &mut client,
        "DROP VIEW tools.gl_account; ALTER FOREIGN TABLE acme.glaccount DROP title",
    );
    let lost = "SELECT missing @> '{title}'::name[] FROM sage_intacct.create_views('acme', 'tools', 'fivetran', true)
                 WHERE view = 'tools.gl_account'";
    assert_eq!(lines(&mut client, lost), ["t"]);
    assert!(shape(&mut client, "tools").contains(&"gl_account|title|text".to_owned()));
    assert_eq!(
        lines(&mut client, "SELECT DISTINCT title FROM tools.gl_account"),
        ["-"]
    );
}

#[test]
fn what_cannot_be_is_refused() {
    let (_company, mut client) = company("views_refused", "apbill");
    for (sql, code, part) in [
        ("'acme', 'tools', 'fancy'", "22023", "plain or fivetran"),
        ("'acme', 'acme'", "22023", "another schema"),
        ("'nowhere', 'tools'", "3F000", "CREATE SCHEMA nowhere"),
        ("'acme', 'nowhere'", "3F000", "CREATE SCHEMA nowhere"),
        ("'tools', 'acme'", "42P01", "IMPORT FOREIGN SCHEMA"),
        (
            "'tools', 'acme', 'fivetran', true",
            "42P01",
            "IMPORT FOREIGN SCHEMA",
        ),
    ] {
        let (found, said) = refused(&mut client, &format!("SELECT sage_intacct.create_views({sql})"));
        assert_eq!(found, code, "{sql}: {said}");
        assert!(said.contains(part), "{sql}: {said}");
    }
    run(
        &mut client,
        "CREATE FOREIGN TABLE acme.b1 (recordno bigint) SERVER acme OPTIONS (object 'APBILL');
CREATE FOREIGN TABLE acme.b2 (recordno bigint) SERVER acme OPTIONS (object 'APBILL')",
    );
    // The one that has the object's name is meant.
    let of_bills = "SELECT source FROM sage_intacct.create_views('acme', 'tools', 'fivetran', true)";
    assert_eq!(lines(&mut client, of_bills), ["acme.apbill"]);
    run(&mut client, "DROP FOREIGN TABLE acme.apbill CASCADE");
    let (code, said) = refused(&mut client, of_bills);
    assert_eq!(code, "42P09", "{said}");
    assert!(said.contains("acme.b1, acme.b2"), "{said}");
}
