//! dtdversion 2.1: get_list, get, and what is refused.

use crate::common::{Envelope, World, error, find, function};
use intacct_simulator::envelope::Node;

/// The answer to a call of 2.1.
fn call(world: &World, call: &str) -> Node {
    let mut envelope = Envelope::new(&world.login, &function("f", call));
    envelope.control = envelope.control.replace("3.0", "2.1");
    world.post(&envelope.document()).xml()
}

fn result(world: &World, xml: &str) -> Node {
    let answer = call(world, xml);
    let result = find(&answer, &["operation", "result"]);
    result.unwrap_or_else(|| panic!("no result: {answer:?}")).clone()
}

/// Text of an element of every row; a date as `year-month-day`.
fn column(result: &Node, path: &[&str]) -> Vec<String> {
    assert_eq!(result.child_text("status"), Some("success"), "{result:?}");
    let text = |row: &Node| match find(row, path) {
        Some(date) if date.child("year").is_some() => {
            let parts: Vec<&str> = date.children.iter().map(|part| part.text.as_str()).collect();
            parts.join("-")
        }
        Some(element) => element.text.clone(),
        None => String::new(),
    };
    result.child("data").unwrap().children.iter().map(text).collect()
}

fn list_type(result: &Node) -> (String, String, String) {
    let list = result.child("listtype").unwrap();
    let attribute = |name| list.attribute(name).unwrap_or_default().to_string();
    (attribute("start"), attribute("end"), attribute("total"))
}

#[test]
fn a_list_counts_and_pages() {
    let world = World::start();
    let ids = world.truth("SELECT CUSTOMERID FROM CUSTOMER WHERE MEGAENTITYID IS NULL ORDER BY CUSTOMERID");
    let list = |start: usize, maxitems: usize, more: &str| {
        result(
            &world,
            &format!(
                "<get_list object=\"customer\" start=\"{start}\" maxitems=\"{maxitems}\" {more}><sorts><sortfield order=\"asc\">customerid</sortfield></sorts></get_list>"
            ),
        )
    };
    let first = list(0, 10, "");
    assert_eq!(column(&first, &["customerid"]), ids[..10]);
    assert_eq!(list_type(&first), ("0".into(), "9".into(), ids.len().to_string()));
    let last = list(ids.len() - 2, 10, "");
    assert_eq!(column(&last, &["customerid"]), ids[ids.len() - 2..]);
    let all = world.truth("SELECT 1 FROM CUSTOMER").len();
    assert_eq!(list_type(&list(0, 1, "showprivate=\"true\"")).2, all.to_string());
    assert!(all > ids.len());
    world.simulator.set("list_rows", "3");
    assert_eq!(column(&list(0, 10, ""), &["customerid"]).len(), 3);
}

#[test]
fn rows_have_elements_inside_of_elements() {
    let world = World::start();
    let key = world.truth(
        "SELECT RECORDKEY FROM ARINVOICEITEM JOIN ARINVOICE a ON a.RECORDNO = RECORDKEY WHERE LINEITEM = 1 AND BILLTOPAYTOCONTACTNAME IS NOT NULL AND MEGAENTITYID IS NULL LIMIT 1",
    )[0]
    .clone();
    let truth = |field: &str| {
        world.truth(&format!("SELECT {field} FROM ARINVOICE WHERE RECORDNO = {key}"))[0].clone()
    };
    for call in [
        format!("<get object=\"invoice\" key=\"{key}\"/>"),
        format!(
            "<get_list object=\"invoice\"><filter><expression><field>key</field><operator>=</operator><value>{key}</value></expression></filter></get_list>"
        ),
    ] {
        let invoice = result(&world, &call);
        assert_eq!(column(&invoice, &["invoiceno"]), [truth("RECORDID")]);
        assert_eq!(column(&invoice, &["datecreated"]), [truth("WHENCREATED")]);
        assert_eq!(
            column(&invoice, &["billto", "contactname"]),
            [truth("BILLTOPAYTOCONTACTNAME")]
        );
        let row = &invoice.child("data").unwrap().children[0];
        let lines = &row.child("invoiceitems").unwrap().children;
        let wanted = world.truth(&format!(
            "SELECT RECORDNO FROM ARINVOICEITEM WHERE RECORDKEY = {key} AND LINEITEM = 1 ORDER BY LINE_NO"
        ));
        let found: Vec<&str> = lines.iter().filter_map(|line| line.child_text("key")).collect();
        assert_eq!(found, wanted);
    }
    let shown = result(
        &world,
        &format!("<get object=\"invoice\" key=\"{key}\"><fields><field>invoiceno</field></fields></get>"),
    );
    assert_eq!(shown.child("data").unwrap().children[0].children.len(), 1);
    let custom = result(&world, "<get_list object=\"customer\" maxitems=\"1\"/>");
    let fields = find(&custom, &["data", "customer", "customfields"]).unwrap();
    assert!(
        fields
            .children
            .iter()
            .any(|field| field.child_text("customfieldname") == Some("Region_Code"))
    );
}

#[test]
fn filters_combine() {
    let world = World::start();
    let expression = |field: &str, operator: &str, value: &str| {
        format!(
            "<expression><field>{field}</field><operator>{operator}</operator><value>{value}</value></expression>"
        )
    };
    let list = |filter: &str| {
        let call = format!(
            "<get_list object=\"invoice\" maxitems=\"1000\"><filter>{filter}</filter><sorts><sortfield order=\"desc\">key</sortfield></sorts></get_list>"
        );
        column(&result(&world, &call), &["key"])
    };
    let truth = |condition: &str| {
        world.truth(&format!(
            "SELECT RECORDNO FROM ARINVOICE WHERE {condition} ORDER BY RECORDNO DESC LIMIT 1000"
        ))
    };
    let late = expression("datecreated", "&gt;=", "01/31/2024");
    let paid = expression("state", "=", "Paid");
    let both = truth("WHENCREATED >= '2024-01-31' AND STATE = 'Paid'");
    assert!(!both.is_empty());
    assert_eq!(list(&format!("{late}{paid}")), both);
    assert_eq!(
        list(&format!(
            "<logical logical_operator=\"and\">{late}{paid}</logical>"
        )),
        both
    );
    assert_eq!(
        list(&format!(
            "<logical logical_operator=\"or\">{late}{paid}</logical>"
        )),
        truth("(WHENCREATED >= '2024-01-31' OR STATE = 'Paid')")
    );
    assert_eq!(
        list(&expression("invoiceno", "like", "INV%1")),
        truth("RECORDID LIKE 'INV%1'")
    );
}

#[test]
fn what_2_1_lacks_is_refused() {
    let world = World::start();
    let control = |xml: &str| {
        let answer = call(&world, xml);
        assert_eq!(
            find(&answer, &["control", "status"]).unwrap().text,
            "failure",
            "{xml}"
        );
        error(&answer).0
    };
    for xml in [
        "<query><object>CUSTOMER</object><select><field>NAME</field></select></query>",
        "<readByQuery><object>CUSTOMER</object><query/></readByQuery>",
        "<lookup><object>CUSTOMER</object></lookup>",
        "<create><CUSTOMER/></create>",
        "<get_list object=\"CUSTOMER\"/>",
        "<get_list object=\"arinvoice\"/>",
        "<get_list/>",
        "<get object=\"customer\"/>",
        "<get object=\"arpayment\" key=\"1\"/>",
        "<get_list object=\"customer\"><fields/></get_list>",
    ] {
        assert_eq!(control(xml), "XL03000003", "{xml}");
    }
    let function_level = |xml: &str| error(&result(&world, xml)).0;
    for xml in [
        "<get_list object=\"warehouse\"/>",
        "<get_list object=\"customer\"><fields><field>nope</field></fields></get_list>",
        "<get_list object=\"customer\"><sorts><sortfield order=\"asc\">nope</sortfield></sorts></get_list>",
        "<get_list object=\"customer\"><filter><expression><field>name</field><operator>is null</operator><value/></expression></filter></get_list>",
        "<get_list object=\"vendor\"><filter><expression><field>onetime</field><operator>=</operator><value>true</value></expression></filter></get_list>",
    ] {
        assert_eq!(function_level(xml), "XL03000006", "{xml}");
    }
}

#[test]
fn a_company_may_take_no_3_0_at_all() {
    let world = World::start();
    world.simulator.set("dtd_3_0", "refused");
    let answer = world.call("<lookup><object>CUSTOMER</object></lookup>");
    assert_eq!(error(&answer).0, "XL03000003");
    let answer = call(&world, "<getAPISession/>");
    assert!(find(&answer, &["operation", "result", "data", "api", "sessionid"]).is_some());
}
