//! Backends with the same user mapping use one session: one signs in for all, and nobody else's session is taken.

use std::sync::{Arc, Barrier};
use std::thread;

use postgres::Client;
use postgres::error::SqlState;
use sage_intacct_fdw_tests::cluster;
use sage_intacct_fdw_tests::company::Company;
use sage_intacct_fdw_tests::sql::{run, texts};
use sage_intacct_fdw_tests::tap::Answer;
use sage_intacct_fdw_tests::wait::until;

use super::preloaded::Shared;

const READ: &str = "SELECT name FROM customer WHERE recordno = 1";

fn shared(name: &str) -> Shared {
    let shared = Shared::start(name, ", share_sessions 'on'");
    shared.gateway.tap.forget();
    shared
}

/// Requests since the last call, and the sign-ins among them.
fn requests(shared: &Shared) -> (usize, usize) {
    let all = shared.gateway.tap.requests();
    shared.gateway.tap.forget();
    let sign_ins = all.iter().filter(|xml| xml.contains("<getAPISession")).count();
    (all.len(), sign_ins)
}

fn read(client: &mut Client) {
    client.query(READ, &[]).expect("rows");
}

#[test]
fn five_connections_with_a_query_each_are_six_requests() {
    let shared = shared("share_five");
    for _ in 0..5 {
        read(&mut shared.connect());
    }
    assert_eq!(requests(&shared), (6, 1));
    // At once, when the session is over.
    shared.gateway.expire_sessions();
    let start = Arc::new(Barrier::new(5));
    let readers: Vec<_> = (0..5)
        .map(|_| {
            let (mut client, start) = (shared.connect(), start.clone());
            thread::spawn(move || {
                start.wait();
                read(&mut client);
                client
            })
        })
        .collect();
    let mut clients: Vec<Client> = readers
        .into_iter()
        .map(|reader| reader.join().expect("it ends"))
        .collect();
    let (_, sign_ins) = requests(&shared);
    assert_eq!(sign_ins, 1);
    // Each notices by itself that the session has ended, and one renews it.
    for _ in 0..2 {
        shared.gateway.expire_sessions();
        clients.iter_mut().for_each(read);
        assert_eq!(requests(&shared).1, 1);
    }
    clients.iter_mut().for_each(read);
    assert_eq!(requests(&shared), (5, 0));
}

#[test]
fn a_session_is_of_one_mapping_and_of_its_options() {
    let shared = shared("share_mapping");
    let mut client = shared.connect();
    client
        .batch_execute(
            "DROP ROLE IF EXISTS share_own, share_public_1, share_public_2; CREATE ROLE share_own; CREATE ROLE share_public_1; CREATE ROLE share_public_2;
             GRANT USAGE ON FOREIGN SERVER acme TO PUBLIC; GRANT SELECT ON customer TO PUBLIC;
             CREATE USER MAPPING FOR share_own SERVER acme OPTIONS (user_id 'apiuser', password 'secret', sender_id 'sender1', sender_password 'senderpw');
             CREATE USER MAPPING FOR PUBLIC SERVER acme OPTIONS (user_id 'apiuser', password 'secret', sender_id 'sender1', sender_password 'senderpw')",
        )
        .expect("roles");
    read(&mut client);
    assert_eq!(requests(&shared), (2, 1));
    let read_as = |role: &str| {
        let mut client = shared.connect();
        client.batch_execute(&format!("SET ROLE {role}")).expect("a role");
        read(&mut client);
        requests(&shared).1
    };
    // The same credentials in another mapping are another's.
    assert_eq!(read_as("share_own"), 1);
    assert_eq!(read_as("share_public_1"), 1);
    assert_eq!(read_as("share_public_2"), 0);
    assert_eq!(read_as("share_own"), 0);

    // A wrong password is wrong, although there is a session.
    for (change, back) in [
        ("SET password 'wrong'", "SET password 'secret'"),
        ("SET sender_password 'wrong'", "SET sender_password 'senderpw'"),
    ] {
        let alter =
            |change: &str| format!("ALTER USER MAPPING FOR CURRENT_USER SERVER acme OPTIONS ({change})");
        client.batch_execute(&alter(change)).expect("an option");
        for client in [&mut client, &mut shared.connect()] {
            let error = client.query(READ, &[]).expect_err("it is refused");
            let code = error.code().map(SqlState::code).unwrap_or_default();
            assert!(code.starts_with("28"), "{error:?}");
        }
        assert_eq!(requests(&shared), (2, 2));
        client.batch_execute(&alter(back)).expect("an option");
        read(&mut shared.connect());
        read(&mut client);
        // The session of these credentials is there still.
        assert_eq!(requests(&shared), (2, 0));
    }
    client
        .batch_execute("ALTER SERVER acme OPTIONS (ADD location_id 'E100')")
        .expect("an option");
    read(&mut client);
    assert_eq!(requests(&shared).1, 1, "another entity");
    client
        .batch_execute("ALTER SERVER acme OPTIONS (DROP location_id, SET share_sessions 'off')")
        .expect("options");
    for client in [&mut client, &mut shared.connect(), &mut shared.connect()] {
        read(client);
    }
    assert_eq!(requests(&shared), (6, 3), "switched off");
    client
        .batch_execute("RESET ROLE; DROP OWNED BY share_own, share_public_1, share_public_2; DROP ROLE share_own, share_public_1, share_public_2")
        .expect("no roles");
}

#[test]
fn who_lets_go_lets_the_others_go_on() {
    let shared = shared("share_disconnect");
    let (mut one, mut other) = (shared.connect(), shared.connect());
    read(&mut one);
    read(&mut other);
    assert_eq!(requests(&shared), (3, 1));
    let closed: i32 = one
        .query_one("SELECT sage_intacct.disconnect('acme')", &[])
        .expect("disconnected")
        .get(0);
    assert_eq!(closed, 1);
    read(&mut other);
    read(&mut one);
    assert_eq!(requests(&shared), (2, 0));
    // No function shows what is shared.
    let shown: String = one
        .query_one(
            "SELECT (SELECT string_agg(s::text, ' ') FROM sage_intacct.sessions() s) || (SELECT string_agg(r::text, ' ') FROM sage_intacct.request_stats() r)",
            &[],
        )
        .expect("what is shown")
        .get(0);
    read(&mut one);
    let xml = shared.gateway.tap.requests();
    let xml = xml.last().expect("a request");
    let id = xml.split_once("<sessionid>").expect("a session").1;
    let id = id.split_once("</sessionid>").expect("its end").0;
    assert!(id.len() > 10 && !shown.contains(id), "{shown}");
}

#[test]
fn who_ends_while_it_signs_in_leaves_it_to_the_next() {
    for (name, end) in [
        ("share_cancel", "pg_cancel_backend"),
        ("share_terminate", "pg_terminate_backend"),
    ] {
        let shared = shared(name);
        let mut first = shared.connect();
        let pid = cluster::backend(&mut first);
        shared.gateway.tap.rule(|_| Answer::Stall);
        let running = thread::spawn(move || first.query(READ, &[]).is_err());
        shared.gateway.tap.wait_for_stalled(1);
        let mut second = shared.connect();
        let waiting = thread::spawn(move || second.query(READ, &[]).map(|rows| rows.len()));
        // The second one waits for the first, and asks nobody.
        let mut watcher = shared.connect();
        let waits = "SELECT count(*) FROM pg_stat_activity
                      WHERE query LIKE 'SELECT name FROM customer%' AND state = 'active' AND datname = current_database()";
        until(|| watcher.query_one(waits, &[]).expect("activity").get::<_, i64>(0) == 2);
        shared.gateway.tap.pass();
        watcher
            .execute(&format!("SELECT {end}($1)"), &[&pid])
            .expect("signalled");
        assert!(running.join().expect("it ends"));
        assert_eq!(waiting.join().expect("it ends").expect("rows"), 1, "{end}");
        assert_eq!(requests(&shared), (3, 2), "{end}");
    }
}

#[test]
fn the_users_preferences_are_asked_for_once() {
    let shared = shared("share_formatting");
    const TIMES: &str = "SELECT whenmodified FROM customer WHERE recordno < 40 ORDER BY recordno";
    let asked = || {
        let all = shared.gateway.tap.requests();
        shared.gateway.tap.forget();
        all.iter()
            .filter(|xml| xml.contains("<readUserFormatting"))
            .count()
    };
    let times = |client: &mut Client| texts(client, TIMES, "|", "NULL");
    let mut first = shared.connect();
    run(
        &mut first,
        "ALTER FOREIGN TABLE customer ADD whenmodified timestamptz",
    );
    let expected = times(&mut first);
    assert!(expected.len() > 3);
    assert_eq!(asked(), 1);
    for _ in 0..3 {
        assert_eq!(times(&mut shared.connect()), expected);
    }
    assert_eq!(asked(), 0);
    // Who lets go of the session, perhaps because they have changed, asks anew, for the others too.
    run(&mut first, "SELECT sage_intacct.disconnect('acme')");
    assert_eq!(times(&mut first), expected);
    assert_eq!(asked(), 1);
    assert_eq!(times(&mut shared.connect()), expected);
    assert_eq!(asked(), 0);
    // Preferences are those of one session: the one who opens the next has them, and the first who takes it asks.
    shared.gateway.expire_sessions();
    for expect in [0, 1, 0] {
        assert_eq!(times(&mut shared.connect()), expected);
        assert_eq!(asked(), expect);
    }
    run(&mut first, "ALTER SERVER acme OPTIONS (SET share_sessions 'off')");
    assert_eq!(times(&mut shared.connect()), expected);
    assert_eq!(times(&mut shared.connect()), expected);
    assert_eq!(asked(), 2);
}

/// Places for sessions that are shared: SESSIONS in src/shmem/region.rs.
const PLACES: usize = 128;

#[test]
fn a_session_that_found_no_place_is_kept() {
    let shared = shared("share_full");
    let mut client = shared.connect();
    let servers = PLACES + 5;
    let statements = |make: &dyn Fn(usize) -> String| (0..servers).map(make).collect::<String>();
    run(
        &mut client,
        &statements(&|number| {
            format!(
                "{}
                 CREATE FOREIGN TABLE c{number} (recordno bigint, name text) SERVER s{number} OPTIONS (object 'CUSTOMER');\n",
                Company::another_server(&shared.gateway, &format!("s{number}"), "apiuser", "")
            )
        }),
    );
    shared.gateway.tap.forget();
    let read_all = statements(&|number| format!("SELECT name FROM c{number} WHERE recordno = 1;\n"));
    client.batch_execute(&read_all).expect("rows");
    assert_eq!(requests(&shared), (2 * servers, servers));
    // Other options, and other functions, have every connection looked at again.
    run(
        &mut client,
        "ALTER SERVER acme OPTIONS (ADD batch_size '7');
         CREATE FUNCTION one() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    );
    client.batch_execute(&read_all).expect("rows");
    let after = requests(&shared);
    // The places are free again when PostgreSQL starts anew, as it does after this.
    client.batch_execute("CHECKPOINT").expect("everything is on disk");
    cluster::kill(cluster::backend(&mut client));
    until(|| client.simple_query("SELECT").is_err());
    assert_eq!(after, (servers, 0));
}
