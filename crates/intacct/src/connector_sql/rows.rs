//! Statements that list records.

use super::check::Check;
use super::statement::{Sent, Statement, cell_reader, distinct, member};
use crate::client::Client;
use crate::error::{Error, ErrorKind};
use crate::formatting::CellReader;
use crate::json;
use crate::pages::{ReadPlan, read};
use crate::query::{Condition, Count, SelectItem};
use crate::schema::DataType;
use crate::xml::page::Page;

pub(super) async fn run(
    client: &Client,
    statement: Statement,
    mut emit: impl AsyncFnMut(Sent) -> bool,
) -> Result<(), Error> {
    let docparid = statement.query.docparid.clone();
    let everything = statement.query.select.is_empty();
    let mut refused = client.refused_fields(&statement.typed, docparid.as_deref());
    if everything && !refused.is_empty() && !emit(left_out(&statement, &refused)).await {
        return Ok(());
    }
    loop {
        let items = match everything {
            true => statement.names.all_fields(&refused),
            false => distinct(&statement.query.select),
        };
        let mut shown = false;
        let ended = list(client, &statement, items.clone(), async |sent| {
            shown = true;
            emit(sent).await
        });
        let error = match ended.await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        // `lookup` lists fields that cannot be queried: `*` does without them.
        let ErrorKind::UnknownFields(named) = error.kind() else {
            return Err(error);
        };
        let is_ours = |field: &&String| items.iter().any(|item| item.field().eq_ignore_ascii_case(field));
        let fresh: Vec<String> = named.iter().filter(is_ours).cloned().collect();
        if !everything || shown || fresh.is_empty() || fresh.len() == items.len() {
            return Err(error);
        }
        client.remember_refused(&statement.typed, docparid.as_deref(), &fresh);
        if !emit(left_out(&statement, &fresh)).await {
            return Ok(());
        }
        refused.extend(fresh);
    }
}

fn left_out(statement: &Statement, fields: &[String]) -> Sent {
    let message = format!(
        "fields of {} that cannot be queried are left out of *",
        statement.query.object
    );
    Sent::Notice(message, fields.to_vec())
}

/// Reads the rows with these items.
async fn list(
    client: &Client,
    statement: &Statement,
    items: Vec<SelectItem>,
    mut emit: impl AsyncFnMut(Sent) -> bool,
) -> Result<(), Error> {
    let split = statement.split();
    let limit = statement.limit()?.unwrap_or(u64::MAX);
    let offset = statement.offset()?;
    if limit == 0 {
        return Ok(());
    }
    let mut select = items.clone();
    add_fields(&mut select, split.checked.as_ref());
    let (mut pushed, paging) = statement.pushed(&split, select);
    // The texts of rows that are skipped are not seen, and the gateway may have matched others.
    let at_gateway =
        split.is_exact && statement.kind.capabilities().offset && statement.texts_in_doubt(&split).is_empty();
    if at_gateway {
        pushed.offset = (offset > 0).then_some(Count::Number(offset));
    }
    let writer = Writer::new(statement, &items);
    let mut left = Left {
        skip: if at_gateway { 0 } else { offset },
        rows: limit,
    };
    let wanted = limit.saturating_add(left.skip);
    let plan = ReadPlan {
        assumed: Vec::new(),
        kind: statement.kind,
        page_size: statement.page_size,
        first_page: u32::try_from(wanted).unwrap_or(u32::MAX).min(statement.page_size),
        grows: true,
        need_formatting: statement.needs_formatting(&pushed.select),
        paging,
        ahead: match limit {
            u64::MAX => client.config().max_concurrency,
            _ => 0,
        },
        query: pushed,
    };
    let select = &plan.query.select;
    let mut prepared: Option<(CellReader, Option<Check>)> = None;
    let mut failure = None;
    read(client, &plan, async |page| {
        // What the user prefers is known with the first page.
        let (reader, check) = prepared.get_or_insert_with(|| {
            let reader = cell_reader(client);
            let fold = statement.query.case_insensitive;
            let check = split
                .checked
                .as_ref()
                .map(|condition| Check::new(condition, select, &statement.names, fold, &reader));
            (reader, check)
        });
        match writer.rows(&page, check.as_ref(), reader, &mut left) {
            Ok(rows) => (rows.is_empty() || emit(Sent::Rows(rows)).await) && left.rows > 0,
            Err((row, (column, error))) => {
                failure = Some(statement.bad_cell(select, &page, row, column, &error));
                false
            }
        }
    })
    .await?;
    failure.map_or(Ok(()), Err)
}

/// Adds the fields that a condition needs.
pub(super) fn add_fields(select: &mut Vec<SelectItem>, condition: Option<&Condition>) {
    for field in condition.map(Condition::fields).unwrap_or_default() {
        let item = SelectItem::Field(field.to_owned());
        if !select.contains(&item) {
            select.push(item);
        }
    }
}

/// Rows that are still to be skipped and returned.
struct Left {
    skip: u64,
    rows: u64,
}

/// Writes rows as JSON objects; the items are the first columns of each page.
struct Writer {
    members: Vec<(String, DataType)>,
}

/// A row, and the cell in it that cannot be read.
type BadRow = (usize, super::check::BadCell);

impl Writer {
    fn new(statement: &Statement, items: &[SelectItem]) -> Writer {
        let members = items
            .iter()
            .map(|item| (member(item), statement.names.type_of(item.field())));
        Writer {
            members: members.collect(),
        }
    }

    fn rows(
        &self,
        page: &Page,
        check: Option<&Check>,
        reader: &CellReader,
        left: &mut Left,
    ) -> Result<Vec<String>, BadRow> {
        let mut rows = Vec::with_capacity(page.rows());
        for row in 0..page.rows() {
            if left.rows == 0 {
                break;
            }
            let keeps = check.map_or(Ok(true), |check| check.keeps(page, row, reader));
            if !keeps.map_err(|error| (row, error))? {
                continue;
            }
            if left.skip > 0 {
                left.skip -= 1;
                continue;
            }
            left.rows -= 1;
            rows.push(self.row(page, row, reader).map_err(|error| (row, error))?);
        }
        Ok(rows)
    }

    fn row(&self, page: &Page, row: usize, reader: &CellReader) -> Result<String, super::check::BadCell> {
        let mut out = String::from("{");
        for (column, (member, data_type)) in self.members.iter().enumerate() {
            if column > 0 {
                out.push_str(", ");
            }
            out.push_str(member);
            json::push_cell(&mut out, data_type, page.cell(row, column), reader)
                .map_err(|error| (column, error))?;
        }
        out.push('}');
        Ok(out)
    }
}
