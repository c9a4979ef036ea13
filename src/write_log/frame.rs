//! Lines with a length and a checksum: what was torn by a crash, or by a full disk, is distinguished from what is whole.
//!
//! A record is `CHECKSUM LENGTH TEXT` between two line ends. The first one ends whatever a torn record left behind.

use std::io::Write;

/// Appends a record. The text holds no line end, as JSON does not.
pub fn push(out: &mut Vec<u8>, text: &str) {
    // Writing to memory does not fail.
    let _ = writeln!(
        out,
        "\n{:08x} {} {text}",
        crc32fast::hash(text.as_bytes()),
        text.len()
    );
}

/// The records that are whole, and how many lines are not.
pub fn records(bytes: &[u8]) -> (Vec<&str>, usize) {
    let (mut whole, mut damaged) = (Vec::new(), 0);
    for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        match record(line) {
            Some(text) => whole.push(text),
            None => damaged += 1,
        }
    }
    (whole, damaged)
}

fn record(line: &[u8]) -> Option<&str> {
    let line = std::str::from_utf8(line).ok()?;
    let (checksum, rest) = line.split_once(' ')?;
    let (length, text) = rest.split_once(' ')?;
    let is_whole = text.len() == length.parse::<usize>().ok()?
        && crc32fast::hash(text.as_bytes()) == u32::from_str_radix(checksum, 16).ok()?;
    is_whole.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_torn_anywhere_costs_one_record() {
        let texts = [r#"{"a":1}"#, r#"{"name":"Ä b"}"#, "{}"];
        let mut bytes = Vec::new();
        let mut ends = vec![0];
        for text in texts {
            push(&mut bytes, text);
            ends.push(bytes.len());
        }
        assert_eq!(records(&bytes), (texts.to_vec(), 0));
        for cut in 0..bytes.len() {
            let (whole, damaged) = records(&bytes[..cut]);
            // A record is whole without its last line end, too.
            let complete = ends.iter().skip(1).filter(|end| **end <= cut + 1).count();
            assert_eq!(whole, texts[..complete], "{cut}");
            assert!(damaged <= 1);
            // The next record is found behind a torn one.
            let mut more = bytes[..cut].to_vec();
            push(&mut more, "[7]");
            let (whole, _) = records(&more);
            assert_eq!(whole.last(), Some(&"[7]"), "{cut}");
            assert_eq!(whole.len(), complete + 1, "{cut}");
        }
    }

    #[test]
    fn a_flipped_bit_is_noticed() {
        let mut bytes = Vec::new();
        push(&mut bytes, r#"{"outcome":"stored"}"#);
        for at in 1..bytes.len() - 1 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 4;
            let (whole, _) = records(&flipped);
            assert!(whole.is_empty(), "{at}");
        }
    }
}
