//! Paging against a scripted gateway: no row lost, none doubled, no loop.

mod support;

use intacct::{Client, DialectKind, Error, ErrorKind, OrderKey, Page, Paging, ReadPlan, ReadSummary, read};
use std::sync::{Arc, Mutex};
use support::*;

fn plan(paging: Paging, first_page: u32, page_size: u32) -> ReadPlan {
    ReadPlan {
        assumed: Vec::new(),
        query: query(),
        kind: DialectKind::Query,
        page_size,
        first_page,
        grows: true,
        paging,
        need_formatting: false,
        ahead: 0,
    }
}

fn by_key() -> Paging {
    Paging::Keyset {
        keys: vec![key("RECORDNO")],
        any_order: false,
    }
}

/// The first column of every row handed out, and how the read ended.
async fn collect(
    client: &Client,
    plan: &ReadPlan,
    max_pages: usize,
) -> (Vec<u64>, Result<ReadSummary, Error>) {
    let mut found = Vec::new();
    let mut pages = 0;
    let ended = read(client, plan, async |page: Page| {
        found.extend(keys_of(&page));
        pages += 1;
        pages < max_pages
    })
    .await;
    (found, ended)
}

fn keys(count: u64) -> Vec<u64> {
    (1..=count).map(|n| n * 7 + n % 3).collect()
}

async fn serving(keys: Vec<u64>) -> Gateway {
    Gateway::start(move |request| Reply::xml(success(request, &[&page_of(request, &keys)]))).await
}

fn sizes(gateway: &Gateway) -> Vec<String> {
    let queries = gateway
        .requests()
        .into_iter()
        .filter(|request| request.contains("<query>"));
    queries
        .map(|request| between(&request, "<pagesize>", "<").to_owned())
        .collect()
}

#[tokio::test]
async fn keyset_pages_grow_and_lose_nothing() {
    let gateway = serving(keys(500)).await;
    let client = gateway.client();
    let (found, ended) = collect(&client, &plan(by_key(), 10, 200), usize::MAX).await;
    assert_eq!(found, keys(500));
    assert_eq!(
        ended.expect("read"),
        ReadSummary {
            pages: 5,
            rows: 500,
            complete: true
        }
    );
    assert_eq!(sizes(&gateway), ["10", "40", "160", "200", "200"]);
    assert_eq!(
        gateway.count("<orderby><order><field>RECORDNO</field><ascending/></order></orderby>"),
        5
    );
}

#[tokio::test]
async fn a_limit_costs_one_request() {
    let gateway = serving(keys(500)).await;
    let mut plan = plan(by_key(), 2000, 2000);
    plan.query.limit = Some(intacct::Count::Number(20));
    let (found, ended) = collect(&gateway.client(), &plan, 1).await;
    assert_eq!(found.len(), 20);
    assert!(!ended.expect("read").complete);
    assert_eq!(sizes(&gateway), ["20"]);
}

#[tokio::test]
async fn every_way_of_paging_reads_every_row() {
    for count in [0, 1, 9, 10, 11, 19, 20, 21, 55] {
        for paging in [by_key(), Paging::Offset] {
            let gateway = serving(keys(count)).await;
            let (found, ended) = collect(&gateway.client(), &plan(paging.clone(), 10, 10), usize::MAX).await;
            assert_eq!(found, keys(count), "{paging:?}");
            assert!(ended.expect("read").complete);
        }
    }
}

#[tokio::test]
async fn an_offset_skips_on_the_first_page_only() {
    for paging in [by_key(), Paging::Offset, Paging::Single] {
        let gateway = serving(keys(30)).await;
        let mut plan = plan(paging.clone(), 10, 10);
        plan.query.offset = Some(intacct::Count::Number(5));
        let (found, ended) = collect(&gateway.client(), &plan, usize::MAX).await;
        let single = paging == Paging::Single;
        assert_eq!(found, keys(30)[5..if single { 15 } else { 30 }], "{paging:?}");
        assert_eq!(ended.expect("read").complete, !single);
    }
}

#[tokio::test]
async fn a_gateway_that_ignores_the_filter_is_caught() {
    let all = keys(30);
    let gateway = Gateway::start(move |request| {
        let without = request.replace("<greaterthan>", "<other>");
        Reply::xml(success(request, &[&page_of(&without, &all)]))
    })
    .await;
    let (found, ended) = collect(&gateway.client(), &plan(by_key(), 10, 10), usize::MAX).await;
    assert_eq!(found, keys(30)[..10]);
    let error = ended.expect_err("caught");
    assert_eq!(error.kind(), &ErrorKind::Malformed);
    assert!(error.to_string().contains("does not come after"), "{error}");
}

#[tokio::test]
async fn a_gateway_that_ignores_the_order_is_caught() {
    let gateway = serving(vec![5, 3, 9]).await;
    let (found, ended) = collect(&gateway.client(), &plan(by_key(), 10, 10), usize::MAX).await;
    assert!(found.is_empty());
    assert!(ended.expect_err("caught").to_string().contains("order asked for"));
}

#[tokio::test]
async fn a_row_without_a_key_is_an_error_that_names_it() {
    let gateway = Gateway::start(|request| {
        let data =
            "<data count=\"1\" totalcount=\"1\" numremaining=\"0\"><C><RECORDNO/><NAME>n</NAME></C></data>";
        Reply::xml(success(request, &[data]))
    })
    .await;
    let (_, ended) = collect(&gateway.client(), &plan(by_key(), 10, 10), usize::MAX).await;
    let error = ended.expect_err("no key");
    assert!(
        error.to_string().contains("CUSTOMER") && error.to_string().contains("RECORDNO"),
        "{error}"
    );
    assert_eq!(error.object(), Some("CUSTOMER"));
}

#[tokio::test]
async fn keys_must_be_selected() {
    let gateway = serving(keys(3)).await;
    let paging = Paging::Keyset {
        keys: vec![key("OTHER")],
        any_order: false,
    };
    let (_, ended) = collect(&gateway.client(), &plan(paging, 10, 10), usize::MAX).await;
    assert_eq!(ended.expect_err("refused").kind(), &ErrorKind::Internal);
    assert!(gateway.requests().is_empty());
}

#[tokio::test]
async fn several_keys_continue_behind_the_last_row() {
    let gateway = serving(keys(11)).await;
    let keys = vec![
        OrderKey {
            field: "name".into(),
            descending: true,
        },
        key("RECORDNO"),
    ];
    let mut plan = plan(
        Paging::Keyset {
            keys,
            any_order: false,
        },
        1,
        1,
    );
    plan.query.filter = Some("STATUS = 'active'".parse().expect("a condition"));
    let (found, ended) = collect(&gateway.client(), &plan, 2).await;
    assert_eq!(found, [8, 16]);
    assert!(!ended.expect("stopped").complete);
    let requests = gateway.requests();
    let filter = between(requests.last().expect("a request"), "<filter>", "</filter>");
    assert_eq!(
        filter,
        "<and><equalto><field>STATUS</field><value>active</value></equalto><or><lessthan><field>name</field>\
         <value>n8</value></lessthan><and><equalto><field>name</field><value>n8</value></equalto><greaterthan>\
         <field>RECORDNO</field><value>8</value></greaterthan></and></or></and>"
    );
}

#[tokio::test]
async fn rows_that_move_between_offset_pages_are_noticed() {
    let current = Arc::new(Mutex::new(keys(30)));
    let changing = Arc::clone(&current);
    let gateway = Gateway::start(move |request| {
        let mut keys = changing.lock().expect("no panic");
        let answer = success(request, &[&page_of(request, &keys)]);
        keys.remove(0);
        Reply::xml(answer)
    })
    .await;
    let (found, ended) = collect(&gateway.client(), &plan(Paging::Offset, 10, 10), usize::MAX).await;
    assert_eq!(found, keys(30)[..10]);
    let error = ended.expect_err("noticed");
    assert_eq!(error.kind(), &ErrorKind::Moved);
    assert!(!error.hint().is_empty());
}

#[tokio::test]
async fn offset_pages_are_ordered_by_all_that_is_selected() {
    let gateway = serving(keys(3)).await;
    let mut plan = plan(Paging::Offset, 10, 10);
    plan.query = "select RECORDNO, NAME, V.X from C order_by NAME desc"
        .parse()
        .expect("a query");
    let (_, _) = collect(&gateway.client(), &plan, 1).await;
    let requests = gateway.requests();
    assert_eq!(
        between(requests.last().expect("a request"), "<orderby>", "</orderby>"),
        "<order><field>NAME</field><descending/></order><order><field>RECORDNO</field><ascending/></order>"
    );
}

#[tokio::test]
async fn offset_pages_of_one_row_still_advance() {
    let gateway = serving(keys(5)).await;
    let (found, ended) = collect(&gateway.client(), &plan(Paging::Offset, 1, 1), usize::MAX).await;
    assert_eq!(found, keys(5));
    assert!(ended.expect("read").complete);
}

#[tokio::test]
async fn rows_that_are_announced_and_never_come_are_an_error() {
    let gateway = Gateway::start(|request| {
        let data = "<data count=\"0\" totalcount=\"5\" numremaining=\"5\"></data>";
        Reply::xml(success(request, &[data]))
    })
    .await;
    for paging in [by_key(), Paging::Offset, Paging::Single] {
        let (_, ended) = collect(&gateway.client(), &plan(paging, 10, 10), usize::MAX).await;
        assert_eq!(ended.expect_err("caught").kind(), &ErrorKind::Malformed);
    }
}

#[tokio::test]
async fn counts_that_contradict_each_other_are_an_error() {
    for data in [
        "<data count=\"1\" totalcount=\"9\" numremaining=\"0\"><C><RECORDNO>1</RECORDNO><NAME>n</NAME></C></data>",
        "<data count=\"1\" totalcount=\"9\"><C><RECORDNO>1</RECORDNO><NAME>n</NAME></C></data>",
    ] {
        let gateway = Gateway::start(move |request| Reply::xml(success(request, &[data]))).await;
        let (found, ended) = collect(&gateway.client(), &plan(by_key(), 10, 10), 9).await;
        assert_eq!(found, Vec::<u64>::new(), "{data}");
        assert_eq!(ended.expect_err(data).kind(), &ErrorKind::Malformed);
    }
}

#[tokio::test]
async fn a_failure_in_the_middle_repeats_no_row() {
    let all = keys(40);
    let mut count = 0;
    let gateway = Gateway::start(move |request| {
        count += 1;
        match count % 2 {
            0 => Reply::xml(success(request, &[&page_of(request, &all)])).cut(200),
            _ => Reply::xml(success(request, &[&page_of(request, &all)])),
        }
    })
    .await;
    let (found, ended) = collect(&gateway.client(), &plan(by_key(), 10, 10), usize::MAX).await;
    assert_eq!(found, keys(40));
    assert!(ended.expect("read").complete);
}

fn reading_ahead(paging: Paging, page_size: u32, ahead: usize) -> ReadPlan {
    ReadPlan {
        assumed: Vec::new(),
        ahead,
        ..plan(paging, page_size, page_size)
    }
}

fn offsets(gateway: &Gateway) -> Vec<String> {
    let queries = gateway
        .requests()
        .into_iter()
        .filter(|request| request.contains("<query>"));
    queries
        .map(|request| between(&request, "<offset>", "<").to_owned())
        .collect()
}

#[tokio::test]
async fn pages_ahead_cost_no_request_more_and_keep_the_order() {
    for paging in [by_key(), Paging::Offset] {
        for ahead in [1, 2, 3, 8, 40] {
            let gateway = serving(keys(100)).await;
            let (found, ended) = collect(
                &gateway.client(),
                &reading_ahead(paging.clone(), 12, ahead),
                usize::MAX,
            )
            .await;
            assert_eq!(found, keys(100), "{paging:?} {ahead}");
            assert!(ended.expect("read").complete);
            // 12 rows, then 12 behind their keys or 11 new ones behind the row that is shown again.
            assert_eq!(sizes(&gateway), ["12"; 9], "{paging:?} {ahead}");
        }
    }
}

#[tokio::test]
async fn one_page_alone_is_asked_for_once() {
    for count in [0, 1, 12] {
        let gateway = serving(keys(count)).await;
        let (found, _) = collect(&gateway.client(), &reading_ahead(by_key(), 12, 8), usize::MAX).await;
        assert_eq!(found, keys(count));
        assert_eq!(sizes(&gateway).len(), 1);
    }
}

#[tokio::test]
async fn until_the_first_page_is_taken_one_is_asked_for_ahead() {
    let gateway = serving(keys(500)).await;
    let client = gateway.client();
    let plan = reading_ahead(by_key(), 10, 8);
    let ended = read(&client, &plan, async |_| {
        // Long enough for the pages ahead to arrive.
        while offsets(&gateway).len() < 2 {
            tokio::task::yield_now().await;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        assert_eq!(offsets(&gateway).len(), 2);
        false
    })
    .await;
    assert!(!ended.expect("stopped").complete);
}

#[tokio::test]
async fn no_more_pages_are_asked_for_than_may_wait() {
    let gateway = serving(keys(500)).await;
    let client = gateway.client();
    let plan = reading_ahead(by_key(), 10, 4);
    let mut pages = 0;
    let ended = read(&client, &plan, async |_| {
        pages += 1;
        if pages == 2 {
            while offsets(&gateway).len() < 2 + 4 {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            // Two taken, and at most four under way and five waiting.
            assert!(offsets(&gateway).len() <= 2 + 4 + 5, "{:?}", offsets(&gateway));
        }
        pages < 2
    })
    .await;
    assert!(!ended.expect("stopped").complete);
}

#[tokio::test]
async fn a_gateway_without_counts_is_read_page_after_page() {
    let all = keys(100);
    let gateway =
        Gateway::start(move |request| Reply::xml(success(request, &[&uncounted(&page_of(request, &all))])))
            .await;
    let (found, ended) = collect(&gateway.client(), &reading_ahead(by_key(), 12, 8), usize::MAX).await;
    assert_eq!(found, keys(100));
    assert!(ended.expect("read").complete);
    assert!(
        offsets(&gateway).iter().all(String::is_empty),
        "{:?}",
        offsets(&gateway)
    );
}

#[tokio::test]
async fn a_gateway_that_ignores_offsets_is_read_by_keys() {
    let all = keys(100);
    let gateway = Gateway::start(move |request| {
        Reply::xml(success(request, &[&page_of(&without_offset(request), &all)]))
    })
    .await;
    let (found, ended) = collect(&gateway.client(), &reading_ahead(by_key(), 12, 3), usize::MAX).await;
    assert_eq!(found, keys(100));
    assert!(ended.expect("read").complete);
}

#[tokio::test]
async fn a_gateway_with_smaller_pages_than_asked_for_is_read_to_the_end() {
    let all = keys(100);
    let gateway = Gateway::start(move |request| {
        let smaller = request.replace("<pagesize>50<", "<pagesize>7<");
        Reply::xml(success(request, &[&page_of(&smaller, &all)]))
    })
    .await;
    let (found, ended) = collect(&gateway.client(), &reading_ahead(by_key(), 50, 3), usize::MAX).await;
    assert_eq!(found, keys(100));
    assert!(ended.expect("read").complete);
    // Seven rows, then six new ones a page; a few were asked for in vain before that was known.
    assert!(sizes(&gateway).len() <= 20, "{:?}", sizes(&gateway));
}

#[tokio::test]
async fn rows_deleted_in_front_cost_one_request_and_lose_none() {
    let mut current = keys(100);
    let mut count = 0;
    let gateway = Gateway::start(move |request| {
        count += 1;
        if count == 3 {
            current.drain(..5);
        }
        Reply::xml(success(request, &[&page_of(request, &current)]))
    })
    .await;
    let (found, ended) = collect(&gateway.client(), &reading_ahead(by_key(), 12, 3), usize::MAX).await;
    assert_eq!(found, keys(100));
    assert!(ended.expect("read").complete);
    assert_eq!(gateway.count("<greaterthan>"), 1, "{:?}", offsets(&gateway));
    assert!(sizes(&gateway).len() <= 11);
}

#[tokio::test]
async fn rows_inserted_in_front_double_none() {
    let mut current = keys(100);
    let mut count = 0;
    let gateway = Gateway::start(move |request| {
        count += 1;
        if count == 3 {
            current.splice(0..0, 1..5);
        }
        Reply::xml(success(request, &[&page_of(request, &current)]))
    })
    .await;
    let (found, ended) = collect(&gateway.client(), &reading_ahead(by_key(), 12, 3), usize::MAX).await;
    assert_eq!(found, keys(100));
    assert!(ended.expect("read").complete);
    assert_eq!(gateway.count("<greaterthan>"), 0);
}

#[tokio::test]
async fn long_answers_are_counted_from_a_later_row_now_and_then() {
    let gateway = serving(keys(1500)).await;
    let (found, ended) = collect(&gateway.client(), &reading_ahead(by_key(), 11, 2), usize::MAX).await;
    assert_eq!(found, keys(1500));
    assert!(ended.expect("read").complete);
    let furthest = offsets(&gateway)
        .iter()
        .filter_map(|offset| offset.parse::<u32>().ok())
        .max();
    assert!(furthest.is_some_and(|offset| offset < 11 * 36), "{furthest:?}");
    assert!(sizes(&gateway).len() <= 151, "{}", sizes(&gateway).len());
}

#[tokio::test]
async fn a_session_that_ends_amid_pages_ahead_is_renewed_once_and_loses_no_row() {
    let all = keys(200);
    let mut count = 0;
    let gateway = Gateway::start(move |request| {
        count += 1;
        match count > 5 && request.contains("<sessionid>session-1<") {
            true => Reply::xml(sign_in_failure(
                "XL03000006",
                "Invalid session or session timed out",
            )),
            false => Reply::xml(success(request, &[&page_of(request, &all)])),
        }
    })
    .await;
    let mut config = gateway.config();
    config.max_concurrency = 4;
    let client = gateway.client_with(config);
    let (found, ended) = collect(&client, &reading_ahead(by_key(), 12, 4), usize::MAX).await;
    assert_eq!(found, keys(200));
    assert!(ended.expect("read").complete);
    assert_eq!(gateway.count("<getAPISession"), 2);
}

#[tokio::test]
async fn trouble_with_pages_ahead_passes_and_loses_no_row() {
    let all = keys(200);
    let mut count = 0;
    let gateway = Gateway::start(move |request| {
        count += 1;
        let page = || Reply::xml(success(request, &[&page_of(request, &all)]));
        match count % 5 {
            1 => Reply::status(429, "text/plain", "").header("retry-after", "0"),
            2 => page().cut(300),
            3 => Reply::status(503, "text/html", "<html>oops</html>"),
            _ => page(),
        }
    })
    .await;
    let mut config = gateway.config();
    config.max_concurrency = 4;
    config.max_retries = 30;
    let client = gateway.client_with(config);
    let (found, ended) = collect(&client, &reading_ahead(by_key(), 12, 4), usize::MAX).await;
    assert_eq!(found, keys(200));
    assert!(ended.expect("read").complete);
}

#[tokio::test]
async fn a_final_failure_of_a_page_ahead_ends_the_reading_behind_the_pages_before_it() {
    let all = keys(100);
    let gateway = Gateway::start(move |request| match between(request, "<offset>", "<") {
        "33" => Reply::xml(function_failure(
            request,
            "DL02000001",
            "There was an error of this kind",
        )),
        _ => Reply::xml(success(request, &[&page_of(request, &all)])),
    })
    .await;
    let mut config = gateway.config();
    config.max_concurrency = 8;
    config.max_retries = 0;
    let client = gateway.client_with(config);
    let (found, ended) = collect(&client, &reading_ahead(by_key(), 12, 8), usize::MAX).await;
    assert_eq!(found, keys(100)[..34]);
    assert!(ended.is_err());
}
