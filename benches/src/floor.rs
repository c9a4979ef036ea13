//! The least that reading pages can cost: download, gunzip, tokenise, throw away.

use crate::process;
use flate2::read::GzDecoder;
use quick_xml::Reader;
use quick_xml::events::Event;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// What the loop used.
pub struct Floor {
    /// From the first request to the last token.
    pub time: Duration,
    /// Processor time of the thread.
    pub cpu: Duration,
    /// Rows seen.
    pub rows: u64,
    /// Bytes after decompression.
    pub bytes: u64,
}

/// Reads the whole object in order of RECORDNO, a page of `page` rows after the other.
///
/// # Panics
/// If the gateway does not answer with rows.
pub fn read(url: &str, object: &str, fields: &[&str], page: u64) -> Floor {
    let address = url
        .trim_start_matches("http://")
        .split('/')
        .next()
        .expect("a host");
    let mut stream = TcpStream::connect(address).expect("the gateway accepts");
    stream.set_nodelay(true).expect("an option");
    let mut reader = BufReader::with_capacity(1 << 16, stream.try_clone().expect("a second handle"));
    let (began, cpu) = (Instant::now(), process::own_cpu());
    let (mut rows, mut bytes) = (0, 0);
    loop {
        let document = document(object, fields, page, rows);
        write!(
            stream,
            "POST /ia/xml/xmlgw.phtml HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/xml\r\n\
             Accept-Encoding: gzip\r\nContent-Length: {}\r\n\r\n{document}",
            document.len()
        )
        .expect("the request is sent");
        let packed = body(&mut reader);
        let mut text = Vec::new();
        GzDecoder::new(packed.as_slice())
            .read_to_end(&mut text)
            .expect("gzip");
        bytes += text.len() as u64;
        let found = tokenise(&text);
        rows += found;
        if found < page {
            break;
        }
    }
    Floor {
        time: began.elapsed(),
        cpu: process::own_cpu() - cpu,
        rows,
        bytes,
    }
}

fn body(reader: &mut BufReader<TcpStream>) -> Vec<u8> {
    let mut length = 0;
    let mut line = String::new();
    loop {
        line.clear();
        reader.read_line(&mut line).expect("a header");
        match line.trim_end().split_once(": ") {
            None if line.trim_end().is_empty() => break,
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.parse().expect("a length");
            }
            _ => {}
        }
    }
    assert!(length > 0, "the gateway tells the length of its answer");
    let mut bytes = vec![0; length];
    reader.read_exact(&mut bytes).expect("the body");
    bytes
}

/// Gives the number of rows.
fn tokenise(text: &[u8]) -> u64 {
    let mut reader = Reader::from_reader(text);
    let (mut depth, mut rows) = (0, 0);
    loop {
        match std::hint::black_box(reader.read_event().expect("well-formed")) {
            Event::Start(_) => {
                depth += 1;
                rows += u64::from(depth == 5);
            }
            Event::End(_) => depth -= 1,
            Event::Eof => return rows,
            _ => {}
        }
    }
}

fn document(object: &str, fields: &[&str], page: u64, offset: u64) -> String {
    let select: String = fields
        .iter()
        .map(|field| format!("<field>{field}</field>"))
        .collect();
    format!(
        "<request><control><senderid>sender1</senderid><password>senderpw</password><controlid>b</controlid>\
         <uniqueid>false</uniqueid><dtdversion>3.0</dtdversion><includewhitespace>false</includewhitespace></control>\
         <operation><authentication><login><userid>apiuser</userid><companyid>acme</companyid>\
         <password>secret</password></login></authentication><content><function controlid=\"b\"><query>\
         <object>{object}</object><select>{select}</select><orderby><order><field>RECORDNO</field></order></orderby>\
         <options><showprivate>true</showprivate></options><pagesize>{page}</pagesize><offset>{offset}</offset></query>\
         </function></content></operation></request>"
    )
}
