//! Each switch changes what it says, and nothing else is needed to see it.

use crate::common::{World, login, query, rows};

fn ordered(object: &str, field: &str, direction: &str) -> String {
    format!(
        "<query><object>{object}</object><select><field>{field}</field></select><orderby><order><field>{field}</field><{direction}/></order><order><field>RECORDNO</field></order></orderby><pagesize>2000</pagesize></query>"
    )
}

#[test]
fn nulls_sort_where_the_reading_says() {
    let world = World::start();
    let ends = |direction: &str| {
        let column = world.column(&ordered("CUSTOMER", "CREDITLIMIT", direction));
        (column[0].is_empty(), column[column.len() - 1].is_empty())
    };
    for (reading, ascending, descending) in [
        ("high", (false, true), (true, false)),
        ("low", (true, false), (false, true)),
        ("last", (false, true), (false, true)),
        ("first", (true, false), (true, false)),
    ] {
        world.simulator.set("nulls", reading);
        assert_eq!(
            (ends("ascending"), ends("descending")),
            (ascending, descending),
            "{reading}"
        );
    }
}

#[test]
fn null_groups_and_counts_follow_their_readings() {
    let world = World::start();
    let call = "<query><object>CUSTOMER</object><select><field>TERRITORYID</field><count>CREDITLIMIT</count></select><pagesize>2000</pagesize></query>";
    let kept = world.rows(call);
    assert!(kept.iter().any(|r| r[0].1.is_empty()));
    let values: usize = kept.iter().map(|r| r[1].1.parse::<usize>().unwrap()).sum();
    world.simulator.set("count", "rows");
    let all: usize = world
        .rows(call)
        .iter()
        .map(|r| r[1].1.parse::<usize>().unwrap())
        .sum();
    assert!(values < all);
    world.simulator.set("null_groups", "dropped");
    let dropped = world.rows(call);
    assert!(dropped.len() == kept.len() - 1 && dropped.iter().all(|r| !r[0].1.is_empty()));
}

#[test]
fn dotted_paths_keep_or_lose_rows_without_a_parent() {
    let world = World::start();
    let call = query("CUSTOMER", "TERRITORY.NAME", "");
    let left = world.column(&call);
    world.simulator.set("dotted_paths", "inner");
    let inner = world.column(&call);
    assert_eq!(
        inner,
        left.iter().filter(|n| !n.is_empty()).cloned().collect::<Vec<_>>()
    );
    assert!(inner.len() < left.len());
}

#[test]
fn hidden_parents_are_shown_or_not() {
    let world = World::start();
    let call = query(
        "ARINVOICE",
        "CUSTOMER.MEGAENTITYID",
        "<isnotnull><field>CUSTOMER.MEGAENTITYID</field></isnotnull>",
    );
    assert!(!world.column(&call).is_empty());
    world.simulator.set("hidden_parents", "hidden");
    assert!(world.column(&call).is_empty());
}

#[test]
fn rows_of_entities_are_shown_by_object_and_by_user() {
    let world = World::start();
    let seen = |object: &str, options: &str| {
        let call = format!(
            "<query><object>{object}</object><select><field>MEGAENTITYID</field></select><filter><isnotnull><field>MEGAENTITYID</field></isnotnull></filter>{options}<pagesize>2000</pagesize></query>"
        );
        let mut entities = world.column(&call);
        entities.sort();
        entities
    };
    let truth = |object: &str| {
        world.truth(&format!(
            "SELECT MEGAENTITYID FROM {object} WHERE MEGAENTITYID IS NOT NULL ORDER BY 1"
        ))
    };
    let private = "<options><showprivate>true</showprivate></options>";
    let none: Vec<String> = Vec::new();
    for (object, shown) in [
        ("CUSTOMER", false),
        ("VENDOR", false),
        ("ITEM", false),
        ("PROJECT", false),
        ("ARINVOICE", true),
        ("APBILL", true),
        ("GLBATCH", true),
        ("EMPLOYEE", true),
    ] {
        let all = truth(object);
        assert!(!all.is_empty(), "{object}");
        let first: Vec<String> = all.iter().filter(|entity| *entity == "E100").cloned().collect();
        assert!(first.len() < all.len(), "{object}");
        let expected = if shown { &all } else { &none };
        assert_eq!(
            (&seen(object, ""), &seen(object, private)),
            (expected, &all),
            "{object}"
        );
        world.simulator.set("owned_rows", "hidden");
        assert_eq!(
            (seen(object, ""), seen(object, private)),
            (none.clone(), all.clone())
        );
        world.simulator.set("owned_rows", "shown");
        assert_eq!(
            (seen(object, ""), seen(object, private)),
            (all.clone(), all.clone())
        );
        world.simulator.set("user_entities", "one_unless_private");
        assert_eq!(
            (seen(object, ""), seen(object, private)),
            (first.clone(), all.clone())
        );
        world.simulator.set("user_entities", "one");
        assert_eq!((seen(object, ""), seen(object, private)), (first.clone(), first));
        world.simulator.set("user_entities", "all");
        world.simulator.set("owned_rows", "by_object");
    }
    world.simulator.set("private_option", "refused");
    let call =
        format!("<query><object>CUSTOMER</object><select><field>RECORDNO</field></select>{private}</query>");
    assert_eq!(world.result(&call).child_text("status"), Some("failure"));
}

#[test]
fn texts_make_groups_as_the_reading_says() {
    let world = World::start();
    let keys = world.truth("SELECT RECORDNO FROM ARINVOICE ORDER BY RECORDNO LIMIT 4");
    for (key, text) in keys.iter().zip(["quay", "Quay", "quay ", "QUAY  "]) {
        let key: i64 = key.parse().unwrap();
        let changes = serde_json::json!([
            { "update": { "object": "ARINVOICE", "keys": [key], "values": { "Region_Code": text } } }
        ]);
        let changes = serde_json::from_value(changes).unwrap();
        world.simulator.gateway().change("acme", changes, false).unwrap();
    }
    let call = "<query><object>ARINVOICE</object><select><field>Region_Code</field><count>RECORDNO</count></select><filter><like><field>Region_Code</field><value>%ay%</value></like></filter><options><caseinsensitive>true</caseinsensitive></options></query>";
    let mut sizes = Vec::new();
    for reading in ["exact", "case", "blanks", "case_and_blanks"] {
        world.simulator.set("text_groups", reading);
        sizes.push(world.rows(call).len());
    }
    assert_eq!(sizes, [4, 3, 3, 1]);
}

#[test]
fn negatives_take_or_leave_null_rows() {
    let world = World::start();
    let filters = [
        "<notequalto><field>Region_Code</field><value>north</value></notequalto>",
        "<notin><field>Region_Code</field><value>north</value><value>west</value></notin>",
        "<notlike><field>Region_Code</field><value>n%</value></notlike>",
    ];
    let nulls: usize = world
        .truth("SELECT COUNT(*) FROM CUSTOMER WHERE MEGAENTITYID IS NULL AND Region_Code IS NULL")[0]
        .parse()
        .unwrap();
    assert!(nulls > 0);
    for filter in filters {
        world.simulator.set("negatives", "without_nulls");
        let without = world.column(&query("CUSTOMER", "RECORDNO", filter)).len();
        world.simulator.set("negatives", "with_nulls");
        assert_eq!(
            world.column(&query("CUSTOMER", "RECORDNO", filter)).len(),
            without + nulls,
            "{filter}"
        );
    }
}

#[test]
fn text_order_is_binary_or_linguistic() {
    let world = World::start();
    let mut binary = world.column(&ordered("CUSTOMER", "Region_Code", "ascending"));
    binary.dedup();
    assert_eq!(binary[..3], ["EAST", "South", "São Paulo"]);
    world.simulator.set("text_order", "linguistic");
    let mut linguistic = world.column(&ordered("CUSTOMER", "Region_Code", "ascending"));
    linguistic.dedup();
    assert_eq!(linguistic[..3], ["a & b", "EAST", "it's"]);
}

#[test]
fn dates_follow_user_format_and_zone() {
    let world = World::start();
    let call = query(
        "CUSTOMER",
        "WHENCREATED",
        "<lessthan><field>RECORDNO</field><value>4</value></lessthan>",
    );
    let stored = world.truth("SELECT WHENCREATED FROM CUSTOMER ORDER BY RECORDNO LIMIT 1")[0].clone();
    let (y, m, d, t) = (&stored[0..4], &stored[5..7], &stored[8..10], &stored[11..]);
    let seen = |user: &str| {
        let response = world.call_as(&login("acme", user, "secret"), &call);
        rows(crate::common::find(&response, &["operation", "result", "data"]).unwrap())[0][0]
            .1
            .clone()
    };
    assert_eq!(seen("apiuser"), format!("{m}/{d}/{y} {t}"));
    assert_eq!(seen("euro"), format!("{d}.{m}.{y} {t}"));
    assert_eq!(seen("iso"), format!("{y}-{m}-{d} {t}"));
    assert!(seen("twelve").ends_with("AM") || seen("twelve").ends_with("PM"));
    assert_ne!(seen("east"), seen("apiuser"));
    world.simulator.set("date_format", "us");
    assert_eq!(seen("euro"), seen("apiuser"));
    world.simulator.set("date_format", "iso");
    assert_eq!(seen("euro"), stored.replace(' ', "T"));
    world.simulator.set("date_format", "user");
    world.simulator.set("time_zone", "America/New_York");
    let response = world.result("<readUserFormatting><userId>apiuser</userId></readUserFormatting>");
    let offset = crate::common::find(&response, &["data", "userformatting", "gmtoffset"]).unwrap();
    assert_eq!(offset.text, "-05:00");
    assert_ne!(seen("apiuser"), format!("{m}/{d}/{y} {t}"));
}

#[test]
fn small_readings() {
    let world = World::start();
    let sum =
        "<query><object>EMPTYLIST</object><select><sum>AMOUNT</sum><count>RECORDNO</count></select></query>";
    assert!(world.rows(sum).is_empty());
    let one = |reading: &str| {
        world.simulator.set("empty_aggregate", reading);
        world.rows(sum)[0].iter().map(|c| c.1.clone()).collect::<Vec<_>>()
    };
    assert_eq!(one("zero"), ["0", "0"]);
    assert_eq!(one("empty"), ["", "0"]);
    world.simulator.set("aggregate_names", "plain");
    assert_eq!(
        world.rows(sum)[0]
            .iter()
            .map(|c| c.0.as_str())
            .collect::<Vec<_>>(),
        ["AMOUNT", "COUNT.RECORDNO"]
    );

    let onhold = query("CUSTOMER", "ONHOLD", "<isnull><field>ONHOLD</field></isnull>");
    assert_eq!(world.column(&onhold)[0], "");
    world.simulator.set("unset_booleans", "false");
    assert_eq!(world.column(&onhold)[0], "false");

    world.simulator.change(
        "acme",
        r#"[{"insert":{"object":"TERRITORY","values":{"TERRITORYID":"X ","NAME":"blank"}}}]"#,
    );
    let exact = query(
        "TERRITORY",
        "NAME",
        "<equalto><field>TERRITORYID</field><value>X</value></equalto>",
    );
    assert!(world.column(&exact).is_empty());
    world.simulator.set("trailing_blanks", "ignored");
    assert_eq!(world.column(&exact), ["blank"]);

    let limit = query(
        "CUSTOMER",
        "CREDITLIMIT",
        "<isnotnull><field>CREDITLIMIT</field></isnotnull>",
    );
    assert!(world.column(&limit).iter().any(|v| !v.contains('.')));
    world.simulator.set("numbers", "padded");
    assert!(
        world
            .column(&limit)
            .iter()
            .all(|v| v.split_once('.').is_some_and(|(_, f)| f.len() == 2))
    );

    assert!(
        world
            .column(&ordered("ARINVOICE", "CUSTOMER.NAME", "ascending"))
            .len()
            > 1
    );
    world.simulator.set("dotted_order", "refused");
    assert_eq!(
        world.fault(&ordered("ARINVOICE", "CUSTOMER.NAME", "ascending")).0,
        "XL03000006"
    );

    world.simulator.set("require_filters", "on");
    let balance = "<query><object>GLACCOUNTBALANCE</object><select><field>ENDBAL</field></select></query>";
    assert_eq!(world.fault(balance).0, "DL02000001");
}

/// Three customers of the night in which Berlin's clocks go back: 00:30, 01:10 and 01:30 UTC read 02:30, 02:10, 02:30.
#[test]
fn an_hour_that_comes_twice_is_shown_compared_and_meant() {
    let world = World::start();
    world.simulator.set("time_zone", "Europe/Berlin");
    let keys =
        world.truth("SELECT RECORDNO FROM CUSTOMER WHERE MEGAENTITYID IS NULL ORDER BY RECORDNO LIMIT 3");
    for (key, time) in keys.iter().zip(["00:30:00", "01:10:00", "01:30:00"]) {
        world.simulator.change(
            "acme",
            &format!(
                r#"[{{"update":{{"object":"CUSTOMER","keys":[{key}],"silent":true,
                     "values":{{"NAME":"night","WHENMODIFIED":"2024-10-27 {time}"}}}}}}]"#
            ),
        );
    }
    let night = "<equalto><field>NAME</field><value>night</value></equalto>";
    let call = |condition: &str| {
        format!(
            "<query><object>CUSTOMER</object><select><field>WHENMODIFIED</field></select><filter><and>{night}{condition}</and>\
             </filter><orderby><order><field>WHENMODIFIED</field><ascending/></order></orderby></query>"
        )
    };
    let shown = |condition: &str| -> Vec<String> {
        let rows = world.column(&call(condition));
        rows.iter().map(|cell| cell[11..].to_owned()).collect()
    };
    let until = "<lessthanorequalto><field>WHENMODIFIED</field><value>10/27/2024 02:30:00</value></lessthanorequalto>";
    let all = "<isnotnull><field>WHENMODIFIED</field></isnotnull>";
    assert_eq!(shown(all), ["02:30:00", "02:10:00", "02:30:00"]);
    assert_eq!(shown(until), ["02:30:00"]);
    world.simulator.set("repeated_hour", "second");
    assert_eq!(shown(until), ["02:30:00", "02:10:00", "02:30:00"]);
    world.simulator.set("repeated_hour", "first");
    world.simulator.set("clock_order", "readings");
    assert_eq!(shown(all), ["02:10:00", "02:30:00", "02:30:00"]);
    assert_eq!(shown(until).len(), 3);
    world.simulator.set("reported_offset", "summer");
    let response = world.result("<readUserFormatting><userId>apiuser</userId></readUserFormatting>");
    let offset = crate::common::find(&response, &["data", "userformatting", "gmtoffset"]).unwrap();
    assert_eq!(offset.text, "+02:00");
}
