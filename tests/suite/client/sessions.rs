//! One session for each mapping of a server, kept over statements, and let go when its options change.

use std::fs;

use postgres::Client;
use postgres::error::SqlState;
use sage_intacct_fdw_tests::company::{Company, ServerFiles};

const COUNT: &str = "SELECT count(*) FROM customer";

fn company(name: &str) -> (Company, Client) {
    let company = Company::start(name);
    company.import("customer");
    let client = company.connect();
    company.gateway.tap.forget();
    (company, client)
}

/// Sign-ins since the last call.
fn sign_ins(company: &Company) -> usize {
    let requests = company.gateway.tap.requests();
    company.gateway.tap.forget();
    requests
        .iter()
        .filter(|xml| xml.contains("<getAPISession"))
        .count()
}

#[track_caller]
fn refused(client: &mut Client, code: &SqlState) {
    let error = client.query(COUNT, &[]).expect_err("it is refused");
    assert_eq!(error.code(), Some(code), "{error:?}");
}

#[test]
fn a_change_of_options_by_another_session_is_noticed() {
    let (company, mut client) = company("sessions_options");
    let mut other = company.connect();
    client.query(COUNT, &[]).expect("rows");
    assert_eq!(sign_ins(&company), 1);

    other
        .batch_execute("ALTER SERVER acme OPTIONS (ADD page_size '100', ADD push_where 'off')")
        .expect("options");
    client.query(COUNT, &[]).expect("rows");
    assert_eq!(sign_ins(&company), 0, "what the session is made from is the same");

    let mapping =
        |change: &str| format!("ALTER USER MAPPING FOR CURRENT_USER SERVER acme OPTIONS ({change})");
    other
        .batch_execute(&mapping("SET password 'wrong'"))
        .expect("an option");
    refused(&mut client, &SqlState::INVALID_PASSWORD);
    assert_eq!(sign_ins(&company), 1);
    other
        .batch_execute(&mapping("SET password 'secret'"))
        .expect("an option");
    client.query(COUNT, &[]).expect("rows");
    assert_eq!(sign_ins(&company), 1);

    other
        .batch_execute(&mapping("ADD location_id 'WEST'"))
        .expect("an option");
    let at_entity = client.query(COUNT, &[]);
    assert_eq!(
        sign_ins(&company),
        1,
        "another entity is another session: {at_entity:?}"
    );
    other
        .batch_execute(&mapping("DROP location_id"))
        .expect("an option");
    client.query(COUNT, &[]).expect("rows");
    assert_eq!(sign_ins(&company), 1);
}

#[test]
fn a_change_that_is_rolled_back_leaves_nothing() {
    let (company, mut client) = company("sessions_rollback");
    client.query(COUNT, &[]).expect("rows");
    client
        .batch_execute(
            "BEGIN; ALTER USER MAPPING FOR CURRENT_USER SERVER acme OPTIONS (SET password 'wrong'); SAVEPOINT s",
        )
        .expect("an option");
    refused(&mut client, &SqlState::INVALID_PASSWORD);
    client.batch_execute("ROLLBACK").expect("a rollback");
    client.query(COUNT, &[]).expect("rows");
    let expected = company.rows("CUSTOMER");
    let row = client.query_one(COUNT, &[]).expect("rows");
    assert_eq!(row.get::<_, i64>(0), expected);
}

#[test]
fn a_password_that_changes_in_its_file_is_noticed() {
    let (company, mut client) = company("sessions_file");
    let files = ServerFiles::create("sessions_file");
    let file = files.path.join("password");
    fs::write(&file, "secret\n").expect("a file");
    company
        .connect()
        .batch_execute(&format!(
            "ALTER USER MAPPING FOR CURRENT_USER SERVER acme OPTIONS (DROP password, ADD password_file '{}')",
            file.display()
        ))
        .expect("an option");
    for _ in 0..2 {
        client.query(COUNT, &[]).expect("rows");
    }
    assert_eq!(sign_ins(&company), 1);

    // As editors and secret managers do: a new file in the place of the old one.
    let replace = |text: &str| {
        let new = files.path.join("new");
        fs::write(&new, text).expect("a file");
        fs::rename(&new, &file).expect("in its place");
    };
    replace("wrong\n");
    refused(&mut client, &SqlState::INVALID_PASSWORD);
    replace("secret\n# with a comment\n");
    client.query(COUNT, &[]).expect("rows");
    assert_eq!(sign_ins(&company), 2);

    // Another file with the same password does not need another session, nor does a file that is gone.
    replace("secret\n");
    client.query(COUNT, &[]).expect("rows");
    fs::remove_file(&file).expect("removed");
    client.query(COUNT, &[]).expect("rows");
    assert_eq!(sign_ins(&company), 0);
}

#[test]
fn disconnect_ends_sessions_and_no_scan() {
    let (company, mut client) = company("sessions_disconnect");
    client
        .batch_execute("ALTER SERVER acme OPTIONS (ADD page_size '10')")
        .expect("an option");
    let open =
        "SELECT count(*) FROM sage_intacct.sessions() WHERE server = 'acme' AND endpoint_host IS NOT NULL";
    let number = |client: &mut Client, sql: &str| client.query_one(sql, &[]).expect(sql).get::<_, i64>(0);
    let disconnect = "SELECT sage_intacct.disconnect('acme')::bigint";
    assert_eq!(number(&mut client, disconnect), 0);
    client
        .batch_execute("BEGIN; DECLARE c CURSOR FOR SELECT recordno FROM customer; FETCH 3 FROM c")
        .expect("a cursor");
    assert_eq!(number(&mut client, open), 1);
    assert_eq!(number(&mut client, disconnect), 1);
    assert_eq!(number(&mut client, open), 0);
    assert_eq!(number(&mut client, disconnect), 0);
    let rest = client.simple_query("FETCH ALL FROM c").expect("the scan goes on");
    let rest = rest
        .iter()
        .filter(|message| matches!(message, postgres::SimpleQueryMessage::Row(_)))
        .count();
    assert_eq!(rest as i64 + 3, company.rows("CUSTOMER"));
    client.batch_execute("COMMIT").expect("a commit");
    sign_ins(&company);
    client.query(COUNT, &[]).expect("rows");
    assert_eq!(sign_ins(&company), 1);
}

#[test]
fn what_is_dropped_has_no_session_any_more() {
    let (_company, mut client) = company("sessions_dropped");
    let servers = |client: &mut Client| -> Vec<String> {
        client
            .query("SELECT server FROM sage_intacct.sessions() ORDER BY server", &[])
            .expect("sessions")
            .iter()
            .map(|row| row.get(0))
            .collect()
    };
    client.query(COUNT, &[]).expect("rows");
    assert_eq!(servers(&mut client), ["acme"]);
    client
        .batch_execute("DROP USER MAPPING FOR CURRENT_USER SERVER acme")
        .expect("dropped");
    assert_eq!(servers(&mut client), [""; 0]);
    refused(&mut client, &SqlState::UNDEFINED_OBJECT);
    client
        .batch_execute(
            "CREATE USER MAPPING FOR PUBLIC SERVER acme
               OPTIONS (user_id 'apiuser', password 'secret', sender_id 'sender1', sender_password 'senderpw')",
        )
        .expect("a mapping for all");
    client.query(COUNT, &[]).expect("rows");
    assert_eq!(servers(&mut client), ["acme"]);
    client.batch_execute("DROP SERVER acme CASCADE").expect("dropped");
    assert_eq!(servers(&mut client), [""; 0]);
}

#[test]
fn each_mapping_has_its_own_session() {
    let (company, mut client) = company("sessions_mappings");
    client
        .batch_execute(
            "CREATE ROLE sessions_clerk; GRANT USAGE ON FOREIGN SERVER acme TO sessions_clerk;
             GRANT SELECT ON customer TO sessions_clerk;
             CREATE USER MAPPING FOR sessions_clerk SERVER acme
               OPTIONS (user_id 'apiuser', password 'secret', sender_id 'sender1', sender_password 'senderpw')",
        )
        .expect("a role with a mapping");
    for _ in 0..2 {
        client.query(COUNT, &[]).expect("rows");
        client.batch_execute("SET ROLE sessions_clerk").expect("SET ROLE");
        client.query(COUNT, &[]).expect("rows");
        client.batch_execute("RESET ROLE").expect("RESET ROLE");
    }
    assert_eq!(sign_ins(&company), 2);
    // Each role is shown its own.
    for (role, mapping) in [
        ("SET ROLE sessions_clerk", "sessions_clerk"),
        ("RESET ROLE", "postgres"),
    ] {
        client.batch_execute(role).expect("the role");
        let mappings: Vec<String> = client
            .query("SELECT mapping FROM sage_intacct.sessions()", &[])
            .expect("sessions")
            .iter()
            .map(|row| row.get(0))
            .collect();
        assert_eq!(mappings, [mapping]);
    }
    client
        .batch_execute("DROP OWNED BY sessions_clerk; DROP ROLE sessions_clerk")
        .expect("the role is dropped");
}

#[test]
fn a_connection_is_kept_open_from_request_to_request() {
    let (company, mut client) = company("sessions_keep_alive");
    client
        .batch_execute("ALTER SERVER acme OPTIONS (ADD page_size '10')")
        .expect("an option");
    let before = company.gateway.tap.connections();
    for _ in 0..3 {
        client
            .query("SELECT recordno FROM customer WHERE recordno % 2 = 0", &[])
            .expect("rows");
    }
    assert!(company.gateway.tap.requests().len() > 20);
    // About as many as there may be requests at a time: one is opened in vain when another comes back meanwhile.
    let opened = company.gateway.tap.connections() - before;
    assert!((1..=4).contains(&opened), "{opened} connections");
}
