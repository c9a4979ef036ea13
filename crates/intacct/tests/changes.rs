//! Reading while rows are inserted, changed and deleted between any two answers of the simulator.

use intacct::{
    Client, Config, DialectKind, Event, LastRow, Observer, OrderKey, Page, Paging, Query, ReadPlan, Seen,
    read, read_part_behind,
};
use intacct_simulator::Simulator;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

const SCHEDULES: u64 = 1000;

/// A row as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    limit: Option<String>,
    active: bool,
}

/// The table as this test knows it.
#[derive(Default)]
struct Table {
    rows: BTreeMap<i64, Row>,
    /// Keys that were ever used.
    used: BTreeSet<i64>,
    /// Keys deleted, or changed in what conditions or orders look at, since the reading began.
    touched: BTreeSet<i64>,
}

/// Changes the table whenever an answer has arrived.
struct Meddler {
    simulator: Simulator,
    table: Mutex<Table>,
    random: Mutex<fastrand::Rng>,
    active: Mutex<bool>,
}

impl Meddler {
    fn meddle(&self) {
        if !*self.active.lock().expect("no panic") {
            return;
        }
        let mut random = self.random.lock().expect("no panic");
        let mut table = self.table.lock().expect("no panic");
        for _ in 0..random.usize(0..4) {
            self.change(&mut random, &mut table);
        }
    }

    fn change(&self, random: &mut fastrand::Rng, table: &mut Table) {
        let some_key = |random: &mut fastrand::Rng, table: &Table| {
            let at = random.usize(0..table.rows.len());
            *table.rows.keys().nth(at).expect("within")
        };
        let limit = random
            .u8(0..5)
            .checked_sub(1)
            .map(|limit| (limit * 10).to_string());
        let json = |limit: &Option<String>| {
            limit
                .as_ref()
                .map_or("null".to_owned(), |limit| format!("\"{limit}\""))
        };
        let crowded = table.rows.len() > 60;
        match random.u8(0..8) {
            0..=1 if !crowded => {
                let top = table.used.last().copied().unwrap_or(0) + 5;
                // At the end, or late into a gap.
                let key = match random.bool() {
                    true => top,
                    false => random.i64(1..top),
                };
                if !table.used.insert(key) {
                    return;
                }
                table.touched.insert(key);
                let row = Row {
                    limit: limit.clone(),
                    active: random.bool(),
                };
                self.apply(&format!(
                    r#"[{{"insert": {{"object": "CUSTOMER", "values": {{"RECORDNO": {key}, "CUSTOMERID": "Z{key}",
                    "NAME": "late", "CREDITLIMIT": {}, "STATUS": "{}"}}}}}}]"#,
                    json(&limit),
                    status(row.active)
                ));
                table.rows.insert(key, row);
            }
            0..=3 if table.rows.len() > 30 => {
                let key = some_key(random, table);
                table.touched.insert(key);
                table.rows.remove(&key);
                self.apply(&format!(
                    r#"[{{"delete": {{"object": "CUSTOMER", "keys": [{key}]}}}}]"#
                ));
            }
            4 | 5 => {
                let key = some_key(random, table);
                table.touched.insert(key);
                self.update(key, &format!("\"CREDITLIMIT\": {}", json(&limit)));
                table.rows.get_mut(&key).expect("it is there").limit = limit;
            }
            6 => {
                let key = some_key(random, table);
                table.touched.insert(key);
                let row = table.rows.get_mut(&key).expect("it is there");
                row.active = !row.active;
                self.update(key, &format!("\"STATUS\": \"{}\"", status(row.active)));
            }
            _ => {
                let key = some_key(random, table);
                self.update(key, "\"NAME\": \"changed\"");
            }
        }
    }

    fn update(&self, key: i64, values: &str) {
        self.apply(&format!(
            r#"[{{"update": {{"object": "CUSTOMER", "keys": [{key}], "values": {{{values}}}}}}}]"#
        ));
    }

    fn apply(&self, json: &str) {
        self.simulator.change("acme", json);
    }
}

impl Observer for Meddler {
    fn event(&self, _: &Event<'_>) {
        self.meddle();
    }
}

fn status(active: bool) -> &'static str {
    if active { "active" } else { "inactive" }
}

fn text(page: &Page, row: usize, column: usize) -> Option<String> {
    Some(String::from_utf8(page.cell(row, column)?.to_vec()).expect("UTF-8"))
}

fn key(field: &str, descending: bool) -> OrderKey {
    OrderKey {
        field: field.into(),
        descending,
    }
}

fn plan(query: &str, keys: Vec<OrderKey>, any_order: bool, page_size: u32, ahead: usize) -> ReadPlan {
    let mut query: Query = query.parse().expect("a query");
    query.order_by.clone_from(&keys);
    query.show_private = true;
    ReadPlan {
        assumed: Vec::new(),
        query,
        kind: DialectKind::Query,
        page_size,
        first_page: page_size,
        grows: true,
        paging: Paging::Keyset { keys, any_order },
        need_formatting: false,
        ahead,
    }
}

const SELECT: &str = "select RECORDNO, CREDITLIMIT, STATUS from CUSTOMER";

/// The whole table, while nothing changes.
async fn snapshot(client: &Client) -> BTreeMap<i64, Row> {
    let mut rows = BTreeMap::new();
    read(
        client,
        &plan(SELECT, vec![key("RECORDNO", false)], false, 2000, 0),
        async |page| {
            for row in 0..page.rows() {
                let key = text(&page, row, 0).expect("a key").parse().expect("a number");
                let found = Row {
                    limit: text(&page, row, 1),
                    active: text(&page, row, 2).as_deref() == Some("active"),
                };
                rows.insert(key, found);
            }
            true
        },
    )
    .await
    .expect("the table");
    rows
}

#[test]
fn rows_that_stay_as_they_are_come_once_whatever_else_changes() {
    let config = intacct_simulator::Config::default()
        .rows("customer", 45)
        .setting("concurrency", "0");
    let simulator = Simulator::start(config).expect("it starts");
    let url = simulator.url();
    let meddler = Arc::new(Meddler {
        simulator,
        table: Mutex::default(),
        random: Mutex::new(fastrand::Rng::with_seed(1)),
        active: Mutex::new(false),
    });
    let mut config = Config::new("acme", "apiuser", "secret", "sender1", "senderpw");
    config.url = url;
    config.max_concurrency = 8;
    config.observer = Some(Arc::clone(&meddler) as Arc<dyn Observer>);
    let client = Client::new(config).expect("a client");
    // Not before: the simulator has a runtime of its own.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(run(&client, &meddler));
}

async fn run(client: &Client, meddler: &Meddler) {
    let mut table = snapshot(client).await;
    meddler.table.lock().expect("no panic").used = table.keys().copied().collect();
    let (mut split, mut gone_on) = (0, 0);
    for seed in 0..SCHEDULES {
        let before = table.clone();
        {
            let mut known = meddler.table.lock().expect("no panic");
            known.rows = table;
            known.touched.clear();
        }
        let mut random = fastrand::Rng::with_seed(seed);
        *meddler.random.lock().expect("no panic") = fastrand::Rng::with_seed(random.u64(..));
        *meddler.active.lock().expect("no panic") = true;
        let schedule = Schedule::of(&mut random);
        let (found, times) = schedule.run(client, seed).await;
        gone_on += times;
        *meddler.active.lock().expect("no panic") = false;
        let touched = meddler.table.lock().expect("no panic").touched.clone();
        schedule.check(seed, &before, &touched, &found);
        split += u32::from(schedule.any_order && !found.is_sorted_by_key(|(key, _)| *key));
        table = snapshot(client).await;
        assert_eq!(
            table,
            meddler.table.lock().expect("no panic").rows,
            "schedule {seed}"
        );
    }
    assert!(split > 10, "ranges were split in {split} schedules");
    assert!(gone_on > 100, "reads went on {gone_on} times");
}

/// How one schedule reads.
#[derive(Debug)]
struct Schedule {
    page_size: u32,
    ahead: usize,
    only_active: bool,
    /// By the limit, in this direction, those without one first or last.
    by_limit: Option<(bool, bool)>,
    /// Nothing relies on the order.
    any_order: bool,
    /// The read stops after about so many pages, and another one goes on behind its last row.
    stops: Option<u32>,
}

impl Schedule {
    fn of(random: &mut fastrand::Rng) -> Schedule {
        let by_limit = random.bool().then(|| (random.bool(), random.bool()));
        let any_order = by_limit.is_none() && random.bool();
        Schedule {
            // Small pages miss the rows before them more often, until the range is split.
            page_size: random.u32(1..if any_order { 5 } else { 12 }),
            ahead: random.usize(0..9),
            only_active: random.bool(),
            by_limit,
            any_order,
            stops: (!any_order && random.bool()).then(|| random.u32(1..4)),
        }
    }

    /// The rows in the order in which they came, and how often a read went on where one had stopped.
    async fn run(&self, client: &Client, seed: u64) -> (Vec<(i64, Option<String>)>, u32) {
        let by_key = || key("RECORDNO", false);
        let parts = match self.by_limit {
            None => vec![("", vec![by_key()])],
            Some((descending, nulls_first)) => {
                let limited = (
                    "CREDITLIMIT is not null",
                    vec![key("CREDITLIMIT", descending), by_key()],
                );
                let others = ("CREDITLIMIT is null", vec![by_key()]);
                match nulls_first {
                    true => vec![others, limited],
                    false => vec![limited, others],
                }
            }
        };
        let mut found = Vec::new();
        let mut seen = Seen::default();
        let mut stop = fastrand::Rng::with_seed(seed);
        let mut gone_on = 0;
        for (condition, keys) in parts {
            let conditions: Vec<&str> = [condition, if self.only_active { "STATUS = 'active'" } else { "" }]
                .into_iter()
                .filter(|part| !part.is_empty())
                .collect();
            let mut query = SELECT.to_owned();
            if !conditions.is_empty() {
                query += &format!(" where {}", conditions.join(" and "));
            }
            let plan = plan(&query, keys, self.any_order, self.page_size, self.ahead);
            let mut behind: Option<LastRow> = None;
            loop {
                let mut read_before = seen.clone();
                let read_before = self.by_limit.map(|_| &mut read_before);
                let from = behind.clone();
                let ended = read_part_behind(client, &plan, from.as_ref(), read_before, None, async |page| {
                    for row in 0..page.rows() {
                        let key = text(&page, row, 0).expect("a key").parse().expect("a number");
                        found.push((key, text(&page, row, 1)));
                    }
                    seen.add(&page, 0);
                    let last = LastRow::of(&plan.query, &page, page.remaining);
                    behind = last.or(behind.take());
                    !(page.rows() > 0 && self.stops.is_some_and(|pages| stop.u32(0..pages) == 0))
                })
                .await;
                let summary = ended.unwrap_or_else(|error| panic!("schedule {seed} {self:?}: {error}"));
                if summary.complete {
                    break;
                }
                gone_on += 1;
            }
        }
        (found, gone_on)
    }

    fn check(
        &self,
        seed: u64,
        before: &BTreeMap<i64, Row>,
        touched: &BTreeSet<i64>,
        found: &[(i64, Option<String>)],
    ) {
        let keys: BTreeSet<i64> = found.iter().map(|(key, _)| *key).collect();
        assert_eq!(
            keys.len(),
            found.len(),
            "schedule {seed} {self:?}: a key twice in {found:?}"
        );
        let lost: Vec<_> = before
            .iter()
            .filter(|(key, row)| !touched.contains(key) && (row.active || !self.only_active))
            .filter(|(key, _)| !keys.contains(key))
            .collect();
        assert!(
            lost.is_empty(),
            "schedule {seed} {self:?}: lost {lost:?} of {found:?}"
        );
        let steady: Vec<_> = found.iter().filter(|(key, _)| !touched.contains(key)).collect();
        for (key, limit) in &steady {
            assert_eq!(
                before.get(key).map(|row| &row.limit),
                Some(limit),
                "schedule {seed}: {key}"
            );
        }
        if self.any_order {
            return;
        }
        for pair in steady.windows(2) {
            assert!(
                self.in_order(pair[0], pair[1]),
                "schedule {seed} {self:?}: {pair:?}"
            );
        }
    }

    fn in_order(&self, a: &(i64, Option<String>), b: &(i64, Option<String>)) -> bool {
        let Some((descending, nulls_first)) = self.by_limit else {
            return a.0 < b.0;
        };
        let value = |row: &(i64, Option<String>)| {
            row.1
                .as_ref()
                .map(|limit| limit.parse::<f64>().expect("a number"))
        };
        match (value(a), value(b)) {
            (None, Some(_)) => nulls_first,
            (Some(_), None) => !nulls_first,
            (Some(x), Some(y)) if x != y => (x > y) == descending,
            _ => a.0 < b.0,
        }
    }
}
