//! What is asked before anything is sent: which record each change addresses, and which fields are custom ones.

use super::fetch::fetch;
use super::legacy::{self, Leftover};
use super::operation::Operation;
use super::render::{addressed_by, key_in};
use super::{Change, WriteTarget};
use crate::client::Client;
use crate::error::{Error, ErrorKind};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Which of the fields that legacy functions have no element for are custom ones: they are sent in a list of their own.
pub(super) async fn custom_fields(client: &Client, changes: &[Change]) -> Result<BTreeSet<Leftover>, Error> {
    let mut wanted: BTreeMap<(String, Option<String>), BTreeSet<String>> = BTreeMap::new();
    for change in changes {
        let target = &change.target;
        let function = super::function(&target.object, change.verb)?;
        let Some(legacy) = legacy::find(function) else {
            continue;
        };
        for (object, field) in legacy.leftovers(&change.cells)? {
            let definition = target.docparid.clone();
            wanted.entry((object, definition)).or_default().insert(field);
        }
    }
    let mut custom = BTreeSet::new();
    for ((object, definition), fields) in wanted {
        let known = client.lookup(&object, definition.as_deref()).await?;
        let is_custom = |field: &String| {
            let mut of_object = known.fields.iter();
            of_object.any(|known| known.custom && known.id.eq_ignore_ascii_case(field))
        };
        custom.extend(
            fields
                .into_iter()
                .filter(is_custom)
                .map(|field| (object.clone(), field)),
        );
    }
    Ok(custom)
}

/// The value by which the function of each change addresses its record; empty for creates. Read where a change
/// names its record by another field.
pub(super) async fn addresses(
    client: &Client,
    changes: &[Change],
    operations: &[Operation],
) -> Result<Vec<String>, (usize, Error)> {
    let mut keys = vec![String::new(); changes.len()];
    let mut unknown: BTreeMap<(String, String), (Arc<WriteTarget>, Vec<usize>)> = BTreeMap::new();
    for unit in operations.iter().flat_map(|operation| &operation.functions) {
        for row in unit.rows.clone() {
            let change = &changes[row];
            let Some(field) = addressed_by(change, unit.name) else {
                continue;
            };
            let Some((named, _)) = &change.key else {
                let error = Error::new(ErrorKind::Internal, "a change of a record without its key");
                return Err((row, error));
            };
            match key_in(change, field) {
                Some(key) => keys[row] = key.to_owned(),
                None => unknown
                    .entry((named.clone(), field.to_owned()))
                    .or_insert_with(|| (Arc::clone(&change.target), Vec::new()))
                    .1
                    .push(row),
            }
        }
    }
    for ((named, field), (target, rows)) in unknown {
        let names: Vec<&str> = rows
            .iter()
            .filter_map(|row| key_in(&changes[*row], &named))
            .collect();
        let found = fetch(client, &target, &named, &names, &[&field], false)
            .await
            .map_err(|error| (rows[0], error))?;
        for (row, name) in rows.iter().zip(names) {
            let count = found.under(name).len();
            if count > 1 {
                let message = format!("{count} records of {} have {named} \"{name}\"", target.object);
                let error = Error::new(ErrorKind::NotOne, message)
                    .with_hint("Add a column for RECORDNO to the table: it identifies a record.");
                return Err((*row, error));
            }
            let Some(key) = found.value(name, &field) else {
                let message = format!("there is no {} whose {named} is \"{name}\"", target.object);
                return Err((*row, gone(Error::new(ErrorKind::Refused, ""), message)));
            };
            keys[*row] = key.to_owned();
        }
    }
    Ok(keys)
}

/// A record that a statement has seen and that is gone.
pub(super) fn gone(error: Error, message: String) -> Error {
    error
        .with_kind(ErrorKind::Moved)
        .with_message(message)
        .with_hint("Another session has deleted or renamed it: run the statement again.")
}
