//! A statement whose names are the gateway's, and the query that is pushed down for it.

use super::names::Names;
use super::split::{self, Split};
use super::values;
use crate::client::Client;
use crate::dialect::DialectKind;
use crate::error::{Error, ErrorKind};
use crate::formatting::{CellError, CellReader, UserFormatting};
use crate::json;
use crate::pages::Paging;
use crate::query::{Count, OrderKey, Query, SelectItem, text};
use crate::schema::{Class, DataType};
use crate::xml::page::Page;

/// How many records a statement is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueryType {
    /// Any number: they are listed.
    List,
    /// One, with the lines that it owns.
    Single,
}

/// What a statement does not say itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Any number of records, or one.
    pub query_type: QueryType,
    /// Rows of a page, at most.
    pub page_size: u32,
    /// Rows that are private to an entity are asked for too.
    pub show_private: bool,
}

/// What comes back while a statement runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    /// Something that the user should know: a message, and the names that it is about.
    Notice(String, Vec<String>),
    /// Rows, each a JSON object.
    Rows(Vec<String>),
}

/// A statement whose names are the gateway's.
pub(super) struct Statement {
    pub(super) query: Query,
    /// The object as the user typed it.
    pub(super) typed: String,
    pub(super) names: Names,
    pub(super) kind: DialectKind,
    pub(super) page_size: u32,
}

impl Statement {
    pub(super) async fn prepare(
        client: &Client,
        text: &str,
        settings: &Settings,
    ) -> Result<Statement, Error> {
        // The object decides which bare words are fields, so its name is read first.
        let first: Query = text.parse()?;
        let definition = client
            .definition(&first.object, first.docparid.as_deref())
            .await?;
        let mut query = Query::parse_with(text, &|word| definition.field(word).is_some())?;
        let typed = query.object.clone();
        let names = Names::resolve(client, definition, &mut query).await?;
        if let Some(filter) = &mut query.filter {
            values::coerce(filter, &names)
                .map_err(|error| error.at(&client.config().company_id, Some(&first.object), "query", ""))?;
            if values::has_readings(filter) && !client.zone().is_steady() {
                // Near a change of the clock the gateway may understand another moment than the rows are shown with.
                values::place(filter, &client.gateway_zone().await?);
            }
        }
        query.show_private |= settings.show_private;
        let kind = DialectKind::for_version(client.config().dtd_version);
        if !kind.capabilities().show_private {
            query.show_private &= first.show_private;
        }
        Ok(Statement {
            query,
            typed,
            names,
            kind,
            page_size: settings.page_size,
        })
    }

    pub(super) fn has_aggregates(&self) -> bool {
        let is_aggregate = |item: &SelectItem| matches!(item, SelectItem::Aggregate { .. });
        self.query.select.iter().any(is_aggregate)
    }

    pub(super) fn split(&self) -> Split {
        split::split(&self.query, &self.names, self.kind)
    }

    /// The fields of text that the gateway tests in a way which blanks at the edges of values may change.
    pub(super) fn texts_in_doubt(&self, split: &Split) -> Vec<String> {
        let is_free_text = |field: &str| {
            let data_type = self.names.type_of(field);
            Class::of(&data_type) == Class::Text && data_type != DataType::Enum
        };
        let pushed = split.pushed.as_ref();
        pushed
            .map(|pushed| text::fields_in_doubt(pushed, is_free_text))
            .unwrap_or_default()
    }

    pub(super) fn limit(&self) -> Result<Option<u64>, Error> {
        self.query.limit.map(number).transpose()
    }

    pub(super) fn offset(&self) -> Result<u64, Error> {
        self.query.offset.map_or(Ok(0), number)
    }

    /// The field by which pages follow each other.
    pub(super) fn row_key(&self) -> Option<String> {
        let own = || self.names.object.row_key().map(|field| field.id.clone());
        let settled = self.kind.settled_key(&self.query.object);
        settled.map(str::to_owned).or_else(own)
    }

    /// The query for rows with these fields, and how its pages follow each other.
    pub(super) fn pushed(&self, split: &Split, select: Vec<SelectItem>) -> (Query, Paging) {
        let mut query = Query {
            select,
            filter: split.pushed.clone(),
            limit: None,
            offset: None,
            ..self.query.clone()
        };
        query.case_insensitive &= self.kind.capabilities().case_insensitive_option;
        let key = self.row_key().map(|field| OrderKey {
            field,
            descending: false,
        });
        let paging = match key {
            Some(key) => {
                if !query.select.iter().any(|item| item.field() == key.field) {
                    query.select.push(SelectItem::Field(key.field.clone()));
                }
                if !query.order_by.iter().any(|known| known.field == key.field) {
                    query.order_by.push(key);
                }
                // By its keys alone a page can be found again only where each row has them.
                match &query.order_by[..] {
                    [_] => Paging::Keyset {
                        keys: query.order_by.clone(),
                        any_order: self.query.order_by.is_empty(),
                    },
                    _ => Paging::Offset,
                }
            }
            None => Paging::Offset,
        };
        (query, paging)
    }

    /// Whether reading these columns depends on the user's formatting preferences.
    pub(super) fn needs_formatting(&self, select: &[SelectItem]) -> bool {
        select.iter().any(|item| {
            let data_type = self.names.type_of(item.field());
            !(data_type.is_text() || data_type.is_integer() || data_type == DataType::Boolean)
        })
    }

    /// The error for a cell that is not what its type says.
    pub(super) fn bad_cell(
        &self,
        select: &[SelectItem],
        page: &Page,
        row: usize,
        column: usize,
        error: &CellError,
    ) -> Error {
        let field = select.get(column).map_or("", SelectItem::field);
        let object = &self.query.object;
        let message =
            format!("field {field} of {object} holds {error}").replace("holds not", "does not hold");
        let key = self.row_key().and_then(|key| {
            let at = select.iter().position(|item| item.field() == key)?;
            let value = String::from_utf8_lossy(page.cell(row, at)?).into_owned();
            Some(format!("It is the record with {key} {value}. "))
        });
        Error::new(ErrorKind::Cell, message).with_hint(format!(
            "{}The statement can leave the field out.",
            key.unwrap_or_default()
        ))
    }
}

/// A row count that is a number.
pub(super) fn number(count: Count) -> Result<u64, Error> {
    match count {
        Count::Number(number) => Ok(number),
        Count::Param(number) => Err(Error::new(
            ErrorKind::Syntax,
            format!("parameter ${number} has no value"),
        )
        .with_hint("Write the number into the statement.")),
    }
}

/// The reader of cells, for what is known of the user's formatting by now.
pub(super) fn cell_reader(client: &Client) -> CellReader {
    // Only statements that read nothing which depends on it come here without knowing it.
    let formatting = client.known_formatting().unwrap_or_else(|| UserFormatting {
        locale: "en_US.UTF-8".into(),
        date_format: "/mdY".into(),
        gmt_offset_seconds: 0,
        clock: 24,
    });
    CellReader::new(&formatting, client.config().time_zone.as_ref())
}

/// An item's name in the answer, as the start of a JSON member.
pub(super) fn member(item: &SelectItem) -> String {
    let mut out = String::new();
    match item {
        SelectItem::Field(field) => json::push_text(&mut out, field),
        aggregate => json::push_text(&mut out, &aggregate.to_string()),
    }
    out.push_str(": ");
    out
}

/// The items without those that repeat another.
pub(super) fn distinct(items: &[SelectItem]) -> Vec<SelectItem> {
    let mut kept: Vec<SelectItem> = Vec::with_capacity(items.len());
    for item in items {
        if !kept.contains(item) {
            kept.push(item.clone());
        }
    }
    kept
}
