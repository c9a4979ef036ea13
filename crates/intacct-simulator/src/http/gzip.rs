//! Compression, with parts that were compressed before.

use std::cell::RefCell;
use std::io::Write;

use flate2::write::GzEncoder;
use flate2::{Compress, Compression, Crc, FlushCompress};

/// Compresses at the fastest level.
pub fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 6 + 64), Compression::fast());
    // Writing into memory cannot fail.
    let _ = encoder.write_all(body);
    encoder.finish().unwrap_or_default()
}

/// Bytes in compressed form that may stand anywhere in a compressed body: they refer to nothing before them, and end at
/// a byte.
#[derive(Debug)]
pub struct Deflated {
    bytes: Vec<u8>,
    crc: Crc,
}

impl Deflated {
    /// Compresses.
    pub fn new(bytes: &[u8]) -> Self {
        let mut crc = Crc::new();
        crc.update(bytes);
        Self {
            bytes: deflate(bytes),
            crc,
        }
    }
}

/// [`gzip`] of `before`, `middle` and `after` one behind the other.
pub fn gzip_around(before: &[u8], middle: &Deflated, after: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(middle.bytes.len() + before.len() + after.len() + 64);
    // RFC 1952: no time, no name, fastest level, unknown system.
    out.extend_from_slice(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255]);
    store(before, false, &mut out);
    out.extend_from_slice(&middle.bytes);
    store(after, true, &mut out);
    let mut crc = Crc::new();
    crc.update(before);
    crc.combine(&middle.crc);
    let mut last = Crc::new();
    last.update(after);
    crc.combine(&last);
    out.extend_from_slice(&crc.sum().to_le_bytes());
    out.extend_from_slice(&crc.amount().to_le_bytes());
    out
}

/// Bytes as they are, as a part of a compressed body: an envelope is not worth a compressor.
fn store(bytes: &[u8], is_last: bool, out: &mut Vec<u8>) {
    let mut rest = bytes;
    loop {
        // RFC 1951, 3.2.4: what a block can hold.
        let (block, behind) = rest.split_at(rest.len().min(usize::from(u16::MAX)));
        rest = behind;
        let length = block.len() as u16;
        out.push(u8::from(is_last && rest.is_empty()));
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&(!length).to_le_bytes());
        out.extend_from_slice(block);
        if rest.is_empty() {
            return;
        }
    }
}

/// Compresses up to a byte's end, behind which anything may follow.
fn deflate(bytes: &[u8]) -> Vec<u8> {
    thread_local! {
        // Its tables are larger than most pages: they are not made anew for each.
        static STATE: RefCell<Compress> = RefCell::new(Compress::new(Compression::fast(), false));
    }
    STATE.with_borrow_mut(|state| {
        state.reset();
        let mut out = Vec::with_capacity(bytes.len() / 6 + 64);
        loop {
            let taken = state.total_in() as usize;
            let status = state.compress_vec(&bytes[taken..], &mut out, FlushCompress::Sync);
            // Room is left: everything was written.
            let is_done = state.total_in() as usize == bytes.len() && out.len() < out.capacity();
            if is_done || status.is_err() {
                return out;
            }
            out.reserve(out.capacity().max(64));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn a_part_compressed_before_reads_as_if_it_had_not_been() {
        let rows: String = (0..5000)
            .map(|i| format!("<R><A>{}</A></R>", i * 7919 % 1013))
            .collect();
        for (before, after) in [("<data>", "</data>"), ("", ""), (&rows[..700], &rows[..70_000])] {
            for middle in [rows.as_str(), "", "x"] {
                let zipped = gzip_around(
                    before.as_bytes(),
                    &Deflated::new(middle.as_bytes()),
                    after.as_bytes(),
                );
                let mut text = String::new();
                let mut reader = flate2::read::GzDecoder::new(zipped.as_slice());
                reader.read_to_string(&mut text).expect("a valid stream");
                assert!(text == [before, middle, after].concat());
                assert!(reader.into_inner().is_empty());
            }
        }
    }
}
