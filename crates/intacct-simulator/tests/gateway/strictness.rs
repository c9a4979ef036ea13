//! What the gateway refuses, at which level, with which number.

use crate::common::{Envelope, POST, World, error, exchange, find, function, login, query};
use intacct_simulator::envelope::Node;

/// Number and text of a control-level failure.
fn control_fault(response: &Node) -> (String, String) {
    assert_eq!(
        find(response, &["control", "status"]).unwrap().text,
        "failure",
        "{response:?}"
    );
    assert!(response.child("operation").is_none());
    error(response)
}

/// Number and text of an authentication-level failure.
fn sign_in_fault(response: &Node) -> (String, String) {
    let operation = response
        .child("operation")
        .unwrap_or_else(|| panic!("{response:?}"));
    assert_eq!(
        find(operation, &["authentication", "status"]).unwrap().text,
        "failure"
    );
    assert!(operation.child("result").is_none());
    error(operation)
}

const LOOKUP: &str = "<lookup><object>CUSTOMER</object></lookup>";

#[test]
fn only_xml_posts_at_the_gateway_path() {
    let world = World::start();
    let url = world.simulator.url();
    assert_eq!(
        exchange(&url, "GET {path} HTTP/1.1\r\n", b"").unwrap().status,
        405
    );
    let elsewhere = url.replace("xmlgw", "other");
    assert_eq!(exchange(&elsewhere, POST, b"<request/>").unwrap().status, 404);
    for (head, body) in [
        (
            "POST {path} HTTP/1.1\r\nContent-Type: application/json\r\n",
            "<request/>",
        ),
        (POST, ""),
    ] {
        let response = exchange(&url, head, body.as_bytes()).unwrap();
        assert_eq!(response.status, 400);
        assert_eq!(error(&response.xml()).0, "GW-0011");
    }
}

#[test]
fn wrong_senders_fail_at_control_level() {
    let world = World::start();
    for sender in [
        ("sender1", "wrong"),
        ("unknown", "senderpw"),
        ("SENDER1", "senderpw"),
    ] {
        let envelope = Envelope {
            sender,
            ..Envelope::new(&world.login, &function("f", LOOKUP))
        };
        let (number, text) = control_fault(&world.post(&envelope.document()).xml());
        assert_eq!(
            (number.as_str(), text.as_str()),
            ("XL03000006", "Incorrect Intacct XML Partner ID or password.")
        );
    }
    let mut envelope = Envelope::new(&world.login, &function("f", LOOKUP));
    envelope.control = "<dtdversion>3.0</dtdversion><policyid>p</policyid>".into();
    assert!(
        control_fault(&world.post(&envelope.document()).xml())
            .1
            .contains("transport policy")
    );
    envelope.control = "<dtdversion>4.0</dtdversion>".into();
    assert_eq!(
        control_fault(&world.post(&envelope.document()).xml()).0,
        "XL03000003"
    );
}

#[test]
fn wrong_sign_ins_fail_at_authentication_level() {
    let world = World::start();
    let refused = [
        login("acme", "apiuser", "wrong"),
        login("acme", "unknown", "secret"),
        login("nowhere", "apiuser", "secret"),
        login("globex", "apiuser", "secret"),
        login("acme|E999", "apiuser", "secret"),
        "<sessionid>none</sessionid>".into(),
    ];
    for authentication in refused {
        assert_eq!(
            sign_in_fault(&world.call_as(&authentication, LOOKUP)).0,
            "XL03000006",
            "{authentication}"
        );
    }
    let envelope = Envelope {
        sender: ("stranger", "strangerpw"),
        ..Envelope::new(&world.login, &function("f", LOOKUP))
    };
    let (number, text) = sign_in_fault(&world.post(&envelope.document()).xml());
    assert_eq!(number, "XL03000006");
    assert!(text.starts_with("Invalid Web Services Authorization"), "{text}");
    let inactive = Envelope::new(&login("dormant", "apiuser", "secret"), &function("f", LOOKUP));
    let response = world.post(&inactive.document());
    assert_eq!(
        (response.status, error(&response.xml()).0.as_str()),
        (400, "GW-0011")
    );
}

#[test]
fn sessions_are_opened_used_moved_and_expired() {
    let world = World::start();
    let open = |authentication: &str, call: &str| {
        let response = world.call_as(authentication, call);
        let api = find(&response, &["operation", "result", "data", "api"])
            .unwrap_or_else(|| panic!("{response:?}"));
        let text = |name| api.child_text(name).unwrap().to_string();
        (
            format!("<sessionid>{}</sessionid>", text("sessionid")),
            text("endpoint"),
            text("locationid"),
        )
    };
    let (session, endpoint, location) = open(&world.login, "<getAPISession/>");
    assert_eq!((endpoint, location.as_str()), (world.simulator.url(), ""));
    let (entity, _, location) = open(
        &session,
        "<getAPISession><locationid>E100</locationid></getAPISession>",
    );
    assert_eq!(location, "E100");
    let seen = world.call_as(&entity, LOOKUP);
    assert_eq!(
        find(&seen, &["operation", "authentication", "locationid"])
            .unwrap()
            .text,
        "E100"
    );
    let (_, _, location) = open(&entity, "<getAPISession><locationid/></getAPISession>");
    assert_eq!(location, "");
    world.simulator.set("endpoint", "https://evil.example/");
    assert_eq!(open(&session, "<getAPISession/>").1, "https://evil.example/");
    world.simulator.expire_sessions();
    let (number, text) = sign_in_fault(&world.call_as(&session, LOOKUP));
    assert_eq!(number, "XL03000006");
    assert!(text.starts_with("Invalid session"), "{text}");
    world.simulator.set("session_ttl", "0");
    let (short, _, _) = open(&world.login, "<getAPISession/>");
    assert_eq!(sign_in_fault(&world.call_as(&short, LOOKUP)).0, "XL03000006");
}

#[test]
fn get_api_session_stands_alone() {
    let world = World::start();
    let both = function("a", "<getAPISession/>") + &function("b", LOOKUP);
    let response = world.post(&Envelope::new(&world.login, &both).document()).xml();
    assert_eq!(sign_in_fault(&response).0, "XL03000006");
}

#[test]
fn functions_fail_with_the_references_numbers() {
    let world = World::start();
    let fault = |call: &str| world.fault(call);
    assert_eq!(
        fault(&query("NOPE", "X", "")),
        ("Query Failed".into(), "Object definition NOPE not found".into())
    );
    assert_eq!(
        fault(
            "<query><object>APBILL</object><select><field>A</field><field>RECORDNO</field><field>PAYTOCONTACTNAME</field></select></query>"
        ),
        (
            "XL03000006".into(),
            "The following fields cannot be queried: [ apbill: [A, PAYTOCONTACTNAME] ]".into()
        )
    );
    assert_eq!(fault(&query("CONTRACT", "RECORDNO", "")).0, "PL04000005");
    assert_eq!(fault(&query("CUSTOMER", "*", "")).0, "Query Failed");
    let bad_values = [
        "<equalto><field>CREDITLIMIT</field><value>1,5</value></equalto>",
        "<greaterthan><field>LAST_INVOICEDATE</field><value>2024-01-31</value></greaterthan>",
        "<greaterthan><field>WHENMODIFIED</field><value>2024-01-31T00:00:00</value></greaterthan>",
        "<equalto><field>ONHOLD</field><value>T</value></equalto>",
        "<lessthan><field>ONHOLD</field><value>true</value></lessthan>",
        "<like><field>CREDITLIMIT</field><value>1%</value></like>",
    ];
    for filter in bad_values {
        assert_eq!(
            fault(&query("CUSTOMER", "RECORDNO", filter)).0,
            "DL02000001",
            "{filter}"
        );
    }
    let reversed = "<between><field>RECORDNO</field><value>9</value><value>3</value></between>";
    assert_eq!(fault(&query("CUSTOMER", "RECORDNO", reversed)).0, "Query Failed");
    // Lookup describes what query then refuses.
    let described = world.result("<lookup><object>CONTRACT</object></lookup>");
    assert_eq!(described.child_text("status"), Some("success"));
    let limited = login("acme", "limited", "secret");
    let response = world.call_as(&limited, &query("VENDOR", "RECORDNO", ""));
    assert_eq!(
        error(find(&response, &["operation", "result"]).unwrap()).0,
        "PL04000005"
    );
}

#[test]
fn completed_control_ids_are_refused_while_uniqueid_is_true() {
    let world = World::start();
    let mut envelope = Envelope::new(&world.login, &function("once", LOOKUP));
    // Absent means true.
    envelope.control = "<dtdversion>3.0</dtdversion>".into();
    let status = |envelope: &Envelope| {
        let response = world.post(&envelope.document()).xml();
        find(&response, &["operation", "result", "status"])
            .unwrap()
            .text
            .clone()
    };
    assert_eq!(status(&envelope), "success");
    assert_eq!(status(&envelope), "failure");
    let failing = Envelope {
        functions: function("twice", &query("NOPE", "X", "")),
        ..envelope
    };
    assert_eq!(status(&failing), "failure");
    // A failed function did not complete: the same id may be used again.
    assert_eq!(
        status(&Envelope {
            functions: function("twice", LOOKUP),
            ..failing
        }),
        "success"
    );
}

#[test]
fn additional_info_and_white_space_on_request() {
    let world = World::start();
    let mut envelope = Envelope::new(&world.login, &function("f", &query("NOPE", "X", "")));
    envelope.control =
        "<uniqueid>false</uniqueid><showadditionalerrorinfo>true</showadditionalerrorinfo>".into();
    let response = world.post(&envelope.document());
    assert!(
        response
            .text()
            .contains("<messageid>IA.OBJECT_NOT_FOUND</messageid>")
    );
    assert!(response.text().contains("\n    <control>"));
}

#[test]
fn answers_are_compressed_on_request() {
    let world = World::start();
    let body = Envelope::new(&world.login, &function("f", LOOKUP)).document();
    let head = format!("{POST}Accept-Encoding: gzip\r\n");
    let response = exchange(&world.simulator.url(), &head, body.as_bytes()).unwrap();
    assert!(response.head.to_lowercase().contains("content-encoding: gzip"));
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&response.body[..]), &mut text).unwrap();
    assert!(text.contains("<ID>CUSTOMERID</ID>"));
}
