//! The statement to type next: tables for what the user may read, and what reading them costs. Runs on the I/O thread:
//! nothing here may call PostgreSQL.

use super::outcome::StepOutcome;
use super::readable::{ReadableObject, counted};
use super::subject::Subject;
use intacct::{Client, Count, DialectKind, Error, ErrorKind, PageRequest, Query, Readable};

/// What finance teams ask for first. `sage_intacct.objects()` lists everything, a call for each.
pub const OBJECTS: [&str; 16] = [
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
/// What roles for one application may read beside: looked at where a user may read none of what nearly everyone may.
pub const OTHERS: [&str; 9] = [
    "CONTACT",
    "CLASS",
    "SODOCUMENT",
    "PODOCUMENT",
    "TIMESHEET",
    "TASK",
    "EEXPENSES",
    "CHECKINGACCOUNT",
    "GLBUDGETITEM",
];
/// Objects of the company's own that are looked at beside them, at most.
const OWN: usize = 20;
/// Bytes of a table's name.
const NAME_BYTES: usize = 63;
/// A page of so many rows is worth timing.
const FULL_PAGE: u64 = 2000;

/// The objects that the user may read, with their rows where the gateway counts them, and the others.
#[derive(Debug)]
pub struct Found {
    readable: Vec<ReadableObject>,
    refused: Vec<String>,
    /// The gateway function of their server.
    kind: DialectKind,
}

/// The objects that the company made, as far as they are looked at: small letters are in no name of the vendor's.
pub async fn own_objects(client: &Client) -> Result<Vec<String>, Error> {
    let objects = match client.inspect_all().await {
        Ok(objects) => objects,
        Err(error) if intacct::concerns_one_object(&error) => Vec::new(),
        Err(error) => return Err(error),
    };
    let own = objects.into_iter().map(|object| object.name);
    let own = own.filter(|name| name.chars().any(char::is_lowercase) && name.len() <= NAME_BYTES);
    Ok(own.take(OWN).collect())
}

/// Looks which objects the user may read: one request for all of them, where the dialect takes several functions; `lead`
/// is known to be readable, so that it can be the first.
pub async fn survey(client: &Client, subject: &Subject, lead: &ReadableObject) -> Result<Found, Error> {
    let kind = DialectKind::for_version(client.config().dtd_version);
    let mut found = Found {
        readable: Vec::new(),
        refused: Vec::new(),
        kind,
    };
    let mut objects: Vec<ReadableObject> = OBJECTS
        .into_iter()
        .map(|object| ReadableObject::new(object, false))
        .collect();
    if objects.iter().all(|object| object.object != lead.object) {
        objects.extend(OTHERS.map(|object| ReadableObject::new(object, false)));
    }
    if kind != DialectKind::Query {
        for object in objects {
            found.look_alone(client, object).await?;
        }
        return Ok(found);
    }
    let own = own_objects(client).await?;
    objects.extend(own.iter().map(|object| ReadableObject::new(object, true)));
    let query = |object: &ReadableObject| {
        let mut query = object.key_query(kind);
        query.limit = Some(Count::Number(1));
        query.missing_as_null = true;
        query.show_private = subject.show_private;
        query
    };
    let queries: Vec<Query> = objects.iter().map(query).collect();
    let one = PageRequest { size: 1, offset: 0 };
    let (_, pages) = client
        .page_beside(&query(lead), kind, &one, false, &queries)
        .await?;
    for (object, page) in objects.into_iter().zip(pages) {
        match page {
            Ok(page) => found.readable.push(ReadableObject {
                rows: page.total_count,
                ..object
            }),
            // It has a record number after all.
            Err(error) if object.own && matches!(error.kind(), ErrorKind::UnknownFields(_)) => {
                found.look_alone(client, object).await?;
            }
            Err(error) if intacct::concerns_one_object(&error) => found.refused.push(object.object),
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// Where nothing can be read that was looked at.
pub fn nothing_readable(subject: &Subject) -> StepOutcome {
    StepOutcome::open("may read none of the objects that were looked at").hint(format!(
        "SELECT name, rows FROM sage_intacct.objects('{}') WHERE readable;",
        subject.name.replace('\'', "''")
    ))
}

impl Found {
    async fn look_alone(&mut self, client: &Client, object: ReadableObject) -> Result<(), Error> {
        match client.survey(&object.object, false).await? {
            Readable::Yes { rows, is_custom } => self.readable.push(ReadableObject {
                own: is_custom,
                rows,
                ..object
            }),
            Readable::No(_) => self.refused.push(object.object),
        }
        Ok(())
    }

    /// What is best timed: the first that fills a page, else the one with the most rows.
    pub fn to_measure(&self) -> Option<&ReadableObject> {
        let rows = |object: &&ReadableObject| object.rows.unwrap_or_default();
        let full = self.readable.iter().find(|object| rows(object) >= FULL_PAGE);
        // Of several with as many rows, the first.
        full.or_else(|| self.readable.iter().rev().max_by_key(rows))
    }

    /// What was found, and the statement.
    pub fn said(&self, subject: &Subject) -> StepOutcome {
        if self.readable.is_empty() {
            return nothing_readable(subject);
        }
        let objects: Vec<String> = self.readable.iter().map(ReadableObject::to_string).collect();
        let pages = |rows: u64| rows.div_ceil(u64::from(subject.page_size)).max(1);
        let calls = self
            .readable
            .iter()
            .map(|object| object.rows.map_or(1, pages))
            .sum();
        let bound = match self.readable.iter().all(|object| object.rows.is_some()) {
            true => "about",
            false => "at least",
        };
        let mut detail = format!(
            "{}; to read all of it: {bound} {}; to import it: about {}",
            objects.join(", "),
            counted(calls, "call"),
            self.calls_of_import()
        );
        if !self.refused.is_empty() {
            detail += &format!("; may not read {}", self.refused.join(", "));
        }
        StepOutcome::fine(detail).hint(self.statement(subject))
    }

    /// One lists the objects, one describes each, one probes each, and as a rule once more without the fields that the
    /// gateway refuses.
    fn calls_of_import(&self) -> usize {
        match self.kind {
            DialectKind::Query => 1 + 3 * self.readable.len(),
            DialectKind::ReadByQuery | DialectKind::GetList => 1 + self.readable.len(),
        }
    }

    /// Imports what is not in the schema yet; where all of it is, reads the first table.
    fn statement(&self, subject: &Subject) -> String {
        let Subject { server, schema, .. } = subject;
        let mut names: Vec<(String, String)> = Vec::new();
        for ReadableObject { object, own, .. } in &self.readable {
            let lower = object.to_lowercase();
            // Objects of the company's own may differ by case alone.
            let name = match names.iter().any(|(name, _)| *name == lower) {
                true => object.clone(),
                false => lower,
            };
            // The vendor's names need no quotes.
            let quoted = match own {
                true => format!("\"{}\"", name.replace('"', "\"\"")),
                false => name.clone(),
            };
            names.push((name, quoted));
        }
        let create = match &subject.relations {
            None => format!("CREATE SCHEMA {schema}; "),
            Some(_) => String::new(),
        };
        let taken = subject.relations.as_deref().unwrap_or_default();
        let missing: Vec<&str> = names
            .iter()
            .filter(|(name, _)| !taken.contains(name))
            .map(|(_, quoted)| quoted.as_str())
            .collect();
        match (missing.as_slice(), names.first()) {
            ([], Some((_, first))) => format!("SELECT * FROM {schema}.{first} LIMIT 10;"),
            _ => format!(
                "{create}IMPORT FOREIGN SCHEMA intacct LIMIT TO ({}) FROM SERVER {server} INTO {schema};",
                missing.join(", ")
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Found, ReadableObject, Subject};
    use intacct::DialectKind;

    fn subject(relations: Option<&[&str]>) -> Subject {
        Subject {
            name: "My Server".into(),
            server: "\"My Server\"".into(),
            schema: "\"My Server\"".into(),
            relations: relations.map(|names| names.iter().map(|&name| name.to_owned()).collect()),
            page_size: 1000,
            show_private: false,
            concurrency_given: false,
        }
    }

    fn found(readable: &[(&str, bool, Option<u64>)], refused: &[&str]) -> Found {
        let readable = readable.iter().map(|&(object, own, rows)| ReadableObject {
            rows,
            ..ReadableObject::new(object, own)
        });
        Found {
            readable: readable.collect(),
            refused: refused.iter().map(|&name| name.to_owned()).collect(),
            kind: DialectKind::Query,
        }
    }

    #[test]
    fn the_statement_names_what_may_be_read_and_no_more() {
        let found = found(
            &[("CUSTOMER", false, Some(2001)), ("VENDOR", false, Some(1))],
            &["GLENTRY"],
        );
        let said = found.said(&subject(None));
        assert_eq!(said.ok, Some(true));
        assert_eq!(
            said.detail,
            "CUSTOMER (2001 rows), VENDOR (1 row); to read all of it: about 4 calls; to import it: about 7; \
             may not read GLENTRY"
        );
        assert_eq!(
            said.hint,
            "CREATE SCHEMA \"My Server\"; IMPORT FOREIGN SCHEMA intacct LIMIT TO (customer, vendor) \
             FROM SERVER \"My Server\" INTO \"My Server\";"
        );
    }

    #[test]
    fn what_is_not_counted_makes_the_calls_a_lower_bound() {
        let said = found(&[("ARINVOICE", false, None)], &[]).said(&subject(None));
        assert_eq!(
            said.detail,
            "ARINVOICE; to read all of it: at least 1 call; to import it: about 4"
        );
    }

    #[test]
    fn objects_of_the_companys_own_are_quoted_and_keep_apart() {
        let own = found(
            &[
                ("a \"b\"", true, Some(1)),
                ("Foo", true, Some(1)),
                ("fOO", true, Some(1)),
            ],
            &[],
        );
        let hint = own.said(&subject(Some(&[]))).hint;
        assert_eq!(
            hint,
            "IMPORT FOREIGN SCHEMA intacct LIMIT TO (\"a \"\"b\"\"\", \"foo\", \"fOO\") \
             FROM SERVER \"My Server\" INTO \"My Server\";"
        );
    }

    #[test]
    fn what_is_in_the_schema_is_not_imported_again() {
        let found = found(&[("CUSTOMER", false, Some(7)), ("VENDOR", false, Some(0))], &[]);
        let hint = |relations| found.said(&subject(Some(relations))).hint;
        assert!(hint(&["customer"]).starts_with("IMPORT FOREIGN SCHEMA intacct LIMIT TO (vendor) FROM"));
        assert_eq!(
            hint(&["vendor", "customer"]),
            "SELECT * FROM \"My Server\".customer LIMIT 10;"
        );
    }

    #[test]
    fn without_an_object_the_list_of_all_is_next() {
        let said = found(&[], &[]).said(&subject(None));
        assert_eq!(said.ok, None);
        assert_eq!(
            said.hint,
            "SELECT name, rows FROM sage_intacct.objects('My Server') WHERE readable;"
        );
    }

    #[test]
    fn a_full_page_is_measured_where_there_is_one() {
        let measured = |rows: &[u64]| {
            let names = ["A", "B", "C"].iter().zip(rows);
            let readable: Vec<_> = names.map(|(&name, &rows)| (name, false, Some(rows))).collect();
            found(&readable, &[])
                .to_measure()
                .map(|object| object.object.clone())
        };
        assert_eq!(measured(&[5, 2000, 9000]).as_deref(), Some("B"));
        assert_eq!(measured(&[5, 7, 7]).as_deref(), Some("B"));
        assert_eq!(measured(&[0, 0]).as_deref(), Some("A"));
        assert_eq!(measured(&[]), None);
    }
}
