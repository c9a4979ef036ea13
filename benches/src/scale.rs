//! The mirrors of many companies over a day, on paper: no gateway and no server, but the numbers of calls that refreshes were
//! measured to cost (docs/mirrors.md). It supports the plan of docs/scale.md: how many sessions keep so many companies fresh,
//! what a contract is charged, and what a few companies that do not answer do to the others.
//!
//! Sessions take whichever company has been due longest. A company is refreshed by one session at a time, table after table.

use crate::report::Report;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Seconds.
type Seconds = f64;

const DAY: Seconds = 86_400.0;
/// The day is simulated behind one that fills the queues.
const DAYS: Seconds = 2.0 * DAY;

/// What is assumed of all companies. Each of these is a line of the plan's arithmetic.
#[derive(Clone, Copy)]
struct Plan {
    companies: u32,
    /// Mirrors of a company.
    mirrors: u32,
    /// Ledger lines of all companies together.
    lines: f64,
    /// Part of a company's lines that is new or changed in a day.
    changing: f64,
    /// How often each company is to be refreshed.
    interval: Seconds,
    /// Calls of a refresh of one mirror in which nothing much has changed: the trail, the changes, and two for the check.
    calls: f64,
    /// Rows of a page.
    page: f64,
    /// One call, from the request to the last byte.
    latency: Seconds,
    /// Time of PostgreSQL for a row that is written.
    row: Seconds,
    /// Sessions that refresh.
    sessions: usize,
    /// One of so many companies does not answer: each refresh of it ends after `patience`.
    silent: u32,
    patience: Seconds,
    /// Whether all companies are due at the full hour, instead of spread over it.
    herd: bool,
}

/// 10,000 companies and ten billion lines, scaled to the number of companies.
fn plan(companies: u32, sessions: usize) -> Plan {
    Plan {
        companies,
        mirrors: 8,
        lines: f64::from(companies) * 1e6,
        changing: 0.002,
        interval: 3600.0,
        calls: 4.0,
        page: 2000.0,
        latency: 0.4,
        row: 50e-6,
        sessions,
        silent: 0,
        patience: 120.0,
        herd: false,
    }
}

/// What a day came to.
struct Outcome {
    /// Seconds between what is due and its end, sorted, of companies that answer.
    delays: Vec<Seconds>,
    /// Calls of each company in the day, sorted.
    calls: Vec<f64>,
    /// Part of the sessions' time in which they worked.
    busy: f64,
}

fn part(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    let at = (last as f64 * share).round() as usize;
    sorted.get(at).copied().unwrap_or_default()
}

/// Sizes of companies as Zipf's law has them, in shares of all lines: the largest of 1,000 has 13 % of them.
fn shares(companies: u32) -> Vec<f64> {
    let weights: Vec<f64> = (1..=companies).map(|rank| 1.0 / f64::from(rank)).collect();
    let all: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / all).collect()
}

/// How much slower than usual the gateway is in one refresh: twice in a tenth of them, ten times in one of a hundred. The same
/// for the same refresh in every run.
fn slowness(company: u32, when: u64) -> f64 {
    let mixed = (u64::from(company) ^ when.rotate_left(32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    match (mixed >> 33) % 100 {
        0 => 10.0,
        1..=10 => 2.0,
        _ => 1.0,
    }
}

/// How many times the mean of the day changes come at this time: three quarters of them in ten hours.
fn rush(time: Seconds) -> f64 {
    let hour = (time % DAY) / 3600.0;
    if (8.0..18.0).contains(&hour) {
        0.75 * 24.0 / 10.0
    } else {
        0.25 * 24.0 / 14.0
    }
}

/// One company's turn: when it was due, in milliseconds, and which it is.
type Turn = Reverse<(u64, u32)>;

fn milliseconds(time: Seconds) -> u64 {
    (time * 1000.0) as u64
}

fn seconds(time: u64) -> Seconds {
    time as f64 / 1000.0
}

fn simulate(plan: Plan) -> Outcome {
    let shares = shares(plan.companies);
    let mut calls = vec![0.0; shares.len()];
    let mut last = vec![0.0; shares.len()];
    let mut delays = Vec::new();
    let mut worked = 0.0;
    // Spread over the interval, as jobs whose minute is taken from the company's number.
    let mut due: BinaryHeap<Turn> = (0..plan.companies)
        .map(|company| {
            let spread = if plan.herd { 0.0 } else { plan.interval };
            let offset = spread * f64::from(company) / f64::from(plan.companies);
            Reverse((milliseconds(offset), company))
        })
        .collect();
    let mut free: BinaryHeap<Reverse<u64>> = (0..plan.sessions).map(|_| Reverse(0)).collect();
    while let (Some(Reverse((when, company))), Some(Reverse(session))) = (due.pop(), free.pop()) {
        let (wanted, begin) = (seconds(when), seconds(when.max(session)));
        if begin >= DAYS {
            break;
        }
        let at = company as usize;
        let silent = plan.silent > 0 && company % plan.silent == plan.silent - 1;
        // What has changed since the last time.
        let rows = plan.lines * shares[at] * plan.changing * ((begin - last[at]) / DAY) * rush(begin);
        let (sent, time) = if silent {
            (1.0, plan.patience)
        } else {
            let sent = f64::from(plan.mirrors) * plan.calls + (rows / plan.page).floor();
            (
                sent,
                sent * plan.latency * slowness(company, when) + rows * plan.row,
            )
        };
        last[at] = begin;
        let end = begin + time;
        if begin >= DAY {
            calls[at] += sent;
            worked += time.min(DAYS - begin);
            if !silent {
                delays.push(end - wanted);
            }
        }
        free.push(Reverse(milliseconds(end)));
        due.push(Reverse((
            milliseconds((wanted + plan.interval).max(end)),
            company,
        )));
    }
    delays.sort_by(f64::total_cmp);
    calls.sort_by(f64::total_cmp);
    let busy = worked / (plan.sessions as f64 * DAY);
    Outcome { delays, calls, busy }
}

/// Prints what days of 1,000 and of 10,000 companies come to.
pub fn run(_report: &mut Report) {
    for (name, plan) in [
        ("1,000 companies, hourly, 4 sessions", plan(1000, 4)),
        ("1,000 companies, hourly, 8 sessions", plan(1000, 8)),
        (
            "the same, one in 50 does not answer",
            Plan {
                silent: 50,
                ..plan(1000, 8)
            },
        ),
        (
            "the same, all due at the full hour",
            Plan {
                herd: true,
                ..plan(1000, 8)
            },
        ),
        (
            "1,000 companies, every 15 minutes, 16 sessions",
            Plan {
                interval: 900.0,
                ..plan(1000, 16)
            },
        ),
        ("10,000 companies, hourly, 48 sessions", plan(10_000, 48)),
        ("10,000 companies, hourly, 64 sessions", plan(10_000, 64)),
        (
            "the same, one in 50 does not answer",
            Plan {
                silent: 50,
                ..plan(10_000, 64)
            },
        ),
    ] {
        let day = simulate(plan);
        println!(
            "{name}: from due to done {:.0} s (median), {:.0} s (99 %), {:.0} s (longest); calls a company and day {:.0} (median), {:.0} (most); sessions busy {:.0} %",
            part(&day.delays, 0.5),
            part(&day.delays, 0.99),
            part(&day.delays, 1.0),
            part(&day.calls, 0.5),
            part(&day.calls, 1.0),
            day.busy * 100.0
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enough_sessions_are_never_late_and_too_few_are() {
        let enough = simulate(plan(200, 8));
        assert!(part(&enough.delays, 1.0) < 600.0);
        assert!(enough.busy < 1.0);
        let few = simulate(plan(1000, 1));
        assert!(part(&few.delays, 0.5) > 3600.0);
        // A session that is always busy sends what it can.
        assert!(few.busy > 0.99);
    }

    #[test]
    fn calls_follow_the_interval() {
        let hourly = simulate(plan(100, 16));
        let quarterly = simulate(Plan {
            interval: 900.0,
            ..plan(100, 16)
        });
        let ratio = part(&quarterly.calls, 0.5) / part(&hourly.calls, 0.5);
        assert!((3.9..4.1).contains(&ratio), "{ratio}");
    }
}
