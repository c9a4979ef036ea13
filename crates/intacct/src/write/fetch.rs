//! Records read by a key field.

use super::WriteTarget;
use crate::client::Client;
use crate::dialect::{DialectKind, PageRequest};
use crate::error::{Error, ErrorKind};
use crate::query::{Condition, Query, SelectItem, Value};
use std::collections::{BTreeSet, HashMap};

/// Keys of one question. The gateway takes up to 1000.
const MAX_KEYS: usize = 500;

/// Rows of one answer: more than keys asked for means that the key is not unique.
const PAGE: PageRequest = PageRequest {
    size: 2000,
    offset: 0,
};

/// Records found, by key.
pub(super) struct Found {
    pub(super) fields: Vec<String>,
    pub(super) records: HashMap<String, Vec<Vec<Option<String>>>>,
}

impl Found {
    /// The records under a key; cells in the order of the fields.
    pub(super) fn under(&self, key: &str) -> &[Vec<Option<String>>] {
        self.records.get(key.trim()).map_or(&[], Vec::as_slice)
    }

    pub(super) fn position(&self, field: &str) -> Option<usize> {
        self.fields
            .iter()
            .position(|name| name.eq_ignore_ascii_case(field))
    }

    /// The value of a field of the only record under a key.
    pub(super) fn value(&self, key: &str, field: &str) -> Option<&str> {
        let [record] = self.under(key) else { return None };
        record[self.position(field)?].as_deref()
    }

    /// Every record.
    pub(super) fn all(&self) -> impl Iterator<Item = &[Option<String>]> {
        self.records.values().flatten().map(Vec::as_slice)
    }

    /// How many records are under the key.
    pub(super) fn count(&self, key: &str) -> usize {
        self.under(key).len()
    }

    /// Whether no record is under the key.
    pub(super) fn is_missing(&self, key: &str) -> bool {
        self.under(key).is_empty()
    }

    /// Whether exactly one record is under the key.
    pub(super) fn has(&self, key: &str) -> bool {
        self.under(key).len() == 1
    }

    /// Whether the field could be read at all.
    pub(super) fn reads(&self, field: &str) -> bool {
        self.position(field).is_some()
    }
}

/// Reads fields of records by a key field. Fields that cannot be queried are left out of what is found.
pub(super) async fn fetch(
    client: &Client,
    target: &WriteTarget,
    key_field: &str,
    keys: &[&str],
    fields: &[&str],
    need_formatting: bool,
) -> Result<Found, Error> {
    let mut found = Found::new(key_field, fields);
    for keys in keys.chunks(MAX_KEYS) {
        found.read(client, target, keys, false, need_formatting).await?;
    }
    Ok(found)
}

/// The same for keys that the gateway may have trimmed, folded in case, or cut: what it may have made of them is read.
pub(super) async fn fetch_folded(
    client: &Client,
    target: &WriteTarget,
    key_field: &str,
    keys: &[&str],
    fields: &[&str],
) -> Result<Found, Error> {
    let mut found = Found::new(key_field, fields);
    let beginnings = |key: &&str| {
        let key = key.trim().to_owned();
        let ends: Vec<usize> = key.char_indices().map(|(at, c)| at + c.len_utf8()).collect();
        ends.into_iter()
            .map(move |end| key[..end].trim_end().to_owned())
            .collect::<Vec<_>>()
    };
    let values: BTreeSet<String> = keys.iter().flat_map(beginnings).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    for values in values.chunks(MAX_KEYS) {
        found.read(client, target, values, true, true).await?;
    }
    Ok(found)
}

impl Found {
    fn new(key_field: &str, fields: &[&str]) -> Found {
        let mut names: Vec<String> = vec![key_field.to_owned()];
        for field in fields {
            if !names.iter().any(|name| name.eq_ignore_ascii_case(field)) {
                names.push((*field).to_owned());
            }
        }
        Found {
            fields: names,
            records: HashMap::new(),
        }
    }

    async fn read(
        &mut self,
        client: &Client,
        target: &WriteTarget,
        keys: &[&str],
        case_insensitive: bool,
        need_formatting: bool,
    ) -> Result<(), Error> {
        let page = loop {
            let query = Query {
                docparid: target.docparid.clone(),
                select: self.fields.iter().cloned().map(SelectItem::Field).collect(),
                filter: Some(Condition::In {
                    field: self.fields[0].clone(),
                    values: keys.iter().map(|key| Value::Text((*key).to_owned())).collect(),
                    negated: false,
                }),
                show_private: target.show_private,
                missing_as_null: target.missing_as_null,
                case_insensitive,
                ..Query::new(&target.object)
            };
            match client
                .page(&query, DialectKind::Query, &PAGE, need_formatting)
                .await
            {
                Ok(page) => break page,
                Err(error) => self.fields = without_unreadable(error, &self.fields)?,
            }
        };
        if page.remaining.is_some_and(|remaining| remaining > 0) {
            let message = format!("{} is not unique in {}", self.fields[0], target.object);
            return Err(Error::new(ErrorKind::NotOne, message).of_object(&target.object));
        }
        for row in 0..page.rows() {
            let cell = |column| {
                page.cell(row, column)
                    .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
            };
            let record: Vec<Option<String>> = (0..self.fields.len()).map(cell).collect();
            let key = record[0].clone().unwrap_or_default();
            self.records
                .entry(key.trim().to_owned())
                .or_default()
                .push(record);
        }
        Ok(())
    }
}

/// The names without those that the gateway does not let be queried: some fields are only for writing.
fn without_unreadable(error: Error, names: &[String]) -> Result<Vec<String>, Error> {
    let ErrorKind::UnknownFields(unknown) = error.kind() else {
        return Err(error);
    };
    let refused = |name: &String| unknown.iter().any(|field| field.eq_ignore_ascii_case(name));
    if names.first().is_none_or(refused) || !names.iter().any(refused) {
        return Err(error);
    }
    Ok(names.iter().filter(|name| !refused(name)).cloned().collect())
}
