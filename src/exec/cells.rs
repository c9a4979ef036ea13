//! Reading of cells: the reader that a client's formatting gives.

use intacct::{CellReader, Client, UserFormatting};

/// The reader of cells, for what is known of the user's formatting by now.
pub fn cell_reader(client: Option<&Client>) -> CellReader {
    let known = client.and_then(Client::known_formatting);
    let zone = client.and_then(|client| client.config().time_zone.clone());
    // Only scans that read nothing which depends on it come here without knowing it.
    let formatting = known.unwrap_or_else(|| UserFormatting {
        locale: "en_US.UTF-8".into(),
        date_format: "/mdY".into(),
        gmt_offset_seconds: 0,
        clock: 24,
    });
    CellReader::new(&formatting, zone.as_ref())
}
