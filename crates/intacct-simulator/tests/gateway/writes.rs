//! create, update, delete: what is stored, what is refused, what is rolled back.

use crate::common::{Envelope, World, error, find, function, login, rows};
use intacct_simulator::Config;
use intacct_simulator::envelope::Node;

fn world() -> World {
    World::with(Config::default().rows("arinvoice", 50).rows("arinvoiceitem", 50))
}

/// All results of an operation.
fn results(world: &World, functions: &[String], transaction: bool) -> Vec<Node> {
    let mut envelope = Envelope::new(&world.login, &functions.concat());
    envelope.transaction = transaction;
    let response = world.post(&envelope.document()).xml();
    response
        .child("operation")
        .unwrap()
        .children
        .iter()
        .filter(|n| n.name == "result")
        .cloned()
        .collect()
}

fn status(result: &Node) -> &str {
    result.child_text("status").unwrap()
}

fn faults(result: &Node) -> Vec<(String, String)> {
    let text = |e: &Node, name| e.child_text(name).unwrap_or_default().to_string();
    result.child("errormessage").map_or(Vec::new(), |m| {
        m.children
            .iter()
            .map(|e| (text(e, "errorno"), text(e, "description2")))
            .collect()
    })
}

fn customer(id: &str, extra: &str) -> String {
    format!("<CUSTOMER><CUSTOMERID>{id}</CUSTOMERID><NAME>New &amp; shiny</NAME>{extra}</CUSTOMER>")
}

fn create(objects: &str) -> String {
    format!("<create>{objects}</create>")
}

fn count(world: &World, condition: &str) -> String {
    world.truth(&format!("SELECT COUNT(*) FROM CUSTOMER WHERE {condition}"))[0].clone()
}

#[test]
fn create_stores_and_answers_keys() {
    let world = world();
    let extra = "<DISPLAYCONTACT><EMAIL1>a@x.y</EMAIL1><MAILADDRESS><CITY>X</CITY></MAILADDRESS></DISPLAYCONTACT><CREDITLIMIT>12.345</CREDITLIMIT><TERMNAME>N30</TERMNAME><Signed_On>02/29/2024</Signed_On><PARENTID>C-00001</PARENTID>";
    let result = world.result(&create(&customer("W-1", extra)));
    assert_eq!(status(&result), "success", "{result:?}");
    let data = result.child("data").unwrap();
    assert_eq!(
        (data.attribute("listtype"), data.attribute("count")),
        (Some("objects"), Some("1"))
    );
    assert_eq!(data.children[0].name, "customer");
    let row = &rows(data)[0];
    assert_eq!(row[1], ("CUSTOMERID".into(), "W-1".into()));
    let stored = world.truth(&format!(
        "SELECT \"DISPLAYCONTACT.EMAIL1\" || '|' || \"DISPLAYCONTACT.MAILADDRESS.CITY\" || '|' || CREDITLIMIT || '|' || Signed_On || '|' || STATUS || '|' || ENTITY || '|' || PARENTKEY
         FROM CUSTOMER WHERE RECORDNO = {}",
        row[0].1
    ));
    let parent = world.truth("SELECT RECORDNO FROM CUSTOMER WHERE CUSTOMERID = 'C-00001'")[0].clone();
    assert_eq!(stored, [format!("a@x.y|X|12.35|2024-02-29|active|W-1|{parent}")]);
    let entity = world.call_as(
        &login("acme|E100", "apiuser", "secret"),
        &create(&customer("W-2", "")),
    );
    assert_eq!(
        status(find(&entity, &["operation", "result"]).unwrap()),
        "success"
    );
    assert_eq!(count(&world, "CUSTOMERID = 'W-2' AND MEGAENTITYID = 'E100'"), "1");
}

#[test]
fn refusals_have_the_references_numbers() {
    let world = world();
    let first = |objects: &str| faults(&world.result(&create(objects)));
    let cases = [
        (
            "<CUSTOMER><CUSTOMERID>W-1</CUSTOMERID></CUSTOMER>".to_string(),
            "BL03000018",
        ),
        (customer("C-00001", ""), "BL34000061"),
        (customer("W-1", "<TERMNAME>nope</TERMNAME>"), "BL01001973"),
        (customer("W-1", "<PARENTID>nope</PARENTID>"), "BL01001973"),
        (customer("W-1", "<CREDITLIMIT>1,5</CREDITLIMIT>"), "BL03000018"),
        (customer("W-1", "<STATUS>maybe</STATUS>"), "BL03000018"),
        (customer("W-1", "<TOTALDUE>5</TOTALDUE>"), "BL03000018"),
        (customer("W-1", "<NOPE>5</NOPE>"), "BL01001973"),
        (
            "<ARINVOICE><RECORDID>1</RECORDID></ARINVOICE>".into(),
            "PL04000005",
        ),
        ("<NOPE/>".into(), "PL04000026"),
    ];
    for (objects, number) in cases {
        let faults = first(&objects);
        assert_eq!(faults[0].0, number, "{objects}: {faults:?}");
        assert!(
            faults.last().unwrap().1.starts_with("Could not create"),
            "{faults:?}"
        );
    }
    assert_eq!(count(&world, "CUSTOMERID LIKE 'W-%'"), "0");
    let many: String = (0..101).map(|i| customer(&format!("W-{i}"), "")).collect();
    assert_eq!(first(&many)[0].0, "XL03000006");
}

#[test]
fn several_objects_may_be_stored_in_part() {
    let world = world();
    let three = customer("W-1", "") + &customer("C-00001", "") + &customer("W-3", "");
    let result = world.result(&create(&three));
    assert_eq!(
        (status(&result), result.child("data").unwrap().attribute("count")),
        ("failure", Some("1"))
    );
    assert_eq!(count(&world, "CUSTOMERID LIKE 'W-%'"), "1");
    world.simulator.set("partial_success", "each");
    let three = customer("W-4", "") + &customer("C-00001", "") + &customer("W-5", "");
    let result = world.result(&create(&three));
    assert_eq!(result.child("data").unwrap().attribute("count"), Some("2"));
}

#[test]
fn update_sets_clears_and_checks() {
    let world = world();
    let update = |inner: &str| world.result(&format!("<update><CUSTOMER>{inner}</CUSTOMER></update>"));
    let before = world.truth("SELECT WHENMODIFIED FROM CUSTOMER WHERE CUSTOMERID = 'C-00001'")[0].clone();
    let ok = update("<CUSTOMERID>C-00001</CUSTOMERID><COMMENTS>changed</COMMENTS><TAXID/>");
    assert_eq!(status(&ok), "success", "{ok:?}");
    let now =
        world.truth("SELECT COMMENTS || COALESCE(TAXID, '-') FROM CUSTOMER WHERE CUSTOMERID = 'C-00001'");
    assert_eq!(now, ["changed-"]);
    assert_ne!(
        world.truth("SELECT WHENMODIFIED FROM CUSTOMER WHERE CUSTOMERID = 'C-00001'")[0],
        before
    );
    world.simulator.set("empty_update", "ignored");
    update("<CUSTOMERID>C-00001</CUSTOMERID><COMMENTS/>");
    assert_eq!(count(&world, "COMMENTS = 'changed'"), "1");
    assert_eq!(
        faults(&update("<RECORDNO>999999</RECORDNO><NAME>x</NAME>"))[0].0,
        "BL01001973"
    );
    assert_eq!(faults(&update("<NAME>x</NAME>"))[0].0, "BL03000018");
}

#[test]
fn delete_is_all_or_nothing_and_minds_references() {
    let world = world();
    world.result(&create(&(customer("W-1", "") + &customer("W-2", ""))));
    let keys = world.truth("SELECT RECORDNO FROM CUSTOMER WHERE CUSTOMERID LIKE 'W-%'");
    let delete = |keys: &str| {
        world.result(&format!(
            "<delete><object>CUSTOMER</object><keys>{keys}</keys></delete>"
        ))
    };
    assert_eq!(faults(&delete(&format!("{},999999", keys[0])))[0].0, "BL01001973");
    assert_eq!(count(&world, "CUSTOMERID LIKE 'W-%'"), "2");
    let used = world
        .truth("SELECT c.RECORDNO FROM CUSTOMER c JOIN ARINVOICE i ON i.CUSTOMERID = c.CUSTOMERID LIMIT 1");
    assert!(faults(&delete(&used[0]))[0].1.contains("is used by"));
    let done = delete(&keys.join(","));
    assert_eq!(status(&done), "success");
    assert!(done.child("data").is_none());
    assert_eq!(count(&world, "CUSTOMERID LIKE 'W-%'"), "0");
    assert_eq!(world.truth("SELECT COUNT(*) FROM AUDITHISTORY WHERE OBJECTTYPE = 'customer' AND ACCESSMODE = 'D' AND OBJECTKEY LIKE 'W-%'"), ["2"]);
}

#[test]
fn transactions_roll_back_all_functions() {
    let world = world();
    let good = function("a", &create(&customer("W-1", "")));
    let bad = function("b", &create(&customer("C-00001", "")));
    let late = function("c", &create(&customer("W-3", "")));
    let got = results(&world, &[good.clone(), bad.clone(), late.clone()], true);
    assert_eq!(
        got.iter().map(status).collect::<Vec<_>>(),
        ["aborted", "failure", "aborted"]
    );
    assert_eq!(faults(&got[0])[0].0, "XL03000009");
    assert_eq!(faults(&got[1])[0].0, "BL34000061");
    assert_eq!(count(&world, "CUSTOMERID LIKE 'W-%'"), "0");
    let got = results(&world, &[good, bad, late], false);
    assert_eq!(
        got.iter().map(status).collect::<Vec<_>>(),
        ["success", "failure", "success"]
    );
    let more = function("d", &create(&customer("W-4", "")));
    assert_eq!(
        results(&world, &[more], true)
            .iter()
            .map(status)
            .collect::<Vec<_>>(),
        ["success"]
    );
    assert_eq!(count(&world, "CUSTOMERID LIKE 'W-%'"), "3");
}

#[test]
fn a_control_id_stores_once() {
    let world = world();
    let mut envelope = Envelope::new(&world.login, &function("same", &create(&customer("W-1", ""))));
    envelope.control = "<uniqueid>true</uniqueid>".into();
    let send = |envelope: &Envelope| {
        find(&world.post(&envelope.document()).xml(), &["operation", "result"])
            .unwrap()
            .clone()
    };
    assert_eq!(status(&send(&envelope)), "success");
    assert_eq!(error(&send(&envelope)).0, "XL03000006");
    world.simulator.set("duplicate_errorno", "BL99");
    assert_eq!(error(&send(&envelope)).0, "BL99");
    assert_eq!(count(&world, "CUSTOMERID = 'W-1'"), "1");
    // Rolled back means not completed.
    let pair =
        function("p", &create(&customer("W-2", ""))) + &function("q", &create(&customer("C-00001", "")));
    envelope.functions = pair;
    envelope.transaction = true;
    assert_eq!(status(&send(&envelope)), "aborted");
    envelope.functions = function("p", &create(&customer("W-2", "")));
    assert_eq!(status(&send(&envelope)), "success");
}

#[test]
fn headers_come_with_lines() {
    let world = world();
    let bill = |lines: &str| {
        format!(
            "<create><APBILL><VENDORID>V-00001</VENDORID><RECORDID>B-1</RECORDID><WHENCREATED>01/31/2025</WHENCREATED><WHENDUE>02/28/2025</WHENDUE>{lines}</APBILL></create>"
        )
    };
    let line = |amount: &str| {
        format!("<APBILLITEM><ACCOUNTNO>0001</ACCOUNTNO><TRX_AMOUNT>{amount}</TRX_AMOUNT></APBILLITEM>")
    };
    assert_eq!(faults(&world.result(&bill("")))[0].0, "BL03000018");
    let done = world.result(&bill(&format!(
        "<APBILLITEMS>{}{}</APBILLITEMS>",
        line("10.25"),
        line("5")
    )));
    assert_eq!(status(&done), "success", "{done:?}");
    let key = rows(done.child("data").unwrap())[0][0].1.clone();
    assert_eq!(
        world
            .truth(&format!(
                "SELECT TOTALENTERED || VENDORNAME FROM APBILL WHERE RECORDNO = {key}"
            ))
            .len(),
        1
    );
    assert_eq!(
        world.truth(&format!(
            "SELECT LINE_NO || ':' || AMOUNT FROM APBILLITEM WHERE RECORDKEY = {key} ORDER BY LINE_NO"
        )),
        ["1:10.25", "2:5"]
    );

    let entry = |sign: &str, amount: &str| {
        format!(
            "<GLENTRY><ACCOUNTNO>0002</ACCOUNTNO><TR_TYPE>{sign}</TR_TYPE><TRX_AMOUNT>{amount}</TRX_AMOUNT></GLENTRY>"
        )
    };
    let batch = |key: &str, entries: &str| {
        let verb = if key.is_empty() { "create" } else { "update" };
        format!(
            "<{verb}><GLBATCH>{key}<JOURNAL>GJ</JOURNAL><BATCH_DATE>01/31/2025</BATCH_DATE><BATCH_TITLE>t</BATCH_TITLE><ENTRIES>{entries}</ENTRIES></GLBATCH></{verb}>"
        )
    };
    let uneven = world.result(&batch("", &(entry("1", "10") + &entry("-1", "9"))));
    assert!(faults(&uneven)[0].1.contains("do not balance"), "{uneven:?}");
    let done = world.result(&batch("", &(entry("1", "10") + &entry("-1", "10"))));
    assert_eq!(status(&done), "success", "{done:?}");
    let key = rows(done.child("data").unwrap())[0][0].1.clone();
    let three = entry("1", "7") + &entry("1", "3") + &entry("-1", "10");
    let replaced = world.result(&batch(&format!("<RECORDNO>{key}</RECORDNO>"), &three));
    assert_eq!(status(&replaced), "success", "{replaced:?}");
    assert_eq!(
        world.truth(&format!(
            "SELECT AMOUNT FROM GLENTRY WHERE BATCHNO = {key} ORDER BY LINE_NO"
        )),
        ["7", "3", "10"]
    );
}

#[test]
fn legacy_invoices_answer_a_key() {
    let world = world();
    let call = |customer: &str| {
        format!(
            "<create_invoice><customerid>{customer}</customerid><datecreated><year>2025</year><month>1</month><day>31</day></datecreated><invoiceno>L-1</invoiceno><invoiceitems><lineitem><glaccountno>0001</glaccountno><amount>10.50</amount></lineitem><lineitem><glaccountno>0002</glaccountno><amount>2</amount></lineitem></invoiceitems></create_invoice>"
        )
    };
    let done = world.result(&call("C-00001"));
    assert_eq!(status(&done), "success", "{done:?}");
    let key = done.child_text("key").unwrap();
    let stored = world.truth(&format!("SELECT RECORDID || ' ' || WHENCREATED || ' ' || TOTALDUE || ' ' || STATE FROM ARINVOICE WHERE RECORDNO = {key}"));
    assert_eq!(stored, ["L-1 2025-01-31 12.5 Posted"]);
    assert_eq!(
        world.truth(&format!(
            "SELECT ACCOUNTNO FROM ARINVOICEITEM WHERE RECORDKEY = {key} ORDER BY LINE_NO"
        )),
        ["0001", "0002"]
    );
    assert_eq!(faults(&world.result(&call("stranger")))[0].0, "BL01001973");
}

/// One element, as a function of an element's text would be tedious to write.
fn day(name: &str) -> String {
    format!("<{name}><year>2025</year><month>1</month><day>31</day></{name}>")
}

#[test]
fn legacy_updates_and_adjustments() {
    let world = world();
    let invoice = world
        .truth("SELECT RECORDNO FROM ARINVOICE WHERE DESCRIPTION IS NOT NULL LIMIT 1")
        .remove(0);
    let update = |attributes: &str, inner: &str| {
        world.result(&format!(
            "<update_invoice key=\"{invoice}\"{attributes}>{inner}</update_invoice>"
        ))
    };
    let description = || {
        let sql = format!("SELECT COALESCE(DESCRIPTION, '-') FROM ARINVOICE WHERE RECORDNO = {invoice}");
        world.truth(&sql).remove(0)
    };
    assert_eq!(status(&update("", "<description>new</description>")), "success");
    assert_eq!(description(), "new");
    update("", "<description/>");
    assert_eq!(description(), "new");
    update(" set_nulls=\"true\"", "<description/>");
    assert_eq!(description(), "-");
    let adjusted = world.result(&format!(
        "<create_aradjustment><customerid>C-00001</customerid>{}<aradjustmentitems><lineitem><glaccountno>0001</glaccountno><amount>-5.50</amount></lineitem></aradjustmentitems></create_aradjustment>",
        day("datecreated")
    ));
    let made = |answer: &Node, object: &str, field: &str| {
        let key = answer.child_text("key").unwrap();
        world.truth(&format!("SELECT {field} FROM {object} WHERE RECORDNO = {key}"))
    };
    assert_eq!(made(&adjusted, "ARADJUSTMENT", "TOTALDUE"), ["-5.5"]);
    let employee = world.truth("SELECT EMPLOYEEID FROM EMPLOYEE LIMIT 1").remove(0);
    let spent = world.result(&format!(
        "<create_expensereport><employeeid>{employee}</employeeid>{}<expenses><expense><glaccountno>0001</glaccountno><amount>7.25</amount></expense><expense><glaccountno>0001</glaccountno><amount>2</amount></expense></expenses></create_expensereport>",
        day("datecreated")
    ));
    assert_eq!(made(&spent, "EEXPENSES", "TOTALENTERED"), ["9.25"]);
}

#[test]
fn documents_go_by_their_id() {
    let world = world();
    let item = world.truth("SELECT ITEMID FROM ITEM LIMIT 1").remove(0);
    let order = |definition: &str, number: &str| {
        world.result(&format!(
            "<create_sotransaction><transactiontype>{definition}</transactiontype>{}<customerid>C-00001</customerid>{number}<sotransitems><sotransitem><itemid>{item}</itemid><quantity>3</quantity><price>2.50</price></sotransitem></sotransitems></create_sotransaction>",
            day("datecreated")
        ))
    };
    let number = "<documentno>W-7</documentno>";
    assert_eq!(
        order("Sales Order", number).child_text("key"),
        Some("Sales Order-W-7")
    );
    assert_eq!(faults(&order("Sales Order", number))[0].0, "BL34000061");
    assert!(faults(&order("No Such", number))[0].1.contains("does not exist"));
    assert_eq!(status(&order("Sales Order", "")), "success");
    let stored = "SELECT h.TOTAL || ' ' || e.LINE_NO || ' ' || e.QUANTITY FROM SODOCUMENT h JOIN SODOCUMENTENTRY e ON e.DOCHDRNO = h.RECORDNO WHERE h.DOCNO = 'W-7'";
    assert_eq!(world.truth(stored), ["7.5 0 3"]);
    let changed = world
        .result("<update_sotransaction key=\"Sales Order-W-7\"><message>m</message></update_sotransaction>");
    assert_eq!(changed.child_text("key"), Some("Sales Order-W-7"));
    assert_eq!(
        world.truth("SELECT MESSAGE FROM SODOCUMENT WHERE DOCNO = 'W-7'"),
        ["m"]
    );
    let gone = world.result("<delete_sotransaction key=\"Sales Order-W-7\"/>");
    assert_eq!(status(&gone), "success", "{gone:?}");
    assert_eq!(
        world.truth("SELECT COUNT(*) FROM SODOCUMENT WHERE DOCNO = 'W-7'"),
        ["0"]
    );
}

#[test]
fn documents_add_up_to_the_cent() {
    let world = world();
    let item = world.truth("SELECT ITEMID FROM ITEM LIMIT 1").remove(0);
    let order = |number: &str, lines: &[(&str, &str)]| {
        let lines: String = lines
            .iter()
            .map(|(quantity, price)| {
                format!("<sotransitem><itemid>{item}</itemid><quantity>{quantity}</quantity><price>{price}</price></sotransitem>")
            })
            .collect();
        world.result(&format!(
            "<create_sotransaction><transactiontype>Sales Order</transactiontype>{}<customerid>C-00001</customerid><documentno>{number}</documentno><sotransitems>{lines}</sotransitems></create_sotransaction>",
            day("datecreated")
        ))
    };
    // 1.005 is less than it says in floating point; halves are rounded away from zero, line by line.
    let made = order(
        "E-1",
        &[
            ("1", "1.005"),
            ("-1", "0.125"),
            ("3", "333333333333.33"),
            ("9", ""),
        ],
    );
    assert_eq!(status(&made), "success", "{made:?}");
    assert_eq!(
        world.truth("SELECT TOTAL FROM t_SODOCUMENT WHERE DOCNO = 'E-1'"),
        ["100000000000087"]
    );
    for price in ["2,50", "99999999999999999999"] {
        let refused = order("E-2", &[("1", price)]);
        assert!(faults(&refused)[0].1.contains("illegal format"), "{refused:?}");
    }
}

#[test]
fn payments_pay_what_is_due() {
    let world = world();
    let bill = world
        .truth("SELECT RECORDNO || ' ' || VENDORID FROM APBILL WHERE CAST(TOTALDUE AS REAL) > 10 LIMIT 1")
        .remove(0);
    let (bill, vendor) = bill.split_once(' ').unwrap();
    let cents = || -> i64 {
        let sql = format!("SELECT TOTALDUE FROM t_APBILL WHERE RECORDNO = {bill}");
        world.truth(&sql).remove(0).parse().unwrap()
    };
    let bank = world
        .truth("SELECT BANKACCOUNTID FROM CHECKINGACCOUNT LIMIT 1")
        .remove(0);
    let pay = |amount: &str| {
        world.result(&create(&format!(
            "<APPYMT><FINANCIALENTITY>{bank}</FINANCIALENTITY><PAYMENTMETHOD>EFT</PAYMENTMETHOD><VENDORID>{vendor}</VENDORID><PAYMENTDATE>01/31/2025</PAYMENTDATE><APPYMTDETAILS><APPYMTDETAIL><RECORDKEY>{bill}</RECORDKEY><TRX_PAYMENTAMOUNT>{amount}</TRX_PAYMENTAMOUNT></APPYMTDETAIL></APPYMTDETAILS></APPYMT>"
        )))
    };
    let before = cents();
    let paid = pay("4.25");
    assert_eq!(status(&paid), "success", "{paid:?}");
    assert_eq!(before - cents(), 425);
    let key = rows(paid.child("data").unwrap())[0][0].1.clone();
    let stored = format!(
        "SELECT p.TOTALENTERED || ' ' || d.PAYMENTAMOUNT FROM APPYMT p JOIN APPYMTDETAIL d ON d.PAYMENTKEY = p.RECORDNO WHERE p.RECORDNO = {key}"
    );
    assert_eq!(world.truth(&stored), ["4.25 4.25"]);
    assert!(faults(&pay("99999999"))[0].1.contains("exceeds the amount due"));
    assert_eq!(before - cents(), 425);
}

#[test]
fn keys_of_deleted_rows_are_not_used_again() {
    let world = world();
    let make = |id: &str| {
        let done = world.result(&create(&customer(id, "")));
        rows(done.child("data").unwrap())[0][0].1.parse::<i64>().unwrap()
    };
    let first = make("W-1");
    world.result(&format!(
        "<delete><object>CUSTOMER</object><keys>{first}</keys></delete>"
    ));
    assert_eq!(make("W-2"), first + 1);
}
