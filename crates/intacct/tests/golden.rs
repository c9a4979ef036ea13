//! Request documents, byte for byte, and against the vendor's schema where it is at hand.
//!
//! `UPDATE_GOLDEN=1 cargo test -p intacct --test golden` writes the files anew: read the difference before you commit.

mod support;

use intacct::write::{Change, Verb, WriteOptions, WriteProgress, WriteTarget, WriteValue, write};
use intacct::{Client, Config, DialectKind, PageRequest, Query, Value};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use support::*;

const PAGE: PageRequest = PageRequest {
    size: 2000,
    offset: 0,
};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// Compares with the file of this name, after making the control ids the same for every run.
fn assert_golden(name: &str, document: &str) {
    let id = between(document, "<controlid>", "</controlid>");
    let document = format!("{}\n", document.replace(id, "CONTROL-ID"));
    let path = folder().join(format!("{name}.xml"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &document).expect("a writable golden file");
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(document, golden, "{} differs", path.display());
}

async fn gateway() -> Gateway {
    Gateway::start_raw(|request| {
        let first = match () {
            () if request.contains("<getAPISession") => return Reply::xml(session(request, "SESSION", "")),
            () if request.contains("<get_list ") => {
                "<listtype start=\"99\" end=\"98\" total=\"99\">x</listtype><data/>"
            }
            () if request.contains("<lookup>") => "<data><Type><Fields/></Type></data>",
            () if request.contains("<query>") => "<data count=\"0\" totalcount=\"0\" numremaining=\"0\"/>",
            () if request.contains("<readUserFormatting>") => FORMATTING,
            () => "<data/>",
        };
        Reply::xml(success(request, &[first, FORMATTING]))
    })
    .await
}

async fn last_request<T>(
    change: impl FnOnce(&mut Config),
    ask: impl AsyncFnOnce(&Client) -> Result<T, intacct::Error>,
) -> String {
    let gateway = gateway().await;
    let mut config = gateway.config();
    change(&mut config);
    let client = gateway.client_with(config);
    ask(&client).await.map(|_| ()).expect("an answer");
    gateway.requests().pop().expect("a request")
}

async fn query_request(query: Query, page: PageRequest, need_formatting: bool) -> String {
    let zone = jiff::tz::TimeZone::get("America/Los_Angeles").expect("bundled zone");
    last_request(
        |config| config.time_zone = Some(zone),
        async |client| {
            client
                .page(&query, DialectKind::Query, &page, need_formatting)
                .await
        },
    )
    .await
}

async fn assert_query(name: &str, text: &str) {
    let query = text.parse().expect("a query");
    assert_golden(name, &query_request(query, PAGE, false).await);
}

#[tokio::test]
async fn sign_in() {
    assert_golden(
        "sign_in",
        &last_request(|_| {}, async |client| client.sign_in().await).await,
    );
    let entity = |config: &mut Config| {
        config.location_id = Some("E<1>".into());
        config.client_id = Some("Client & Co".into());
        config.password = "p&ss\"'<>".into();
    };
    assert_golden(
        "sign_in_entity",
        &last_request(entity, async |client| client.sign_in().await).await,
    );
}

#[tokio::test]
async fn metadata() {
    assert_golden(
        "inspect",
        &last_request(|_| {}, async |client| client.inspect_all().await).await,
    );
    assert_golden(
        "lookup",
        &last_request(|_| {}, async |client| client.lookup("CUSTOMER", None).await).await,
    );
    let lookup = async |client: &Client| client.lookup("SODOCUMENT", Some("Sales Order")).await;
    assert_golden("lookup_docparid", &last_request(|_| {}, lookup).await);
    assert_golden(
        "formatting",
        &last_request(|_| {}, async |client| client.formatting().await).await,
    );
}

#[tokio::test]
async fn queries() {
    assert_query("query_plain", "select RECORDNO, NAME from CUSTOMER").await;
    assert_query(
        "query_operators",
        "select RECORDNO from ARINVOICE where A = 'x' and B <> 1 and C < 2.5 and D <= -3 and E > 01/31/2024 and \
         F >= 01/31/2024 08:30:00 and G like 'a%' and H not like '%b' and I in ('x', 'y') and J not in (1) and \
         K between 1 and 2 and L is null and M is not null and N = true and O = false",
    )
    .await;
    assert_query(
        "query_nested",
        "select RECORDNO from APBILL where TOTALDUE > 500 and [VENDORID in ('V1', 'V2') or \
         [DESCRIPTION is null and STATE = 'Posted']] or RECORDNO = 1",
    )
    .await;
    assert_query(
        "query_escaping",
        "select RECORDNO from VENDOR where NAME = 'Erin''s <b>R&D</b> \"Größe\" ✓ ]]>'",
    )
    .await;
    assert_query(
        "query_order",
        "select RECORDNO, WHENDUE, VENDOR.NAME from APBILL order_by WHENDUE desc, RECORDNO asc",
    )
    .await;
    assert_query(
        "query_aggregates",
        "select STATE, count(RECORDNO), sum(TOTALDUE), avg(TOTALDUE), min(WHENDUE), max(WHENDUE) from ARINVOICE",
    )
    .await;
    assert_query(
        "query_options",
        "select RECORDNO from SODOCUMENT docparid 'Sales Order' where NAME like '%x%' \
         options (case_insensitive, show_private)",
    )
    .await;
    assert_query(
        "query_instant",
        "select RECORDNO from ARINVOICE where WHENMODIFIED >= 2024-07-01T12:00:00Z",
    )
    .await;
}

#[tokio::test]
async fn pages() {
    let query: Query = "select RECORDNO from CUSTOMER order_by RECORDNO"
        .parse()
        .expect("a query");
    let page = PageRequest {
        size: 5000,
        offset: 4000,
    };
    assert_golden("page_clamped", &query_request(query.clone(), page, false).await);
    assert_golden(
        "page_with_formatting",
        &query_request(query, PageRequest { size: 10, offset: 0 }, true).await,
    );
}

#[tokio::test]
async fn long_lists_are_split() {
    for (name, negated) in [("query_long_list", false), ("query_long_list_negated", true)] {
        let values = (1..=1001).map(|n| Value::Number(n.to_string())).collect();
        let mut query: Query = "select RECORDNO from CUSTOMER".parse().expect("a query");
        query.filter = Some(intacct::Condition::In {
            field: "RECORDNO".into(),
            values,
            negated,
        });
        assert_golden(name, &query_request(query, PAGE, false).await);
    }
}

#[tokio::test]
async fn stored_results() {
    let gateway = Gateway::start(|request| {
        let remaining = if request.contains("<readMore>") { 0 } else { 1 };
        let rows = "<c><RECORDNO>1</RECORDNO><NAME/></c>";
        let data =
            format!("<data count=\"1\" numremaining=\"{remaining}\" resultId=\"R&amp;1\">{rows}</data>");
        Reply::xml(success(request, &[&data]))
    })
    .await;
    let text = "select RECORDNO, NAME from SODOCUMENT docparid 'Sales Order' where NAME = 'Erin''s' and [A > 1 or B is null]";
    let plan = intacct::ReadPlan {
        assumed: Vec::new(),
        query: text.parse().expect("a query"),
        kind: DialectKind::ReadByQuery,
        page_size: 1000,
        first_page: 1000,
        grows: true,
        paging: intacct::Paging::Offset,
        need_formatting: false,
        ahead: 0,
    };
    intacct::read(&gateway.client(), &plan, async |_| true)
        .await
        .expect("a read");
    let requests = gateway.requests();
    assert_golden("read_by_query", &requests[1]);
    assert_golden("read_more", &requests[2]);
}

#[tokio::test]
async fn records() {
    let read = async |client: &Client| {
        client
            .records(
                "APBILL",
                intacct::KeyKind::RecordNo,
                &["12".into(), "13".into()],
                &[],
                None,
            )
            .await
    };
    assert_golden("read", &last_request(|_| {}, read).await);
    let read = async |client: &Client| {
        let (keys, fields) = (["Sales Order-1".into()], ["DOCNO".into(), "NOTE".into()]);
        client
            .records(
                "SODOCUMENT",
                intacct::KeyKind::Name,
                &keys,
                &fields,
                Some("Sales Order"),
            )
            .await
    };
    assert_golden("read_by_name", &last_request(|_| {}, read).await);
}

#[tokio::test]
async fn lists_of_version_2_1() {
    let old = |config: &mut Config| {
        config.dtd_version = intacct::DtdVersion::V2_1;
        config.time_zone = Some(jiff::tz::TimeZone::get("America/Los_Angeles").expect("bundled zone"));
    };
    assert_golden(
        "sign_in_2_1",
        &last_request(old, async |client| client.sign_in().await).await,
    );
    for (name, text) in [
        (
            "get_list",
            "select CUSTOMERID, NAME, WHENMODIFIED from CUSTOMER options (show_private)",
        ),
        (
            "get_list_filter",
            "select RECORDNO, RECORDID from ARINVOICE where CUSTOMERID in ('A & B', 'C<D>') and WHENCREATED between \
             01/31/2024 and 02/29/2024 and [TOTALDUE > 12.50 or DESCRIPTION like 'Rent%'] and WHENMODIFIED >= \
             2024-07-01T12:00:00Z",
        ),
        (
            "get_list_lines",
            "select RECORDNO, RECORDKEY, AMOUNT from ARINVOICEITEM",
        ),
        (
            "get_list_docparid",
            "select DOCID, BILLTO.CONTACTNAME from SODOCUMENT docparid 'Sales Order' order_by WHENCREATED desc",
        ),
    ] {
        let query: Query = text.parse().expect("a query");
        let page = PageRequest {
            size: 5000,
            offset: 99,
        };
        let ask = async |client: &Client| client.page(&query, DialectKind::GetList, &page, false).await;
        assert_golden(name, &last_request(old, ask).await);
    }
    let get = async |client: &Client| {
        let keys = ["C \"1\" & 2".into()];
        client
            .records("CUSTOMER", intacct::KeyKind::Name, &keys, &[], None)
            .await
    };
    assert_golden("get", &last_request(old, get).await);
}

#[tokio::test]
async fn a_keyset_continues() {
    let keys: Vec<u64> = (1..=3).collect();
    let gateway =
        Gateway::start(move |request| Reply::xml(success(request, &[&page_of(request, &keys)]))).await;
    let plan = intacct::ReadPlan {
        assumed: Vec::new(),
        query: "select RECORDNO, NAME from CUSTOMER where STATUS = 'active'"
            .parse()
            .expect("a query"),
        kind: DialectKind::Query,
        page_size: 2,
        first_page: 2,
        grows: true,
        paging: intacct::Paging::Keyset {
            keys: vec![key("RECORDNO")],
            any_order: false,
        },
        need_formatting: false,
        ahead: 0,
    };
    let pages = Arc::new(Mutex::new(0));
    intacct::read(&gateway.client(), &plan, async |_| {
        *pages.lock().expect("no panic") += 1;
        true
    })
    .await
    .expect("a read");
    assert_eq!(*pages.lock().expect("no panic"), 2);
    assert_golden(
        "keyset_second_page",
        &gateway.requests().pop().expect("a request"),
    );
}

/// The request that writes, with the ids of its functions numbered.
async fn assert_write(name: &str, changes: &[Change]) {
    let gateway = Gateway::start(|request| {
        let count = request.matches("<function ").count();
        let row;
        let data = match () {
            () if request.contains("<lookup>") => {
                "<data><Type><Fields><Field><ID>Region</ID><DATATYPE>TEXT</DATATYPE><ISCUSTOM>true</ISCUSTOM></Field>\
                 </Fields></Type></data>"
            }
            () if request.contains("<query>") => {
                row = written_row(request);
                &row
            }
            () => "<data/>",
        };
        Reply::xml(success(request, &vec![data; count]))
    })
    .await;
    write(
        &gateway.client(),
        changes,
        &WriteOptions::default(),
        &WriteProgress::new(),
    )
    .await
    .expect("written");
    let mut requests = gateway.requests();
    requests.retain(|request| request.contains("<uniqueid>true</uniqueid>"));
    let mut document = requests.pop().expect("a request");
    for number in 1.. {
        let Some(id) = document.split("<function controlid=\"").nth(number) else {
            break;
        };
        let id = id.split('"').next().unwrap_or_default().to_owned();
        document = document.replace(&id, &format!("FUNCTION-{number}"));
    }
    assert_golden(name, &document);
}

/// A record with the fields that a query asks for.
fn written_row(request: &str) -> String {
    let select = between(request, "<select>", "</select>");
    let cell = |field: &str| match field {
        "RECORDNO" => "<RECORDNO>12</RECORDNO>".to_owned(),
        "DOCID" => "<DOCID>Sales Order-1</DOCID>".to_owned(),
        other => format!("<{other}/>"),
    };
    let fields = select.split("<field>").skip(1);
    let cells: String = fields
        .filter_map(|field| Some(cell(field.split_once('<')?.0)))
        .collect();
    format!("<data count=\"1\" totalcount=\"1\" numremaining=\"0\"><X>{cells}</X></data>")
}

/// The request that makes one record.
async fn assert_create(name: &str, object: &str, cells: &[(&str, WriteValue)]) {
    assert_write(name, &[written(object, Verb::Create, None, cells)]).await;
}

fn written(object: &str, verb: Verb, key: Option<&str>, cells: &[(&str, WriteValue)]) -> Change {
    let mut target = WriteTarget::new(object);
    target.docparid = match object {
        "SODOCUMENT" => Some("Sales Order".into()),
        "PODOCUMENT" => Some("Purchase Order".into()),
        "INVDOCUMENT" => Some("Inventory Receipt".into()),
        _ => None,
    };
    Change {
        target: Arc::new(target),
        verb,
        key: key.map(|key| ("RECORDNO".into(), key.into())),
        cells: cells
            .iter()
            .map(|(field, value)| ((*field).into(), value.clone()))
            .collect(),
    }
}

fn text(value: &str) -> WriteValue {
    WriteValue::Text(value.into())
}

fn lines(value: serde_json::Value) -> WriteValue {
    WriteValue::Lines(value)
}

#[tokio::test]
async fn generic_writes() {
    let customer = |id: &str| {
        let cells = [
            ("CUSTOMERID", text(id)),
            ("DISPLAYCONTACT.PRINTAS", text("A & B")),
            ("DISPLAYCONTACT.MAILADDRESS.CITY", text("Köln")),
            ("CREDITLIMIT", text("10.5")),
            ("Region_Code", text("north")),
            ("COMMENTS", WriteValue::Empty),
        ];
        written("CUSTOMER", Verb::Create, None, &cells)
    };
    assert_write("write_create", &[customer("C-1"), customer("C-2")]).await;
    let changes = [
        written(
            "CUSTOMER",
            Verb::Update,
            Some("12"),
            &[("NAME", text("n")), ("COMMENTS", WriteValue::Empty)],
        ),
        written("CUSTOMER", Verb::Delete, Some("13"), &[]),
        written("CUSTOMER", Verb::Delete, Some("14"), &[]),
    ];
    assert_write("write_update_and_delete", &changes).await;
    let bill = [
        ("VENDORID", text("V-1")),
        ("WHENCREATED", text("01/31/2025")),
        ("WHENDUE", text("02/28/2025")),
        (
            "APBILLITEMS.APBILLITEM",
            lines(
                serde_json::json!([{"ACCOUNTNO": "6000", "TRX_AMOUNT": 10.25}, {"ACCOUNTNO": "6100", "TRX_AMOUNT": 5}]),
            ),
        ),
    ];
    assert_create("write_bill", "APBILL", &bill).await;
    let payment = [
        ("FINANCIALENTITY", text("BANK")),
        ("PAYMENTMETHOD", text("EFT")),
        ("CUSTOMERID", text("C-1")),
        ("RECEIPTDATE", text("01/31/2025")),
        (
            "ARPYMTDETAILS.ARPYMTDETAIL",
            lines(serde_json::json!([{"RECORDKEY": 12, "TRX_PAYMENTAMOUNT": 4.25}])),
        ),
    ];
    assert_create("write_payment", "ARPYMT", &payment).await;
}

#[tokio::test]
async fn legacy_writes_of_invoices_and_reports() {
    let items = serde_json::json!([
        {"ACCOUNTNO": "4000", "AMOUNT": 100.5, "ENTRYDESCRIPTION": "m", "LOCATIONID": "1", "REVRECSTARTDATE": "2025-01-31",
         "CLASSID": "c", "taxentries": {"taxentry": [{"detailid": "T"}]}},
        {"accountlabel": "L", "AMOUNT": 2},
    ]);
    let invoice = [
        ("RECORDID", text("I-1")),
        ("ARINVOICEITEMS.ARINVOICEITEM", lines(items.clone())),
        ("WHENCREATED", text("01/31/2025")),
        ("Region", text("north")),
        ("CURRENCY", text("USD")),
        ("EXCH_RATE_TYPE_ID", text("Daily")),
        ("BILLTO.CONTACTNAME", text("Ann")),
        ("CUSTOMERID", text("C-1")),
    ];
    assert_create("write_invoice", "ARINVOICE", &invoice).await;
    let changed = [
        ("DESCRIPTION", text("d")),
        ("WHENDUE", text("02/28/2025")),
        ("DOCNUMBER", WriteValue::Empty),
    ];
    assert_write(
        "write_invoice_update",
        &[written("ARINVOICE", Verb::Update, Some("12"), &changed)],
    )
    .await;
    for (name, object, party, collection) in [
        (
            "write_aradjustment",
            "ARADJUSTMENT",
            "CUSTOMERID",
            "ARADJUSTMENTITEMS.ARADJUSTMENTITEM",
        ),
        (
            "write_apadjustment",
            "APADJUSTMENT",
            "VENDORID",
            "APADJUSTMENTITEMS.APADJUSTMENTITEM",
        ),
    ] {
        let cells = [
            ("DOCNUMBER", text("I-1")),
            (collection, lines(items.clone())),
            (party, text("P-1")),
            ("WHENCREATED", text("01/31/2025")),
        ];
        assert_create(name, object, &cells).await;
    }
    let spent =
        serde_json::json!([{"ACCOUNTNO": "6000", "AMOUNT": 7.25, "ENTRY_DATE": "2025-01-30", "QUANTITY": 1}]);
    let report = [
        ("EMPLOYEEID", text("E-1")),
        ("WHENCREATED", text("01/31/2025")),
        ("Region", text("north")),
        ("EEXPENSESITEMS.EEXPENSESITEM", lines(spent)),
    ];
    assert_create("write_expensereport", "EEXPENSES", &report).await;
}

#[tokio::test]
async fn legacy_writes_of_documents() {
    let entries = serde_json::json!([
        {"ITEMID": "I-1", "QUANTITY": 3, "UNIT": "Each", "PRICE": 2.5, "WAREHOUSE": {"LOCATION_NO": "W"},
         "itemdetails": {"itemdetail": [{"quantity": 3, "serialno": "S"}]}, "LOCATIONID": "1", "MEMO": "m"},
    ]);
    let stock =
        serde_json::json!([{"ITEMID": "I-1", "QUANTITY": 3, "WAREHOUSE": {"LOCATION_NO": "W"}, "COST": 1}]);
    let cells = |collection: &'static str, entries: &serde_json::Value| {
        [
            ("WHENCREATED", text("01/31/2025")),
            (collection, lines(entries.clone())),
            ("PONUMBER", text("R-1")),
            ("Region", text("north")),
            ("CUSTVENDID", text("P-1")),
        ]
    };
    for (name, object, collection) in [
        (
            "write_sotransaction",
            "SODOCUMENT",
            "SODOCUMENTENTRIES.SODOCUMENTENTRY",
        ),
        (
            "write_potransaction",
            "PODOCUMENT",
            "PODOCUMENTENTRIES.PODOCUMENTENTRY",
        ),
    ] {
        let change = written(object, Verb::Create, None, &cells(collection, &entries));
        assert_write(name, &[change]).await;
    }
    let cells = cells("INVDOCUMENTENTRIES.INVDOCUMENTENTRY", &stock);
    assert_write(
        "write_ictransaction",
        &[written("INVDOCUMENT", Verb::Create, None, &cells[..4])],
    )
    .await;
    let changed = [
        ("MESSAGE", text("m")),
        ("WHENDUE", text("02/28/2025")),
        ("SHIPTO.CONTACTNAME", text("Ann")),
    ];
    let changes = [
        written("SODOCUMENT", Verb::Update, Some("12"), &changed),
        written("SODOCUMENT", Verb::Delete, Some("12"), &[]),
    ];
    assert_write("write_sotransaction_update_and_delete", &changes).await;
}

#[test]
fn golden_requests_are_valid_by_the_vendors_schema() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/validate_request");
    if !script.exists() {
        eprintln!(
            "SKIP: {} is not there; golden requests are not validated",
            script.display()
        );
        return;
    }
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder())
        .expect("the golden folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "xml"))
        .collect();
    files.sort();
    assert!(files.len() > 10, "golden files are missing");
    // The Python that comes first may be one without Debian's lxml.
    for python in ["python3", "/usr/bin/python3"] {
        let Ok(output) = Command::new(python).arg(&script).args(&files).output() else {
            continue;
        };
        let streams = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
        let said = streams.concat();
        if !said.contains("ModuleNotFoundError") {
            assert!(output.status.success(), "{said}");
            return;
        }
    }
    eprintln!("SKIP: no python3 with lxml (python3-lxml); golden requests are not validated");
}
