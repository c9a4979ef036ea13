//! `--self-bench`: what a page costs, measured inside of the process.

use std::fmt::Write;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::gateway::Gateway;
use crate::http::gzip::gzip;

/// Fields of the measured page.
const FIELDS: &[&str] = &[
    "RECORDNO",
    "RECORDID",
    "CUSTOMERID",
    "CUSTOMERNAME",
    "STATE",
    "DOCNUMBER",
    "DESCRIPTION",
    "WHENCREATED",
    "WHENDUE",
    "TOTALENTERED",
    "TOTALPAID",
    "TOTALDUE",
    "CURRENCY",
    "WHENMODIFIED",
    "TERMNAME",
];
const ROUNDS: u32 = 50;

/// Processor time of this thread, so that a busy machine does not blur the figures; wall time where /proc is absent.
fn clock() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    let own = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let own = own
        .and_then(|text| text.split(' ').next()?.parse().ok())
        .map(Duration::from_nanos);
    own.unwrap_or_else(|| START.get_or_init(Instant::now).elapsed())
}

/// Reads pages of 2000 ARINVOICE rows of company acme and reports milliseconds of processor time a page.
///
/// # Errors
/// When a page is refused.
pub fn run(gateway: &Gateway) -> Result<String, String> {
    let mut report = String::new();
    let by_key = "<orderby><order><field>RECORDNO</field></order></orderby>";
    let by_date =
        "<orderby><order><field>WHENDUE</field></order><order><field>RECORDNO</field></order></orderby>";
    let euro = "<equalto><field>CURRENCY</field><value>EUR</value></equalto>";
    let _ = writeln!(
        report,
        "{:<34} {:>9} {:>9} {:>9} {:>10} {:>9}",
        "page of 2000 rows x 15 fields", "first ms", "next ms", "gzip ms", "bytes", "on wire"
    );
    for (name, filter, order) in [
        ("keyset", "", by_key),
        ("keyset, one condition", euro, by_key),
        ("offset, by date", "", by_date),
    ] {
        let keyset = order == by_key;
        let mut last = 0i64;
        let mut first = None;
        let (mut next, mut packing, mut bytes, mut wire) = (Duration::ZERO, Duration::ZERO, 0, 0);
        for round in 0..=ROUNDS {
            let document = document(
                filter,
                order,
                keyset.then_some(last),
                if keyset { 0 } else { round * 2000 },
            );
            let started = clock();
            let answer = gateway.execute(&gateway.parse(document.as_bytes()), None);
            let executed = clock() - started;
            if let Some(error) = answer.error {
                return Err(format!("{name}: {error}"));
            }
            let started = clock();
            wire = gzip(&answer.body).len();
            match first {
                None => first = Some(executed),
                Some(_) => {
                    next += executed;
                    packing += clock() - started;
                }
            }
            bytes = answer.body.len();
            let text = String::from_utf8_lossy(&answer.body);
            last = text
                .rsplit("<RECORDNO>")
                .next()
                .and_then(|t| t.split('<').next()?.parse().ok())
                .filter(|_| bytes > 2000)
                .unwrap_or(0);
        }
        let ms = |d: Duration| d.as_secs_f64() * 1e3;
        let _ = writeln!(
            report,
            "{name:<34} {:>9.2} {:>9.2} {:>9.2} {bytes:>10} {wire:>9}",
            ms(first.unwrap_or_default()),
            ms(next) / f64::from(ROUNDS),
            ms(packing) / f64::from(ROUNDS),
        );
    }
    Ok(report)
}

fn document(filter: &str, order: &str, after: Option<i64>, offset: u32) -> String {
    let fields: String = FIELDS.iter().map(|f| format!("<field>{f}</field>")).collect();
    let bound =
        after.map(|k| format!("<greaterthan><field>RECORDNO</field><value>{k}</value></greaterthan>"));
    let filter = match (bound, filter) {
        (None, "") => String::new(),
        (None, f) => format!("<filter>{f}</filter>"),
        (Some(b), "") => format!("<filter>{b}</filter>"),
        (Some(b), f) => format!("<filter><and>{b}{f}</and></filter>"),
    };
    format!(
        "<request><control><senderid>sender1</senderid><password>senderpw</password><controlid>b</controlid><uniqueid>false</uniqueid><dtdversion>3.0</dtdversion><includewhitespace>false</includewhitespace></control><operation><authentication><login><userid>apiuser</userid><companyid>acme</companyid><password>secret</password></login></authentication><content><function controlid=\"b\"><query><object>ARINVOICE</object><select>{fields}</select>{filter}{order}<pagesize>2000</pagesize><offset>{offset}</offset></query></function></content></operation></request>"
    )
}
