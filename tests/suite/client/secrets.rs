//! Credentials and session identifiers stay where they belong.

use postgres::Client;
use regex::Regex;
use sage_intacct_fdw_tests::cluster;
use sage_intacct_fdw_tests::company::Company;
use sage_intacct_fdw_tests::tap::Answer;

/// The texts that must appear nowhere: the company's passwords and the sessions that were opened.
fn secrets(company: &Company) -> Vec<Regex> {
    let session = Regex::new("<sessionid>([^<]+)</sessionid>").expect("a pattern");
    let mut texts: Vec<String> = company
        .gateway
        .tap
        .requests()
        .iter()
        .filter_map(|xml| Some(session.captures(xml)?[1].to_owned()))
        .collect();
    texts.sort();
    texts.dedup();
    assert!(!texts.is_empty(), "no session was opened");
    let mut patterns: Vec<String> = texts.iter().map(|text| regex::escape(text)).collect();
    // As words: other texts speak of secrets too.
    patterns.extend([r"\bsecret\b".to_owned(), r"\bsenderpw\b".to_owned()]);
    patterns
        .iter()
        .map(|pattern| Regex::new(pattern).expect("a pattern"))
        .collect()
}

#[track_caller]
fn assert_clean(what: &str, text: &str, secrets: &[Regex]) {
    for secret in secrets {
        if let Some(found) = secret.find(text) {
            let line = text[..found.start()].lines().count();
            let line = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
            panic!("{what} holds {}: {line}", secret.as_str());
        }
    }
}

/// Everything that an error says.
fn all_of(error: &postgres::Error) -> String {
    let error = error
        .as_db_error()
        .unwrap_or_else(|| panic!("the connection is lost: {error:?}"));
    format!("{error:?}")
}

/// Reads, explains and fails in many ways; returns what the client was told.
fn work(client: &mut Client, company: &Company) -> String {
    let mut told = String::new();
    let statements = [
        "SELECT * FROM customer LIMIT 3",
        "EXPLAIN (VERBOSE) SELECT * FROM customer WHERE totaldue > 1",
        "EXPLAIN (ANALYZE, VERBOSE) SELECT * FROM customer WHERE totaldue > 1",
        "EXPLAIN (ANALYZE, VERBOSE, FORMAT json) SELECT * FROM customer",
        "SELECT * FROM sage_intacct.check('acme')",
        "SELECT surname FROM wrong",
    ];
    for statement in statements {
        match client.simple_query(statement) {
            Ok(messages) => {
                for message in messages {
                    if let postgres::SimpleQueryMessage::Row(row) = message {
                        told.extend((0..row.len()).filter_map(|i| row.get(i)));
                        told.push('\n');
                    }
                }
            }
            Err(error) => told += &all_of(&error),
        }
    }
    let answers: [fn() -> Answer; 4] = [
        || Answer::Body(b"nonsense".to_vec()),
        || Answer::Close,
        || Answer::Cut(600),
        || Answer::Raw(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n".to_vec()),
    ];
    for answer in answers {
        company.gateway.tap.rule(move |_| answer());
        told += &all_of(
            &client
                .simple_query("SELECT * FROM customer")
                .expect_err("a broken gateway"),
        );
        for message in client
            .simple_query("SELECT * FROM sage_intacct.check('acme')")
            .expect("rows")
        {
            if let postgres::SimpleQueryMessage::Row(row) = message {
                told.extend((0..row.len()).filter_map(|i| row.get(i)));
            }
        }
    }
    company.gateway.tap.pass();
    // A gateway that sends back what it got, credentials included.
    company
        .gateway
        .tap
        .rule(|xml| Answer::Body(xml.as_bytes().to_vec()));
    told += &all_of(
        &client
            .simple_query("SELECT * FROM customer")
            .expect_err("an echo"),
    );
    company.gateway.tap.pass();
    told
}

#[test]
fn nothing_that_is_emitted_holds_a_secret() {
    let company = Company::start("secrets_emitted");
    company.import("customer");
    let mut client = company.connect();
    client
        .batch_execute(
            "ALTER SERVER acme OPTIONS (ADD max_retries '1');
             CREATE FOREIGN TABLE wrong (recordno bigint, surname text) SERVER acme OPTIONS (object 'CUSTOMER');
             SET log_min_messages = debug5; SET log_error_verbosity = verbose; SET log_min_error_statement = debug5;
             SET debug_print_plan = on; SET debug_print_parse = on; SET debug_print_rewritten = on;
             SET log_statement = 'all'; SET log_duration = on;",
        )
        .expect("settings");
    let marker = format!("marker {}", company.database.name());
    client
        .batch_execute(&format!("SELECT '{marker}'"))
        .expect("a statement");
    let told = work(&mut client, &company);
    client.batch_execute("RESET ALL").expect("settings");
    let secrets = secrets(&company);
    assert_clean("what the client was told", &told, &secrets);
    let log = cluster::server_log();
    let start = log.find(&marker).expect("the marker is in the log");
    // Other tests write to the same log: lines of this backend alone are looked at, and what continues them.
    assert_clean("the server's log", &log[start..], &secrets);
    let activity = client
        .query(
            "SELECT coalesce(query, '') || coalesce(application_name, '') FROM pg_stat_activity",
            &[],
        )
        .expect("rows")
        .iter()
        .map(|row| row.get::<_, String>(0))
        .collect::<String>();
    assert_clean("pg_stat_activity", &activity, &secrets[..secrets.len() - 2]);
}

#[test]
fn other_roles_do_not_see_the_options_of_a_mapping() {
    let company = Company::start("secrets_roles");
    let mut client = company.connect();
    client
        .batch_execute(
            "CREATE ROLE secrets_stranger LOGIN; GRANT USAGE ON FOREIGN SERVER acme TO secrets_stranger",
        )
        .expect("a role");
    let mut stranger = company.database.connect_as("secrets_stranger");
    let visible: i64 = stranger
        .query_one("SELECT count(umoptions) FROM pg_user_mappings", &[])
        .expect("the view is readable")
        .get(0);
    let refused = stranger
        .simple_query("SELECT umoptions FROM pg_user_mapping")
        .expect_err("the catalog is not");
    drop(stranger);
    client
        .batch_execute("DROP OWNED BY secrets_stranger; DROP ROLE secrets_stranger")
        .expect("gone");
    assert_eq!(visible, 0);
    assert_eq!(refused.code().map(postgres::error::SqlState::code), Some("42501"));
}

#[test]
fn a_mistake_in_a_mapping_does_not_log_its_statement() {
    let company = Company::start("secrets_validator");
    let mut client = company.connect();
    client
        .batch_execute("DROP USER MAPPING FOR CURRENT_USER SERVER acme")
        .expect("dropped");
    let mistakes = [
        "CREATE USER MAPPING FOR CURRENT_USER SERVER acme OPTIONS (user_id 'me', password 'hushhush1', pasword 'x')",
        "CREATE USER MAPPING FOR CURRENT_USER SERVER acme OPTIONS (user_id 'me', pasword 'hushhush2')",
        "CREATE USER MAPPING FOR CURRENT_USER SERVER acme OPTIONS (password 'hushhush3')",
        "CREATE USER MAPPING FOR CURRENT_USER SERVER acme
           OPTIONS (user_id '', password 'hushhush4', sender_id 's', sender_password 'hushhush5')",
        "CREATE USER MAPPING FOR CURRENT_USER SERVER acme
           OPTIONS (user_id 'me', password 'hushhush6', password_file '/tmp/f', sender_id 's', sender_password 'hushhush7')",
    ];
    let mut refused = 0;
    for mistake in mistakes {
        match client.simple_query(mistake) {
            Ok(_) => client
                .batch_execute("DROP USER MAPPING FOR CURRENT_USER SERVER acme")
                .expect("dropped"),
            Err(error) => {
                refused += 1;
                assert!(!all_of(&error).contains("hushhush"), "{}", all_of(&error));
            }
        }
    }
    client
        .batch_execute("CREATE USER MAPPING FOR CURRENT_USER SERVER acme OPTIONS (user_id 'me', password 'x', sender_id 's', sender_password 'y')")
        .expect("a mapping without a mistake");
    client
        .simple_query("ALTER USER MAPPING FOR CURRENT_USER SERVER acme OPTIONS (SET password 'hushhush8', ADD wrong 'hushhush9')")
        .expect_err("an unknown option");
    assert!(refused >= 3, "only {refused} mistakes were noticed");
    let log = cluster::server_log();
    let line = log.lines().find(|line| line.contains("hushhush"));
    assert_eq!(line, None);
}

/// A password with something in it for every way of escaping.
const PASSWORD: &str = "pa&ss \"w<o>rd\"+/ü%41";

fn base64(text: &str) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let four = |part: &[u8]| -> Vec<char> {
        let number = (0..3).fold(0, |n, i| n << 8 | u32::from(part.get(i).copied().unwrap_or(0)));
        let digit = |place: usize| char::from(DIGITS[(number >> (18 - 6 * place) & 63) as usize]);
        (0..4)
            .map(|place| if place <= part.len() { digit(place) } else { '=' })
            .collect()
    };
    text.as_bytes().chunks(3).flat_map(four).collect()
}

fn xml(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// The forms in which the password may come back.
fn forms() -> Vec<String> {
    let url = |all: bool| -> String {
        let byte = |byte: u8| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' if !all => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        };
        PASSWORD.bytes().map(byte).collect()
    };
    vec![
        PASSWORD.to_owned(),
        xml(PASSWORD),
        serde_json::to_string(PASSWORD).expect("JSON"),
        url(false),
        url(true).to_lowercase(),
        url(false).replace("%20", "+"),
        base64(PASSWORD),
        base64(&format!("apiuser:{PASSWORD}")),
        base64(&format!("u:{PASSWORD}\n")),
        PASSWORD.bytes().map(|byte| format!("{byte:02x}")).collect(),
        PASSWORD
            .chars()
            .map(|letter| format!("&#{};", u32::from(letter)))
            .collect(),
    ]
}

/// Answers every function with a failure that says this.
fn failing(request: &str, text: &str) -> Answer {
    let id = Regex::new("<function controlid=\"([^\"]+)\"").expect("a pattern");
    let text = xml(text);
    let result = |id: &str| {
        format!(
            "<result><status>failure</status><function>query</function><controlid>{id}</controlid><errormessage>\
             <error><errorno>XX-1</errorno><description/><description2>saw [{text}]</description2>\
             <correction>not {text}</correction></error></errormessage></result>"
        )
    };
    let results: String = id.captures_iter(request).map(|found| result(&found[1])).collect();
    // An answer that names another request is refused before anything that it says is read.
    let control = Regex::new("<controlid>([^<]+)</controlid>").expect("a pattern");
    let control = &control.captures(request).expect("a control id")[1];
    Answer::Body(
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><response><control><status>success</status><senderid>sender1\
             </senderid><controlid>{control}</controlid><uniqueid>false</uniqueid><dtdversion>3.0</dtdversion></control>\
             <operation><authentication><status>success</status><userid>apiuser</userid><companyid>acme</companyid>\
             <locationid></locationid><sessiontimestamp>2024-01-01T00:00:00+00:00</sessiontimestamp></authentication>\
             {results}</operation></response>"
        )
        .into_bytes(),
    )
}

#[test]
fn a_secret_is_masked_in_whatever_form_it_comes_back() {
    let company = Company::start("secrets_forms");
    let mut client = company.connect();
    client
        .batch_execute(&format!(
            "ALTER SERVER acme OPTIONS (ADD max_retries '0');
             CREATE FOREIGN TABLE customer (recordno bigint, customerid text OPTIONS (key 'on'), name text) SERVER acme;
             ALTER USER MAPPING FOR CURRENT_USER SERVER acme OPTIONS (SET password '{PASSWORD}')"
        ))
        .expect("objects");
    let session = "<result><status>success</status><function>getAPISession</function><controlid>ID</controlid><data><api>\
                   <sessionid>open-session</sessionid><endpoint></endpoint><locationid/></api></data></result>";
    let statements = [
        "SELECT * FROM customer",
        "INSERT INTO customer (customerid, name) VALUES ('F1', 'x')",
        "INSERT INTO customer (customerid, name) VALUES ('F1', 'x'), ('F2', 'y')",
        "INSERT INTO customer (customerid, name) VALUES ('F1', 'x') ON CONFLICT DO NOTHING",
        "SELECT * FROM sage_intacct.query('acme', 'select NAME from CUSTOMER')",
        "SELECT * FROM sage_intacct.describe('acme', 'CUSTOMER')",
    ];
    let forms = forms();
    // A refused sign-in and a refused statement say what they say in the same words: the first is tried with some forms.
    let refused = forms[..2].iter().map(|form| (false, form.clone()));
    let all = refused.chain(forms.iter().map(|form| (true, form.clone())));
    for (number, (signs_in, form)) in all.enumerate() {
        // A write that is refused may be looked up, with pauses: a few are enough.
        let statements = match number {
            2..5 => &statements[..],
            _ => &statements[..1],
        };
        let text = form.clone();
        company.gateway.tap.rule(move |request| {
            match failing(request, &text) {
                // As if the password were right: what is refused is what comes then.
                Answer::Body(body) if signs_in && request.contains("<getAPISession") => {
                    let body = String::from_utf8(body).expect("a text");
                    let (before, rest) = body.split_once("<result>").expect("a result");
                    let id = rest
                        .split("controlid>")
                        .nth(1)
                        .expect("an id")
                        .trim_end_matches("</");
                    let after = rest.rsplit_once("</result>").expect("an end").1;
                    Answer::Body(format!("{before}{}{after}", session.replace("ID", id)).into_bytes())
                }
                answer => answer,
            }
        });
        for sql in statements {
            let error = client.simple_query(sql).map(drop).expect_err(sql);
            let said = all_of(&error);
            assert!(said.contains("XX-1") && said.contains('…'), "{sql}: {said}");
            for bad in [&form, &form.escape_debug().to_string(), &PASSWORD.to_owned()] {
                assert!(!said.contains(bad.as_str()), "{sql}: {bad} in {said}");
            }
        }
        if !signs_in {
            let report = client
                .query("SELECT concat(detail, hint) FROM sage_intacct.check('acme')", &[])
                .expect("a report");
            let report: String = report.iter().map(|row| row.get::<_, String>(0)).collect();
            assert!(report.contains('…') && !report.contains(&form), "{report}");
        }
        client
            .batch_execute("SELECT sage_intacct.disconnect('acme')")
            .expect("a new session");
    }
    // What is quoted of a redirect in part, and in small letters.
    let plain = "Part-Of-A-Secret";
    client
        .batch_execute(&format!(
            "ALTER USER MAPPING FOR CURRENT_USER SERVER acme OPTIONS (SET password '{plain}')"
        ))
        .expect("an option");
    let target = format!("https://elsewhere.example/{}{plain}", "x".repeat(165));
    company.gateway.tap.rule(move |_| {
        let head = format!("HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n");
        Answer::Raw(head.into_bytes())
    });
    let error = client
        .simple_query("SELECT * FROM customer")
        .map(drop)
        .expect_err("a redirect");
    let said = all_of(&error);
    assert!(
        said.contains("redirects") && !said.to_lowercase().contains("xpart"),
        "{said}"
    );
}

#[test]
fn credentials_in_an_address_are_refused_and_not_repeated() {
    let company = Company::start("secrets_address");
    let mut client = company.connect();
    let statements = [
        "ALTER SERVER acme OPTIONS (ADD proxy 'http://user:hushproxy@proxy.example:3128')",
        "ALTER SERVER acme OPTIONS (ADD proxy 'http://hushproxy@proxy.example')",
        "ALTER SERVER acme OPTIONS (ADD proxy 'user:hushproxy@proxy.example')",
        "ALTER SERVER acme OPTIONS (SET url 'https://user:hushproxy@api.intacct.com/')",
        "ALTER SERVER acme OPTIONS (ADD proxy_password 'hushproxy')",
        "ALTER SERVER acme OPTIONS (ADD password 'hushproxy')",
        "CREATE SERVER two FOREIGN DATA WRAPPER sage_intacct_fdw OPTIONS (company_id 'x', proxy 'http://u:hushproxy@h')",
        "ALTER USER MAPPING FOR CURRENT_USER SERVER acme
           OPTIONS (ADD proxy_user 'u', ADD proxy_password 'hushproxy', ADD proxy_password_file '/tmp/x')",
    ];
    for sql in statements {
        let error = client.simple_query(sql).map(drop).expect_err(sql);
        assert!(!all_of(&error).contains("hushproxy"), "{}", all_of(&error));
    }
    // A proxy that would hear its password in the clear is not told it.
    client
        .batch_execute(
            "CREATE FOREIGN TABLE customer (recordno bigint) SERVER acme;
             ALTER SERVER acme OPTIONS (ADD proxy 'http://proxy.example:3128', SET url 'https://localhost:1/');
             ALTER USER MAPPING FOR CURRENT_USER SERVER acme OPTIONS (ADD proxy_user 'u', ADD proxy_password 'hushproxy')",
        )
        .expect("options");
    let error = client
        .simple_query("SELECT * FROM customer")
        .map(drop)
        .expect_err("in the clear");
    assert_eq!(
        error.code().map(postgres::error::SqlState::code),
        Some("HV024"),
        "{error:?}"
    );
    assert!(!all_of(&error).contains("hushproxy"), "{error:?}");
    let log = cluster::server_log();
    let leaks: Vec<_> = log.lines().filter(|line| line.contains("hushproxy")).collect();
    assert!(leaks.is_empty(), "{leaks:?}");
}

#[test]
fn a_proxy_is_for_roles_that_may_read_files() {
    let company = Company::start("secrets_proxy");
    let mut admin = company.connect();
    admin
        .batch_execute(
            "CREATE ROLE proxy_owner LOGIN; GRANT USAGE ON FOREIGN DATA WRAPPER sage_intacct_fdw TO proxy_owner;
             GRANT CREATE ON SCHEMA public TO proxy_owner",
        )
        .expect("a role");
    let mut owner = company.database.connect_as("proxy_owner");
    let create = |options: &str| {
        format!(
            "CREATE SERVER mine FOREIGN DATA WRAPPER sage_intacct_fdw
               OPTIONS (company_id 'x', url 'http://localhost:1/'{options})"
        )
    };
    let refused = |owner: &mut Client, sql: &str| {
        let error = owner.simple_query(sql).map(drop).expect_err(sql);
        error
            .code()
            .map(|code| code.code().to_owned())
            .unwrap_or_default()
    };
    assert_eq!(
        refused(&mut owner, &create(", proxy 'https://proxy.example'")),
        "42501"
    );
    owner.batch_execute(&create("")).expect("a server");
    let add = "ALTER SERVER mine OPTIONS (ADD proxy 'https://proxy.example')";
    assert_eq!(refused(&mut owner, add), "42501");
    // Somebody else sets it, and the owner must still have the right when it is used.
    admin.batch_execute(add).expect("an option");
    owner
        .batch_execute(
            "CREATE USER MAPPING FOR CURRENT_USER SERVER mine
               OPTIONS (user_id 'u', password 'x', sender_id 's', sender_password 'y');
             CREATE FOREIGN TABLE t (recordno bigint) SERVER mine",
        )
        .expect("objects");
    assert_eq!(refused(&mut owner, "SELECT * FROM t"), "42501");
    admin
        .batch_execute("GRANT pg_read_server_files TO proxy_owner")
        .expect("a right");
    // Plain HTTP goes to this machine, past the proxy; nobody listens there.
    assert_eq!(refused(&mut owner, "SELECT * FROM t"), "08001");
    drop(owner);
    admin
        .batch_execute("DROP OWNED BY proxy_owner CASCADE; DROP ROLE proxy_owner")
        .expect("gone");
}
