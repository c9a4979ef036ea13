//! read, readByName, readByQuery, readMore, readRelated, lookup, inspect.

use std::collections::BTreeSet;

use crate::common::{World, find, rows};

#[test]
fn read_brings_all_fields_and_owned_lines() {
    let world = World::start();
    let key = world.truth("SELECT RECORDKEY FROM ARINVOICEITEM LIMIT 1")[0].clone();
    let result = world.result(&format!(
        "<read><object>ARINVOICE</object><keys>{key},999999999</keys><fields>*</fields></read>"
    ));
    let data = result.child("data").unwrap();
    assert_eq!(
        (data.attribute("listtype"), data.attribute("count")),
        (Some("arinvoice"), Some("1"))
    );
    let row = &data.children[0];
    assert_eq!(row.name, "arinvoice");
    let lines = row.child("ARINVOICEITEMS").unwrap();
    assert_eq!(
        lines.children.len(),
        world
            .truth(&format!("SELECT 1 FROM ARINVOICEITEM WHERE RECORDKEY = {key}"))
            .len()
    );
    assert!(lines.children.iter().all(|l| l.name == "arinvoiceitem"));
    assert_eq!(
        world
            .fault("<read><object>ARINVOICE</object><keys>1</keys><fields>NOPE</fields></read>")
            .0,
        "Invalid fields list NOPE"
    );
    let many = vec!["1"; 101].join(",");
    assert_eq!(
        world
            .fault(&format!(
                "<read><object>ARINVOICE</object><keys>{many}</keys></read>"
            ))
            .0,
        "XL03000006"
    );
}

#[test]
fn read_by_name_finds_natural_keys() {
    let world = World::start();
    let id = world.truth("SELECT CUSTOMERID FROM CUSTOMER LIMIT 1")[0].clone();
    let got = world.rows(&format!(
        "<readByName><object>CUSTOMER</object><keys>{id}</keys><fields>CUSTOMERID,NAME</fields></readByName>"
    ));
    assert_eq!(got[0][0], ("CUSTOMERID".into(), id));
}

#[test]
fn read_by_query_pages_through_a_stored_result() {
    let world = World::start();
    let first = world.result("<readByQuery><object>APBILL</object><query>STATE = 'P' AND TOTALENTERED &gt; 10</query><fields>RECORDNO,STATE</fields><pagesize>100</pagesize></readByQuery>");
    let mut data = first.child("data").unwrap().clone();
    let mut seen = Vec::new();
    let total = data.attribute("totalcount").unwrap().to_string();
    let deleted =
        world.truth("SELECT MAX(RECORDNO) FROM APBILL WHERE STATE = 'Draft' OR STATE = 'Paid'")[0].clone();
    loop {
        seen.extend(rows(&data).into_iter().map(|r| r[0].1.clone()));
        if data.attribute("numremaining") == Some("0") {
            break;
        }
        let id = data.attribute("resultId").unwrap().to_string();
        let next = world.result(&format!("<readMore><resultId>{id}</resultId></readMore>"));
        data = next.child("data").unwrap().clone();
    }
    let truth: BTreeSet<String> = world
        .truth("SELECT RECORDNO FROM t_APBILL WHERE STATE = 'Paid' AND TOTALENTERED > 1000")
        .into_iter()
        .collect();
    assert!(truth.len() > 100 && !deleted.is_empty());
    assert_eq!(total, truth.len().to_string());
    assert_eq!(seen.iter().cloned().collect::<BTreeSet<_>>(), truth);
    assert_eq!(seen.len(), truth.len());
    assert_ne!(
        seen,
        truth.into_iter().collect::<Vec<_>>(),
        "the order is not the key's"
    );
    assert_eq!(
        world.fault("<readMore><resultId>none</resultId></readMore>").0,
        "XL03000006"
    );
    let bad = "<readByQuery><object>APBILL</object><query>WHENCREATED = '2024-01-01'</query></readByQuery>";
    assert_eq!(world.fault(bad).0, "DL02000001");
    let large = "<readByQuery><object>APBILL</object><query/><pagesize>1001</pagesize></readByQuery>";
    assert_eq!(world.fault(large).0, "XL03000006");
}

#[test]
fn objects_that_query_refuses_answer_read_by_query() {
    let world = World::start();
    assert_eq!(
        world
            .fault("<query><object>ACTIVITYLOG</object><select><field>STATE</field></select></query>")
            .0,
        "Query Failed"
    );
    assert!(
        !world
            .rows("<readByQuery><object>ACTIVITYLOG</object><query/></readByQuery>")
            .is_empty()
    );
}

#[test]
fn read_related_follows_custom_relations() {
    let world = World::start();
    let sql = "SELECT a.id FROM MCA_attendee a JOIN CUSTOMER c ON c.RECORDNO = a.Rcustomer LIMIT 1";
    let key = world.truth(sql)[0].clone();
    let call = format!(
        "<readRelated><object>MCA_attendee</object><keys>{key}</keys><relation>R_attendee_customer</relation><fields>CUSTOMERID</fields></readRelated>"
    );
    let truth = world.truth(&format!("SELECT CUSTOMERID FROM CUSTOMER WHERE RECORDNO = (SELECT Rcustomer FROM MCA_attendee WHERE id = {key})"));
    assert_eq!(world.column(&call), truth);
}

#[test]
fn lookup_and_inspect_describe_every_object() {
    let world = World::start();
    let all = world.result("<inspect><object>*</object></inspect>");
    let names: Vec<String> = all
        .child("data")
        .unwrap()
        .children
        .iter()
        .map(|t| t.attribute("typename").unwrap().into())
        .collect();
    assert!(names.len() >= 60);
    for name in &names {
        let result = world.result(&format!("<lookup><object>{name}</object></lookup>"));
        let described = find(&result, &["data", "Type"]).unwrap();
        assert_eq!(described.attribute("Name"), Some(name.as_str()));
        assert!(!described.child("Fields").unwrap().children.is_empty());
    }
    let customer = world.result("<lookup><object>customer</object></lookup>");
    let described = find(&customer, &["data", "Type"]).unwrap();
    let field = |id: &str| {
        let fields = &described.child("Fields").unwrap().children;
        fields
            .iter()
            .find(|f| f.child_text("ID") == Some(id))
            .unwrap()
            .clone()
    };
    assert_eq!(
        field("Customer_Tier")
            .child("VALIDVALUES")
            .unwrap()
            .children
            .len(),
        4
    );
    assert_eq!(field("Customer_Tier").child_text("ISCUSTOM"), Some("true"));
    assert_eq!(field("NAME").child_text("REQUIRED"), Some("true"));
    let relations = &described.child("Relationships").unwrap().children;
    assert!(
        relations
            .iter()
            .any(|r| r.child_text("OBJECTPATH") == Some("PARENT")
                && r.child_text("RELATEDBY") == Some("PARENTKEY"))
    );
    let detail = world.result("<inspect detail=\"1\"><object>CUSTOMER</object></inspect>");
    let first = &find(&detail, &["data", "Type", "Fields"]).unwrap().children[0];
    assert_eq!(first.child_text("Name"), Some("RECORDNO"));
}
