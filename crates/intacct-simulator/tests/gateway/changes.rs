//! Changes from outside: stamps, audit trail, cached lists, held changes.

use crate::common::{World, query};
use intacct_simulator::Config;

#[test]
fn changes_are_seen_at_once_stamped_and_audited() {
    let world = World::with(Config::default().rows("arinvoice", 20));
    let all = query("TERRITORY", "RECORDNO", "");
    let before = world.column(&all);
    let keys = world.simulator.change(
        "acme",
        r#"[{"insert":{"object":"TERRITORY","values":{"TERRITORYID":"NEW","NAME":"Nowhere","STATUS":"active"}}}]"#,
    );
    let key = keys[0][0];
    assert_eq!(world.column(&all).len(), before.len() + 1);
    let stamp = |key: i64| {
        world.truth(&format!(
            "SELECT WHENMODIFIED FROM TERRITORY WHERE RECORDNO = {key}"
        ))[0]
            .clone()
    };
    let created = stamp(key);
    assert!(created.starts_with("20"));
    world.simulator.set("clock_skew", "3600");
    let update = |extra: &str| {
        format!(r#"[{{"update":{{"object":"TERRITORY","keys":[{key}],"values":{{"NAME":"Here"}}{extra}}}}}]"#)
    };
    world.simulator.change("acme", &update(r#","silent":true"#));
    assert_eq!(stamp(key), created);
    world.simulator.change("acme", &update(""));
    assert!(stamp(key) > created);
    let named = query(
        "TERRITORY",
        "NAME",
        "<equalto><field>TERRITORYID</field><value>NEW</value></equalto>",
    );
    assert_eq!(world.column(&named), ["Here"]);
    world.simulator.change(
        "acme",
        r#"[{"delete":{"object":"TERRITORY","where":"TERRITORYID = 'NEW'"}}]"#,
    );
    assert_eq!(world.column(&all), before);
    let modes = world.truth("SELECT ACCESSMODE FROM AUDITHISTORY WHERE OBJECTTYPE = 'territory' AND OBJECTKEY = 'NEW' ORDER BY ID");
    assert_eq!(modes, ["C", "M", "D"]);
}

#[test]
fn a_refused_change_changes_nothing() {
    let world = World::with(Config::default().rows("arinvoice", 20));
    let ops: Vec<_> = serde_json::from_str(
        r#"[{"delete":{"object":"TERRITORY","where":"1"}},
            {"insert":{"object":"TERRITORY","values":{"NOPE":"x"}}}]"#,
    )
    .unwrap();
    assert!(
        world
            .simulator
            .gateway()
            .change("acme", ops, false)
            .unwrap_err()
            .contains("NOPE")
    );
    assert!(!world.column(&query("TERRITORY", "RECORDNO", "")).is_empty());
}

#[test]
fn held_changes_carry_their_stamp_and_come_late() {
    let world = World::with(Config::default().rows("arinvoice", 20));
    let ops =
        serde_json::from_str(r#"[{"update":{"object":"TERRITORY","where":"1","values":{"NAME":"late"}}}]"#)
            .unwrap();
    let gateway = world.simulator.gateway();
    gateway.change("acme", ops, true).unwrap();
    let names = query("TERRITORY", "NAME", "");
    assert!(world.column(&names).iter().all(|n| n != "late"));
    let held = gateway.held.lock().unwrap()[0].2.at.clone();
    world.simulator.set("clock_skew", "7200");
    assert_eq!(gateway.release(), Ok(1));
    assert!(world.column(&names).iter().all(|n| n == "late"));
    assert_eq!(world.truth("SELECT DISTINCT WHENMODIFIED FROM TERRITORY"), [held]);
}

#[test]
fn deleting_a_header_deletes_its_lines() {
    let world = World::with(Config::default().rows("arinvoice", 20).rows("arinvoiceitem", 60));
    let header = world.truth("SELECT RECORDNO FROM ARINVOICE LIMIT 1")[0].clone();
    let lines = format!("SELECT RECORDNO FROM ARINVOICEITEM WHERE RECORDKEY = {header}");
    assert!(!world.truth(&lines).is_empty());
    world.simulator.change(
        "acme",
        &format!(r#"[{{"delete":{{"object":"ARINVOICE","keys":[{header}]}}}}]"#),
    );
    assert!(world.truth(&lines).is_empty());
}
