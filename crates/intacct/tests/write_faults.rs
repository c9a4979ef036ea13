//! Writes under random faults: nothing is stored twice, and nothing is lost without a word.
//!
//! Each run writes rows in several operations through a gateway that breaks connections before or after execution,
//! answers late or never, executes a request long after it was given up, and refuses with every status that a gateway
//! has; some runs are cut short. In the end either every row is stored exactly once, or the failure's *certain* and
//! *possible* rows bracket what is stored.
//!
//! `WRITE_FAULT_RUNS=500 WRITE_FAULT_SEED=1 cargo test -p intacct --test write_faults` sets how many and which.

mod support;

#[path = "support/company.rs"]
mod company;

use company::Company;
use fastrand::Rng;
use intacct::write::{
    Change, OnDuplicate, Verb, WriteFailure, WriteOptions, WriteProgress, WriteTarget, WriteValue, Written,
    write,
};
use intacct::{Backoff, Client, Error, ErrorKind};
use serde_json::json;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::*;
use tokio::sync::Notify;

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Fault {
    ResetBefore,
    ResetAfter,
    SilentBefore,
    SilentAfter,
    /// The connection breaks; the gateway has the request under way and is done with it only some requests later.
    Late,
    Limited,
    LimitedInside,
    TroubleBefore,
    TroubleAfter,
    Html524,
    Cut,
    Empty,
    SessionOver,
    NotNow,
    /// A page of a front end in the place of the answer; executed.
    Forbidden,
    /// Trouble of the gateway in an ordinary answer; executed.
    TroubleInside,
    /// A proxy sends the request twice: the second answer comes.
    Replayed,
    /// A read is answered by a replica that does not have the records yet.
    Lagging,
}

const FAULTS: [Fault; 18] = [
    Fault::Forbidden,
    Fault::TroubleInside,
    Fault::Replayed,
    Fault::Lagging,
    Fault::ResetBefore,
    Fault::ResetAfter,
    Fault::SilentBefore,
    Fault::SilentAfter,
    Fault::Late,
    Fault::Limited,
    Fault::LimitedInside,
    Fault::TroubleBefore,
    Fault::TroubleAfter,
    Fault::Html524,
    Fault::Cut,
    Fault::Empty,
    Fault::SessionOver,
    Fault::NotNow,
];

/// Terms that there are not, by names that a careless reader of refusals trips over.
const NAMES: [&str; 6] = [
    "no such term",
    "Duplicate of Net 30",
    "rate limit exceeded",
    "Acme company inactive",
    "this already exists",
    "the control id was already executed",
];

/// The gateway of one run.
struct Script {
    company: Company,
    rng: Rng,
    /// Of a hundred requests, so many meet a fault.
    rate: u32,
    late: Vec<(u32, String)>,
    requests: u32,
    /// The run is cut short at this request.
    cut_at: Option<u32>,
    cut: Arc<Notify>,
    struck: Arc<Mutex<BTreeMap<Fault, u32>>>,
    /// Control ids by the functions that they were sent with.
    ids: HashMap<String, HashSet<String>>,
}

impl Script {
    fn reply(&mut self, request: &str) -> Reply {
        self.requests += 1;
        self.note_ids(request);
        let due: Vec<String> = {
            let now = self.requests;
            let (due, later) = self.late.drain(..).partition::<Vec<_>, _>(|(at, _)| *at <= now);
            self.late = later;
            due.into_iter().map(|(_, request)| request).collect()
        };
        for request in due {
            self.execute_late(&request);
        }
        if self.cut_at == Some(self.requests) {
            if self.rng.bool() {
                self.company.answer(request);
            }
            self.cut.notify_one();
            return Reply::stall();
        }
        if self.rng.u32(0..100) >= self.rate {
            return self.company.answer(request);
        }
        // What tempts to send something twice comes more often.
        let fault = match self.rng.u32(0..10) {
            0..3 => Fault::Late,
            3 => Fault::ResetBefore,
            4 => Fault::ResetAfter,
            _ => FAULTS[self.rng.usize(0..FAULTS.len())],
        };
        *self.struck.lock().expect("no panic").entry(fault).or_default() += 1;
        match fault {
            Fault::ResetBefore => Reply::reset(),
            Fault::SilentBefore => Reply::stall(),
            Fault::TroubleBefore => Reply::status(502, "text/html", "<html>bad gateway</html>"),
            Fault::Late => {
                self.late
                    .push((self.requests + self.rng.u32(1..4), request.to_owned()));
                Reply::reset()
            }
            Fault::Limited => Reply::status(429, "application/xml", control_failure("GW-0010", "too many")),
            Fault::LimitedInside => Reply::xml(control_failure("GW-0010", "API rate limit exceeded")),
            Fault::NotNow => Reply::xml(control_failure("", "The Service is Temporarily Off-line")),
            Fault::SessionOver => {
                self.company.expire_sessions();
                self.company.answer(request)
            }
            Fault::Replayed => {
                self.company.answer(request);
                self.company.answer(request)
            }
            Fault::Lagging => {
                let mut answer = self.company.answer(request);
                // Only what looks for new records: what is read to be changed was read before.
                let looks = request.contains("<query>") && request.contains("WHENCREATED");
                let body = String::from_utf8_lossy(&answer.body).into_owned();
                if let (true, Some(from), Some(to)) =
                    (looks, body.find("<data listtype="), body.find("</data>"))
                {
                    let none = r#"<data listtype="x" totalcount="0" offset="0" count="0" numremaining="0">"#;
                    answer.body = format!("{}{none}{}", &body[..from], &body[to..]).into();
                }
                answer
            }
            Fault::Forbidden
            | Fault::TroubleInside
            | Fault::ResetAfter
            | Fault::SilentAfter
            | Fault::TroubleAfter
            | Fault::Html524
            | Fault::Cut
            | Fault::Empty => {
                let answer = self.company.answer(request);
                match fault {
                    Fault::Forbidden => Reply::status(403, "text/html", "<html>no</html>"),
                    Fault::TroubleInside => Reply::xml(control_failure("GW-0004", "trouble")),
                    Fault::ResetAfter => Reply::reset(),
                    Fault::SilentAfter => Reply::stall(),
                    Fault::TroubleAfter => Reply::status(500, "text/html", "<html>trouble</html>"),
                    Fault::Html524 => Reply::status(524, "text/html", "<!DOCTYPE html><html>524</html>"),
                    Fault::Empty => Reply::xml(""),
                    _ => {
                        let length = self.rng.usize(0..answer.body.len());
                        answer.cut(length)
                    }
                }
            }
        }
    }

    fn note_ids(&mut self, request: &str) {
        if !request.contains("<uniqueid>true</uniqueid>") {
            return;
        }
        for part in request.split("<function controlid=\"").skip(1) {
            let (id, rest) = part.split_once("\">").expect("an id");
            let body = rest.split("</function>").next().unwrap_or_default();
            self.ids.entry(body.to_owned()).or_default().insert(id.to_owned());
        }
    }

    /// Executes what is still on its way.
    fn finish(&mut self) {
        for (_, request) in std::mem::take(&mut self.late) {
            self.execute_late(&request);
        }
    }

    /// The control id was looked at when the request came: one that came later under the same id goes unnoticed.
    fn execute_late(&self, request: &str) {
        let checked = request.replace("<uniqueid>true</uniqueid>", "<uniqueid>false</uniqueid>");
        self.company.answer(&checked);
    }
}

/// What a run does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Kind {
    Create,
    /// Rows without a natural key.
    CreateUnkeyed,
    CreateSkipping,
    Update,
    Delete,
    /// Creates, updates and deletes in one operation.
    Mixed,
}

const KINDS: [Kind; 6] = [
    Kind::Create,
    Kind::CreateUnkeyed,
    Kind::CreateSkipping,
    Kind::Update,
    Kind::Delete,
    Kind::Mixed,
];

struct Run {
    number: u64,
    kind: Kind,
    changes: Vec<Change>,
    options: WriteOptions,
    /// Rows that the gateway has to refuse, or to leave out.
    bad: HashSet<usize>,
    /// Those of them of which an equal record of another writer is there.
    theirs: HashSet<usize>,
}

fn target(object: &str) -> Arc<WriteTarget> {
    Arc::new(WriteTarget::new(object))
}

fn change(target: &Arc<WriteTarget>, verb: Verb, key: Option<i64>, cells: &[(&str, &str)]) -> Change {
    Change {
        target: Arc::clone(target),
        verb,
        key: key.map(|key| ("RECORDNO".into(), key.to_string())),
        cells: cells
            .iter()
            .map(|(field, value)| ((*field).into(), WriteValue::Text((*value).into())))
            .collect(),
    }
}

impl Run {
    fn new(number: u64, company: &Company, rng: &mut Rng) -> Run {
        let kind = KINDS[rng.usize(0..KINDS.len())];
        let rows = rng.usize(1..25);
        let mut run = Run {
            number,
            kind,
            changes: Vec::new(),
            options: WriteOptions {
                batch_size: if kind == Kind::Mixed {
                    rows
                } else {
                    rng.usize(1..9)
                },
                on_duplicate: match kind {
                    Kind::CreateSkipping => OnDuplicate::Skip,
                    _ => OnDuplicate::Fail,
                },
            },
            bad: HashSet::new(),
            theirs: HashSet::new(),
        };
        let (customer, task) = (target("CUSTOMER"), target("TASK"));
        let project = company.truth("SELECT MIN(PROJECTID) AS a FROM PROJECT").remove(0);
        let there = run.there(company, rows);
        for (row, there) in there.into_iter().enumerate() {
            let (id, name) = (format!("F{number}-{row}"), format!("run {number} row {row}"));
            let verb = match kind {
                Kind::Update => Verb::Update,
                Kind::Delete => Verb::Delete,
                Kind::Mixed => [Verb::Create, Verb::Update, Verb::Delete][rng.usize(0..3)],
                _ => Verb::Create,
            };
            let mut cells = match (kind, verb) {
                (_, Verb::Delete) => vec![],
                (_, Verb::Update) => vec![("NAME", name.as_str()), ("CREDITLIMIT", "12.5")],
                (Kind::CreateUnkeyed, _) => vec![("NAME", name.as_str()), ("PROJECTID", project.as_str())],
                _ => vec![
                    ("CUSTOMERID", id.as_str()),
                    ("NAME", name.as_str()),
                    ("Signed_On", "02/29/2024"),
                ],
            };
            if verb != Verb::Delete && rng.u32(0..200) < 3 {
                run.bad.insert(row);
                match kind {
                    Kind::CreateSkipping => cells[0].1 = "C-00001",
                    _ if verb == Verb::Create && rng.bool() => cells.retain(|(field, _)| *field != "NAME"),
                    Kind::CreateUnkeyed => cells[1].1 = "no such project",
                    _ => cells.push(("TERMNAME", NAMES[rng.usize(0..NAMES.len())])),
                }
            }
            if verb == Verb::Create && kind != Kind::CreateUnkeyed && cells.len() == 3 && rng.u32(0..100) < 3
            {
                run.bad.insert(row);
                if cells[0].1 == id {
                    run.theirs.insert(row);
                    company.insert(
                        "CUSTOMER",
                        &[json!({"CUSTOMERID": id, "NAME": name, "Signed_On": "2024-02-29"})],
                    );
                }
            }
            let table = if kind == Kind::CreateUnkeyed {
                &task
            } else {
                &customer
            };
            let key = (verb != Verb::Create).then_some(there);
            run.changes.push(change(table, verb, key, &cells));
        }
        run
    }

    /// Customers to update and delete, under other ids than those that are created.
    fn there(&self, company: &Company, rows: usize) -> Vec<i64> {
        if !matches!(self.kind, Kind::Update | Kind::Delete | Kind::Mixed) {
            return vec![0; rows];
        }
        let row = |n: usize| json!({"CUSTOMERID": format!("P{}-{n}", self.number), "NAME": "before"});
        company.insert("CUSTOMER", &(0..rows).map(row).collect::<Vec<_>>())
    }

    /// How often a row is stored, by what the company holds.
    fn stored(&self, company: &Company, row: usize) -> usize {
        let change = &self.changes[row];
        let name = format!("run {} row {row}", self.number);
        let sql = match (change.verb, &change.key) {
            (Verb::Create, _) if self.kind == Kind::CreateUnkeyed => {
                format!("SELECT COUNT(*) AS a FROM TASK WHERE NAME = '{name}'")
            }
            (Verb::Create, _) => format!(
                "SELECT COUNT(*) AS a FROM CUSTOMER WHERE CUSTOMERID = 'F{}-{row}'",
                self.number
            ),
            (Verb::Update, Some((_, key))) => {
                format!("SELECT COUNT(*) AS a FROM CUSTOMER WHERE RECORDNO = {key} AND NAME = '{name}'")
            }
            (_, key) => {
                let key = key.as_ref().map_or("0", |(_, key)| key);
                format!("SELECT 1 - COUNT(*) AS a FROM CUSTOMER WHERE RECORDNO = {key}")
            }
        };
        company.truth(&sql).remove(0).parse().expect("a count")
    }

    fn check(&self, company: &Company, ended: &Result<Written, WriteFailure>) -> Result<(), String> {
        // A record of another writer is never ours, however equal.
        let counts: Vec<usize> = (0..self.changes.len())
            .map(|row| self.stored(company, row) - usize::from(self.theirs.contains(&row)))
            .collect();
        if let Some(row) = counts.iter().position(|count| *count > 1) {
            return Err(format!("row {row} is stored {} times", counts[row]));
        }
        let held: HashSet<usize> = (0..counts.len()).filter(|row| counts[*row] == 1).collect();
        match ended {
            Ok(written) => {
                let said = |row: &usize| written.rows[*row].stored;
                let said: HashSet<usize> = (0..counts.len()).filter(said).collect();
                if said != held || (self.kind != Kind::CreateSkipping && said.len() != counts.len()) {
                    return Err(format!("said to be stored {said:?}, stored {held:?}"));
                }
            }
            Err(failure) => {
                let certain: HashSet<usize> = failure.certain.iter().copied().collect();
                let possible: HashSet<usize> = failure.possible.iter().copied().collect();
                let most: HashSet<usize> = certain.union(&possible).copied().collect();
                if !certain.is_subset(&held) || !held.is_subset(&most) {
                    return Err(format!(
                        "certain {certain:?}, possible {possible:?}, stored {held:?}: {failure:?}"
                    ));
                }
                let in_doubt = *failure.error.kind() == ErrorKind::OutcomeUnknown;
                if in_doubt == possible.is_empty() || in_doubt == failure.control_ids.is_empty() {
                    return Err(format!("kind, rows and control ids do not agree: {failure:?}"));
                }
            }
        }
        Ok(())
    }
}

/// How runs ended.
#[derive(Debug, Default)]
struct Tally {
    written: u32,
    refused: u32,
    unknown: u32,
    cut: u32,
    faults: BTreeMap<Fault, u32>,
}

async fn run(number: u64, seed: u64, company: Company, tally: Arc<Mutex<Tally>>) -> Result<(), String> {
    let mut rng = Rng::with_seed(seed);
    let run = Run::new(number, &company, &mut rng);
    let cut = Arc::new(Notify::new());
    let struck = Arc::new(Mutex::new(BTreeMap::new()));
    let script = Arc::new(Mutex::new(Script {
        company: company.clone(),
        rate: [0, 15, 30, 50][rng.usize(0..4)],
        late: Vec::new(),
        requests: 0,
        cut_at: (rng.u32(0..10) < 2).then(|| rng.u32(1..8)),
        cut: Arc::clone(&cut),
        struck: Arc::clone(&struck),
        ids: HashMap::new(),
        rng: rng.fork(),
    }));
    let answering = Arc::clone(&script);
    let gateway = Gateway::start_raw(move |request| answering.lock().expect("no panic").reply(request)).await;
    let progress = WriteProgress::new();
    let client = client(&gateway);
    let writing = write(&client, &run.changes, &run.options, &progress);
    let ended = tokio::select! {
        biased;
        ended = writing => ended,
        () = cut.notified() => Err(progress.failure(Error::new(ErrorKind::Refused, "canceled"))),
    };
    let mut script = script.lock().expect("no panic");
    script.finish();
    {
        let mut tally = tally.lock().expect("no panic");
        match &ended {
            Ok(_) => tally.written += 1,
            Err(failure) if failure.error.to_string().contains("canceled") => tally.cut += 1,
            Err(failure) if *failure.error.kind() == ErrorKind::OutcomeUnknown => tally.unknown += 1,
            Err(_) => tally.refused += 1,
        }
        for (fault, count) in struck.lock().expect("no panic").iter() {
            *tally.faults.entry(*fault).or_default() += count;
        }
    }
    if let Some((body, ids)) = script.ids.iter().find(|(_, ids)| ids.len() > 1) {
        return Err(format!("sent under several ids: {ids:?} {body}"));
    }
    run.check(&company, &ended).map_err(|why| {
        format!(
            "{:?}, {} rows, {:?}: {why}",
            run.kind,
            run.changes.len(),
            run.options
        )
    })
}

fn client(gateway: &Gateway) -> Client {
    let mut config = gateway.config();
    config.user_id = "apiuser".into();
    config.password = "secret".into();
    config.sender_password = "senderpw".into();
    config.request_timeout = Duration::from_millis(400);
    config.write_timeout = Duration::from_millis(400);
    config.max_retries = 4;
    let backoff = Backoff {
        base: Duration::from_millis(1),
        max: Duration::from_millis(4),
    };
    Client::with_backoff(config, backoff).expect("a client")
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

#[tokio::test]
async fn nothing_is_stored_twice_or_lost_in_silence() {
    let (runs, seed) = (number("WRITE_FAULT_RUNS", 500), number("WRITE_FAULT_SEED", 1));
    let company = Company::new();
    let tally = Arc::new(Mutex::new(Tally::default()));
    let mut going = tokio::task::JoinSet::<Result<(), String>>::new();
    let mut failures = Vec::new();
    for number in 0..runs {
        if number == runs / 2 {
            company.set("partial_success", "each");
        }
        if going.len() == 16 {
            failures.extend(
                going
                    .join_next()
                    .await
                    .and_then(|ended| ended.expect("no panic").err()),
            );
        }
        let (company, tally) = (company.clone(), Arc::clone(&tally));
        going.spawn(async move {
            let ended = run(number, seed.wrapping_mul(1_000_003) + number, company, tally).await;
            ended.map_err(|why| format!("run {number}: {why}"))
        });
    }
    while let Some(ended) = going.join_next().await {
        failures.extend(ended.expect("no panic").err());
    }
    let tally = tally.lock().expect("no panic");
    eprintln!("{runs} runs with seed {seed}: {tally:?}");
    assert!(
        failures.is_empty(),
        "{} runs failed:\n{}",
        failures.len(),
        failures.join("\n")
    );
    // A test that never meets a fault, or never gets anything written, would prove nothing.
    let ends = [tally.written, tally.refused, tally.unknown, tally.cut];
    assert!(runs < 200 || ends.iter().all(|count| *count > 0), "{tally:?}");
    assert!(runs < 200 || tally.faults.len() == FAULTS.len(), "{tally:?}");
}
