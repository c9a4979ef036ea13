//! Written elements as cells: formats, required fields, references, and the columns that follow from others.

use rusqlite::OptionalExtension;
use rusqlite::types::Value;

use super::Caller;
use crate::catalog::{Catalog, Field, Object};
use crate::data::recipe::Recipe;
use crate::envelope::Node;
use crate::error::Fault;
use crate::settings::EmptyUpdate;
use crate::store::changes::Cells;
use crate::store::{Writer, quote, values};

/// Names that may be written but are no fields (object pages of the vendor's documentation).
const WRITE_ONLY: &[&str] = &[
    "ACTION",
    "PAYMENTDATE",
    "AMOUNTOPAY",
    "AMOUNTTOPAY",
    "OVERPAYMENTAMOUNT",
    "REVERSEDATE",
    "HISTORY_COMMENT",
    "PAYMENTPROVIDER",
    "TOTALTRXAMOUNT",
    "PARTIALEXEMPT",
];

/// Cells ready to store.
pub struct Assigned {
    /// Field names and values.
    pub cells: Cells,
}

/// Leaf elements by dotted name; owned lines are left out.
pub fn flatten(object: &Object, node: &Node) -> Vec<(String, String)> {
    let mut out = Vec::new();
    for child in &node.children {
        let is_lines = Catalog::builtin().objects.iter().any(|o| {
            o.owner
                .as_ref()
                .is_some_and(|w| w.object == object.name && w.collection.eq_ignore_ascii_case(&child.name))
        });
        if !is_lines {
            leaves(child, "", &mut out);
        }
    }
    out
}

fn leaves(node: &Node, prefix: &str, out: &mut Vec<(String, String)>) {
    let name = format!("{prefix}{}", node.name);
    if node.children.is_empty() {
        out.push((name.clone(), node.text.clone()));
    }
    for child in &node.children {
        leaves(child, &format!("{name}."), out);
    }
}

/// Checks what is written and adds what follows from it.
///
/// # Errors
/// All faults of the object.
pub fn assign(
    caller: &Caller<'_>,
    writer: &Writer<'_>,
    object: &'static Object,
    given: Vec<(String, String)>,
    creating: bool,
) -> Result<Assigned, Vec<Fault>> {
    let mut work = Work {
        writer,
        object,
        cells: Vec::new(),
        faults: Vec::new(),
    };
    for (name, text) in given {
        let Some(field) = object.field(&name) else {
            if !WRITE_ONLY.contains(&name.to_uppercase().as_str()) {
                work.fault(
                    "BL01001973",
                    format!("The field {name} is not valid for {}", object.name),
                );
            }
            continue;
        };
        if field.name == object.row_id {
            continue;
        }
        if field.read_only {
            work.fault("BL03000018", format!("The field {} is read-only", field.name));
            continue;
        }
        if text.is_empty() && !creating {
            if caller.settings.readings.empty_update == EmptyUpdate::Ignored {
                continue;
            }
            if field.required {
                work.fault("BL03000018", format!("Missing required field {}", field.name));
                continue;
            }
        }
        match values::written(field, &text, caller.format) {
            Ok(value) => work.set(&field.name, value),
            Err(text) => work.fault("BL03000018", text),
        }
    }
    work.references();
    if creating {
        work.defaults();
    }
    work.follow();
    if creating {
        for field in object.fields.iter().filter(|f| f.required) {
            if !matches!(work.get(&field.name), Some(v) if *v != Value::Null) {
                work.fault("BL03000018", format!("Missing required field {}", field.name));
            }
        }
    }
    if work.faults.is_empty() {
        Ok(Assigned { cells: work.cells })
    } else {
        Err(work.faults)
    }
}

struct Work<'a> {
    writer: &'a Writer<'a>,
    object: &'static Object,
    cells: Cells,
    faults: Vec<Fault>,
}

impl Work<'_> {
    fn fault(&mut self, number: &str, text: String) {
        self.faults.push(Fault::new(number, text));
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.cells.iter().find(|(n, _)| n == name).map(|(_, v)| v)
    }

    fn set(&mut self, name: &str, value: Value) {
        self.cells.retain(|(n, _)| n != name);
        self.cells.push((name.into(), value));
    }

    /// The object that a column refers to, and the field of it that the column holds.
    fn target(&self, column: &Field) -> Option<(&'static Object, String)> {
        let catalog = Catalog::builtin();
        match &column.recipe {
            Recipe::Ref(o) | Recipe::Line(o) | Recipe::PairLine(o) => {
                catalog.object(o).map(|o| (o, o.row_id.clone()))
            }
            Recipe::RefField(o, f) => catalog.object(o).map(|o| (o, f.clone())),
            Recipe::SelfRef => Some((self.object, self.object.row_id.clone())),
            _ => None,
        }
    }

    fn look_up(&mut self, target: &Object, by: &str, value: &Value, want: &str) -> Option<Value> {
        let text = format!(
            "SELECT {} FROM {} WHERE {} = ? LIMIT 1",
            quote(want),
            quote(&target.table()),
            quote(by)
        );
        self.writer
            .query_row(&text, [value], |r| r.get(0))
            .optional()
            .ok()
            .flatten()
    }

    /// Ids and keys that are written must exist; the one gives the other.
    fn references(&mut self) {
        let object = self.object;
        for field in &object.fields {
            let Some(value) = self.get(&field.name).cloned() else {
                continue;
            };
            if let Recipe::Via(column, remote) = &field.recipe {
                let Some(column) = object.field(column) else {
                    continue;
                };
                let Some((target, held)) = self.target(column) else {
                    continue;
                };
                if value == Value::Null {
                    self.set(&column.name, Value::Null);
                    continue;
                }
                match self.look_up(target, remote, &value, &held) {
                    Some(key) => self.set(&column.name, key),
                    None => self.missing(target, &value),
                }
            } else if let Some((target, held)) = self.target(field)
                && value != Value::Null
                && self.look_up(target, &held, &value, &held).is_none()
            {
                self.missing(target, &value);
            }
        }
    }

    fn missing(&mut self, target: &Object, value: &Value) {
        let shown = match value {
            Value::Text(t) => t.clone(),
            Value::Integer(i) => i.to_string(),
            _ => String::new(),
        };
        self.faults.push(
            Fault::new(
                "BL01001973",
                format!("Cannot find {} with key '{shown}'", target.label.to_lowercase()),
            )
            .id("IA.NOT_FOUND"),
        );
    }

    /// Defaults of a new row.
    fn defaults(&mut self) {
        for field in &self.object.fields {
            if self.get(&field.name).is_some() {
                continue;
            }
            match &field.recipe {
                Recipe::Const(text) if field.queryable && !field.custom && field.data_type.is_text() => {
                    self.set(&field.name, Value::Text(text.clone()));
                }
                Recipe::Paid(_) => self.set(&field.name, Value::Integer(0)),
                Recipe::PaidState(..) => self.set(&field.name, Value::Text("Posted".into())),
                _ if field.name == "STATUS" => self.set("STATUS", Value::Text("active".into())),
                _ if field.name == "STATE" && !field.values.is_empty() => {
                    let posted = field
                        .values
                        .iter()
                        .find(|(l, _)| l == "Posted")
                        .or(field.values.first());
                    let label = posted.map(|(l, _)| l.clone()).unwrap_or_default();
                    self.set("STATE", Value::Text(label));
                }
                _ => {}
            }
        }
        // Lines may give either amount.
        for (given, other) in [("TRX_AMOUNT", "AMOUNT"), ("TRX_PAYMENTAMOUNT", "PAYMENTAMOUNT")] {
            if let (Some(amount), None) = (self.get(given).cloned(), self.get(other))
                && self.object.field(other).is_some()
            {
                self.set(other, amount);
            }
        }
    }

    /// Columns that repeat other columns, here or in a referred row.
    fn follow(&mut self) {
        let object = self.object;
        for field in &object.fields {
            match &field.recipe {
                Recipe::Via(column, remote) if self.get(&field.name).is_none() => {
                    let Some(column) = object.field(column) else {
                        continue;
                    };
                    let Some(key) = self.get(&column.name).cloned() else {
                        continue;
                    };
                    let Some((target, held)) = self.target(column) else {
                        continue;
                    };
                    let value = match key {
                        Value::Null => Value::Null,
                        key => self.look_up(target, &held, &key, remote).unwrap_or(Value::Null),
                    };
                    self.set(&field.name, value);
                }
                Recipe::Copy(column) if self.get(&field.name).is_none() => {
                    if let Some(value) = self.get(column).cloned() {
                        self.set(&field.name, value);
                    }
                }
                Recipe::Difference(a, b) => {
                    if let (Some(Value::Integer(a)), Some(Value::Integer(b))) = (self.get(a), self.get(b)) {
                        let difference = Value::Integer(a - b);
                        self.set(&field.name, difference);
                    }
                }
                _ => {}
            }
        }
    }
}
