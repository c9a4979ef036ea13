//! How much the row parser costs over bare tokenising: `cargo run --release -p intacct --example parse_bench`.

use intacct::SelectItem;
use quick_xml::Reader;
use quick_xml::events::Event;
use std::fmt::Write;
use std::hint::black_box;
use std::time::{Duration, Instant};

const ROWS: usize = 2000;
const FIELDS: usize = 15;
const ROUNDS: usize = 60;

fn response() -> String {
    let mut body = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<response><control><status>success</status></control><operation>\
         <authentication><status>success</status></authentication><result><status>success</status>\
         <function>query</function><controlid>f</controlid>",
    );
    write!(
        body,
        "<data listtype=\"ARINVOICE\" totalcount=\"{ROWS}\" offset=\"0\" count=\"{ROWS}\" numremaining=\"0\">"
    )
    .expect("in memory");
    for row in 0..ROWS {
        body.push_str("<ARINVOICE>");
        for field in 0..FIELDS {
            match field % 5 {
                0 => write!(body, "<FIELD{field}>{}</FIELD{field}>", row * 17),
                1 => write!(body, "<FIELD{field}>{row}.25</FIELD{field}>"),
                2 => write!(
                    body,
                    "<FIELD{field}>Customer number {row} &amp; Sons</FIELD{field}>"
                ),
                3 => write!(body, "<FIELD{field}>01/31/2024 08:30:00</FIELD{field}>"),
                _ => write!(body, "<FIELD{field}/>"),
            }
            .expect("in memory");
        }
        body.push_str("</ARINVOICE>");
    }
    body.push_str("</data></result></operation></response>\n");
    body
}

fn tokens(body: &[u8]) -> usize {
    let mut reader = Reader::from_reader(body);
    let mut count = 0;
    loop {
        match black_box(reader.read_event().expect("well-formed")) {
            Event::Eof => return count,
            _ => count += 1,
        }
    }
}

fn best(mut run: impl FnMut() -> usize) -> Duration {
    let time = |_| {
        let start = Instant::now();
        black_box(run());
        start.elapsed()
    };
    (0..ROUNDS).map(time).min().unwrap_or_default()
}

fn main() {
    let body = response();
    let select: Vec<SelectItem> = (0..FIELDS)
        .map(|n| SelectItem::Field(format!("FIELD{n}")))
        .collect();
    let bare = best(|| tokens(body.as_bytes()));
    let parsed = best(|| {
        intacct::measure::page(body.as_bytes(), &select)
            .expect("a page")
            .rows()
    });
    let memory = intacct::measure::page(body.as_bytes(), &select)
        .expect("a page")
        .memory_bytes();
    let ratio = parsed.as_secs_f64() / bare.as_secs_f64();
    println!(
        "{ROWS} rows of {FIELDS} fields, {} KiB; page held in {} KiB",
        body.len() / 1024,
        memory / 1024
    );
    println!("bare tokenising {bare:?}, rows parsed {parsed:?}: ratio {ratio:.2}");
}
