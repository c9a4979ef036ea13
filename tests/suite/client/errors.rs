//! Each kind of failure has its own SQLSTATE, and everything that the gateway says is shown.

use postgres::Client;
use sage_intacct_fdw_tests::company::Company;
use sage_intacct_fdw_tests::tap::Answer;

const STATEMENT: &str = "SELECT recordno FROM customer";

/// A failure of the gateway, and what becomes of it.
struct Failure {
    name: &'static str,
    answer: fn(&str) -> Answer,
    code: &'static str,
    /// Parts of the DETAIL.
    detail: &'static [&'static str],
}

const FAILURES: &[Failure] = &[
    Failure {
        name: "the sender is refused",
        answer: |_| control("XL03000006", "Incorrect Intacct XML Partner ID or password."),
        code: "28000",
        detail: &["XL03000006", "Partner ID"],
    },
    Failure {
        name: "the request is not of the schema",
        answer: |_| {
            control(
                "XL03000003",
                "Element 'orderby' is not expected [Support ID: abc%20def]",
            )
        },
        code: "HV00L",
        detail: &["XL03000003", "Support ID: abc%20def"],
    },
    Failure {
        name: "the sign-in is refused",
        answer: |_| authentication("XL03000006", "Sign-in information is incorrect"),
        code: "28P01",
        detail: &["XL03000006", "Sign-in information is incorrect"],
    },
    Failure {
        name: "the sender is not authorised",
        answer: |_| authentication("XL03000006", "Invalid Web Services Authorization"),
        code: "28000",
        detail: &["Invalid Web Services Authorization"],
    },
    Failure {
        name: "sessions end as soon as they begin",
        answer: |_| authentication("XL03000006", "Invalid session"),
        code: "28000",
        detail: &["Invalid session"],
    },
    Failure {
        name: "no permission",
        answer: |xml| {
            function(
                xml,
                &[(
                    "PL04000005",
                    "You do not have permission [Support ID: x1]",
                    "Ask the administrator",
                )],
            )
        },
        code: "42501",
        detail: &["PL04000005", "Support ID: x1", "Ask the administrator"],
    },
    Failure {
        name: "no such object",
        answer: |xml| {
            function(
                xml,
                &[("Query Failed", "Object definition CUSTOMER not found", "")],
            )
        },
        code: "42P01",
        detail: &["Query Failed", "Object definition CUSTOMER not found"],
    },
    Failure {
        name: "no such field",
        answer: |xml| {
            let text = "The following fields cannot be queried: [ customer: [RECORDNO] ]";
            function(xml, &[("XL03000006", text, "")])
        },
        code: "42703",
        detail: &["XL03000006", "[RECORDNO]"],
    },
    Failure {
        name: "another refusal, with several errors",
        answer: |xml| {
            function(
                xml,
                &[
                    (
                        "BL03000018",
                        "Currency amounts have an illegal format",
                        "Round them",
                    ),
                    ("BL01001973", "Could not read the records &amp; gave up", ""),
                ],
            )
        },
        code: "HV000",
        detail: &[
            "BL03000018",
            "illegal format",
            "Round them",
            "BL01001973",
            "records & gave up",
        ],
    },
    Failure {
        name: "too many requests",
        answer: |_| Answer::Raw(b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n".to_vec()),
        code: "53400",
        detail: &["CUSTOMER"],
    },
    Failure {
        name: "the gateway times out",
        answer: |_| Answer::Raw(b"HTTP/1.1 504 Gateway Timeout\r\nContent-Length: 0\r\n\r\n".to_vec()),
        code: "08006",
        detail: &["CUSTOMER"],
    },
    Failure {
        name: "the connection breaks",
        answer: |_| Answer::Close,
        code: "08006",
        detail: &["CUSTOMER"],
    },
    Failure {
        name: "the answer is no XML",
        answer: |_| Answer::Body(b"<response><control>".to_vec()),
        code: "HV000",
        detail: &["CUSTOMER"],
    },
];

fn document(parts: &str) -> Answer {
    Answer::Body(
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?><response>{parts}</response>").into_bytes(),
    )
}

fn error(number: &str, text: &str, correction: &str) -> String {
    format!(
        "<error><errorno>{number}</errorno><description/><description2>{text}</description2>\
         <correction>{correction}</correction></error>"
    )
}

fn control(number: &str, text: &str) -> Answer {
    document(&format!(
        "<control><status>failure</status></control><errormessage>{}</errormessage>",
        error(number, text, "")
    ))
}

fn authentication(number: &str, text: &str) -> Answer {
    document(&format!(
        "<control><status>success</status></control><operation><authentication><status>failure</status>\
         </authentication><errormessage>{}</errormessage></operation>",
        error(number, text, "")
    ))
}

/// A failure of the request's first function.
fn function(xml: &str, errors: &[(&str, &str, &str)]) -> Answer {
    let id = xml
        .split("<function controlid=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .expect("a function");
    let errors: String = errors
        .iter()
        .map(|(number, text, correction)| error(number, text, correction))
        .collect();
    document(&format!(
        "<control><status>success</status></control><operation><authentication><status>success</status>\
         </authentication><result><status>failure</status><function>query</function><controlid>{id}</controlid>\
         <errormessage>{errors}</errormessage></result></operation>"
    ))
}

/// What is wrong with the error that the statement gives.
fn fault(client: &mut Client, failure: &Failure) -> Option<String> {
    let error = match client.simple_query(STATEMENT) {
        Ok(_) => return Some("the statement succeeds".to_owned()),
        Err(error) => error,
    };
    let error = error.as_db_error().expect("the backend lives");
    let detail = error.detail().unwrap_or_default();
    let is_right = error.code().code() == failure.code
        && failure.detail.iter().all(|part| detail.contains(part))
        && detail.contains("Company: acme")
        && error.hint().is_some_and(|hint| !hint.is_empty());
    (!is_right).then(|| format!("{} {}: {detail}", error.code().code(), error.message()))
}

#[test]
fn each_kind_has_its_sqlstate_and_shows_what_the_gateway_says() {
    let company = Company::start("errors_by_kind");
    company.import("customer");
    let mut client = company.connect();
    client
        .batch_execute("ALTER SERVER acme OPTIONS (ADD max_retries '0')")
        .expect("altered");
    let mut faults = Vec::new();
    for failure in FAILURES {
        client.query(STATEMENT, &[]).expect("a working gateway");
        let answer = failure.answer;
        company
            .gateway
            .tap
            .rule(move |xml| match xml.contains("<query>") {
                true => answer(xml),
                false => Answer::Pass,
            });
        if let Some(fault) = fault(&mut client, failure) {
            faults.push(format!("{}: {fault}", failure.name));
        }
        company.gateway.tap.pass();
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn nobody_listening_is_08001() {
    let company = Company::start("errors_nobody");
    company.import("customer");
    let mut client = company.connect();
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a port")
        .port();
    client
        .batch_execute(&format!(
            "ALTER SERVER acme OPTIONS (ADD max_retries '0', SET url 'http://127.0.0.1:{port}/')"
        ))
        .expect("altered");
    let error = client.simple_query(STATEMENT).expect_err("nobody listens");
    assert_eq!(error.code().map(|code| code.code()), Some("08001"));
}
