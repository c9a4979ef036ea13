//! Scripted faults, the concurrency limit and the request log, over real connections.

use std::time::Duration;

use crate::common::{Envelope, POST, Response, World, error, exchange, find, function, query};
use intacct_simulator::Config;
use intacct_simulator::envelope::Node;

fn small() -> Config {
    Config::default().rows("arinvoice", 50).rows("arinvoiceitem", 50)
}

fn document(world: &World, call: &str) -> String {
    Envelope::new(&world.login, &function("f", call)).document()
}

/// What does not change from one second to the next.
fn result(response: &Response) -> Node {
    find(&response.xml(), &["operation", "result"]).unwrap().clone()
}

#[test]
fn actions_do_what_they_say() {
    let world = World::with(small());
    let body = document(&world, &query("ARTERM", "NAME", ""));
    let hit = |action: &str| {
        world.simulator.clear_log();
        world.simulator.faults(&format!(
            r#"{{"match":{{"function":"query"}},"action":{action}}}"#
        ));
        let response = exchange(&world.simulator.url(), POST, body.as_bytes());
        let log = world.simulator.log();
        assert_eq!(log.len(), 1, "{action}");
        assert!(log[0].fault.is_some());
        (response, log[0].clone())
    };
    let good = world.post(&body);
    assert_eq!(good.status, 200);

    assert!(hit(r#""reset""#).0.is_none());
    let (response, entry) = hit(r#""reset_after_execution""#);
    assert!(response.is_none() && entry.calls[0].rows > 0);
    assert!(hit(r#"{"stall":{"ms":5}}"#).0.is_none());
    let (response, _) = hit(r#"{"status":{"code":503,"body":"off","retry_after":7}}"#);
    let response = response.unwrap();
    assert_eq!((response.status, response.text().as_str()), (503, "off"));
    assert!(response.head.to_lowercase().contains("retry-after: 7"));
    let cut = hit(r#"{"truncate":{"bytes":100}}"#).0.unwrap();
    assert_eq!(cut.body.len(), 100);
    assert!(
        cut.head
            .to_lowercase()
            .contains(&format!("content-length: {}", good.body.len()))
    );
    assert_eq!(hit(r#"{"body":{"text":"<a/>"}}"#).0.unwrap().text(), "<a/>");
    let empty = hit(r#""empty""#).0.unwrap();
    assert_eq!((empty.status, empty.body.len()), (200, 0));
    let page = hit(r#""html524""#).0.unwrap();
    assert!(page.status == 524 && page.text().contains("cf-error-details"));
    let (page, entry) = hit(r#"{"status_after_execution":{"code":403,"body":"no"}}"#);
    assert_eq!((page.unwrap().status, entry.calls[0].rows > 0), (403, true));
    let nothing = hit(r#""lagging""#).0.unwrap();
    let data = find(&nothing.xml(), &["operation", "result", "data"])
        .unwrap()
        .clone();
    assert_eq!((data.children.len(), data.attribute("count")), (0, Some("0")));
    let limited = hit(r#""rate_limit_in_200""#).0.unwrap();
    assert!(limited.status == 200 && limited.text().contains("API rate limit exceeded"));
    let failed = hit(r#"{"function_error":{"errorno":"DL02000001","description2":"no"}}"#)
        .0
        .unwrap()
        .xml();
    assert_eq!(
        error(find(&failed, &["operation", "result"]).unwrap()),
        ("DL02000001".into(), "no".into())
    );
    assert!(hit(r#"{"oversized":{"mb":3}}"#).0.unwrap().body.len() > 3 << 20);
    assert!(hit(r#""garbage""#).0.unwrap().body.len() == 4096);
    assert!(hit(r#""entity_bomb""#).0.unwrap().text().contains("<!ENTITY"));
    assert!(hit(r#""deep_nesting""#).0.unwrap().body.len() > 1_000_000);
    assert_eq!(
        result(&hit(r#"{"dripfeed":{"bytes_per_sec":200000}}"#).0.unwrap()),
        result(&good)
    );
    assert_eq!(result(&hit(r#"{"delay":{"ms":1}}"#).0.unwrap()), result(&good));
    assert_eq!(result(&world.post(&body)), result(&good));
}

#[test]
fn expired_sessions_fail_once() {
    let world = World::with(small());
    let opened = world.call("<getAPISession/>");
    let id = &find(&opened, &["operation", "result", "data", "api", "sessionid"])
        .unwrap()
        .text;
    let session = format!("<sessionid>{id}</sessionid>");
    world
        .simulator
        .faults(r#"{"match":{"function":"query"},"action":"expire_session"}"#);
    let response = world.call_as(&session, &query("ARTERM", "NAME", ""));
    assert_eq!(error(response.child("operation").unwrap()).0, "XL03000006");
    let again = world.call_as(&session, &query("ARTERM", "NAME", ""));
    assert!(
        find(&again, &["operation", "result"]).is_none(),
        "the session stays expired"
    );
}

#[test]
fn too_many_requests_at_once_get_429() {
    let world = World::with(small().setting("concurrency", "1").setting("queue_ms", "0"));
    let body = document(&world, &query("ARTERM", "NAME", ""));
    world
        .simulator
        .faults(r#"{"match":{"user":"limited"},"times":0,"action":{"delay":{"ms":600000}}}"#);
    let url = world.simulator.url();
    std::thread::scope(|scope| {
        // The first request keeps the only place until the simulator stops.
        let slow = body.replace("apiuser", "limited");
        let slow_url = url.clone();
        scope.spawn(
            move || while exchange(&slow_url, POST, slow.as_bytes()).is_some_and(|r| r.status == 429) {},
        );
        let refused = (0..3000).find_map(|_| {
            let response = exchange(&url, POST, body.as_bytes())?;
            if response.status == 429 {
                return Some(response);
            }
            std::thread::sleep(Duration::from_millis(10));
            None
        });
        let response = refused.expect("the limit is reached");
        assert!(response.head.to_lowercase().contains("retry-after: 1"));
        assert_eq!(error(&response.xml()).0, "GW-0010");
        // Other companies have their own limit.
        let other = Envelope::new(
            &crate::common::login("globex", "apiuser", "secret2"),
            &function("g", "<readEntityDetails/>"),
        );
        assert_eq!(
            exchange(&url, POST, other.document().as_bytes()).unwrap().status,
            200
        );
        drop(world);
    });
}

#[test]
fn the_log_shows_what_was_asked_without_credentials() {
    let world = World::with(small());
    world.post(&document(
        &world,
        &query(
            "ARTERM",
            "NAME",
            "<equalto><field>NAME</field><value>N30</value></equalto>",
        ),
    ));
    let log = world.simulator.log();
    let entry = &log[0];
    assert_eq!(
        (entry.company.as_str(), entry.user.as_str(), entry.object.as_str()),
        ("acme", "apiuser", "ARTERM")
    );
    assert_eq!((entry.rows, entry.pagesize, entry.status), (1, Some(2000), 200));
    assert_eq!(entry.functions, ["query"]);
    assert!(entry.query.contains("<value>N30</value>"));
    let url = world.simulator.control_url() + "/log";
    let text = exchange(&url, "GET {path} HTTP/1.1\r\n", b"").unwrap().text();
    assert!(text.contains("N30") && !text.contains("secret") && !text.contains("senderpw"));
    world.call("<getAPISession/>");
    let text = exchange(&url, "GET {path} HTTP/1.1\r\n", b"").unwrap().text();
    assert!(text.contains("getAPISession") && !text.contains("secret"));
}

#[test]
fn the_control_surface_sets_reads_and_changes() {
    let world = World::with(small());
    let base = world.simulator.control_url();
    let post = |path: &str, body: &str| {
        exchange(
            &format!("{base}{path}"),
            "POST {path} HTTP/1.1\r\n",
            body.as_bytes(),
        )
        .unwrap()
    };
    assert_eq!(
        post("/settings", r#"{"nulls":"first","latency_ms":1}"#).status,
        200
    );
    assert_eq!(post("/settings", r#"{"nulls":"first","nothing":1}"#).status, 400);
    let settings = exchange(&format!("{base}/settings"), "GET {path} HTTP/1.1\r\n", b"")
        .unwrap()
        .text();
    assert!(settings.contains(r#""nulls":"first""#));
    let sql = post(
        "/sql",
        r#"{"company":"globex","sql":"SELECT COUNT(*) AS n FROM ARINVOICE"}"#,
    )
    .text();
    assert_eq!(sql, r#"[{"n":50}]"#);
    assert_eq!(
        post("/sql", r#"{"company":"globex","sql":"DELETE FROM t_ARINVOICE"}"#).status,
        400
    );
    assert_eq!(post("/faults", r#"[{"action":"explode"}]"#).status, 400);
    assert_eq!(post("/nothing", "").status, 404);
    let catalog = exchange(&format!("{base}/catalog"), "GET {path} HTTP/1.1\r\n", b"")
        .unwrap()
        .text();
    assert!(catalog.contains("MCA_attendee"));
}

#[test]
fn a_replayed_write_is_answered_as_executed_before_and_a_late_one_comes_later() {
    let world = World::with(small());
    let write = |id: &str, customer: &str, action: &str| {
        world.simulator.faults(&format!(
            r#"{{"match":{{"function":"create"}},"action":{action}}}"#
        ));
        let call = format!(
            "<create><CUSTOMER><CUSTOMERID>{customer}</CUSTOMERID><NAME>x</NAME></CUSTOMER></create>"
        );
        let envelope = Envelope::new(&world.login, &function(id, &call));
        let document = envelope.document().replace("<uniqueid>false", "<uniqueid>true");
        exchange(&world.simulator.url(), POST, document.as_bytes())
    };
    let stored = |customer: &str| {
        let t = "t_CUSTOMER";
        world.truth(&format!(
            "SELECT COUNT(*) FROM {t} WHERE CUSTOMERID = '{customer}'"
        ))
    };
    let replayed = write("twice", "R-1", r#""replayed""#).unwrap();
    assert!(error(&result(&replayed)).1.contains("already executed"));
    assert_eq!(stored("R-1"), ["1"]);
    assert!(write("late", "R-2", r#"{"late":{"ms":20}}"#).is_none());
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while stored("R-2") != ["1"] {
        assert!(std::time::Instant::now() < deadline, "it never came");
        std::thread::sleep(Duration::from_millis(5));
    }
}
