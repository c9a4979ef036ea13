//! Runs statements of the connector's SELECT syntax: names and types by lookup, what the gateway can say is said to
//! it, the rest is looked at here, row by row as the pages come.
//!
//! Order is the gateway's own, in `order_by` as in `<` of text. Everything that is compared here compares text by its
//! characters' numbers.

mod aggregate;
mod check;
mod decimal;
mod groups;
mod like;
mod names;
mod rows;
mod single;
mod split;
mod values;

use crate::client::Client;
use crate::dialect::DialectKind;
use crate::error::{Error, ErrorKind};
use crate::formatting::{CellError, CellReader, UserFormatting};
use crate::json;
use crate::pages::Paging;
use crate::query::{Count, OrderKey, Query, SelectItem, text};
use crate::schema::{Class, DataType};
use crate::xml::rows::Page;
use names::Names;
use split::Split;

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

/// Runs a statement and hands what comes to `emit`, until it ends or `emit` says false. Can be dropped at any await.
///
/// Fails with [`ErrorKind::Syntax`], [`ErrorKind::UnknownObject`] or [`ErrorKind::UnknownFields`] for what the
/// statement says wrong, with [`ErrorKind::Cell`] for a cell that is not of its field's type, and with what the
/// gateway refuses.
pub async fn run(
    client: &Client,
    text: &str,
    settings: &Settings,
    emit: impl AsyncFnMut(Sent) -> bool,
) -> Result<(), Error> {
    let statement = Statement::prepare(client, text, settings).await?;
    let company = &client.config().company_id;
    let object = statement.query.object.clone();
    let ended = match settings.query_type {
        QueryType::Single => single::run(client, statement, emit).await,
        QueryType::List if statement.has_aggregates() => aggregate::run(client, statement, emit).await,
        QueryType::List => rows::run(client, statement, emit).await,
    };
    ended.map_err(|error| error.at(company, Some(&object), "query", ""))
}

/// A statement whose names are the gateway's.
struct Statement {
    query: Query,
    /// The object as the user typed it.
    typed: String,
    names: Names,
    kind: DialectKind,
    page_size: u32,
}

impl Statement {
    async fn prepare(client: &Client, text: &str, settings: &Settings) -> Result<Statement, Error> {
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
                values::place(filter, &client.told_zone().await?);
            }
        }
        query.show_private |= settings.show_private;
        let kind = client.config().dtd_version.dialect();
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

    fn has_aggregates(&self) -> bool {
        let is_aggregate = |item: &SelectItem| matches!(item, SelectItem::Aggregate { .. });
        self.query.select.iter().any(is_aggregate)
    }

    fn split(&self) -> Split {
        split::split(&self.query, &self.names, self.kind)
    }

    /// The fields of text that the gateway tests in a way which blanks at the edges of values may change.
    fn texts_in_doubt(&self, split: &Split) -> Vec<String> {
        let is_free_text = |field: &str| {
            let data_type = self.names.type_of(field);
            Class::of(&data_type) == Class::Text && data_type != DataType::Enum
        };
        let told = split.told.as_ref();
        told.map(|told| text::fields_in_doubt(told, is_free_text))
            .unwrap_or_default()
    }

    fn limit(&self) -> Result<Option<u64>, Error> {
        self.query.limit.map(number).transpose()
    }

    fn offset(&self) -> Result<u64, Error> {
        self.query.offset.map_or(Ok(0), number)
    }

    /// The field by which pages follow each other.
    fn row_key(&self) -> Option<String> {
        let own = || self.names.object.row_key().map(|field| field.id.clone());
        let settled = self.kind.settled_key(&self.query.object);
        settled.map(str::to_owned).or_else(own)
    }

    /// What is asked of the gateway for rows with these fields, and how its pages follow each other.
    fn told(&self, split: &Split, select: Vec<SelectItem>) -> (Query, Paging) {
        let mut told = Query {
            select,
            filter: split.told.clone(),
            limit: None,
            offset: None,
            ..self.query.clone()
        };
        told.case_insensitive &= self.kind.capabilities().case_insensitive_option;
        let key = self.row_key().map(|field| OrderKey {
            field,
            descending: false,
        });
        let paging = match key {
            Some(key) => {
                if !told.select.iter().any(|item| item.field() == key.field) {
                    told.select.push(SelectItem::Field(key.field.clone()));
                }
                if !told.order_by.iter().any(|known| known.field == key.field) {
                    told.order_by.push(key);
                }
                // By its keys alone a page can be found again only where each row has them.
                match &told.order_by[..] {
                    [_] => Paging::Keyset {
                        keys: told.order_by.clone(),
                        any_order: self.query.order_by.is_empty(),
                    },
                    _ => Paging::Offset,
                }
            }
            None => Paging::Offset,
        };
        (told, paging)
    }

    /// Whether reading these columns depends on the user's formatting preferences.
    fn needs_formatting(&self, select: &[SelectItem]) -> bool {
        select.iter().any(|item| {
            let data_type = self.names.type_of(item.field());
            !(data_type.is_text() || data_type.is_integer() || data_type == DataType::Boolean)
        })
    }

    /// The error for a cell that is not what its type says.
    fn bad_cell(
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
fn number(count: Count) -> Result<u64, Error> {
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
fn cell_reader(client: &Client) -> CellReader {
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
fn member(item: &SelectItem) -> String {
    let mut out = String::new();
    match item {
        SelectItem::Field(field) => json::push_text(&mut out, field),
        aggregate => json::push_text(&mut out, &aggregate.to_string()),
    }
    out.push_str(": ");
    out
}

/// The items without those that repeat another.
fn distinct(items: &[SelectItem]) -> Vec<SelectItem> {
    let mut kept: Vec<SelectItem> = Vec::with_capacity(items.len());
    for item in items {
        if !kept.contains(item) {
            kept.push(item.clone());
        }
    }
    kept
}
