//! The statement to type next: tables for what the user may read, and what reading them costs. Runs on the I/O thread:
//! nothing here may call PostgreSQL.

use super::key_query::key_query;
use super::outcome::StepOutcome;
use super::subject::Subject;
use intacct::{Client, Count, DialectKind, Error, PageRequest, Query, Readable};
use std::fmt::Write as _;

/// What finance teams ask for first. `sage_intacct.objects()` lists everything, a call for each.
const OBJECTS: [&str; 16] = [
    "CUSTOMER",
    "VENDOR",
    "GLACCOUNT",
    "DEPARTMENT",
    "LOCATION",
    "ARINVOICE",
    "ARINVOICEITEM",
    "ARPYMT",
    "APBILL",
    "APBILLITEM",
    "APPYMT",
    "GLBATCH",
    "GLENTRY",
    "ITEM",
    "PROJECT",
    "EMPLOYEE",
];
/// Rows of one call.
const PAGE_ROWS: u64 = 2000;

/// The objects that the user may read, with their rows where the gateway counts them, and the others.
#[derive(Debug, Default)]
struct Found {
    readable: Vec<(&'static str, Option<u64>)>,
    refused: Vec<&'static str>,
}

/// Looks which objects the user may read.
pub async fn run(client: &Client, subject: &Subject, readable: &str) -> StepOutcome {
    match survey(client, subject, readable).await {
        Ok(found) => found.said(&subject.server),
        Err(error) => StepOutcome::failed(error.into()),
    }
}

/// One request for all of them, where the dialect takes several functions; `readable` is known to be, so that it can
/// lead.
async fn survey(client: &Client, subject: &Subject, readable: &str) -> Result<Found, Error> {
    let kind = DialectKind::for_version(client.config().dtd_version);
    let mut found = Found::default();
    if kind != DialectKind::Query {
        for object in OBJECTS {
            match client.survey(object, false).await? {
                Readable::Yes { rows, .. } => found.readable.push((object, rows)),
                Readable::No(_) => found.refused.push(object),
            }
        }
        return Ok(found);
    }
    let query = |object: &str| {
        let mut query = key_query(kind, object);
        query.limit = Some(Count::Number(1));
        query.missing_as_null = true;
        query.show_private = subject.show_private;
        query
    };
    let queries: Vec<Query> = OBJECTS.into_iter().map(query).collect();
    let one = PageRequest { size: 1, offset: 0 };
    let (_, pages) = client
        .page_beside(&query(readable), kind, &one, false, &queries)
        .await?;
    for (object, page) in OBJECTS.into_iter().zip(pages) {
        match page {
            Ok(page) => found.readable.push((object, page.total_count)),
            Err(error) if intacct::concerns_one_object(&error) => found.refused.push(object),
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

impl Found {
    fn said(&self, server: &str) -> StepOutcome {
        if self.readable.is_empty() {
            return StepOutcome::open(format!("may read none of {}", OBJECTS.join(", "))).hint(format!(
                "SELECT name, rows FROM sage_intacct.objects('{}') WHERE readable shows what the user may read.",
                server.replace('\'', "''")
            ));
        }
        let mut detail = String::new();
        let mut calls = 0;
        for (object, rows) in &self.readable {
            let separator = if detail.is_empty() { "" } else { ", " };
            let count = match rows {
                Some(rows) => format!(" ({rows} rows)"),
                None => String::new(),
            };
            // Writing to a string cannot fail.
            let _ = write!(detail, "{separator}{object}{count}");
            calls += rows.map_or(1, |rows| rows.div_ceil(PAGE_ROWS).max(1));
        }
        let _ = write!(detail, "; to read all of it: about {calls} calls");
        if !self.refused.is_empty() {
            let _ = write!(detail, "; may not read {}", self.refused.join(", "));
        }
        let tables: Vec<String> = self
            .readable
            .iter()
            .map(|(object, _)| object.to_lowercase())
            .collect();
        StepOutcome::fine(detail).hint(format!(
            "CREATE SCHEMA {server}; IMPORT FOREIGN SCHEMA intacct LIMIT TO ({}) FROM SERVER {server} INTO {server};",
            tables.join(", ")
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::Found;

    #[test]
    fn the_statement_names_what_may_be_read_and_no_more() {
        let found = Found {
            readable: vec![("CUSTOMER", Some(2001)), ("ARINVOICE", None), ("VENDOR", Some(0))],
            refused: vec!["GLENTRY"],
        };
        let said = found.said("\"My Server\"");
        assert_eq!(said.ok, Some(true));
        assert_eq!(
            said.detail,
            "CUSTOMER (2001 rows), ARINVOICE, VENDOR (0 rows); to read all of it: about 4 calls; may not read GLENTRY"
        );
        assert_eq!(
            said.hint,
            "CREATE SCHEMA \"My Server\"; IMPORT FOREIGN SCHEMA intacct LIMIT TO (customer, arinvoice, vendor) \
             FROM SERVER \"My Server\" INTO \"My Server\";"
        );
        assert_eq!(Found::default().said("acme").ok, None);
    }
}
