//! A gateway that takes nothing but DTD version 2.1: metadata comes from the catalogue that is built in.

use sage_intacct_fdw_tests::company::Company;

/// Objects of 2.1 and a column of each that a row always has.
const OBJECTS: &[(&str, &str)] = &[
    ("customer", "customerid"),
    ("vendor", "vendorid"),
    ("item", "itemid"),
    ("arinvoice", "recordno"),
    ("apbill", "recordno"),
    ("arpymt", "recordno"),
    ("glaccount", "accountno"),
    ("department", "departmentid"),
    ("location", "locationid"),
    ("class", "classid"),
    ("project", "projectid"),
    ("employee", "employeeid"),
    ("contact", "contactname"),
    ("arterm", "name"),
];

#[test]
fn tables_are_imported_and_read_without_a_word_of_3_0() {
    let company = Company::start("only_2_1");
    company.gateway.set("dtd_3_0", "refused");
    let mut client = company.connect();
    client
        .batch_execute("ALTER SERVER acme OPTIONS (ADD dtd_version '2.1')")
        .expect("an option");
    let names: Vec<&str> = OBJECTS.iter().map(|(name, _)| *name).collect();
    company.import(&names.join(", "));
    for (name, key) in OBJECTS {
        let row = client
            .query_one(&format!("SELECT count(*), count({key}) FROM {name}"), &[])
            .unwrap_or_else(|error| panic!("{name}: {error:?}"));
        let expected = company.rows(&name.to_uppercase());
        assert!(expected > 0, "{name}");
        assert_eq!((row.get(0), row.get(1)), (expected, expected), "{name}");
    }
    let columns: i64 = client
        .query_one(
            "SELECT count(*) FROM pg_attribute WHERE attrelid = 'customer'::regclass AND attnum > 0",
            &[],
        )
        .expect("columns")
        .get(0);
    assert!(columns > 10, "{columns}");
    let types: Vec<String> = client
        .query(
            "SELECT format_type(atttypid, atttypmod) FROM pg_attribute
              WHERE attrelid = 'arinvoice'::regclass AND attname IN ('recordno', 'whendue', 'totaldue') ORDER BY attname",
            &[],
        )
        .expect("types")
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert_eq!(types, ["bigint", "numeric", "date"]);
}

#[test]
fn a_server_of_3_0_is_told_that_its_version_is_refused() {
    let company = Company::start("only_2_1_unset");
    company.gateway.set("dtd_3_0", "refused");
    let error = company
        .connect()
        .batch_execute("IMPORT FOREIGN SCHEMA intacct LIMIT TO (customer) FROM SERVER acme INTO public")
        .expect_err("3.0 is refused");
    let error = error.as_db_error().expect("an error of the server");
    let text = format!("{} {:?} {:?}", error.message(), error.detail(), error.hint());
    assert!(text.contains("dtdversion"), "{text}");
}
