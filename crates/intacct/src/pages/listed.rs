//! Pages of a list (`get_list`): counted from its start, sorted by the key.
//!
//! The function knows no snapshot and no condition that could be relied on to start behind a key, and how the gateway
//! sorts text is not documented. So each page shows the last element of the page before once more, no key may come
//! twice, and in the end there must be as many keys as the gateway counts: what moved while it was read is an error.

use super::reader::{ReadSummary, Reader};
use crate::dialect::get_list;
use crate::error::{Error, ErrorKind};
use crate::query::Query;
use crate::xml::page::{Listing, Page};
use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

pub(super) async fn read(
    reader: Reader<'_>,
    mut emit: impl AsyncFnMut(Page) -> bool,
) -> Result<ReadSummary, Error> {
    let query = Query {
        limit: None,
        offset: None,
        ..reader.plan.query.clone()
    };
    let mut seen = Seen::new(&query)?;
    let first = reader.first_offset();
    let mut offset = first;
    let mut size = reader.first_size();
    let mut summary = ReadSummary::default();
    loop {
        if seen.last.is_some() {
            // Room for the element that is shown again and for one more.
            size = reader.next_size(size, reader.max_size()).max(2);
        }
        let mut page = reader.page(&query, offset, size).await?;
        let list = page
            .listing
            .take()
            .ok_or_else(|| malformed("the answer is not a list"))?;
        if !list.keys.is_empty() && list.start != offset {
            return Err(malformed(format!(
                "the gateway sent rows from {} where {offset} was asked for",
                list.start
            )));
        }
        let end = offset + list.keys.len() as u64;
        let complete = end >= list.total;
        if !complete && list.keys.len() <= usize::from(seen.last.is_some()) {
            return Err(malformed(format!(
                "the gateway counts {} rows of {}, and shows none behind {end}",
                list.total, query.object
            )));
        }
        if seen.last.is_some() {
            page.drop_first_rows(list.first_rows);
        }
        seen.take(&list)?;
        if complete && first + seen.count() != list.total.max(first) {
            return Err(seen.moved());
        }
        summary.count(&page);
        let wanted = emit(page).await;
        if complete || !wanted {
            summary.complete = complete && wanted;
            return Ok(summary);
        }
        offset = end - 1;
    }
}

fn malformed(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Malformed, message)
}

/// The keys so far. Of each only a hash is kept: two that collide by chance are an error too many, never a row.
struct Seen<'a> {
    object: &'a str,
    key: &'a str,
    hasher: RandomState,
    hashes: HashSet<u64>,
    last: Option<String>,
}

impl<'a> Seen<'a> {
    fn new(query: &'a Query) -> Result<Self, Error> {
        Ok(Seen {
            object: &query.object,
            key: get_list::object(query)?.key,
            hasher: RandomState::new(),
            hashes: HashSet::new(),
            last: None,
        })
    }

    /// Takes the keys of a page, of which the first must be the last of the page before.
    fn take(&mut self, list: &Listing) -> Result<(), Error> {
        let mut keys = list.keys.as_slice();
        if let Some(last) = &self.last {
            match keys.split_first() {
                Some((again, rest)) if again == last => keys = rest,
                _ => return Err(self.moved()),
            }
        }
        for key in keys {
            if key.is_empty() {
                let message = format!(
                    "a row of {} has no {}, by which lists are read",
                    self.object, self.key
                );
                return Err(Error::new(ErrorKind::Cell, message));
            }
            if !self.hashes.insert(self.hasher.hash_one(key)) {
                return Err(self.moved());
            }
        }
        if let Some(last) = keys.last() {
            self.last = Some(last.clone());
        }
        Ok(())
    }

    fn count(&self) -> u64 {
        self.hashes.len() as u64
    }

    fn moved(&self) -> Error {
        let message = format!("rows of {} changed place while they were read", self.object);
        Error::new(ErrorKind::Moved, message)
    }
}
