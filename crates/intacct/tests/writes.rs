//! Writes against the simulator's world, with answers that get lost on the way.

mod support;

#[path = "support/company.rs"]
mod company;

use company::Company;
use intacct::write::{
    Change, OnDuplicate, RowWritten, Verb, WriteFailure, WriteOptions, WriteProgress, WriteTarget,
    WriteValue, Written, write,
};
use intacct::{Client, ErrorKind};
use serde_json::json;
use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::*;

/// A company, a gateway in front of it that loses answers on request, and a client.
struct World {
    company: Company,
    gateway: Gateway,
    client: Client,
    /// What happens to the writes to come, first one first.
    script: Arc<Mutex<Vec<Lost>>>,
}

/// What becomes of a request that writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lost {
    /// Nothing: it is answered.
    Answered,
    /// It is not executed, and the connection breaks.
    Request,
    /// It is executed, and the connection breaks.
    Answer,
    /// It is not executed, and says so.
    Limited,
    /// It is executed; no answer comes.
    Silence,
    /// Its session is over.
    Session,
    /// Not executed, HTTP 500.
    Trouble,
}

impl World {
    async fn new() -> World {
        World::with(Company::new()).await
    }

    async fn with(company: Company) -> World {
        let script = Arc::new(Mutex::new(Vec::new()));
        let (behind, lost) = (company.clone(), Arc::clone(&script));
        let gateway = Gateway::start_raw(move |request| {
            let writes = request.contains("<uniqueid>true</uniqueid>");
            let mut lost = lost.lock().expect("no panic");
            let fate = match writes && !lost.is_empty() {
                true => lost.remove(0),
                false => Lost::Answered,
            };
            match fate {
                Lost::Answered => behind.answer(request),
                Lost::Request => Reply::reset(),
                Lost::Answer => {
                    behind.answer(request);
                    Reply::reset()
                }
                Lost::Silence => {
                    behind.answer(request);
                    Reply::stall()
                }
                Lost::Limited => {
                    Reply::status(429, "application/xml", control_failure("GW-0010", "too many"))
                }
                Lost::Session => {
                    behind.expire_sessions();
                    behind.answer(request)
                }
                Lost::Trouble => Reply::status(500, "text/html", "<html></html>"),
            }
        })
        .await;
        let mut config = gateway.config();
        config.user_id = "apiuser".into();
        config.password = "secret".into();
        config.sender_password = "senderpw".into();
        config.request_timeout = Duration::from_secs(1);
        config.write_timeout = Duration::from_secs(1);
        let client = gateway.client_with(config);
        World {
            company,
            gateway,
            client,
            script,
        }
    }

    fn lose(&self, script: &[Lost]) {
        *self.script.lock().expect("no panic") = script.to_vec();
    }

    async fn write(&self, changes: &[Change]) -> Result<Written, WriteFailure> {
        self.write_in(changes, 100).await
    }

    async fn write_in(&self, changes: &[Change], batch_size: usize) -> Result<Written, WriteFailure> {
        let options = WriteOptions {
            batch_size,
            on_duplicate: OnDuplicate::Fail,
        };
        write(&self.client, changes, &options, &WriteProgress::new()).await
    }

    fn writes(&self) -> Vec<String> {
        let mut requests = self.gateway.requests();
        requests.retain(|request| request.contains("<uniqueid>true</uniqueid>"));
        requests
    }

    fn count(&self, table: &str, condition: &str) -> String {
        let sql = format!("SELECT COUNT(*) AS a FROM {table} WHERE {condition}");
        self.company.truth(&sql).remove(0)
    }
}

fn target(object: &str) -> Arc<WriteTarget> {
    Arc::new(WriteTarget::new(object))
}

fn text(value: &str) -> WriteValue {
    WriteValue::Text(value.into())
}

fn create(target: &Arc<WriteTarget>, cells: Vec<(&str, WriteValue)>) -> Change {
    Change {
        target: Arc::clone(target),
        verb: Verb::Create,
        key: None,
        cells: cells
            .into_iter()
            .map(|(field, value)| (field.into(), value))
            .collect(),
    }
}

fn update(target: &Arc<WriteTarget>, key: (&str, &str), cells: Vec<(&str, WriteValue)>) -> Change {
    Change {
        verb: Verb::Update,
        key: Some((key.0.into(), key.1.into())),
        ..create(target, cells)
    }
}

fn delete(target: &Arc<WriteTarget>, key: (&str, &str)) -> Change {
    Change {
        verb: Verb::Delete,
        ..update(target, key, vec![])
    }
}

fn customers(from: usize, count: usize) -> Vec<Change> {
    let target = target("CUSTOMER");
    let one = |n: usize| {
        let cells = vec![
            ("CUSTOMERID", text(&format!("W-{n}"))),
            ("NAME", text(&format!("name {n}"))),
        ];
        create(&target, cells)
    };
    (from..from + count).map(one).collect()
}

fn stored(rows: &[RowWritten]) -> Vec<bool> {
    rows.iter().map(|row| row.stored).collect()
}

fn key<'a>(row: &'a RowWritten, field: &str) -> &'a str {
    let found = row.keys.iter().find(|(name, _)| name.eq_ignore_ascii_case(field));
    found.map_or("", |(_, value)| value)
}

fn control_ids(request: &str) -> Vec<&str> {
    let parts = request.split("<function controlid=\"").skip(1);
    parts.map(|part| part.split('"').next().unwrap_or("")).collect()
}

#[tokio::test]
async fn rows_are_created_in_batches_and_answer_their_keys() {
    let world = World::new().await;
    let mut changes = customers(0, 230);
    changes[7].cells.extend([
        ("DISPLAYCONTACT.EMAIL1".into(), text("a@x.y")),
        ("DISPLAYCONTACT.MAILADDRESS.CITY".into(), text("Köln <&>")),
        ("Signed_On".into(), text("02/29/2024")),
        ("COMMENTS".into(), WriteValue::Empty),
    ]);
    let written = world.write(&changes).await.expect("written");
    assert_eq!((written.rows.len(), written.operations), (230, 3));
    assert!(written.rows.iter().all(|row| row.stored));
    assert_eq!(key(&written.rows[7], "CUSTOMERID"), "W-7");
    let record = key(&written.rows[7], "RECORDNO");
    let sql = format!(
        "SELECT \"DISPLAYCONTACT.EMAIL1\" || \"DISPLAYCONTACT.MAILADDRESS.CITY\" || Signed_On AS a FROM CUSTOMER \
         WHERE RECORDNO = {record}"
    );
    assert_eq!(world.company.truth(&sql), ["a@x.yKöln <&>2024-02-29"]);
    assert_eq!(world.count("CUSTOMER", "CUSTOMERID LIKE 'W-%'"), "230");
    let requests = world.writes();
    assert_eq!(requests.len(), 3);
    assert!(
        requests
            .iter()
            .all(|request| request.contains("<operation transaction=\"true\">"))
    );
    assert!(!requests[0].contains("COMMENTS"), "NULL is left out");
}

#[tokio::test]
async fn one_operation_is_all_or_nothing_and_its_error_is_the_culprits() {
    let world = World::new().await;
    let mut changes = customers(0, 250);
    changes[120].cells[0].1 = text("C-00001");
    let failure = world.write_in(&changes, 250).await.expect_err("a duplicate");
    assert_eq!(failure.error.kind(), &ErrorKind::Duplicate);
    assert_eq!(failure.first_failing, Some(120));
    assert_eq!((failure.certain, failure.possible), (vec![], vec![]));
    assert!(
        failure.error.detail().contains("BL34000061"),
        "{}",
        failure.error.detail()
    );
    assert_eq!(world.count("CUSTOMER", "CUSTOMERID LIKE 'W-%'"), "0");
}

#[tokio::test]
async fn operations_before_a_refused_one_stay_and_none_follows() {
    let world = World::new().await;
    let mut changes = customers(0, 50);
    changes[25].cells.push(("TERMNAME".into(), text("no such term")));
    let failure = world.write_in(&changes, 10).await.expect_err("a bad reference");
    assert_eq!(failure.error.kind(), &ErrorKind::BadReference);
    assert_eq!(failure.first_failing, Some(25));
    assert_eq!((failure.certain, failure.possible), ((0..20).collect(), vec![]));
    assert_eq!(world.count("CUSTOMER", "CUSTOMERID LIKE 'W-%'"), "20");
    assert_eq!(world.writes().len(), 3);
}

#[tokio::test]
async fn refusals_are_classified() {
    let world = World::new().await;
    let customer = target("CUSTOMER");
    let missing = create(&customer, vec![("CUSTOMERID", text("W-1"))]);
    let used = delete(&target("ARTERM"), ("RECORDNO", "1"));
    let used_type = "SELECT t.RECORDNO AS a FROM CUSTTYPE t JOIN CUSTOMER c ON c.CUSTTYPE = t.NAME LIMIT 1";
    let used_type = world.company.truth(used_type).remove(0);
    let in_use = delete(&target("CUSTTYPE"), ("RECORDNO", &used_type));
    let gone = delete(&target("CUSTTYPE"), ("RECORDNO", "100000"));
    let also_gone = update(&customer, ("RECORDNO", "100000"), vec![("NAME", text("x"))]);
    let private = create(&target("CONTRACT"), vec![("NAME", text("x"))]);
    let line = create(&target("GLENTRY"), vec![("AMOUNT", text("1"))]);
    for (change, kind) in [
        (missing, ErrorKind::MissingRequired),
        (used, ErrorKind::Unsupported),
        (in_use, ErrorKind::BadReference),
        (gone, ErrorKind::Moved),
        (also_gone, ErrorKind::Moved),
        (private, ErrorKind::Permission),
        (line, ErrorKind::Unsupported),
    ] {
        let failure = world
            .write(std::slice::from_ref(&change))
            .await
            .expect_err("refused");
        assert_eq!(failure.error.kind(), &kind, "{change:?}: {}", failure.error);
        assert_eq!((failure.first_failing, failure.possible.len()), (Some(0), 0));
        assert!(!failure.error.hint().is_empty());
    }
}

#[tokio::test]
async fn rows_are_updated_and_deleted_by_either_key() {
    let world = World::new().await;
    let written = world.write(&customers(0, 6)).await.expect("written");
    let customer = target("CUSTOMER");
    let record = |n: usize| key(&written.rows[n], "RECORDNO").to_owned();
    let changes = [
        update(
            &customer,
            ("RECORDNO", &record(0)),
            vec![("NAME", text("by number"))],
        ),
        update(&customer, ("CUSTOMERID", "W-1"), vec![("NAME", text("by name"))]),
        delete(&customer, ("RECORDNO", &record(2))),
        delete(&customer, ("CUSTOMERID", "W-3")),
        update(
            &customer,
            ("CUSTOMERID", "W-4"),
            vec![("NAME", text("x")), ("COMMENTS", WriteValue::Empty)],
        ),
    ];
    let written = world.write(&changes).await.expect("written");
    assert_eq!(written.operations, 1);
    let names = "SELECT NAME AS a FROM CUSTOMER WHERE CUSTOMERID LIKE 'W-%' ORDER BY CUSTOMERID";
    assert_eq!(
        world.company.truth(names),
        ["by number", "by name", "x", "name 5"]
    );
    let gone = world
        .write(&[delete(&customer, ("CUSTOMERID", "W-3"))])
        .await
        .expect_err("gone");
    assert_eq!(
        gone.error.to_string(),
        "there is no CUSTOMER whose CUSTOMERID is \"W-3\""
    );
}

#[tokio::test]
async fn what_is_set_to_null_is_read_back() {
    let world = World::new().await;
    let mut changes = customers(0, 1);
    changes[0].cells.push(("COMMENTS".into(), text("there")));
    world.write(&changes).await.expect("written");
    let empty = update(
        &target("CUSTOMER"),
        ("CUSTOMERID", "W-0"),
        vec![("COMMENTS", WriteValue::Empty)],
    );
    world.company.set("empty_update", "ignored");
    let written = world
        .write(std::slice::from_ref(&empty))
        .await
        .expect("accepted: what is wrong afterwards is a warning");
    let [(row, warning)] = written.warnings.as_slice() else {
        panic!("{:?}", written.warnings)
    };
    assert_eq!((row, warning.kind()), (&0, &ErrorKind::NotCleared));
    assert_eq!(
        warning.to_string(),
        "COMMENTS was set to NULL and still has a value"
    );
    assert_eq!(stored(&written.rows), [true]);
    world.company.set("empty_update", "clears");
    let written = world.write(&[empty]).await.expect("cleared");
    assert!(written.warnings.is_empty(), "{:?}", written.warnings);
    assert_eq!(
        world.count("CUSTOMER", "CUSTOMERID = 'W-0' AND COMMENTS IS NULL"),
        "1"
    );
}

#[tokio::test]
async fn what_provably_never_ran_is_repeated() {
    let world = World::new().await;
    world.lose(&[Lost::Limited, Lost::Session, Lost::Limited]);
    world.write(&customers(0, 3)).await.expect("written");
    let writes = world.writes();
    assert_eq!(writes.len(), 4);
    let ids: Vec<_> = writes.iter().map(|request| control_ids(request)).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(world.count("CUSTOMER", "CUSTOMERID LIKE 'W-%'"), "3");
}

#[tokio::test]
async fn a_lost_answer_is_found_out_by_reading() {
    let world = World::new().await;
    world.lose(&[Lost::Answer, Lost::Silence]);
    let written = world.write_in(&customers(0, 4), 2).await.expect("found");
    let writes = world.writes();
    let ids: HashSet<Vec<&str>> = writes.iter().map(|request| control_ids(request)).collect();
    assert_eq!(ids.len(), 2, "nothing was sent under a second control id");
    assert_eq!(world.count("CUSTOMER", "CUSTOMERID LIKE 'W-%'"), "4");
    assert_eq!(stored(&written.rows), [true; 4]);
    assert!(
        written
            .rows
            .iter()
            .all(|row| key(row, "RECORDNO").parse::<u64>().is_ok())
    );
    assert_eq!(key(&written.rows[3], "CUSTOMERID"), "W-3");
    let record = key(&written.rows[0], "RECORDNO").to_owned();
    let customer = target("CUSTOMER");
    let before = world.writes().len();
    world.lose(&[Lost::Answer]);
    let change = update(
        &customer,
        ("RECORDNO", &record),
        vec![("CREDITLIMIT", text("12.345"))],
    );
    world.write(&[change]).await.expect("found, rounded to cents");
    world.lose(&[Lost::Answer]);
    world
        .write(&[delete(&customer, ("RECORDNO", &record))])
        .await
        .expect("gone");
    assert_eq!(world.writes().len(), before + 2);
}

#[tokio::test]
async fn a_lost_request_is_sent_once_more_under_the_same_id() {
    let world = World::new().await;
    world.lose(&[Lost::Request]);
    let written = world.write(&customers(0, 2)).await.expect("written");
    assert_eq!(key(&written.rows[1], "CUSTOMERID"), "W-1");
    let writes = world.writes();
    assert_eq!(writes.len(), 2);
    assert_eq!(control_ids(&writes[0]), control_ids(&writes[1]));
    world.lose(&[Lost::Trouble, Lost::Answer]);
    world
        .write(&customers(10, 2))
        .await
        .expect("the second try is found");
    world.lose(&[Lost::Request, Lost::Request, Lost::Request]);
    let failure = world.write(&customers(20, 2)).await.expect_err("two tries only");
    assert_eq!(failure.error.kind(), &ErrorKind::OutcomeUnknown);
    assert_eq!((failure.certain, failure.possible), (vec![], vec![0, 1]));
    assert_eq!(
        failure.control_ids,
        control_ids(world.writes().last().expect("a request"))
    );
    assert_eq!(world.writes().len(), 6);
}

#[tokio::test]
async fn the_second_try_may_be_refused_for_the_same_reason_as_the_first() {
    let world = World::new().await;
    let mut changes = customers(0, 2);
    changes[1].cells.push(("TERMNAME".into(), text("no such term")));
    world.lose(&[Lost::Answer]);
    let failure = world.write(&changes).await.expect_err("refused");
    assert_eq!(failure.error.kind(), &ErrorKind::BadReference);
    assert_eq!((failure.first_failing, failure.possible), (Some(1), vec![]));
}

#[tokio::test]
async fn a_record_of_another_writer_is_not_taken_for_ours() {
    let world = World::new().await;
    let before = world.count("CUSTOMER", "1 = 1");
    let mut changes = customers(0, 1);
    changes[0].cells[0].1 = text("C-00001");
    world.lose(&[Lost::Answer]);
    let failure = world
        .write(&changes)
        .await
        .expect_err("a duplicate whose refusal was lost");
    assert_eq!(failure.error.kind(), &ErrorKind::OutcomeUnknown);
    assert_eq!(failure.possible, [0]);
    assert_eq!(world.count("CUSTOMER", "1 = 1"), before);
}

#[tokio::test]
async fn without_a_unique_key_nothing_is_sent_again() {
    let world = World::new().await;
    let task = target("TASK");
    let project = world
        .company
        .truth("SELECT PROJECTID AS a FROM PROJECT LIMIT 1")
        .remove(0);
    let changes: Vec<Change> = (0..4)
        .map(|n| {
            create(
                &task,
                vec![("NAME", text(&format!("W {n}"))), ("PROJECTID", text(&project))],
            )
        })
        .collect();
    world.lose(&[Lost::Answered, Lost::Answer]);
    let failure = world.write_in(&changes, 2).await.expect_err("not known");
    assert_eq!(failure.error.kind(), &ErrorKind::OutcomeUnknown);
    assert_eq!((failure.certain, failure.possible), (vec![0, 1], vec![2, 3]));
    assert_eq!(failure.control_ids.len(), 1);
    assert_eq!(world.writes().len(), 2);
    assert_eq!(world.count("TASK", "NAME LIKE 'W %'"), "4");
}

#[tokio::test]
async fn duplicates_can_be_left_out() {
    let world = World::new().await;
    let mut changes = customers(0, 5);
    changes[1].cells[0].1 = text("C-00001");
    let options = WriteOptions {
        batch_size: 100,
        on_duplicate: OnDuplicate::Skip,
    };
    let written = write(&world.client, &changes, &options, &WriteProgress::new())
        .await
        .expect("written");
    assert_eq!(stored(&written.rows), [true, false, true, true, true]);
    assert_eq!(key(&written.rows[4], "CUSTOMERID"), "W-4");
    assert_eq!(world.writes().len(), 1);
    world.lose(&[Lost::Answer]);
    let mut changes = customers(10, 3);
    changes[2].cells[0].1 = text("C-00002");
    let written = write(&world.client, &changes, &options, &WriteProgress::new())
        .await
        .expect("found");
    assert_eq!(stored(&written.rows), [true, true, false]);
    world.lose(&[Lost::Request]);
    let mut changes = customers(20, 3);
    changes[1].cells[0].1 = text("C-00003");
    let written = write(&world.client, &changes, &options, &WriteProgress::new())
        .await
        .expect("sent again");
    assert_eq!(stored(&written.rows), [true, false, true]);
    let mut changes = customers(30, 3);
    changes[1].cells.push(("TERMNAME".into(), text("nope")));
    let failure = write(&world.client, &changes, &options, &WriteProgress::new())
        .await
        .expect_err("refused");
    assert_eq!((failure.certain, failure.first_failing), (vec![0, 2], Some(1)));
    assert_eq!(world.count("CUSTOMER", "CUSTOMERID LIKE 'W-3_'"), "2");
}

#[tokio::test]
async fn a_dropped_write_reports_what_is_known() {
    let world = World::new().await;
    world.lose(&[Lost::Answered, Lost::Silence]);
    let (changes, options) = (
        customers(0, 6),
        WriteOptions {
            batch_size: 2,
            ..WriteOptions::default()
        },
    );
    let progress = WriteProgress::new();
    let unsent = progress.failure(intacct::Error::new(ErrorKind::Refused, "canceled"));
    assert_eq!(
        (unsent.error.kind(), unsent.possible.len()),
        (&ErrorKind::Refused, 0)
    );
    let writing = write(&world.client, &changes, &options, &progress);
    let second = async {
        while world.writes().len() < 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        _ = writing => panic!("the second operation is not answered"),
        () = second => {}
    }
    let failure = progress.failure(intacct::Error::new(ErrorKind::Refused, "canceled"));
    assert_eq!(failure.error.kind(), &ErrorKind::OutcomeUnknown);
    assert_eq!(
        failure.error.to_string(),
        "the outcome of the write is not known: canceled"
    );
    assert_eq!((failure.certain, failure.possible), (vec![0, 1], vec![2, 3]));
    assert_eq!(failure.control_ids.len(), 1);
}

#[tokio::test]
async fn an_invoice_is_created_with_its_lines() {
    let world = World::new().await;
    let lines = json!([
        {"ACCOUNTNO": world.company.truth("SELECT ACCOUNTNO AS a FROM GLACCOUNT LIMIT 1")[0], "AMOUNT": 100.5},
        {"ACCOUNTNO": world.company.truth("SELECT ACCOUNTNO AS a FROM GLACCOUNT LIMIT 1")[0], "AMOUNT": 20},
    ]);
    let invoice = target("ARINVOICE");
    let changes = [create(
        &invoice,
        vec![
            ("CUSTOMERID", text("C-00001")),
            ("WHENCREATED", text("06/30/2024")),
            ("WHENDUE", text("07/30/2024")),
            ("RECORDID", text("W-INV-1")),
            ("ARINVOICEITEMS.ARINVOICEITEM", WriteValue::Lines(lines)),
        ],
    )];
    let written = world.write(&changes).await.expect("written");
    let record = key(&written.rows[0], "RECORDNO").to_owned();
    let sql = format!(
        "SELECT RECORDID || '|' || WHENDUE || '|' || TOTALDUE AS a FROM ARINVOICE WHERE RECORDNO = {record}"
    );
    assert_eq!(world.company.truth(&sql), ["W-INV-1|2024-07-30|120.5"]);
    assert_eq!(
        world.count("ARINVOICEITEM", &format!("RECORDKEY = {record}")),
        "2"
    );
    let computed = create(
        &invoice,
        vec![("CUSTOMERID", text("C-00001")), ("TOTALDUE", text("5"))],
    );
    let failure = world.write(&[computed]).await.expect_err("a computed field");
    assert_eq!(failure.error.to_string(), "create_invoice does not take TOTALDUE");
    world
        .write(&[delete(&invoice, ("RECORDNO", &record))])
        .await
        .expect("deleted");
    assert_eq!(world.count("ARINVOICE", &format!("RECORDNO = {record}")), "0");
}

#[tokio::test]
async fn documents_and_payments_are_written_and_read_by_their_keys() {
    let world = World::new().await;
    let first = |sql: &str| world.company.truth(sql).remove(0);
    let item = first("SELECT ITEMID AS a FROM ITEM LIMIT 1");
    let mut order = WriteTarget::new("SODOCUMENT");
    order.docparid = Some("Sales Order".into());
    let order = Arc::new(order);
    let entries = json!([{"ITEMID": item, "QUANTITY": 3, "PRICE": 2.5}]);
    let cells = vec![
        ("CUSTVENDID", text("C-00001")),
        ("WHENCREATED", text("01/31/2025")),
        ("DOCNO", text("W-1")),
        ("SODOCUMENTENTRIES.SODOCUMENTENTRY", WriteValue::Lines(entries)),
    ];
    let written = world.write(&[create(&order, cells)]).await.expect("written");
    assert_eq!(key(&written.rows[0], "DOCID"), "Sales Order-W-1");
    let record = first("SELECT RECORDNO AS a FROM SODOCUMENT WHERE DOCNO = 'W-1'");
    // The functions of documents want the document's id, which is read.
    let change = update(&order, ("RECORDNO", &record), vec![("MESSAGE", text("m"))]);
    world.lose(&[Lost::Answer]);
    world.write(&[change]).await.expect("found");
    assert_eq!(
        first("SELECT MESSAGE AS a FROM SODOCUMENT WHERE DOCNO = 'W-1'"),
        "m"
    );
    world
        .write(&[delete(&order, ("RECORDNO", &record))])
        .await
        .expect("deleted");
    assert_eq!(world.count("SODOCUMENT", "DOCNO = 'W-1'"), "0");

    let bill = first("SELECT RECORDNO AS a FROM APBILL WHERE CAST(TOTALDUE AS REAL) > 10 LIMIT 1");
    let vendor = first(&format!(
        "SELECT VENDORID AS a FROM APBILL WHERE RECORDNO = {bill}"
    ));
    let bank = first("SELECT BANKACCOUNTID AS a FROM CHECKINGACCOUNT LIMIT 1");
    let pay = |amount: f64| {
        let details = json!([{"RECORDKEY": bill, "TRX_PAYMENTAMOUNT": amount}]);
        let cells = vec![
            ("FINANCIALENTITY", text(&bank)),
            ("PAYMENTMETHOD", text("EFT")),
            ("VENDORID", text(&vendor)),
            ("PAYMENTDATE", text("01/31/2025")),
            ("APPYMTDETAILS.APPYMTDETAIL", WriteValue::Lines(details)),
        ];
        create(&target("APPYMT"), cells)
    };
    let written = world.write(&[pay(4.25)]).await.expect("paid");
    let record = key(&written.rows[0], "RECORDNO");
    assert_eq!(
        world.count("APPYMTDETAIL", &format!("PAYMENTKEY = {record}")),
        "1"
    );
    let failure = world.write(&[pay(1.0), pay(1e9)]).await.expect_err("too much");
    assert_eq!(
        (failure.error.kind(), failure.possible.len()),
        (&ErrorKind::Refused, 0)
    );
    assert_eq!(world.count("APPYMT", &format!("RECORDNO > {record}")), "0");
}
