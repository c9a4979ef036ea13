//! Reading in any order from gateways whose pages cannot be counted ahead: the range of keys is split.

mod support;

use intacct::{Client, DialectKind, Error, ErrorKind, Page, Paging, ReadPlan, ReadSummary, read};
use std::collections::BTreeSet;
use std::time::Duration;
use support::*;

fn plan(page_size: u32, ahead: usize) -> ReadPlan {
    ReadPlan {
        assumed: Vec::new(),
        query: query(),
        kind: DialectKind::Query,
        page_size,
        first_page: page_size,
        grows: true,
        paging: Paging::Keyset {
            keys: vec![key("RECORDNO")],
            any_order: true,
        },
        need_formatting: false,
        ahead,
    }
}

/// A client with just as many places as the plan wants: those that are not given back would be missed.
fn client(gateway: &Gateway, plan: &ReadPlan) -> Client {
    let mut config = gateway.config();
    config.max_concurrency = plan.ahead;
    gateway.client_with(config)
}

/// The keys in the order in which they came, and how the read ended.
async fn collect(gateway: &Gateway, plan: &ReadPlan) -> (Vec<u64>, Result<ReadSummary, Error>) {
    let client = &client(gateway, plan);
    let mut found = Vec::new();
    let ended = read(client, plan, async |page: Page| {
        found.extend(keys_of(&page));
        // The reader is busy for a while: meanwhile what was asked for ahead is sent.
        tokio::time::sleep(Duration::from_millis(1)).await;
        true
    })
    .await;
    (found, ended)
}

async fn ignoring_offsets(keys: Vec<u64>) -> Gateway {
    Gateway::start(move |request| Reply::xml(success(request, &[&page_of(&without_offset(request), &keys)])))
        .await
}

async fn telling_no_counts(keys: Vec<u64>) -> Gateway {
    Gateway::start(move |request| Reply::xml(success(request, &[&uncounted(&page_of(request, &keys))]))).await
}

async fn read_all(gateway: &Gateway, plan: &ReadPlan) -> Vec<u64> {
    let (mut found, ended) = collect(gateway, plan).await;
    let summary = ended.expect("read");
    assert!(summary.complete);
    assert_eq!(summary.rows, found.len() as u64);
    found.sort_unstable();
    found
}

fn queries(gateway: &Gateway) -> usize {
    gateway.count("<query>")
}

/// Keys as they come in companies: without gaps, with some, in clusters far from each other, nearly all at one end.
fn spreads(count: u64) -> Vec<Vec<u64>> {
    vec![
        (1..=count).collect(),
        (1..=count).map(|n| n * 7 + n % 3).collect(),
        (0..count).map(|n| n / 40 * 1_000_000_000 + n % 40 + 1).collect(),
        (0..count)
            .map(|n| if n < 20 { n + 1 } else { 9_000_000_000_000 + n })
            .collect(),
        (1..count).chain([i64::MAX as u64]).collect(),
    ]
}

#[tokio::test]
async fn every_row_comes_once_however_the_keys_are_spread() {
    for all in spreads(200) {
        for (page_size, ahead) in [(1, 3), (7, 2), (12, 4), (12, 8), (50, 3)] {
            for counts in [true, false] {
                let served = all.clone();
                let gateway = Gateway::start(move |request| {
                    let page = page_of(&without_offset(request), &served);
                    Reply::xml(success(request, &[&if counts { page } else { uncounted(&page) }]))
                })
                .await;
                let case = format!("{page_size} {ahead} {counts} {:?}", &all[..3]);
                assert_eq!(read_all(&gateway, &plan(page_size, ahead)).await, all, "{case}");
            }
        }
    }
}

#[tokio::test]
async fn splitting_costs_few_requests_more_than_there_are_pages() {
    for (name, all) in ["dense", "gaps", "clusters", "late"]
        .into_iter()
        .zip(spreads(1200))
    {
        let gateway = ignoring_offsets(all.clone()).await;
        assert_eq!(read_all(&gateway, &plan(12, 4)).await, all);
        // A hundred pages; the largest key; two pages that showed that offsets are ignored, and what was under way then;
        // pages that are not full where parts end; halves without rows.
        let requests = queries(&gateway);
        println!("{name}: {requests} requests for 100 pages");
        assert!(requests <= 115, "{name}: {requests}");
    }
}

#[tokio::test]
async fn several_parts_are_walked_side_by_side() {
    let all: Vec<u64> = (1..=600).collect();
    let gateway = telling_no_counts(all).await;
    read_all(&gateway, &plan(12, 4)).await;
    let parts: BTreeSet<String> = gateway
        .requests()
        .iter()
        .filter(|request| request.contains("<lessthanorequalto>"))
        .map(|request| between(request, "<lessthanorequalto><field>RECORDNO</field><value>", "<").to_owned())
        .collect();
    assert!(parts.len() >= 3, "{parts:?}");
}

#[tokio::test]
async fn rows_deleted_all_the_time_make_the_range_be_split_and_lose_none() {
    let all: Vec<u64> = (1..=1000).collect();
    let mut current = all.clone();
    let gateway = Gateway::start(move |request| {
        let page = page_of(request, &current);
        if request.contains("<query>") {
            current.remove(0);
        }
        // So that requests are under way when the pages ahead are given up.
        Reply::xml(success(request, &[&page])).after(Duration::from_millis(5))
    })
    .await;
    let found = read_all(&gateway, &plan(20, 4)).await;
    let deleted = queries(&gateway) as u64;
    assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), found.len());
    let steady: Vec<u64> = (deleted + 1..=1000).collect();
    assert!(steady.iter().all(|key| found.binary_search(key).is_ok()));
    assert!(gateway.count("<lessthanorequalto>") > 0);
}

#[tokio::test]
async fn rows_behind_the_largest_key_known_are_read_too() {
    let mut current: Vec<u64> = (1..=300).collect();
    let gateway = Gateway::start(move |request| {
        let page = page_of(&without_offset(request), &current);
        if request.contains("<descending/>") {
            current.extend(301..=340);
        }
        Reply::xml(success(request, &[&page]))
    })
    .await;
    let found = read_all(&gateway, &plan(12, 4)).await;
    assert_eq!(found, (1..=340).collect::<Vec<_>>());
}

#[tokio::test]
async fn nothing_is_split_where_the_order_matters() {
    let all: Vec<u64> = (1..=300).collect();
    let gateway = telling_no_counts(all.clone()).await;
    let mut plan = plan(12, 4);
    plan.paging = Paging::Keyset {
        keys: vec![key("RECORDNO")],
        any_order: false,
    };
    let (found, ended) = collect(&gateway, &plan).await;
    assert_eq!(found, all);
    assert!(ended.expect("read").complete);
    assert_eq!(gateway.count("<lessthanorequalto>"), 0);
}

#[tokio::test]
async fn a_gateway_that_ignores_the_end_of_a_part_is_caught() {
    let all: Vec<u64> = (1..=300).collect();
    let gateway = Gateway::start(move |request| {
        let endless = without_offset(request).replace("<lessthanorequalto>", "<other>");
        Reply::xml(success(request, &[&page_of(&endless, &all)]))
    })
    .await;
    let (found, ended) = collect(&gateway, &plan(12, 4)).await;
    let error = ended.expect_err("caught");
    assert_eq!(error.kind(), &ErrorKind::Malformed);
    assert!(error.to_string().contains("other keys"), "{error}");
    assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), found.len());
}

#[tokio::test]
async fn keys_that_are_no_numbers_are_an_error_that_shows_them() {
    let all: Vec<u64> = (1..=300).collect();
    let gateway = Gateway::start(move |request| {
        let page = page_of(&without_offset(request), &all).replace("<RECORDNO>250<", "<RECORDNO>250x<");
        Reply::xml(success(request, &[&page]))
    })
    .await;
    let (_, ended) = collect(&gateway, &plan(12, 4)).await;
    let error = ended.expect_err("caught").to_string();
    assert!(error.contains("250x"), "{error}");
}

#[tokio::test]
async fn a_failure_of_one_part_ends_the_reading() {
    let all: Vec<u64> = (1..=300).collect();
    let gateway = Gateway::start(move |request| {
        if request.contains("<lessthanorequalto>") || request.contains("<lookup>") {
            return Reply::xml(function_failure(request, "DL02000001", "no permission"));
        }
        Reply::xml(success(request, &[&page_of(&without_offset(request), &all)]))
    })
    .await;
    let (_, ended) = collect(&gateway, &plan(12, 4)).await;
    let error = ended.expect_err("it failed");
    assert!(format!("{error:?}").contains("DL02000001"), "{error:?}");
}

#[tokio::test]
async fn no_page_is_asked_for_when_enough_wait() {
    let all: Vec<u64> = (1..=3000).collect();
    let gateway = telling_no_counts(all).await;
    let (plan, mut pages) = (plan(10, 4), 0);
    let ended = read(&client(&gateway, &plan), &plan, async |_| {
        pages += 1;
        if pages == 2 {
            while queries(&gateway) < 2 + 4 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            // Two taken, the largest key, and at most four under way and five waiting.
            assert!(queries(&gateway) <= 2 + 1 + 4 + 5, "{}", queries(&gateway));
        }
        pages < 2
    })
    .await;
    assert!(!ended.expect("stopped").complete);
}
