//! Statements with aggregates: grouped by the gateway where that gives the right numbers, else here from the rows.

use super::check::Check;
use super::groups::{Failure, Groups, Output, Source};
use super::rows::add_fields;
use super::split::Split;
use super::statement::{Sent, Statement, cell_reader, distinct, member};
use crate::client::Client;
use crate::dialect::PageRequest;
use crate::error::{Error, ErrorKind};
use crate::formatting::CellReader;
use crate::pages::{Beside, Paging, ReadPlan, read, read_part_beside};
use crate::query::text::without_blank_edges;
use crate::query::{AggregateFunction, Condition, Count, Query, SelectItem};
use crate::received::{Confirmation, GroupKeyKind, ReceivedKeys};
use crate::schema::{Class, DataType};
use crate::xml::page::Page;

pub(super) async fn run(
    client: &Client,
    statement: Statement,
    mut emit: impl AsyncFnMut(Sent) -> bool,
) -> Result<(), Error> {
    let items = distinct(&statement.query.select);
    sensible(&statement, &items)?;
    let split = statement.split();
    let mut rows = None;
    if is_trusted(client, &statement, &split, &items) {
        match by_gateway(client, &statement, &split, &items).await {
            Ok(groups) => rows = groups,
            Err(error) if may_read_rows(&error) => {}
            Err(error) => return Err(error),
        }
        if rows.is_none() {
            let message = format!(
                "the gateway's groups of {} do not add up or were refused, so its rows are read and grouped here",
                statement.query.object
            );
            if !emit(Sent::Notice(message, Vec::new())).await {
                return Ok(());
            }
        }
    }
    let rows = match rows {
        Some(rows) => rows,
        None => from_rows(client, &statement, &split, &items).await?,
    };
    let offset = usize::try_from(statement.offset()?).unwrap_or(usize::MAX);
    let limit = statement
        .limit()?
        .map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let rows: Vec<String> = rows.into_iter().skip(offset).take(limit).collect();
    if !rows.is_empty() {
        emit(Sent::Rows(rows)).await;
    }
    Ok(())
}

/// Whether the aggregates and the order make sense.
fn sensible(statement: &Statement, items: &[SelectItem]) -> Result<(), Error> {
    let refuse = |message: String, hint: &str| {
        Err(Error::new(ErrorKind::Unsupported, message).with_hint(hint.to_owned()))
    };
    for item in items {
        let SelectItem::Aggregate { function, field } = item else {
            continue;
        };
        let data_type = statement.names.type_of(field);
        let class = Class::of(&data_type);
        let fits = match function {
            AggregateFunction::Count => true,
            AggregateFunction::Sum | AggregateFunction::Avg => class == Class::Number,
            AggregateFunction::Min | AggregateFunction::Max => class != Class::Boolean,
        };
        if !fits {
            let message = format!("{item} cannot be computed: {field} is {}", data_type.name());
            return refuse(
                message,
                "sum and avg are for numbers, min and max for all but booleans.",
            );
        }
    }
    for key in &statement.query.order_by {
        if !items.contains(&SelectItem::Field(key.field.clone())) {
            let message = format!(
                "groups cannot be ordered by {}, which they are not grouped by",
                key.field
            );
            return refuse(message, "Add the field to the select list, or order in SQL.");
        }
    }
    Ok(())
}

/// Whether what the gateway computes is sure to be right: what it counts where a field has no value is not
/// known (fact 32), nor with how many digits it divides (fact 36), nor the order of its text (fact 12).
fn is_trusted(client: &Client, statement: &Statement, split: &Split, items: &[SelectItem]) -> bool {
    let Some(row_key) = statement.row_key() else {
        return false;
    };
    let zone = client.zone();
    let pushed = split.pushed.as_ref();
    let class_of = |field: &str| Class::of(&statement.names.type_of(field));
    let is_sure = |item: &SelectItem| match item {
        // Where clocks are set back, two moments read alike, and are two groups at the gateway.
        SelectItem::Field(field) => {
            !field.contains('.') && (class_of(field) != Class::Moment || zone.is_steady())
        }
        SelectItem::Aggregate { function, field } => {
            let class = class_of(field);
            !field.contains('.')
                && match function {
                    AggregateFunction::Count => *field == row_key || has_value(pushed, field),
                    AggregateFunction::Sum => true,
                    AggregateFunction::Avg => false,
                    AggregateFunction::Min | AggregateFunction::Max => match class {
                        Class::Number | Class::Date => true,
                        // … and the latest reading is not the latest moment.
                        Class::Moment => zone.is_steady(),
                        Class::Text | Class::Boolean => false,
                    },
                }
        }
    };
    statement.kind.capabilities().aggregates && split.is_exact && items.iter().all(is_sure)
}

/// How the values of a group key compare.
fn key_kind(data_type: &DataType) -> GroupKeyKind {
    match (data_type, Class::of(data_type)) {
        (DataType::Enum, _) => GroupKeyKind::Listed,
        (_, Class::Text) => GroupKeyKind::Text,
        (_, Class::Number) => GroupKeyKind::Number,
        (_, Class::Boolean) => GroupKeyKind::Boolean,
        (_, Class::Date) => GroupKeyKind::Date,
        (_, Class::Moment) => GroupKeyKind::Moment,
    }
}

/// Whether a condition keeps no row in which the field has no value.
fn has_value(condition: Option<&Condition>, field: &str) -> bool {
    match condition {
        Some(Condition::And(parts)) => parts.iter().any(|part| has_value(Some(part), field)),
        Some(Condition::IsNull {
            field: tested,
            negated: true,
        }) => tested == field,
        _ => false,
    }
}

/// Whether a failure may be due to how the gateway groups, so that reading the rows is worth trying.
fn may_read_rows(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Refused
            | ErrorKind::InvalidRequest
            | ErrorKind::Malformed
            | ErrorKind::Moved
            | ErrorKind::Unsupported
    )
}

/// The groups that the gateway makes; none when their rows are not as many as there are.
async fn by_gateway(
    client: &Client,
    statement: &Statement,
    split: &Split,
    items: &[SelectItem],
) -> Result<Option<Vec<String>>, Error> {
    let Some(row_key) = statement.row_key() else {
        return Ok(None);
    };
    let count = SelectItem::Aggregate {
        function: AggregateFunction::Count,
        field: row_key.clone(),
    };
    let filter = split.pushed.clone();
    // Where a field has a value, counting it is counting rows.
    let said: Vec<SelectItem> = items
        .iter()
        .map(|item| match item {
            SelectItem::Aggregate {
                function: AggregateFunction::Count,
                ..
            } => count.clone(),
            other => other.clone(),
        })
        .collect();
    let mut select = distinct(&said);
    if !select.contains(&count) {
        select.push(count.clone());
    }
    let column = |item: &SelectItem| {
        select
            .iter()
            .position(|known| known == item)
            .unwrap_or(usize::MAX)
    };
    let outputs = items.iter().zip(&said).map(|(item, said)| Output {
        item: item.clone(),
        data_type: statement.names.type_of(item.field()),
        column: column(said),
    });
    let count_column = column(&count);
    let mut groups = Groups::new(outputs.collect(), Source::Groups);
    let query = Query {
        filter,
        limit: None,
        offset: None,
        select: select.clone(),
        ..statement.query.clone()
    };
    let has_keys = items.iter().any(|item| matches!(item, SelectItem::Field(_)));
    let total = Query {
        select: vec![SelectItem::Field(row_key)],
        order_by: Vec::new(),
        ..query.clone()
    };
    // What is as many as the rows of the groups, and has no blank at the edge of a text that the condition compares,
    // settles both: that the groups add up, and that no text was taken for another.
    let texts = statement.texts_in_doubt(split);
    let mut verification = total.clone();
    if let Some(without) = without_blank_edges(texts.iter().map(String::as_str)) {
        verification.filter = Some(Condition::and(verification.filter, without));
    }
    let plan = ReadPlan {
        assumed: Vec::new(),
        kind: statement.kind,
        page_size: statement.page_size,
        first_page: statement.page_size,
        grows: true,
        need_formatting: statement.needs_formatting(&query.select),
        paging: if has_keys { Paging::Offset } else { Paging::Single },
        ahead: 0,
        query,
    };
    let mut failure = None;
    let mut counted = 0;
    let key_columns: Vec<usize> = (select.iter().enumerate())
        .filter(|(_, item)| matches!(item, SelectItem::Field(_)))
        .map(|(column, _)| column)
        .collect();
    let mut received = ReceivedKeys::new(
        key_columns
            .iter()
            .map(|column| {
                let field = select[*column].field();
                (field.to_owned(), key_kind(&statement.names.type_of(field)))
            })
            .collect(),
    );
    let beside = Beside::new(vec![Query {
        limit: Some(Count::Number(1)),
        ..verification
    }]);
    read_part_beside(client, &plan, None, Some(&beside), async |page| {
        let reader = cell_reader(client);
        for row in 0..page.rows() {
            let rows = page
                .cell(row, count_column)
                .and_then(|cell| reader.integer(cell).ok());
            let rows = u64::try_from(rows.unwrap_or(0)).unwrap_or(0);
            counted += rows;
            // A group of no rows is how some gateways say that there is none.
            if rows > 0
                && let Err(error) = groups.add(&page, row, &reader)
            {
                failure = Some(error_of(statement, &select, &page, row, error));
                return false;
            }
            if rows > 0 {
                let cells = key_columns.iter().map(|column| page.cell(row, *column));
                // What does not parse has been an error above.
                let _ = received.add(cells, &reader);
            }
        }
        true
    })
    .await?;
    if let Some(failure) = failure {
        return Err(failure);
    }
    let mut verified = beside.answers().pop().transpose()?;
    if counted == 0 && has_keys && !texts.is_empty() {
        // Groups without a value may have been left out, and nothing counted: that would be as many as well.
        let request = PageRequest { size: 1, offset: 0 };
        verified = Some(client.page(&total, statement.kind, &request, false).await?);
    }
    if verified.and_then(|page| page.total_count) != Some(counted) {
        return Ok(None);
    }
    match received.count(client, &total, statement.kind, counted).await? {
        Confirmation::Unneeded => {}
        Confirmation::Rows(rows) if rows == counted => {}
        _ => return Ok(None),
    }
    finish(client, statement, items, groups).map(Some)
}

/// Reads the rows and groups them here.
async fn from_rows(
    client: &Client,
    statement: &Statement,
    split: &Split,
    items: &[SelectItem],
) -> Result<Vec<String>, Error> {
    let fields: Vec<SelectItem> = items
        .iter()
        .map(|item| SelectItem::Field(item.field().to_owned()))
        .collect();
    let mut select = distinct(&fields);
    add_fields(&mut select, split.checked.as_ref());
    let (pushed, paging) = statement.pushed(split, select);
    let outputs = items.iter().map(|item| Output {
        item: item.clone(),
        data_type: statement.names.type_of(item.field()),
        column: pushed
            .select
            .iter()
            .position(|known| known.field() == item.field())
            .unwrap_or(usize::MAX),
    });
    let mut groups = Groups::new(outputs.collect(), Source::Rows);
    let plan = ReadPlan {
        assumed: Vec::new(),
        kind: statement.kind,
        page_size: statement.page_size,
        first_page: statement.page_size,
        grows: true,
        need_formatting: statement.needs_formatting(&pushed.select),
        paging,
        ahead: client.config().max_concurrency,
        query: pushed,
    };
    let select = &plan.query.select;
    let mut prepared: Option<(CellReader, Option<Check>)> = None;
    let mut failure = None;
    read(client, &plan, async |page| {
        let (reader, check) = prepared.get_or_insert_with(|| {
            let reader = cell_reader(client);
            let fold = statement.query.case_insensitive;
            let check = split
                .checked
                .as_ref()
                .map(|condition| Check::new(condition, select, &statement.names, fold, &reader));
            (reader, check)
        });
        for row in 0..page.rows() {
            let keeps = check
                .as_ref()
                .map_or(Ok(true), |check| check.keeps(&page, row, reader));
            let added = match keeps {
                Ok(true) => groups.add(&page, row, reader),
                Ok(false) => Ok(()),
                Err(cell) => Err(Failure::Cell(cell)),
            };
            if let Err(error) = added {
                failure = Some(error_of(statement, select, &page, row, error));
                return false;
            }
        }
        true
    })
    .await?;
    match failure {
        Some(failure) => Err(failure),
        None => finish(client, statement, items, groups),
    }
}

fn finish(
    client: &Client,
    statement: &Statement,
    items: &[SelectItem],
    groups: Groups,
) -> Result<Vec<String>, Error> {
    let members: Vec<String> = items.iter().map(member).collect();
    groups
        .rows(&members, &cell_reader(client))
        .map_err(|error| error_of(statement, items, &Page::default(), 0, error))
}

fn error_of(
    statement: &Statement,
    select: &[SelectItem],
    page: &Page,
    row: usize,
    failure: Failure,
) -> Error {
    match failure {
        Failure::Cell((column, error)) => statement.bad_cell(select, page, row, column, &error),
        Failure::Other(error) => error,
    }
}
