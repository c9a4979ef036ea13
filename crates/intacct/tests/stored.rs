//! Reads of stored results (`readByQuery`, `readMore`) and of records by key.

mod support;

use intacct::{
    Client, DialectKind, Error, ErrorKind, FieldValue, KeyKind, Page, Paging, ReadPlan, ReadSummary, read,
};
use support::*;

type Trouble = (usize, fn(String) -> Reply);

/// Serves `total` rows in pages of `size`; the page of this number (from 1) is answered by `trouble` instead.
async fn storing(total: u64, trouble: Option<Trouble>) -> Gateway {
    let mut at = 0;
    let mut size = 0;
    let mut number = 0;
    Gateway::start(move |request| {
        if request.contains("<readByQuery>") {
            size = between(request, "<pagesize>", "<").parse().expect("a size");
            at = 0;
        } else {
            assert!(request.contains("<readMore><resultId>R-1</resultId></readMore>"), "{request}");
        }
        number += 1;
        let rows: Vec<u64> = (at + 1..=total.min(at + size)).collect();
        at += rows.len() as u64;
        let body: String = rows.iter().map(|k| format!("<c><recordno>{k}</recordno><name>n</name></c>")).collect();
        let data = format!(
            "<data listtype=\"c\" count=\"{}\" totalcount=\"{total}\" numremaining=\"{}\" resultId=\"R-1\">{body}</data>",
            rows.len(),
            total - at
        );
        let answer = success(request, &[&data]);
        match trouble {
            Some((page, make)) if page == number => make(answer),
            _ => Reply::xml(answer),
        }
    })
    .await
}

async fn collect(
    client: &Client,
    first_page: u32,
    max_pages: usize,
) -> (Vec<u64>, Result<ReadSummary, Error>) {
    let plan = ReadPlan {
        assumed: Vec::new(),
        query: "select RECORDNO, NAME from CUSTOMER where STATUS = 'active'"
            .parse()
            .expect("a query"),
        kind: DialectKind::ReadByQuery,
        page_size: 2000,
        first_page,
        grows: true,
        paging: Paging::Keyset {
            keys: vec![key("RECORDNO")],
            any_order: false,
        },
        need_formatting: false,
        ahead: 0,
    };
    let mut found = Vec::new();
    let mut pages = 0;
    let ended = read(client, &plan, async |page: Page| {
        let number = |row| std::str::from_utf8(page.cell(row, 0)?).ok()?.parse::<u64>().ok();
        found.extend((0..page.rows()).map(|row| number(row).expect("a key")));
        pages += 1;
        pages < max_pages
    })
    .await;
    (found, ended)
}

#[tokio::test]
async fn a_stored_result_is_read_to_its_end() {
    for total in [0, 1, 999, 1000, 1001, 2500] {
        let gateway = storing(total, None).await;
        let (found, ended) = collect(&gateway.client(), 2000, usize::MAX).await;
        assert_eq!(found, (1..=total).collect::<Vec<_>>());
        assert!(ended.expect("read").complete);
        assert_eq!(gateway.count("<readByQuery>"), 1);
        assert_eq!(gateway.count("<pagesize>1000</pagesize>"), 1);
    }
}

#[tokio::test]
async fn a_small_first_page_is_not_too_small() {
    let gateway = storing(500, None).await;
    let (found, ended) = collect(&gateway.client(), 10, 1).await;
    assert_eq!((found.len(), ended.expect("read").complete), (100, false));
    assert_eq!(gateway.requests().len(), 2);
}

#[tokio::test]
async fn trouble_before_a_page_is_overcome_and_a_lost_page_is_noticed() {
    // The first page can be asked again: the result is stored anew.
    let gateway = storing(2500, Some((1, |answer| Reply::xml(answer).cut(100)))).await;
    let (found, ended) = collect(&gateway.client(), 2000, usize::MAX).await;
    assert_eq!((found.len(), ended.expect("read").complete), (2500, true));

    // A later one cannot: the gateway has moved on.
    let gateway = storing(3500, Some((2, |answer| Reply::xml(answer).cut(100)))).await;
    let (found, ended) = collect(&gateway.client(), 2000, usize::MAX).await;
    assert_eq!(found.len(), 1000);
    let error = ended.expect_err("noticed");
    assert_eq!(error.kind(), &ErrorKind::ConnectionLost);
    assert!(error.to_string().contains("lost"), "{error}");
}

#[tokio::test]
async fn records_are_read_by_key() {
    let gateway = Gateway::start(|request| {
        let keys = between(request, "<keys>", "</keys>").split(',');
        let rows: String = keys
            .map(|k| format!("<apbill><RECORDNO>{k}</RECORDNO><APBILLITEMS><apbillitem><L>1</L></apbillitem></APBILLITEMS></apbill>"))
            .collect();
        Reply::xml(success(request, &[&format!("<data listtype=\"apbill\">{rows}</data>")]))
    })
    .await;
    let keys: Vec<String> = (1..=150).map(|n| n.to_string()).collect();
    let client = gateway.client();
    let records = client
        .records("APBILL", KeyKind::RecordNo, &keys, &[], None)
        .await
        .expect("records");
    assert_eq!(records.len(), 150);
    assert_eq!(
        records[149].field("RECORDNO"),
        Some(&FieldValue::Text(Some("150".into())))
    );
    assert!(matches!(records[0].field("APBILLITEMS"), Some(FieldValue::Lines(lines)) if lines.len() == 1));
    assert_eq!(gateway.count("<read>"), 2);
    client
        .records("VENDOR", KeyKind::Name, &["V-1".into()], &["NAME".into()], None)
        .await
        .expect("records");
    assert_eq!(
        gateway
            .count("<readByName><object>VENDOR</object><keys>V-1</keys><fields>NAME</fields></readByName>"),
        1
    );
    let error = client
        .records("VENDOR", KeyKind::Name, &["a,b".into()], &[], None)
        .await
        .expect_err("refused");
    assert_eq!(
        (error.kind(), error.object()),
        (&ErrorKind::Unsupported, Some("VENDOR"))
    );
}
