//! `query` answers what SQL over the same data answers.

use std::collections::BTreeSet;

use crate::common::{World, login, query, rows};

#[test]
fn every_operator_selects_the_rows_that_sql_selects() {
    let world = World::start();
    let compare = |op: &str, field: &str, values: &[&str]| {
        let values: String = values
            .iter()
            .map(|v| format!("<value>{}</value>", v.replace('&', "&amp;").replace('<', "&lt;")))
            .collect();
        format!("<{op}><field>{field}</field>{values}</{op}>")
    };
    let cases = [
        (
            compare("equalto", "CUSTOMERID", &["C-00010"]),
            "CUSTOMERID = 'C-00010'",
        ),
        (
            compare("equalto", "CUSTOMERID", &["00004"]),
            "CUSTOMERID = '00004'",
        ),
        (
            compare("equalto", "Region_Code", &["it's"]),
            "Region_Code = 'it''s'",
        ),
        (
            compare("equalto", "region_code", &["a & b"]),
            "Region_Code = 'a & b'",
        ),
        (
            compare("notequalto", "Region_Code", &["north"]),
            "Region_Code <> 'north'",
        ),
        (
            compare("lessthan", "CREDITLIMIT", &["5000.50"]),
            "CAST(CREDITLIMIT AS REAL) < 5000.50",
        ),
        (
            compare("greaterthan", "Score_Pct", &["49.99995"]),
            "CAST(Score_Pct AS REAL) > 49.99995",
        ),
        (
            compare("lessthanorequalto", "RECORDNO", &["100"]),
            "RECORDNO <= 100",
        ),
        (
            compare("greaterthanorequalto", "Signed_On", &["02/29/2024"]),
            "Signed_On >= '2024-02-29'",
        ),
        (
            compare("greaterthan", "WHENMODIFIED", &["01/31/2024 12:00:00"]),
            "WHENMODIFIED > '2024-01-31 12:00:00'",
        ),
        (
            compare("lessthan", "WHENMODIFIED", &["01/31/2024"]),
            "WHENMODIFIED < '2024-01-31 00:00:00'",
        ),
        (
            compare("between", "RECORDNO", &["50", "200"]),
            "RECORDNO BETWEEN 50 AND 200",
        ),
        (
            compare("in", "Customer_Tier", &["Gold", "Not Rated"]),
            "Customer_Tier IN ('Gold', 'Not Rated')",
        ),
        (
            compare("notin", "Customer_Tier", &["Gold", "Silver"]),
            "Customer_Tier NOT IN ('Gold', 'Silver')",
        ),
        (compare("like", "NAME", &["%in%"]), "NAME LIKE '%in%'"),
        (compare("notlike", "NAME", &["%in_"]), "NAME NOT LIKE '%in_'"),
        (compare("isnull", "CREDITLIMIT", &[]), "CREDITLIMIT IS NULL"),
        (compare("isnotnull", "ONHOLD", &[]), "ONHOLD IS NOT NULL"),
        (compare("equalto", "ONHOLD", &["true"]), "ONHOLD = 1"),
        (compare("equalto", "CREDITLIMIT", &["1.001"]), "0"),
        (compare("equalto", "NAME", &[""]), "0"),
        (compare("lessthan", "NAME", &["b"]), "NAME < 'b'"),
    ];
    let nested = format!(
        "<or><and>{}{}</and>{}</or>",
        compare("isnull", "ONHOLD", &[]),
        compare("greaterthan", "RECORDNO", &["300"]),
        compare("equalto", "STATUS", &["inactive"])
    );
    let nested = [(
        nested,
        "(ONHOLD IS NULL AND RECORDNO > 300) OR STATUS = 'inactive'",
    )];
    for (filter, sql) in cases.iter().chain(&nested) {
        let truth = world.truth(&format!(
            "SELECT RECORDNO FROM CUSTOMER WHERE MEGAENTITYID IS NULL AND ({sql}) ORDER BY RECORDNO"
        ));
        assert_eq!(
            world.column(&query("CUSTOMER", "RECORDNO", filter)),
            truth,
            "{filter}"
        );
        if *sql != "0" {
            assert!(!truth.is_empty(), "the case proves nothing: {sql}");
        }
    }
}

#[test]
fn case_insensitive_compares_every_text() {
    let world = World::start();
    let call = |options: &str| {
        format!(
            "<query><object>CUSTOMER</object><select><field>RECORDNO</field></select><filter><and><like><field>NAME</field><value>NORTH%</value></like><equalto><field>STATUS</field><value>ACTIVE</value></equalto></and></filter>{options}<pagesize>2000</pagesize></query>"
        )
    };
    assert!(world.column(&call("")).is_empty());
    let folded = world.column(&call(
        "<options><caseinsensitive>true</caseinsensitive></options>",
    ));
    let truth = world.truth(
        "SELECT RECORDNO FROM CUSTOMER WHERE MEGAENTITYID IS NULL AND lower(NAME) LIKE 'north%' AND STATUS = 'active'",
    );
    assert_eq!(folded.iter().collect::<BTreeSet<_>>(), truth.iter().collect());
    assert!(!truth.is_empty());
}

#[test]
fn entities_see_their_own_rows_and_top_level_sees_private_rows_on_request() {
    let world = World::start();
    let count = |sql: &str| world.truth(&format!("SELECT COUNT(*) FROM CUSTOMER {sql}"))[0].clone();
    let total = |authentication: &str, options: &str| {
        let call = format!(
            "<query><object>CUSTOMER</object><select><count>RECORDNO</count></select>{options}</query>"
        );
        let response = world.call_as(authentication, &call);
        let data = crate::common::find(&response, &["operation", "result", "data"]).unwrap();
        rows(data)[0][0].1.clone()
    };
    let private = "<options><showprivate>true</showprivate></options>";
    assert_eq!(total(&world.login, ""), count("WHERE MEGAENTITYID IS NULL"));
    assert_eq!(total(&world.login, private), count(""));
    assert_ne!(count(""), count("WHERE MEGAENTITYID IS NULL"));
    let entity = login("acme|E100", "apiuser", "secret");
    let seen = count("WHERE MEGAENTITYID IS NULL OR MEGAENTITYID = 'E100'");
    assert_eq!(total(&entity, ""), seen);
    assert_ne!(seen, count(""));
}

#[test]
fn dotted_paths_follow_relations() {
    let world = World::start();
    let got = world.column(&query("ARINVOICEITEM", "ARINVOICE.CUSTOMER.TERRITORY.NAME", ""));
    let truth = world.truth(
        "SELECT t.NAME FROM ARINVOICEITEM l LEFT JOIN ARINVOICE i ON i.RECORDNO = l.RECORDKEY
         LEFT JOIN CUSTOMER c ON c.CUSTOMERID = i.CUSTOMERID LEFT JOIN TERRITORY t ON t.TERRITORYID = c.TERRITORYID
         ORDER BY l.RECORDNO LIMIT 2000",
    );
    assert_eq!(got, truth);
    assert!(got.iter().any(|n| !n.is_empty()) && got.iter().any(String::is_empty));
    world.rows(&query("CUSTOMER", "PARENT.NAME", ""));
    world.rows(&query("ARINVOICE", "CUSTOMER.PARENT.NAME", ""));
    for path in ["PARENT.PARENT.NAME", "NOWHERE.NAME", "TERM.NOTHING"] {
        assert_eq!(
            world.fault(&query("CUSTOMER", path, "")).0,
            "XL03000006",
            "{path}"
        );
    }
    let attendees = "<query><object>mca_attendee</object><select><field>R_attendee_customer.CUSTOMERID</field></select><orderby><order><field>id</field></order></orderby><pagesize>500</pagesize></query>";
    let row = &world.rows(attendees)[0];
    assert_eq!(row[0].0, "R_attendee_customer.CUSTOMERID");
}

#[test]
fn aggregates_group_by_the_plain_fields() {
    let world = World::start();
    let call = "<query><object>ARINVOICE</object><select><field>CURRENCY</field><count>RECORDNO</count><sum>TOTALDUE</sum><min>WHENDUE</min><max>RECORDNO</max></select><orderby><order><field>CURRENCY</field></order></orderby></query>";
    let got = world.rows(call);
    assert_eq!(
        got[0].iter().map(|c| c.0.as_str()).collect::<Vec<_>>(),
        [
            "CURRENCY",
            "COUNT.RECORDNO",
            "SUM.TOTALDUE",
            "MIN.WHENDUE",
            "MAX.RECORDNO"
        ]
    );
    let truth = world.truth(
        "SELECT CURRENCY || ' ' || COUNT(*) || ' ' || dec(CAST(exact_sum(TOTALDUE) AS INTEGER), 2) || ' ' || MAX(RECORDNO)
         FROM t_ARINVOICE GROUP BY CURRENCY ORDER BY CURRENCY",
    );
    let got: Vec<String> = got
        .iter()
        .map(|r| format!("{} {} {} {}", r[0].1, r[1].1, r[2].1, r[4].1))
        .collect();
    assert_eq!(got, truth);
    let paged = call.replace("</query>", "<pagesize>1</pagesize><offset>1</offset></query>");
    let result = world.result(&paged);
    let data = result.child("data").unwrap();
    let attribute = |name| data.attribute(name).unwrap().to_string();
    assert_eq!(attribute("totalcount"), truth.len().to_string());
    assert_eq!(
        (attribute("count"), attribute("offset")),
        ("1".into(), "1".into())
    );
}

#[test]
fn ordered_pages_cover_everything_once_and_unordered_pages_do_not() {
    let world = World::start();
    let walk = |order: &str| {
        let mut keys = Vec::new();
        loop {
            let call = format!(
                "<query><object>ARINVOICE</object><select><field>RECORDNO</field></select>{order}<pagesize>200</pagesize><offset>{}</offset></query>",
                keys.len()
            );
            let result = world.result(&call);
            let data = result.child("data").unwrap();
            keys.extend(rows(data).into_iter().map(|r| r[0].1.clone()));
            if data.attribute("numremaining") == Some("0") {
                return keys;
            }
        }
    };
    let truth: BTreeSet<String> = world
        .truth("SELECT RECORDNO FROM ARINVOICE")
        .into_iter()
        .collect();
    let down = "<orderby><order><field>WHENDUE</field><descending/></order><order><field>RECORDNO</field></order></orderby>";
    let ordered = walk(down);
    assert_eq!(ordered.len(), truth.len());
    assert_eq!(ordered.iter().cloned().collect::<BTreeSet<_>>(), truth);
    let unordered: BTreeSet<String> = walk("").into_iter().collect();
    assert!(unordered.len() < truth.len(), "forgetting orderby must lose rows");
    world.simulator.set("unordered", "stable");
    assert_eq!(walk("").into_iter().collect::<BTreeSet<_>>(), truth);
}

#[test]
fn keyset_pages_share_one_list_and_count_what_remains() {
    let world = World::start();
    let truth = world.truth("SELECT RECORDNO FROM ARINVOICE WHERE CURRENCY = 'EUR' ORDER BY 1");
    let mut seen: Vec<String> = Vec::new();
    loop {
        let last = seen.last().cloned().unwrap_or_else(|| "0".into());
        let call = format!(
            "<query><object>ARINVOICE</object><select><field>RECORDNO</field></select><filter><and><greaterthan><field>RECORDNO</field><value>{last}</value></greaterthan><equalto><field>CURRENCY</field><value>EUR</value></equalto></and></filter><orderby><order><field>RECORDNO</field></order></orderby><pagesize>100</pagesize></query>"
        );
        let result = world.result(&call);
        let data = result.child("data").unwrap();
        assert_eq!(
            data.attribute("totalcount").unwrap(),
            (truth.len() - seen.len()).to_string()
        );
        seen.extend(rows(data).into_iter().map(|r| r[0].1.clone()));
        if data.attribute("numremaining") == Some("0") {
            break;
        }
    }
    assert_eq!(seen, truth);
}

#[test]
fn json_and_csv_answer_without_envelope_and_errors_stay_xml() {
    let world = World::start();
    let call = |field: &str, format: &str| {
        let call = format!(
            "<query><object>ARTERM</object><select><field>{field}</field><field>DUEDATE</field></select><orderby><order><field>RECORDNO</field></order></orderby><options><returnformat>{format}</returnformat></options></query>"
        );
        world.post(
            &crate::common::Envelope::new(&world.login, &crate::common::function("f", &call)).document(),
        )
    };
    let json: serde_json::Value = serde_json::from_slice(&call("NAME", "json").body).unwrap();
    assert_eq!(json[0]["NAME"], "N30");
    assert_eq!(json[0]["DUEDATE"], "30");
    assert!(
        call("NAME", "csv")
            .text()
            .starts_with("\"NAME\",\"DUEDATE\"\n\"N30\",\"30\"\n")
    );
    let failed = call("NOPE", "json");
    assert!(failed.head.contains("application/xml"));
}
