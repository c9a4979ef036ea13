//! A broken or hostile gateway: a clear error, the backend lives, the next query works.

use std::io::Write;
use std::process::{Command, Stdio};

use sage_intacct_fdw_tests::cluster;
use sage_intacct_fdw_tests::company::Company;
use sage_intacct_fdw_tests::tap::Answer;

/// What one case answers instead of a page, and the SQLSTATEs that say so.
struct Case {
    name: &'static str,
    answer: fn() -> Answer,
    codes: &'static [&'static str],
}

/// Not what the protocol says.
const MALFORMED: &[&str] = &["HV000"];
/// Broken in a way that may pass: a lost connection, after retries.
const LOST: &[&str] = &["08006"];
/// One cannot tell which of the two.
const EITHER: &[&str] = &["HV000", "08006"];
const TOO_LARGE: &[&str] = &["54000", "HV000"];
const CELL: &[&str] = &["22P02"];

fn edit(change: impl FnOnce(String) -> String + 'static) -> Answer {
    Answer::Edit(Box::new(change))
}

/// Replaces the first occurrence, which must be there.
fn swap(from: &'static str, to: impl Into<String>) -> Answer {
    let to = to.into();
    edit(move |body| {
        assert!(
            body.contains(from),
            "the simulator's answer has no {from}: {body}"
        );
        body.replacen(from, &to, 1)
    })
}

/// A whole response whose `data` holds the given text.
fn page(data: &str) -> Answer {
    Answer::Edit(Box::new({
        let data = data.to_owned();
        move |body| {
            let start = body.find("<data").expect("an element data");
            let end = body.find("</data>").expect("the end of data") + "</data>".len();
            format!("{}{data}{}", &body[..start], &body[end..])
        }
    }))
}

const ONE_ROW: &str = r#"<data listtype="CUSTOMER" totalcount="1" offset="0" count="1" numremaining="0">"#;

const CASES: &[Case] = &[
    Case {
        name: "empty body",
        answer: || Answer::Body(Vec::new()),
        codes: EITHER,
    },
    Case {
        name: "connection closed",
        answer: || Answer::Close,
        codes: LOST,
    },
    Case {
        name: "body breaks off",
        answer: || Answer::Cut(700),
        codes: LOST,
    },
    Case {
        name: "not HTTP",
        answer: || Answer::Raw(b"220 mail.example.com ESMTP\r\n".to_vec()),
        codes: EITHER,
    },
    Case {
        name: "text",
        answer: || Answer::Body(b"Hello.".to_vec()),
        codes: EITHER,
    },
    Case {
        name: "HTML of a proxy",
        answer: || {
            let page = "<html><body>cf-error-details</body></html>";
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n",
                page.len()
            );
            Answer::Raw((head + page).into_bytes())
        },
        codes: EITHER,
    },
    Case {
        name: "half of the document",
        answer: || edit(|body| body[..body.len() / 2].to_owned()),
        codes: EITHER,
    },
    Case {
        name: "no end tag of the root",
        answer: || swap("</response>", ""),
        codes: EITHER,
    },
    Case {
        name: "wrong end tag",
        answer: || swap("</data>", "</dada>"),
        codes: EITHER,
    },
    Case {
        name: "no data",
        answer: || page(""),
        codes: MALFORMED,
    },
    Case {
        name: "no result",
        answer: || {
            edit(|body| {
                let (start, end) = (
                    body.find("<result>").expect("a result"),
                    body.rfind("</result>").expect("its end") + 9,
                );
                format!("{}{}", &body[..start], &body[end..])
            })
        },
        codes: MALFORMED,
    },
    Case {
        name: "fewer rows than counted",
        answer: || page(&format!("{ONE_ROW}</data>")),
        codes: EITHER,
    },
    Case {
        name: "more rows than counted",
        answer: || {
            page(&format!(
                "{ONE_ROW}<CUSTOMER><RECORDNO>1</RECORDNO></CUSTOMER><CUSTOMER><RECORDNO>2</RECORDNO></CUSTOMER></data>"
            ))
        },
        codes: EITHER,
    },
    Case {
        name: "count is no number",
        answer: || page(r#"<data listtype="CUSTOMER" totalcount="x" count="many" numremaining="-1"></data>"#),
        codes: MALFORMED,
    },
    Case {
        name: "always more to come",
        answer: || {
            page(r#"<data listtype="CUSTOMER" totalcount="9" offset="0" count="0" numremaining="9"></data>"#)
        },
        codes: EITHER,
    },
    Case {
        name: "status of no meaning",
        answer: || edit(|body| body.replace("<status>success</status>", "<status>perhaps</status>")),
        codes: MALFORMED,
    },
    Case {
        name: "failure without a reason",
        answer: || {
            Answer::Body(
                b"<?xml version=\"1.0\"?><response><control><status>failure</status></control></response>"
                    .to_vec(),
            )
        },
        codes: MALFORMED,
    },
    Case {
        name: "entities that multiply",
        answer: || {
            let mut text = String::from("<?xml version=\"1.0\"?><!DOCTYPE r [<!ENTITY a0 \"lol\">");
            for n in 1..30 {
                text += &format!("<!ENTITY a{n} \"{}\">", format!("&a{};", n - 1).repeat(10));
            }
            Answer::Body(
                (text + "]><response><control><status>&a29;</status></control></response>").into_bytes(),
            )
        },
        codes: MALFORMED,
    },
    Case {
        name: "an entity of a file",
        answer: || {
            edit(|body| {
                let at = body.find("<response").expect("a root");
                let with = format!(
                    "<!DOCTYPE r [<!ENTITY x SYSTEM \"file:///etc/passwd\">]>{}",
                    &body[at..]
                );
                with.replacen("<status>success</status>", "<status>&x;</status>", 1)
            })
        },
        codes: MALFORMED,
    },
    Case {
        name: "unknown entity",
        answer: || {
            page(&format!(
                "{ONE_ROW}<CUSTOMER><RECORDNO>1</RECORDNO><NAME>&nix;</NAME></CUSTOMER></data>"
            ))
        },
        codes: MALFORMED,
    },
    Case {
        name: "depth",
        answer: || page(&"<a>".repeat(200_000)),
        codes: TOO_LARGE,
    },
    Case {
        name: "a name of a megabyte",
        answer: || page(&format!("{ONE_ROW}<{}/></data>", "A".repeat(1 << 20))),
        codes: TOO_LARGE,
    },
    Case {
        name: "a row of a hundred thousand fields",
        answer: || {
            page(&format!(
                "{ONE_ROW}<CUSTOMER>{}</CUSTOMER></data>",
                "<A>1</A>".repeat(100_000)
            ))
        },
        codes: TOO_LARGE,
    },
    Case {
        name: "a bomb",
        answer: || Answer::Raw(bomb()),
        codes: TOO_LARGE,
    },
    Case {
        name: "gzip that is none",
        answer: || {
            Answer::Raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd".to_vec())
        },
        codes: EITHER,
    },
    Case {
        name: "an encoding that nobody asked for",
        answer: || {
            Answer::Raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nContent-Encoding: x-odd\r\nContent-Length: 4\r\n\r\nabcd".to_vec())
        },
        codes: EITHER,
    },
    Case {
        name: "a redirect",
        answer: || {
            Answer::Raw(
                b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.2:9/steal\r\nContent-Length: 0\r\n\r\n"
                    .to_vec(),
            )
        },
        codes: &["HV000", "08001", "08006"],
    },
    Case {
        name: "status 500",
        answer: || Answer::Raw(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n".to_vec()),
        codes: LOST,
    },
    Case {
        name: "status 524",
        answer: || Answer::Raw(b"HTTP/1.1 524 \r\nContent-Length: 0\r\n\r\n".to_vec()),
        codes: LOST,
    },
    Case {
        name: "status 404",
        answer: || Answer::Raw(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec()),
        codes: &["HV000", "08001", "08006"],
    },
    Case {
        name: "status 429",
        answer: || Answer::Raw(b"HTTP/1.1 429 Slow down\r\nContent-Length: 0\r\n\r\n".to_vec()),
        codes: &["53400"],
    },
    Case {
        name: "no number",
        answer: || cell("<RECORDNO>x1</RECORDNO>"),
        codes: CELL,
    },
    Case {
        name: "a number too big",
        answer: || cell("<RECORDNO>99999999999999999999</RECORDNO>"),
        codes: &["22P02", "22003"],
    },
    Case {
        name: "no decimal",
        answer: || cell("<RECORDNO>1</RECORDNO><TOTALDUE>1,5</TOTALDUE>"),
        codes: CELL,
    },
    Case {
        name: "no date",
        answer: || cell("<RECORDNO>1</RECORDNO><LAST_INVOICEDATE>13/45/2024</LAST_INVOICEDATE>"),
        codes: CELL,
    },
    Case {
        name: "no time",
        answer: || cell("<RECORDNO>1</RECORDNO><WHENMODIFIED>01/31/2024 25:00:00</WHENMODIFIED>"),
        codes: CELL,
    },
    Case {
        name: "no boolean",
        answer: || cell("<RECORDNO>1</RECORDNO><ONHOLD>maybe</ONHOLD>"),
        codes: CELL,
    },
    Case {
        name: "no key",
        answer: || cell("<RECORDNO></RECORDNO>"),
        codes: &["22P02", "23502", "HV000"],
    },
    Case {
        name: "no key element",
        answer: || cell("<NAME>x</NAME>"),
        codes: &["22P02", "23502", "HV000"],
    },
];

fn cell(cells: &str) -> Answer {
    page(&format!("{ONE_ROW}<CUSTOMER>{cells}</CUSTOMER></data>"))
}

/// A small response that becomes 400 MB.
fn bomb() -> Vec<u8> {
    let mut gzip = Command::new("gzip")
        .args(["-1", "-c"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("gzip is part of every Debian");
    let mut input = gzip.stdin.take().expect("a pipe");
    let writing = std::thread::spawn(move || {
        input
            .write_all(b"<?xml version=\"1.0\"?><response><control><status>")
            .expect("gzip reads");
        let blanks = vec![b' '; 1 << 20];
        for _ in 0..400 {
            input.write_all(&blanks).expect("gzip reads");
        }
    });
    let body = gzip.wait_with_output().expect("gzip ends").stdout;
    writing.join().expect("written");
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.into_bytes(), body].concat()
}

const STATEMENT: &str =
    "SELECT recordno, name, totaldue, onhold, last_invoicedate, whenmodified FROM customer";

#[test]
fn whatever_comes_is_answered_by_a_clear_error() {
    let company = Company::start("hostile");
    company.import("customer");
    let mut client = company.connect();
    client
        .batch_execute(
            "ALTER SERVER acme OPTIONS (ADD max_retries '0');
             -- The cases hold the elements that they are about.
             ALTER FOREIGN TABLE customer OPTIONS (ADD missing_elements 'null')",
        )
        .expect("an option");
    let pid = cluster::backend(&mut client);
    let rows = client.query(STATEMENT, &[]).expect("a working gateway").len();
    let mut faults = Vec::new();
    for case in CASES {
        let answer = case.answer;
        company.gateway.tap.rule(move |xml| {
            if xml.contains("<query>") {
                answer()
            } else {
                Answer::Pass
            }
        });
        match client.simple_query(STATEMENT) {
            Ok(_) => faults.push(format!("{}: no error", case.name)),
            Err(error) => match error.as_db_error() {
                None => panic!("{}: the backend died: {error:?}", case.name),
                Some(error) => {
                    let complete = error.detail().is_some() && error.hint().is_some();
                    if !case.codes.contains(&error.code().code()) || !complete {
                        faults.push(format!(
                            "{}: {} {}\n    DETAIL {:?}\n    HINT {:?}",
                            case.name,
                            error.code().code(),
                            error.message(),
                            error.detail(),
                            error.hint()
                        ));
                    }
                }
            },
        }
        company.gateway.tap.pass();
        match client.query(STATEMENT, &[]) {
            Ok(good) if good.len() == rows => {}
            other => faults.push(format!("{}: the next query: {other:?}", case.name)),
        }
    }
    assert_eq!(cluster::backend(&mut client), pid);
    assert!(
        faults.is_empty(),
        "{} of {} cases:\n{}",
        faults.len(),
        CASES.len(),
        faults.join("\n")
    );
}

#[test]
fn a_page_of_50_mb_is_read_to_the_last_byte() {
    const LENGTH: usize = 50 << 20;
    let company = Company::start("hostile_large");
    company.import("customer");
    let mut client = company.connect();
    company.gateway.tap.rule(|xml| {
        if !xml.contains("<query>") {
            return Answer::Pass;
        }
        let name = "Zo\u{eb}&amp;".repeat(LENGTH / 9 + 1);
        page(&format!(
            "{ONE_ROW}<CUSTOMER><RECORDNO>1</RECORDNO><NAME>{name}</NAME></CUSTOMER></data>"
        ))
    });
    let row = client
        .query_one(
            "SELECT recordno, length(name), md5(name) = md5(repeat('Zo\u{eb}&', length(name) / 4)) FROM customer",
            &[],
        )
        .expect("a large row");
    let letters = i32::try_from((LENGTH / 9 + 1) * 4).expect("a length");
    assert_eq!(
        (row.get::<_, i64>(0), row.get::<_, i32>(1), row.get::<_, bool>(2)),
        (1, letters, true)
    );
}

#[test]
fn an_answer_to_another_question_is_refused() {
    let company = Company::start("hostile_controlid");
    company.import("customer");
    let mut client = company.connect();
    client
        .batch_execute("ALTER SERVER acme OPTIONS (ADD max_retries '0')")
        .expect("an option");
    client.query(STATEMENT, &[]).expect("a working gateway");
    company.gateway.tap.rule(|_| {
        edit(|body| {
            let start = body.find("<result>").expect("a result");
            let at = start + body[start..].find("<controlid>").expect("its controlid") + "<controlid>".len();
            format!("{}another-{}", &body[..at], &body[at..])
        })
    });
    let error = client.simple_query(STATEMENT).expect_err("another controlid");
    assert_eq!(error.code().map(postgres::error::SqlState::code), Some("HV000"));
}

#[test]
fn a_page_that_comes_again_does_not_double_rows() {
    let company = Company::start("hostile_again");
    company.import("customer");
    let mut client = company.connect();
    client
        .batch_execute("ALTER SERVER acme OPTIONS (ADD page_size '50', ADD max_retries '0')")
        .expect("options");
    let first = std::sync::Arc::new(std::sync::Mutex::new(None::<String>));
    company.gateway.tap.rule(move |xml| {
        if !xml.contains("<query>") {
            return Answer::Pass;
        }
        let first = std::sync::Arc::clone(&first);
        let own = controlid(xml);
        Answer::Edit(Box::new(move |body| {
            let mut first = first.lock().expect("nobody panicked");
            let text = first.get_or_insert(body);
            // The right controlid: only the rows are those of before.
            let old = controlid(text);
            text.replace(&old, &own)
        }))
    });
    match client.simple_query("SELECT recordno FROM customer") {
        Ok(_) => panic!("pages that repeat themselves were taken for an answer"),
        Err(error) => assert_eq!(
            error.code().map(postgres::error::SqlState::code),
            Some("HV000"),
            "{error:?}"
        ),
    }
    client.query("SELECT 1", &[]).expect("the backend lives");
}

/// The controlid of the last function of a request or a response.
fn controlid(xml: &str) -> String {
    let pattern = regex::Regex::new("<function controlid=\"([^\"]+)\"|<controlid>([^<]+)</controlid>")
        .expect("a pattern");
    let found = pattern.captures_iter(xml).last().expect("a controlid");
    found
        .get(1)
        .or(found.get(2))
        .expect("one of the two")
        .as_str()
        .to_owned()
}

#[test]
fn a_gateway_that_dies_in_the_middle_of_a_scan() {
    let company = Company::start("hostile_death");
    company.import("customer");
    let mut client = company.connect();
    client
        .batch_execute("ALTER SERVER acme OPTIONS (ADD page_size '10', ADD max_retries '1')")
        .expect("options");
    let pid = cluster::backend(&mut client);
    client
        .batch_execute("BEGIN; DECLARE c CURSOR FOR SELECT recordno FROM customer; FETCH 5 FROM c")
        .expect("the first page");
    company.gateway.tap.shut_down();
    let error = client
        .simple_query("FETCH ALL FROM c")
        .expect_err("the gateway is gone");
    let code = error
        .code()
        .map(|code| code.code().to_owned())
        .unwrap_or_default();
    assert!(["08001", "08006"].contains(&code.as_str()), "{error:?}");
    client.batch_execute("ROLLBACK").expect("the backend lives");
    assert_eq!(cluster::backend(&mut client), pid);
    let error = client
        .simple_query("SELECT count(*) FROM customer")
        .expect_err("the gateway is gone");
    assert!(
        error.code().is_some_and(|code| code.code().starts_with("08")),
        "{error:?}"
    );
}

#[test]
fn credentials_do_not_leave_for_an_endpoint_on_another_host() {
    let company = Company::start("hostile_endpoint");
    company.import("customer");
    // 127.0.0.2 is another host as far as the rule can tell.
    let thief = std::net::TcpListener::bind("127.0.0.2:0").expect("loopback");
    thief.set_nonblocking(true).expect("a flag");
    let address = thief.local_addr().expect("an address");
    company.gateway.tap.rule(move |xml| {
        if xml.contains("getAPISession") {
            edit(move |body| {
                let start = body.find("<endpoint>").expect("an endpoint") + "<endpoint>".len();
                let end = body.find("</endpoint>").expect("its end");
                format!(
                    "{}http://{address}/ia/xml/xmlgw.phtml{}",
                    &body[..start],
                    &body[end..]
                )
            })
        } else {
            Answer::Pass
        }
    });
    let mut client = company.connect();
    let error = client
        .simple_query("SELECT count(*) FROM customer")
        .expect_err("another host");
    assert_eq!(
        error.code().map(postgres::error::SqlState::code),
        Some("HV000"),
        "{error:?}"
    );
    assert!(thief.accept().is_err(), "somebody called the other host");
}

#[test]
fn control_characters_in_text_do_no_harm() {
    let company = Company::start("hostile_characters");
    company.import("customer");
    let mut client = company.connect();
    client
        .batch_execute("ALTER SERVER acme OPTIONS (ADD max_retries '0')")
        .expect("an option");
    company.gateway.tap.rule(|xml| {
        if xml.contains("<query>") {
            cell("<RECORDNO>1</RECORDNO><NAME>a\u{1}b&#2;c&#0;d\u{fffe}</NAME>")
        } else {
            Answer::Pass
        }
    });
    // Either the characters are left out or replaced, or the row is refused; a NUL never reaches PostgreSQL.
    match client.query_one("SELECT name FROM customer", &[]) {
        Ok(row) => {
            let name: String = row.get(0);
            assert_eq!(
                name.replace(['\u{1}', '\u{2}', '\u{fffe}', '\u{fffd}'], ""),
                "abcd"
            );
        }
        Err(error) => assert_eq!(
            error.code().map(postgres::error::SqlState::code),
            Some("HV000"),
            "{error:?}"
        ),
    }
    company.gateway.tap.pass();
    client
        .query("SELECT name FROM customer", &[])
        .expect("the backend lives");
}
