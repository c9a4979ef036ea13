//! Compression, with parts that were compressed before.

use std::io::Write;

use flate2::write::GzEncoder;
use flate2::{Compress, Compression, Crc, FlushCompress, Status};

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
            bytes: deflate(bytes, FlushCompress::Sync),
            crc,
        }
    }
}

/// What [`gzip`] says of `before`, `middle` and `after` one behind the other.
pub fn gzip_around(before: &[u8], middle: &Deflated, after: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(middle.bytes.len() + before.len() + after.len() + 64);
    // RFC 1952: no time, no name, fastest level, unknown system.
    out.extend_from_slice(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255]);
    out.extend_from_slice(&deflate(before, FlushCompress::Sync));
    out.extend_from_slice(&middle.bytes);
    out.extend_from_slice(&deflate(after, FlushCompress::Finish));
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

fn deflate(bytes: &[u8], flush: FlushCompress) -> Vec<u8> {
    let mut state = Compress::new(Compression::fast(), false);
    let mut out = Vec::with_capacity(bytes.len() / 6 + 64);
    loop {
        let taken = state.total_in() as usize;
        let status = state.compress_vec(&bytes[taken..], &mut out, flush);
        let is_done = match status {
            Ok(Status::StreamEnd) | Err(_) => true,
            // Room is left: everything was written.
            Ok(_) => {
                flush != FlushCompress::Finish
                    && state.total_in() as usize == bytes.len()
                    && out.len() < out.capacity()
            }
        };
        if is_done {
            return out;
        }
        out.reserve(out.capacity().max(64));
    }
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
        for (before, after) in [("<data>", "</data>"), ("", ""), (&rows[..700], &rows[..40_000])] {
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
