//! `create`, `update`, `delete`: the generic writers (facts 70 to 74).

use rusqlite::types::Value;

use super::Caller;
use super::assign::{Assigned, assign, flatten};
use super::legacy::{self, Form, Verb};
use crate::catalog::{Catalog, Object};
use crate::envelope::Node;
use crate::error::Fault;
use crate::format::read_number;
use crate::respond::{Note, Outcome, Xml};
use crate::settings::PartialSuccess;
use crate::store::changes::{self, Author, Cells};
use crate::store::{Writer, quote};

/// Most objects of one call.
const MAX_OBJECTS: usize = 100;

/// Objects whose natural key may repeat.
const REPEATING: &[&str] = &["ARINVOICE", "APBILL", "GLBATCH"];

/// Whether a function changes data.
pub fn is_write(function: &str) -> bool {
    matches!(function, "create" | "update" | "delete") || legacy::find(function).is_some()
}

/// Executes a write.
pub fn write(caller: &Caller<'_>, writer: &Writer<'_>, node: &Node) -> Outcome {
    let author = Author {
        user: caller.user.id.clone(),
        source: "api",
        at: caller.gateway.now(),
    };
    let task = Task {
        caller,
        writer,
        author,
    };
    match legacy::find(&node.name) {
        Some(form) => task.legacy(form, node),
        None if node.name == "delete" => task.delete(node).unwrap_or_else(Outcome::from),
        None => task.store(node),
    }
}

struct Task<'a> {
    caller: &'a Caller<'a>,
    writer: &'a Writer<'a>,
    author: Author,
}

impl Task<'_> {
    fn store(&self, node: &Node) -> Outcome {
        let creating = node.name == "create";
        if node.children.len() > MAX_OBJECTS {
            let text = format!(
                "{} objects were given; at most {MAX_OBJECTS} are allowed",
                node.children.len()
            );
            return Fault::new("XL03000006", text).into();
        }
        let mut stored: Vec<(&'static Object, i64)> = Vec::new();
        let mut faults = Vec::new();
        for child in &node.children {
            let done = self.savepoint(|| {
                if creating {
                    self.create(child)
                } else {
                    self.update(child)
                }
            });
            match done {
                Ok(row) => stored.push(row),
                Err(mut more) => {
                    let what = Catalog::builtin()
                        .object(&child.name)
                        .map_or(child.name.as_str(), |o| o.label.as_str());
                    let verb = if creating { "create" } else { "update" };
                    more.push(
                        Fault::new("BL01001973", format!("Could not {verb} {what} record."))
                            .id("IA.COULD_NOT_SAVE"),
                    );
                    faults.extend(more);
                    if self.caller.settings.readings.partial_success == PartialSuccess::Prefix {
                        break;
                    }
                }
            }
        }
        let data = if faults.is_empty() || !stored.is_empty() {
            Some(self.keys(&stored))
        } else {
            None
        };
        Outcome {
            data,
            faults,
            note: Note {
                rows: stored.len(),
                total: None,
            },
            ..Outcome::default()
        }
    }

    /// Answers the row's key instead of data.
    fn legacy(&self, form: &Form, node: &Node) -> Outcome {
        match self.savepoint(|| self.legacy_row(form, node)) {
            Ok(key) => Outcome {
                key: Some(key),
                note: Note { rows: 1, total: None },
                ..Outcome::default()
            },
            Err(mut faults) => {
                let (verb, what) = form.function.split_once('_').unwrap_or((form.function, "record"));
                faults.push(
                    Fault::new("BL01001973", format!("Could not {verb} {what}")).id("IA.COULD_NOT_SAVE"),
                );
                Outcome {
                    faults,
                    ..Outcome::default()
                }
            }
        }
    }

    fn legacy_row(&self, form: &Form, node: &Node) -> Result<String, Vec<Fault>> {
        let right = match form.verb {
            Verb::Create => "CREATE_",
            Verb::Update => "UPDATE_",
            Verb::Delete => "DELETE_",
        };
        let object = self.permitted(form.object, right).map_err(|f| vec![f])?;
        let record = form.record(node);
        if matches!(form.verb, Verb::Create) {
            let extra = match form.object {
                "SODOCUMENT" | "PODOCUMENT" => self.document(object, node)?,
                "EEXPENSES" => spent(object, &legacy::expenses(node))?,
                _ => Cells::new(),
            };
            let (_, key) = self.insert(object, &record, extra)?;
            return self.shown_key(object, key, form.key);
        }
        let named = node.attribute("key").unwrap_or_default();
        let key = self.find(object, form.key, named)?;
        match form.verb {
            Verb::Delete => self.delete_one(object, &key.to_string())?,
            _ => {
                let assigned = self.assigned(object, &record, false)?;
                changes::update(self.writer, object, key, assigned.cells, Some(&self.author)).map_err(sql)?;
            }
        }
        Ok(named.to_string())
    }

    fn shown_key(&self, object: &Object, key: i64, field: &str) -> Result<String, Vec<Fault>> {
        let text = format!(
            "SELECT CAST({} AS TEXT) FROM {} WHERE {} = ?",
            quote(field),
            quote(&object.table()),
            quote(&object.row_id)
        );
        self.writer.query_row(&text, [key], |r| r.get(0)).map_err(sql)
    }

    /// Number, id and total of a document that is made.
    fn document(&self, object: &'static Object, node: &Node) -> Result<Cells, Vec<Fault>> {
        let definition = node.child_text("transactiontype").unwrap_or_default();
        let text = format!(
            "SELECT COUNT(*) FROM {} WHERE DOCID = ?",
            quote(&format!("t_{}PARAMS", object.name))
        );
        let known: i64 = self
            .writer
            .query_row(&text, [definition], |r| r.get(0))
            .map_err(sql)?;
        if known == 0 {
            let text = format!("Transaction definition {definition} does not exist");
            return Err(vec![Fault::new("BL01001973", text).id("IA.NOT_FOUND")]);
        }
        let number = match node.child_text("documentno").filter(|number| !number.is_empty()) {
            Some(number) => number.to_string(),
            None => {
                let text = format!(
                    "SELECT 'N' || (COALESCE(MAX(RECORDNO), 0) + 1) FROM {}",
                    quote(&object.table())
                );
                self.writer.query_row(&text, [], |r| r.get(0)).map_err(sql)?
            }
        };
        let mut total = 0;
        for line in ["sotransitems", "potransitems"]
            .iter()
            .filter_map(|name| node.child(name))
            .flat_map(|n| &n.children)
        {
            total += extended_price(line)?;
        }
        let mut cells = vec![
            ("DOCID".to_string(), Value::Text(format!("{definition}-{number}"))),
            ("DOCNO".to_string(), Value::Text(number)),
        ];
        let total = Value::Integer(total);
        let totals = ["SUBTOTAL", "TOTAL", "TOTALENTERED", "TOTALDUE", "TRX_TOTAL"];
        cells.extend(totals.map(|name| (name.to_string(), total.clone())));
        Ok(cells)
    }

    fn savepoint<T>(&self, work: impl FnOnce() -> Result<T, Vec<Fault>>) -> Result<T, Vec<Fault>> {
        let run = |sql: &str| self.writer.execute_batch(sql).map_err(|e| vec![Fault::from(e)]);
        run("SAVEPOINT object")?;
        let done = work();
        run(if done.is_ok() {
            "RELEASE object"
        } else {
            "ROLLBACK TO object; RELEASE object"
        })?;
        done
    }

    /// An object that may be written by a generic function.
    fn writable(&self, name: &str, right: char) -> Result<&'static Object, Fault> {
        let verb = match right {
            'c' => "CREATE_",
            'u' => "UPDATE_",
            _ => "DELETE_",
        };
        let object = self.permitted(name, verb)?;
        if object.writable.contains(right) {
            Ok(object)
        } else {
            Err(no_permission(object, verb))
        }
    }

    /// An object that the user may write at all.
    fn permitted(&self, name: &str, verb: &str) -> Result<&'static Object, Fault> {
        let object = Catalog::builtin().object(name).ok_or_else(|| {
            Fault::new("PL04000026", format!("Object definition {name} not found")).id("IA.OBJECT_NOT_FOUND")
        })?;
        if object.unsubscribed || self.caller.user.denied.contains(&object.name) {
            return Err(no_permission(object, verb));
        }
        Ok(object)
    }

    fn assigned(&self, object: &'static Object, node: &Node, creating: bool) -> Result<Assigned, Vec<Fault>> {
        assign(self.caller, self.writer, object, flatten(object, node), creating)
    }

    fn create(&self, node: &Node) -> Result<(&'static Object, i64), Vec<Fault>> {
        let object = self.writable(&node.name, 'c').map_err(|f| vec![f])?;
        self.insert(object, node, Cells::new())
    }

    /// `extra` are cells that the gateway makes.
    fn insert(
        &self,
        object: &'static Object,
        node: &Node,
        extra: Cells,
    ) -> Result<(&'static Object, i64), Vec<Fault>> {
        let mut cells = self.assigned(object, node, true)?.cells;
        cells.retain(|(name, _)| !extra.iter().any(|(made, _)| made == name));
        cells.extend(extra);
        self.unique(object, &cells, None)?;
        let lines = self.lines(object, node)?;
        self.entity(object, &mut cells);
        totals(object, &mut cells, &lines);
        let key = changes::insert(self.writer, object, cells, &self.author).map_err(sql)?;
        self.insert_lines(key, lines)?;
        Ok((object, key))
    }

    fn update(&self, node: &Node) -> Result<(&'static Object, i64), Vec<Fault>> {
        let object = self.writable(&node.name, 'u').map_err(|f| vec![f])?;
        let key = self.identify(object, node)?;
        let mut assigned = self.assigned(object, node, false)?;
        assigned.cells.retain(|(name, _)| *name != object.row_id);
        self.unique(object, &assigned.cells, Some(key))?;
        let lines = self.lines(object, node)?;
        let mut cells = assigned.cells;
        if !lines.is_empty() {
            changes::delete_lines(self.writer, object, key).map_err(sql)?;
            totals(object, &mut cells, &lines);
        }
        changes::update(self.writer, object, key, cells, Some(&self.author)).map_err(sql)?;
        self.insert_lines(key, lines)?;
        Ok((object, key))
    }

    /// The row that an update names, by row key or natural key.
    fn identify(&self, object: &Object, node: &Node) -> Result<i64, Vec<Fault>> {
        let given = |field: &str| {
            node.children
                .iter()
                .find(|c| c.name.eq_ignore_ascii_case(field))
                .map(|c| c.text.trim().to_string())
                .filter(|t| !t.is_empty())
        };
        let (field, value) = match (given(&object.row_id), object.natural_key.as_deref()) {
            (Some(value), _) => (object.row_id.as_str(), value),
            (None, Some(natural)) => {
                let missing = || {
                    vec![Fault::new(
                        "BL03000018",
                        format!("Missing required field {}", object.row_id),
                    )]
                };
                (natural, given(natural).ok_or_else(missing)?)
            }
            (None, None) => {
                return Err(vec![Fault::new(
                    "BL03000018",
                    format!("Missing required field {}", object.row_id),
                )]);
            }
        };
        self.find(object, field, &value)
    }

    fn find(&self, object: &Object, field: &str, value: &str) -> Result<i64, Vec<Fault>> {
        let text = format!(
            "SELECT {} FROM {} WHERE CAST({} AS TEXT) = ?",
            quote(&object.row_id),
            quote(&object.table()),
            quote(field)
        );
        self.writer
            .query_row(&text, [value], |r| r.get(0))
            .map_err(|_| vec![not_found(object, value)])
    }

    fn unique(&self, object: &Object, cells: &Cells, own: Option<i64>) -> Result<(), Vec<Fault>> {
        let Some(natural) = object
            .natural_key
            .as_ref()
            .filter(|_| !REPEATING.contains(&object.name.as_str()))
        else {
            return Ok(());
        };
        let Some((_, Value::Text(value))) = cells.iter().find(|(n, _)| n == natural) else {
            return Ok(());
        };
        let text = format!(
            "SELECT COUNT(*) FROM {} WHERE {} = ? AND {} <> ?",
            quote(&object.table()),
            quote(natural),
            quote(&object.row_id)
        );
        let taken: i64 = self
            .writer
            .query_row(&text, (value, own.unwrap_or(-1)), |r| r.get(0))
            .map_err(sql)?;
        if taken == 0 {
            return Ok(());
        }
        let text = format!(
            "Another {} with the given value(s) {value} already exists",
            object.label
        );
        Err(vec![
            Fault::new("BL34000061", text)
                .correct("Use a unique value instead.")
                .id("IA.DUPLICATE"),
        ])
    }

    /// The owned lines that a header element holds, checked.
    fn lines(
        &self,
        object: &'static Object,
        node: &Node,
    ) -> Result<Vec<(&'static Object, Cells)>, Vec<Fault>> {
        let mut lines = Vec::new();
        for target in &Catalog::builtin().objects {
            let Some(owner) = target.owner.as_ref().filter(|o| o.object == object.name) else {
                continue;
            };
            let Some(collection) = node
                .children
                .iter()
                .find(|c| c.name.eq_ignore_ascii_case(&owner.collection))
            else {
                if node_needs_lines(object) && node.name == object.name && self.creates(node) {
                    return Err(vec![Fault::new(
                        "BL03000018",
                        format!("Missing required field {}", owner.collection),
                    )]);
                }
                continue;
            };
            for line in &collection.children {
                if !line.name.eq_ignore_ascii_case(&target.name) {
                    return Err(vec![Fault::new(
                        "BL01001973",
                        format!("{} is not valid in {}", line.name, owner.collection),
                    )]);
                }
                lines.push((target, self.assigned(target, line, true)?.cells));
            }
            if object.name == "GLBATCH" {
                balance(&lines)?;
            }
        }
        Ok(lines)
    }

    /// Whether the element has no row key: a new object.
    fn creates(&self, node: &Node) -> bool {
        node.child("RECORDNO").is_none()
    }

    fn insert_lines(&self, key: i64, lines: Vec<(&'static Object, Cells)>) -> Result<(), Vec<Fault>> {
        for (i, (target, mut cells)) in lines.into_iter().enumerate() {
            let Some(owner) = &target.owner else { continue };
            cells.retain(|(name, _)| *name != owner.link && name != "LINE_NO");
            cells.push((owner.link.clone(), Value::Integer(key)));
            if target.field("LINE_NO").is_some() {
                // Those of documents count from zero.
                let first = i64::from(!target.name.ends_with("DOCUMENTENTRY"));
                cells.push(("LINE_NO".into(), Value::Integer(i as i64 + first)));
            }
            self.settle(target, &cells)?;
            changes::insert(self.writer, target, cells, &self.author).map_err(sql)?;
        }
        Ok(())
    }

    /// What a payment's line pays is no longer due.
    fn settle(&self, line: &Object, cells: &Cells) -> Result<(), Vec<Fault>> {
        let paid = match line.name.as_str() {
            "ARPYMTDETAIL" => "ARINVOICE",
            "APPYMTDETAIL" => "APBILL",
            _ => return Ok(()),
        };
        let (record, sum) = (amount(cells, "RECORDKEY"), amount(cells, "PAYMENTAMOUNT"));
        let text = format!(
            "UPDATE t_{paid} SET TOTALPAID = TOTALPAID + ?1, TOTALDUE = TOTALDUE - ?1 WHERE RECORDNO = ?2 AND TOTALDUE >= ?1"
        );
        if self.writer.execute(&text, [sum, record]).map_err(sql)? == 1 {
            if let Some(position) = Catalog::builtin().position(paid) {
                self.writer.touch(position);
            }
            return Ok(());
        }
        let text = "The payment amount exceeds the amount due";
        Err(vec![Fault::new("BL01001973", text).id("IA.PAYMENT_EXCEEDS_DUE")])
    }

    /// Rows made in an entity belong to it.
    fn entity(&self, object: &Object, cells: &mut Cells) {
        let Some(location) = self
            .caller
            .identity
            .location
            .as_ref()
            .filter(|_| object.has_entity())
        else {
            return;
        };
        let entity: Result<(i64, String), _> = self.writer.query_row(
            "SELECT RECORDNO, NAME FROM t_LOCATIONENTITY WHERE LOCATIONID = ?",
            [location],
            |r| Ok((r.get(0)?, r.get(1)?)),
        );
        if let Ok((key, name)) = entity {
            cells.push(("MEGAENTITYKEY".into(), Value::Integer(key)));
            cells.push(("MEGAENTITYID".into(), Value::Text(location.clone())));
            cells.push(("MEGAENTITYNAME".into(), Value::Text(name)));
        }
    }

    fn delete(&self, node: &Node) -> Result<Outcome, Fault> {
        let object = self.writable(node.child_text("object").unwrap_or_default(), 'd')?;
        let keys = super::read::keys(node.child_text("keys").unwrap_or_default())?;
        let done = self.savepoint(|| {
            for key in &keys {
                self.delete_one(object, key)?;
            }
            Ok(())
        });
        let faults = done.err().unwrap_or_default();
        let rows = if faults.is_empty() { keys.len() } else { 0 };
        Ok(Outcome {
            faults,
            note: Note { rows, total: None },
            ..Outcome::default()
        })
    }

    fn delete_one(&self, object: &Object, key: &str) -> Result<(), Vec<Fault>> {
        let number: i64 = key.parse().map_err(|_| vec![not_found(object, key)])?;
        let text = format!(
            "SELECT COUNT(*) FROM {} WHERE {} = ?",
            quote(&object.table()),
            quote(&object.row_id)
        );
        let found: i64 = self
            .writer
            .query_row(&text, [number], |r| r.get(0))
            .map_err(sql)?;
        if found == 0 {
            return Err(vec![not_found(object, key)]);
        }
        if let Some(user) = self.used_by(object, number)? {
            let text = format!(
                "{} {key} cannot be deleted because it is used by {}",
                object.label, user.label
            );
            return Err(vec![Fault::new("BL01001973", text).id("IA.IN_USE")]);
        }
        changes::delete(self.writer, object, number, Some(&self.author)).map_err(sql)
    }

    /// An object, other than owned lines, that refers to the row.
    fn used_by(&self, object: &Object, key: i64) -> Result<Option<&'static Object>, Vec<Fault>> {
        for other in &Catalog::builtin().objects {
            let owned = other.owner.as_ref().is_some_and(|o| o.object == object.name);
            for relation in other
                .relations
                .iter()
                .filter(|r| r.object == object.name && !owned)
            {
                let text = format!(
                    "SELECT EXISTS (SELECT 1 FROM {} o JOIN {} p ON o.{} = p.{} WHERE p.{} = ?)",
                    quote(&other.table()),
                    quote(&object.table()),
                    quote(&relation.local),
                    quote(&relation.remote),
                    quote(&object.row_id)
                );
                if self
                    .writer
                    .query_row(&text, [key], |r| r.get::<_, bool>(0))
                    .map_err(sql)?
                {
                    return Ok(Some(other));
                }
            }
        }
        Ok(None)
    }

    /// `data listtype="objects"`: key fields only, row tags in lower case.
    fn keys(&self, stored: &[(&'static Object, i64)]) -> Xml {
        let mut xml = Xml::part(self.caller.whitespace, 3);
        xml.open(
            "data",
            &[("listtype", "objects"), ("count", &stored.len().to_string())],
        );
        for (object, key) in stored {
            let tag = if object.custom {
                object.name.clone()
            } else {
                object.name.to_lowercase()
            };
            xml.open(&tag, &[]);
            xml.leaf(&object.row_id, &key.to_string());
            if let Some(natural) = object.natural_key.as_ref().filter(|n| **n != object.row_id) {
                let text = format!(
                    "SELECT {} FROM {} WHERE {} = ?",
                    quote(natural),
                    quote(&object.table()),
                    quote(&object.row_id)
                );
                let value: Option<String> = self
                    .writer
                    .query_row(&text, [key], |r| r.get(0))
                    .unwrap_or_default();
                xml.leaf(natural, value.as_deref().unwrap_or_default());
            }
            xml.close(&tag);
        }
        xml.close("data");
        xml
    }
}

fn sql(error: rusqlite::Error) -> Vec<Fault> {
    vec![error.into()]
}

fn no_permission(object: &Object, verb: &str) -> Fault {
    let name = object.name.to_lowercase();
    Fault::new(
        "PL04000005",
        format!("You do not have permission for API operation {verb} on objects of type {name}"),
    )
    .id("IA.NO_PERMISSION")
}

fn not_found(object: &Object, key: &str) -> Fault {
    Fault::new(
        "BL01001973",
        format!("Cannot find {} with key '{key}'", object.label.to_lowercase()),
    )
    .id("IA.NOT_FOUND")
}

/// Headers that cannot exist without lines.
fn node_needs_lines(object: &Object) -> bool {
    matches!(object.name.as_str(), "APBILL" | "GLBATCH")
}

/// What a line of a document comes to, in hundredths: halves are rounded away from zero.
fn extended_price(line: &Node) -> Result<i64, Vec<Fault>> {
    /// Decimals of each factor that count.
    const SCALE: u8 = 6;
    const HUNDREDTH: i128 = 10_i128.pow(2 * SCALE as u32 - 2);
    let factor = |name| match line.child_text(name).map(str::trim) {
        None | Some("") => Ok(0),
        Some(text) => read_number(text, SCALE)
            .filter(|(number, _)| number.unsigned_abs() < i64::MAX.unsigned_abs())
            .map(|(number, _)| i128::from(number))
            .ok_or_else(|| illegal_format(text, name)),
    };
    let product = factor("quantity")? * factor("price")?;
    let rounded = (product.abs() + HUNDREDTH / 2) / HUNDREDTH * product.signum();
    Ok(rounded.clamp(i64::MIN.into(), i64::MAX.into()) as i64)
}

fn illegal_format(text: &str, field: &str) -> Vec<Fault> {
    let text = format!("The value '{text}' of the field {field} has an illegal format");
    vec![Fault::new("BL03000018", text)]
}

/// What an expense report comes to.
fn spent(object: &Object, amounts: &[&str]) -> Result<Cells, Vec<Fault>> {
    let mut sum = 0;
    for text in amounts {
        match read_number(text.trim(), 2) {
            Some((amount, _)) => sum += amount,
            None => return Err(illegal_format(text, "amount")),
        }
    }
    let names = ["TOTALENTERED", "TOTALDUE"]
        .into_iter()
        .filter(|name| object.field(name).is_some());
    Ok(names
        .map(|name| (name.to_string(), Value::Integer(sum)))
        .collect())
}

fn amount(cells: &Cells, name: &str) -> i64 {
    match cells.iter().find(|(n, _)| n == name) {
        Some((_, Value::Integer(n))) => *n,
        _ => 0,
    }
}

/// A journal entry has at least two lines, and debits equal credits.
fn balance(lines: &[(&'static Object, Cells)]) -> Result<(), Vec<Fault>> {
    let sum: i64 = lines
        .iter()
        .map(|(_, cells)| amount(cells, "TR_TYPE") * amount(cells, "TRX_AMOUNT"))
        .sum();
    if lines.len() >= 2 && sum == 0 {
        return Ok(());
    }
    Err(vec![
        Fault::new("BL01001973", "Transactions do not balance for the journal entry").id("IA.OUT_OF_BALANCE"),
    ])
}

/// What a header totals from its lines.
fn totals(object: &Object, cells: &mut Cells, lines: &[(&'static Object, Cells)]) {
    if object.field("TOTALENTERED").is_none() || lines.is_empty() {
        return;
    }
    let of_line = |cells: &Cells| amount(cells, "AMOUNT") + amount(cells, "PAYMENTAMOUNT");
    let sum: i64 = lines.iter().map(|(_, cells)| of_line(cells)).sum();
    if sum == 0 && cells.iter().any(|(name, _)| name == "TOTAL") {
        return;
    }
    for name in ["TOTALENTERED", "TOTALDUE", "TRX_TOTALENTERED", "TRX_TOTALDUE"] {
        if object.field(name).is_some() {
            cells.retain(|(n, _)| n != name);
            cells.push((name.into(), Value::Integer(sum)));
        }
    }
}
