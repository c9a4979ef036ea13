//! Statements about one record, read whole: with the lines that it owns.

use super::rows;
use super::statement::{Sent, Statement, cell_reader};
use crate::client::Client;
use crate::dialect::DialectKind;
use crate::error::{Error, ErrorKind};
use crate::formatting::{CellError, CellReader};
use crate::json;
use crate::query::{CompareOp, Condition, Count, SelectItem, Value};
use crate::records::{FieldValue, KeyKind, Record};
use crate::schema::{DataType, ObjectDefinition};
use std::collections::HashMap;
use std::sync::Arc;

pub(super) async fn run(
    client: &Client,
    statement: Statement,
    mut emit: impl AsyncFnMut(Sent) -> bool,
) -> Result<(), Error> {
    let wrong = |message: &str, hint: &str| {
        Err(Error::new(ErrorKind::Unsupported, message.to_owned()).with_hint(hint.to_owned()))
    };
    if statement.has_aggregates() {
        return wrong(
            "a single query reads a record, and no aggregates",
            "Use query type 'list'.",
        );
    }
    if statement.query.filter.is_none() {
        return wrong(
            "a single query needs a condition that one record meets",
            "Add a condition on its key, such as: where RECORDNO = 24.",
        );
    }
    let Some(row_key) = statement.row_key() else {
        return wrong(
            "records of this object have no key to be read by",
            "Use query type 'list'.",
        );
    };
    let key = match known_key(statement.query.filter.as_ref(), &row_key) {
        Some(key) => Some(key),
        None => find_key(client, &statement, &row_key).await?,
    };
    let Some(key) = key else { return Ok(()) };
    let object = &statement.query.object;
    let docparid = statement.query.docparid.as_deref();
    // Read by record number, but where 2.1 knows an object by its id.
    let by_id = statement.kind == DialectKind::GetList && row_key != "RECORDNO";
    let kind = if by_id { KeyKind::Name } else { KeyKind::RecordNo };
    let records = client.records(object, kind, &[key], &[], docparid).await?;
    let Some(record) = records.first() else {
        return Ok(());
    };
    // The answer may hold dates and numbers, whatever was asked for.
    client.formatting().await?.check()?;
    let lines = line_types(client, record).await?;
    let reader = cell_reader(client);
    let writer = Writer {
        statement: &statement,
        lines: &lines,
        reader: &reader,
    };
    let row = writer.record(record)?;
    emit(Sent::Rows(vec![row])).await;
    Ok(())
}

/// The record number, where the condition says just that.
fn known_key(condition: Option<&Condition>, row_key: &str) -> Option<String> {
    match condition? {
        Condition::Compare {
            field,
            op: CompareOp::Eq,
            value: Value::Number(digits) | Value::Text(digits),
        } if field == row_key => Some(digits.clone()),
        _ => None,
    }
}

/// The record number of the one record that meets the condition.
async fn find_key(client: &Client, statement: &Statement, row_key: &str) -> Result<Option<String>, Error> {
    let mut keys: Vec<String> = Vec::new();
    let listed = Statement::of_keys(statement, row_key);
    rows::run(client, listed, async |sent| {
        if let Sent::Rows(rows) = sent {
            keys.extend(rows);
        }
        true
    })
    .await?;
    if keys.len() > 1 {
        let message = format!(
            "more than one record of {} meets the condition of a single query",
            statement.query.object
        );
        return Err(Error::new(ErrorKind::NotOne, message));
    }
    // `{"RECORDNO": 24}`
    Ok(keys.pop().and_then(|row| {
        let row: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&row).ok()?;
        match row.into_values().next()? {
            serde_json::Value::String(text) => Some(text),
            other => Some(other.to_string()),
        }
    }))
}

impl Statement {
    /// The statement that lists the keys of the records, two at most.
    fn of_keys(statement: &Statement, row_key: &str) -> Statement {
        let mut query = statement.query.clone();
        query.select = vec![SelectItem::Field(row_key.to_owned())];
        query.order_by = Vec::new();
        query.limit = Some(Count::Number(2));
        query.offset = None;
        Statement {
            query,
            typed: statement.typed.clone(),
            names: statement.names.clone(),
            kind: statement.kind,
            page_size: statement.page_size,
        }
    }
}

type Definitions = HashMap<String, Arc<ObjectDefinition>>;

/// The definitions of the lines of a record, by the gateway's tag. Lines of an object that cannot be looked up are
/// shown as text.
async fn line_types(client: &Client, record: &Record) -> Result<Definitions, Error> {
    let mut known = Definitions::new();
    for (_, value) in &record.fields {
        let FieldValue::Lines(lines) = value else { continue };
        for line in lines {
            if known.contains_key(&line.object) {
                continue;
            }
            match client.definition(&line.object, None).await {
                Ok(definition) => known.insert(line.object.clone(), definition),
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::UnknownObject | ErrorKind::Permission | ErrorKind::Refused
                    ) =>
                {
                    continue;
                }
                Err(error) => return Err(error),
            };
        }
    }
    Ok(known)
}

struct Writer<'a> {
    statement: &'a Statement,
    lines: &'a Definitions,
    reader: &'a CellReader,
}

impl Writer<'_> {
    /// The fields asked for, or all that the gateway sent, and the lines.
    fn record(&self, record: &Record) -> Result<String, Error> {
        let asked = &self.statement.query.select;
        let mut out = String::from("{");
        let definition = &self.statement.names.object;
        if asked.is_empty() {
            for (name, value) in &record.fields {
                self.member(&mut out, definition, name, value)?;
            }
        }
        for item in asked {
            let missing = FieldValue::Text(None);
            let value = match record.field(item.field()) {
                Some(value) => value,
                // 2.1 makes elements optional.
                None if self.statement.kind == DialectKind::GetList
                    || self.statement.query.missing_as_null =>
                {
                    &missing
                }
                None => {
                    let message = format!(
                        "field {} of {} is missing in the gateway's answer",
                        item.field(),
                        self.statement.query.object
                    );
                    return Err(Error::new(ErrorKind::Malformed, message).with_hint(
                        "A record that is read whole has no fields of related objects: use query type 'list'. Where this \
                         company's gateway leaves out the elements of empty fields: options (missing_elements_null).",
                    ));
                }
            };
            self.member(&mut out, definition, item.field(), value)?;
        }
        close(&mut out, '}');
        Ok(out)
    }

    fn member(
        &self,
        out: &mut String,
        definition: &ObjectDefinition,
        name: &str,
        value: &FieldValue,
    ) -> Result<(), Error> {
        let field = definition.field(name);
        json::push_text(out, field.map_or(name, |field| field.id.as_str()));
        out.push_str(": ");
        match value {
            // Lists of lines are no fields, and this one has none.
            FieldValue::Text(None) if field.is_none() && !name.contains('.') => out.push_str("[]"),
            FieldValue::Text(text) => {
                let text_type = DataType::Text;
                let data_type = field.map_or(&text_type, |field| &field.data_type);
                json::push_cell(out, data_type, text.as_ref().map(String::as_bytes), self.reader)
                    .map_err(|error| bad_cell(definition, name, &error))?;
            }
            FieldValue::Lines(lines) => {
                out.push('[');
                for line in lines {
                    self.line(out, line)?;
                    out.push_str(", ");
                }
                close(out, ']');
            }
        }
        out.push_str(", ");
        Ok(())
    }

    fn line(&self, out: &mut String, line: &Record) -> Result<(), Error> {
        let nothing_known = ObjectDefinition {
            name: line.object.to_uppercase(),
            document_type: String::new(),
            fields: Vec::new(),
            relationships: Vec::new(),
        };
        let definition = self
            .lines
            .get(&line.object)
            .map_or(&nothing_known, |known| &**known);
        out.push('{');
        for (name, value) in &line.fields {
            self.member(out, definition, name, value)?;
        }
        close(out, '}');
        Ok(())
    }
}

/// Ends a list, without the comma after its last element.
fn close(out: &mut String, bracket: char) {
    if out.ends_with(", ") {
        out.truncate(out.len() - 2);
    }
    out.push(bracket);
}

fn bad_cell(definition: &ObjectDefinition, field: &str, error: &CellError) -> Error {
    let message = format!("field {field} of {} holds {error}", definition.name);
    Error::new(ErrorKind::Cell, message.replace("holds not", "does not hold"))
}
