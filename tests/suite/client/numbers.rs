//! Numbers are built from the bytes of the page: they must be what PostgreSQL itself makes of the text.

use std::fmt::Write;

use sage_intacct_fdw_tests::company::Company;
use sage_intacct_fdw_tests::tap::Answer;

/// Numbers around every turn of the stored form: groups of four digits, zeros at the ends, signs, long ones.
fn numbers() -> Vec<String> {
    let mut found: Vec<String> = [
        "0", "-0", "+0", "0.0", "-0.00", "00012", "1e5", "-1.5E-3", "+7", "5.", ".5", "-.5", "1e-70",
    ]
    .map(str::to_owned)
    .to_vec();
    for whole in [
        "",
        "0",
        "7",
        "10",
        "999",
        "1000",
        "9999",
        "10000",
        "10001",
        "99990000",
        "100000000",
        "123456789012345",
    ] {
        for fraction in [
            "",
            "0",
            "00",
            "5",
            "50",
            "0005",
            "00050",
            "99",
            "9999",
            "99995",
            "00000001",
            "123456789012345678",
        ] {
            for sign in ["", "-"] {
                if !(whole.is_empty() && fraction.is_empty()) {
                    found.push(format!("{sign}{whole}.{fraction}"));
                    found.push(format!("{sign}{whole}{fraction}"));
                }
            }
        }
    }
    for length in [59, 60, 61, 64, 95, 96, 97, 120, 300] {
        found.push("9".repeat(length));
        found.push(format!("-0.{}", "1".repeat(length)));
        found.push(format!("0.{}1", "0".repeat(length)));
        found.push(format!("1{}", "0".repeat(length)));
    }
    found
}

#[test]
fn stored_numbers_are_those_of_numeric_in_to_the_last_bit() {
    let company = Company::start("numbers");
    let mut client = company.connect();
    client
        .batch_execute(
            "CREATE FOREIGN TABLE t (recordno bigint, n numeric OPTIONS (field 'TOTALDUE'),
                 s text OPTIONS (field 'NAME')) SERVER acme OPTIONS (object 'CUSTOMER')",
        )
        .expect("a table");
    let numbers = numbers();
    let mut rows = format!(
        "<data listtype=\"CUSTOMER\" totalcount=\"{0}\" offset=\"0\" count=\"{0}\" numremaining=\"0\">",
        numbers.len()
    );
    for (number, text) in numbers.iter().enumerate() {
        let _ = write!(
            rows,
            "<CUSTOMER><RECORDNO>{}</RECORDNO><TOTALDUE>{text}</TOTALDUE><NAME>{text}</NAME></CUSTOMER>",
            number + 1
        );
    }
    rows.push_str("</data>");
    company.gateway.tap.rule(move |xml| {
        if !xml.contains("<query>") {
            return Answer::Pass;
        }
        let rows = rows.clone();
        Answer::Edit(Box::new(move |body| {
            let start = body.find("<data").expect("an element data");
            let end = body.find("</data>").expect("the end of data") + "</data>".len();
            format!("{}{rows}{}", &body[..start], &body[end..])
        }))
    });
    let row = client
        .query_one(
            "SELECT count(*), string_agg(concat_ws(' ', s, n, numeric_send(n), numeric_send(s::numeric)), ', ') FILTER (
                 WHERE numeric_send(n) <> numeric_send(s::numeric) OR n::text <> s::numeric::text
                    OR hash_numeric(n) <> hash_numeric(s::numeric)) FROM t",
            &[],
        )
        .expect("rows");
    assert_eq!(row.get::<_, i64>(0), numbers.len() as i64);
    assert_eq!(row.get::<_, Option<String>>(1), None);
}
