//! Records that must not have been modified since they were read, looked at just before they are written.

use super::fetch::fetch;
use super::{Change, WriteTarget};
use crate::client::Client;
use crate::error::{Error, ErrorKind};
use crate::formatting::CellReader;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The field that shows when a record was last modified.
const MODIFIED: &str = "WHENMODIFIED";

/// A row, the value of the key of its record, and when that was last modified.
type Expected<'a> = (usize, &'a str, i64);

/// Object, document definition and field of the key: documents of two definitions are not found by one question.
type Asked<'a> = (&'a str, Option<&'a str>, &'a str);

/// Records that are looked up by one question.
type ByKey<'a> = BTreeMap<Asked<'a>, (&'a Arc<WriteTarget>, Vec<Expected<'a>>)>;

/// Looks whether the records of changes were modified since they were read: `read` has when each was last modified then,
/// in microseconds since 1970; none for changes that are not looked at. This narrows the time in which another
/// writer's change is overwritten, and does not close it.
///
/// # Errors
/// Of kind [`ErrorKind::Moved`] for a record that was modified, with the row.
pub async fn check_unmodified(
    client: &Client,
    changes: &[Change],
    read: &[Option<i64>],
) -> Result<(), (Option<usize>, Error)> {
    let mut by_key: ByKey<'_> = BTreeMap::new();
    for (row, (change, read)) in changes.iter().zip(read).enumerate() {
        if let (Some((field, key)), Some(read)) = (&change.key, read) {
            by_key
                .entry((&change.target.object, change.target.docparid.as_deref(), field))
                .or_insert_with(|| (&change.target, Vec::new()))
                .1
                .push((row, key, *read));
        }
    }
    for ((object, _, field), (target, rows)) in by_key {
        let keys: Vec<&str> = rows.iter().map(|(_, key, _)| *key).collect();
        let found = fetch(client, target, field, &keys, &[MODIFIED], true)
            .await
            .map_err(|error| (None, error))?;
        let reader = client
            .known_formatting()
            .map(|formatting| CellReader::new(&formatting, client.config().time_zone.as_ref()));
        for (row, key, read) in rows {
            let now = found.value(key, MODIFIED).and_then(|text| {
                let reader = reader.as_ref()?;
                reader.timestamp(text.trim().as_bytes()).ok()
            });
            if now == Some(read) {
                continue;
            }
            let what = match (found.is_missing(key), now) {
                (true, _) => "does not exist any more",
                (false, None) => "does not show when it was last modified",
                (false, Some(_)) => "was modified since it was read",
            };
            let message = format!("the {object} whose {field} is \"{key}\" {what}");
            let error = Error::new(ErrorKind::Moved, message).with_hint(
                "Nothing of this batch was sent. Run the statement again, on the record as it is now.",
            );
            return Err((Some(row), client.place(error, Some(object), "query")));
        }
    }
    Ok(())
}
