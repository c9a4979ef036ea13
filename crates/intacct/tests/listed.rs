//! Reads of lists (`get_list`): pages that overlap, keys that come once, counts that add up.

mod support;

use intacct::{
    Client, Config, DialectKind, DtdVersion, Error, ErrorKind, FieldValue, KeyKind, Page, Paging, ReadPlan,
    ReadSummary, read,
};
use support::*;

fn number(request: &str, attribute: &str) -> usize {
    between(request, &format!("{attribute}=\""), "\"")
        .parse()
        .expect("a number")
}

/// A list of customers with these ids, as the request's page asks, at most `most` of them at a time.
fn list(request: &str, ids: &[String], most: usize) -> String {
    let start = number(request, " start");
    let size = number(request, "maxitems").min(most);
    let shown: Vec<&String> = ids.iter().skip(start).take(size).collect();
    let body: String = shown
        .iter()
        .map(|id| format!("<customer><customerid>{id}</customerid><name>n{id}</name></customer>"))
        .collect();
    let end = (start + shown.len()) as i64 - 1;
    format!(
        "<listtype start=\"{start}\" end=\"{end}\" total=\"{}\">customer</listtype><data>{body}</data>",
        ids.len()
    )
}

fn ids(numbers: impl Iterator<Item = u32>) -> Vec<String> {
    numbers.map(|n| format!("C{n:05}")).collect()
}

fn old(gateway: &Gateway) -> Config {
    let mut config = gateway.config();
    config.dtd_version = DtdVersion::V2_1;
    config
}

/// Serves what `at` says there is when the request of this number (from 0) comes.
async fn listing(most: usize, at: impl Fn(usize) -> Vec<String> + Send + 'static) -> Gateway {
    let mut count = 0;
    Gateway::start(move |request| {
        let answer = list(request, &at(count), most);
        count += 1;
        Reply::xml(success(request, &[&answer]))
    })
    .await
}

async fn collect(
    client: &Client,
    first_page: u32,
    max_pages: usize,
) -> (Vec<String>, Result<ReadSummary, Error>) {
    let plan = ReadPlan {
        assumed: Vec::new(),
        query: "select NAME, CUSTOMERID from CUSTOMER".parse().expect("a query"),
        kind: DialectKind::GetList,
        page_size: 2000,
        first_page,
        grows: true,
        ahead: 0,
        paging: Paging::Offset,
        need_formatting: false,
    };
    let mut found = Vec::new();
    let mut pages = 0;
    let ended = read(client, &plan, async |page: Page| {
        let text = |row| {
            std::str::from_utf8(page.cell(row, 1).expect("an id"))
                .expect("UTF-8")
                .to_owned()
        };
        found.extend((0..page.rows()).map(text));
        pages += 1;
        pages < max_pages
    })
    .await;
    (found, ended)
}

#[tokio::test]
async fn a_list_is_read_to_its_end() {
    for total in [0, 1, 2, 999, 1000, 1001, 2500] {
        let all = ids(1..total + 1);
        let gateway = listing(usize::MAX, move |_| ids(1..total + 1)).await;
        let (found, ended) = collect(&gateway.client_with(old(&gateway)), 2000, usize::MAX).await;
        let ended = ended.expect("read");
        assert_eq!((found, ended.complete, ended.rows), (all, true, u64::from(total)));
        assert_eq!(
            gateway.count("<dtdversion>2.1</dtdversion>"),
            gateway.requests().len()
        );
    }
}

#[tokio::test]
async fn a_gateway_that_shows_less_than_it_is_asked_for_is_read_on() {
    for most in [2, 7, 100] {
        let gateway = listing(most, |_| ids(1..151)).await;
        let (found, ended) = collect(&gateway.client_with(old(&gateway)), 10, usize::MAX).await;
        assert!(ended.expect("read").complete);
        assert_eq!(found, ids(1..151), "{most} at a time");
    }
    // One at a time, the row shown again is all that there is.
    let gateway = listing(1, |_| ids(1..4)).await;
    let (_, ended) = collect(&gateway.client_with(old(&gateway)), 10, usize::MAX).await;
    assert_eq!(ended.expect_err("noticed").kind(), &ErrorKind::Malformed);
}

#[tokio::test]
async fn a_read_can_stop_early() {
    let gateway = listing(usize::MAX, |_| ids(1..500)).await;
    let (found, ended) = collect(&gateway.client_with(old(&gateway)), 10, 1).await;
    assert_eq!((found.len(), ended.expect("read").complete), (10, false));
    assert_eq!(gateway.count("<get_list "), 1);
}

#[tokio::test]
async fn rows_that_move_are_noticed() {
    // A row before the place reached is gone, so that one behind it would be lost.
    let gateway = listing(usize::MAX, |request| match request {
        0 => ids(1..51),
        _ => ids(2..51),
    })
    .await;
    let (found, ended) = collect(&gateway.client_with(old(&gateway)), 10, usize::MAX).await;
    assert_eq!(
        (found, ended.expect_err("noticed").kind()),
        (ids(1..11), &ErrorKind::Moved)
    );
    // A row is new before it, so that one would come twice.
    let gateway = listing(usize::MAX, |request| match request {
        0 => ids(1..51),
        _ => ids(0..51),
    })
    .await;
    let (_, ended) = collect(&gateway.client_with(old(&gateway)), 10, usize::MAX).await;
    assert_eq!(ended.expect_err("noticed").kind(), &ErrorKind::Moved);
    // Ids that the gateway takes for equal come in another order each time: the overlap fits by chance, a row is lost
    // and another comes twice.
    let gateway = listing(10, |request| {
        let mut all = ids(1..20);
        if request > 0 {
            all.swap(3, 15);
        }
        all
    })
    .await;
    let (_, ended) = collect(&gateway.client_with(old(&gateway)), 10, usize::MAX).await;
    assert_eq!(ended.expect_err("noticed").kind(), &ErrorKind::Moved);
    // What comes in behind is read, and what goes behind is not missed.
    let gateway = listing(usize::MAX, |request| match request {
        0 => ids(1..51),
        1 => ids(1..60),
        _ => ids(1..55),
    })
    .await;
    let (found, ended) = collect(&gateway.client_with(old(&gateway)), 10, usize::MAX).await;
    assert!(ended.expect("read").complete);
    assert_eq!(found, ids(1..55));
}

#[tokio::test]
async fn answers_that_are_no_lists_are_refused() {
    for data in [
        "<data><customer><customerid>A</customerid></customer></data>",
        "<listtype start=\"5\" end=\"5\" total=\"9\"/><data><customer><customerid>A</customerid></customer></data>",
        "<listtype start=\"0\" end=\"0\" total=\"9\"/><data/>",
        "<listtype start=\"0\" total=\"9\"/><data/>",
        "<listtype start=\"0\" end=\"0\" total=\"1\"/><data><customer><name>A</name></customer></data>",
        "<listtype start=\"0\" end=\"1\" total=\"2\"/><data><customer><customerid>A</customerid></customer><customer>\
         <customerid>A</customerid></customer></data>",
    ] {
        let gateway = Gateway::start(move |request| Reply::xml(success(request, &[data]))).await;
        let mut config = old(&gateway);
        config.max_retries = 0;
        let (found, ended) = collect(&gateway.client_with(config), 10, usize::MAX).await;
        assert!(ended.is_err(), "{data}");
        assert_eq!(found.len(), 0, "{data}");
    }
}

/// Formatting is asked for by a function of 3.0. Where the company refuses that, the zone declares it.
#[tokio::test]
async fn formatting_is_requested_or_declared() {
    let refusing = || {
        Gateway::start(|request| match request.contains("<dtdversion>3.0") {
            true => Reply::xml(control_failure("XL03000003", "not a supported version")),
            false => Reply::xml(success(request, &[&list(request, &ids(1..3), 10)])),
        })
    };
    let gateway = refusing().await;
    let client = gateway.client_with(old(&gateway));
    let error = client.formatting().await.expect_err("refused");
    assert!(error.hint().contains("time_zone"), "{}", error.hint());
    let gateway = refusing().await;
    let mut config = old(&gateway);
    config.time_zone = Some(jiff::tz::TimeZone::UTC);
    let client = gateway.client_with(config);
    assert!(client.formatting().await.expect("declared").check().is_ok());
    // 3.0 has no such way out.
    let gateway = Gateway::start(|_| Reply::xml(control_failure("XL03000003", "no"))).await;
    let mut config = gateway.config();
    config.time_zone = Some(jiff::tz::TimeZone::UTC);
    assert!(gateway.client_with(config).formatting().await.is_err());
}

#[tokio::test]
async fn records_of_2_1_have_the_names_of_3_0() {
    let gateway = Gateway::start(|request| {
        let invoice = "<invoice><key>7</key><invoiceno>I-7</invoiceno><datecreated><year>2024</year><month>1</month>\
            <day>2</day></datecreated><invoiceitems><lineitem><key>70</key><amount>5</amount></lineitem></invoiceitems></invoice>";
        Reply::xml(success(request, &[&format!("<data>{invoice}</data>")]))
    })
    .await;
    let client = gateway.client_with(old(&gateway));
    let records = client
        .records("ARINVOICE", KeyKind::RecordNo, &["7".into()], &[], None)
        .await
        .expect("a record");
    let text = |text: &str| Some(FieldValue::Text(Some(text.to_owned())));
    assert_eq!(records[0].field("RECORDID").cloned(), text("I-7"));
    assert_eq!(records[0].field("WHENCREATED").cloned(), text("2024-01-02"));
    let Some(FieldValue::Lines(lines)) = records[0].field("ARINVOICEITEMS") else {
        panic!("{records:?}")
    };
    assert_eq!(lines[0].field("RECORDKEY").cloned(), text("7"));
    assert_eq!(lines[0].field("AMOUNT").cloned(), text("5"));
    assert_eq!(gateway.count("<get object=\"invoice\" key=\"7\"/>"), 1);
    // The key of customers is no record number there.
    let error = client
        .records("CUSTOMER", KeyKind::RecordNo, &["7".into()], &[], None)
        .await
        .expect_err("refused");
    assert_eq!(error.kind(), &ErrorKind::Unsupported);
}
