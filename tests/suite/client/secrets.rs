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
