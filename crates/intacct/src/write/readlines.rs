//! Owned lines of a record, compared with those that were sent.

use super::{Change, WriteValue, lines};
use crate::client::Client;
use crate::error::Error;
use crate::formatting::{CellReader, is_same};
use crate::records::{FieldValue, KeyKind, Record};
use serde_json::{Map, Value};

/// What reading shows of the lines of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LinesSeen {
    /// None were sent.
    None,
    Same,
    Different,
    /// They cannot be compared.
    Unclear,
}

/// Reads the lines of a record, named by its keys, if the change has lines.
pub(super) async fn look_at_lines(
    client: &Client,
    change: &Change,
    keys: &[(String, String)],
    reader: Option<CellReader>,
) -> Result<LinesSeen, Error> {
    let sent: Vec<(&str, &Value)> = change
        .cells
        .iter()
        .filter_map(|(path, value)| match value {
            WriteValue::Lines(lines) => Some((path.as_str(), lines)),
            _ => None,
        })
        .collect();
    if sent.is_empty() {
        return Ok(LinesSeen::None);
    }
    let target = &change.target;
    let id = keys
        .iter()
        .find(|(field, _)| field.eq_ignore_ascii_case(&target.id_field));
    let Some((_, id)) = id else {
        return Ok(LinesSeen::Unclear);
    };
    // Only the whole record shows its lines.
    let ids = [id.clone()];
    let records = client.records(
        &target.object,
        KeyKind::RecordNo,
        &ids,
        &[],
        target.docparid.as_deref(),
    );
    let records = records.await?;
    let [record] = records.as_slice() else {
        return Ok(LinesSeen::Unclear);
    };
    let mut seen = LinesSeen::Same;
    for (path, lines) in sent {
        match compare(record, path, lines, reader.as_ref()) {
            LinesSeen::Different => return Ok(LinesSeen::Different),
            LinesSeen::Unclear => seen = LinesSeen::Unclear,
            LinesSeen::None | LinesSeen::Same => {}
        }
    }
    Ok(seen)
}

fn compare(record: &Record, path: &str, sent: &Value, reader: Option<&CellReader>) -> LinesSeen {
    let Ok(sent) = lines::lines(path, sent) else {
        return LinesSeen::Unclear;
    };
    let (collection, line) = path.rsplit_once('.').unwrap_or((path, path));
    let got: Vec<&Record> = match record.field(collection) {
        Some(FieldValue::Lines(lines)) => {
            let lines = lines.iter();
            lines
                .filter(|record| record.object.eq_ignore_ascii_case(line))
                .collect()
        }
        _ => Vec::new(),
    };
    if got.len() != sent.len() {
        return LinesSeen::Different;
    }
    let mut left = got;
    let mut seen = LinesSeen::Same;
    for line in sent {
        let judged: Vec<LinesSeen> = left.iter().map(|got| of_line(line, got, reader)).collect();
        let place = |wanted| judged.iter().position(|seen| *seen == wanted);
        match (place(LinesSeen::Same), place(LinesSeen::Unclear)) {
            (Some(place), _) => drop(left.remove(place)),
            (None, Some(place)) => {
                left.remove(place);
                seen = LinesSeen::Unclear;
            }
            (None, None) => return LinesSeen::Different,
        }
    }
    seen
}

fn of_line(sent: &Map<String, Value>, got: &Record, reader: Option<&CellReader>) -> LinesSeen {
    let Ok(cells) = lines::cells(sent) else {
        return LinesSeen::Unclear;
    };
    let mut seen = LinesSeen::Same;
    for (field, value) in cells {
        match (value, got.field(&field)) {
            (WriteValue::Text(sent), Some(FieldValue::Text(got))) => {
                if !is_same(&sent, got.as_deref(), reader) {
                    return LinesSeen::Different;
                }
            }
            // A field under its older name, or lines of lines.
            _ => seen = LinesSeen::Unclear,
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lines_are_compared_in_any_order() {
        let line = |account: &str, amount: &str| Record {
            object: "apbillitem".into(),
            fields: vec![
                ("ACCOUNTNO".into(), FieldValue::Text(Some(account.into()))),
                ("AMOUNT".into(), FieldValue::Text(Some(amount.into()))),
            ],
        };
        let record = Record {
            object: "apbill".into(),
            fields: vec![(
                "APBILLITEMS".into(),
                FieldValue::Lines(vec![line("4000", "1.5"), line("4000", "2"), line("5000", "2")]),
            )],
        };
        let path = "APBILLITEMS.APBILLITEM";
        let same = |lines: Value| compare(&record, path, &lines, None);
        let one = |account: &str, amount: &str| json!({"ACCOUNTNO": account, "AMOUNT": amount});
        let sent = [one("5000", "2.00"), one("4000", "2"), one("4000", "1.50")];
        assert_eq!(same(json!(sent)), LinesSeen::Same);
        assert_eq!(
            same(json!([one("5000", "2"), one("5000", "2"), one("4000", "1.5")])),
            LinesSeen::Different
        );
        assert_eq!(
            same(json!([one("5000", "2"), one("4000", "2")])),
            LinesSeen::Different
        );
        assert_eq!(
            same(json!([{"glaccountno": "x"}, one("4000", "2"), one("5000", "2")])),
            LinesSeen::Unclear
        );
    }
}
