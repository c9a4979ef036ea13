//! `readByQuery` and `readMore`: a query string, a stored result, pages of it (facts 18, 61).

use std::sync::PoisonError;

use super::Caller;
use super::query_string;
use super::read::{columns, fields, shapes};
use crate::catalog::{Catalog, Field, Object};
use crate::envelope::Node;
use crate::error::Fault;
use crate::query::{ReturnFormat, RowWriter, matching, show};
use crate::respond::{Note, Outcome, Xml};

/// Largest page.
const MAX_PAGE: usize = 1000;

/// A stored result, paged by readMore.
#[derive(Debug)]
pub struct Stored {
    object: &'static Object,
    fields: Vec<&'static Field>,
    keys: Vec<i64>,
    at: usize,
    page_size: usize,
    format: ReturnFormat,
}

/// Answers `readByQuery`.
///
/// # Errors
/// The fault that the gateway answers.
pub fn read_by_query(caller: &Caller<'_>, node: &Node) -> Result<Outcome, Fault> {
    let object = caller.readable(node.child_text("object").unwrap_or_default())?;
    let condition = query_string::parse(object, node.child_text("query").unwrap_or_default())?;
    let (fields, _) = fields(object, node.child_text("fields").unwrap_or("*"))?;
    let page_size = match node.child_text("pagesize").unwrap_or_default() {
        "" => 100,
        text => match text.parse() {
            Ok(n) if (1..=MAX_PAGE).contains(&n) => n,
            _ => {
                let text = format!("The pagesize {text} is not between 1 and {MAX_PAGE}");
                return Err(Fault::new("XL03000006", text));
            }
        },
    };
    let format = ReturnFormat::parse(&node.child_text("returnFormat").unwrap_or_default().to_lowercase())
        .ok_or_else(|| Fault::new("XL03000006", "Unknown returnFormat"))?;
    let scope = caller.scope();
    let mut keys = matching(&scope, object, &condition)?;
    // The scan order is not the key's (seen in the field), but one result keeps its order over all pages.
    let half = keys.len() / 2;
    keys.rotate_left(half);
    let stored = Stored {
        object,
        fields,
        keys,
        at: 0,
        page_size,
        format,
    };
    let id = format!("{:016x}{:016x}", scope.nonce, stored.keys.len());
    page(caller, id, stored)
}

/// Answers `readMore`.
///
/// # Errors
/// The fault that the gateway answers.
pub fn read_more(caller: &Caller<'_>, node: &Node) -> Result<Outcome, Fault> {
    let id = node.child_text("resultId").unwrap_or_default().to_string();
    let stored = caller
        .company
        .results
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .remove(&id);
    let stored = stored.ok_or_else(|| {
        Fault::new(
            "XL03000006",
            format!("readMore failed: the resultId {id} is not valid"),
        )
    })?;
    page(caller, id, stored)
}

impl Stored {
    /// All rows of an object that meet a condition in a query string.
    ///
    /// # Errors
    /// The fault that the gateway answers.
    pub fn find(
        caller: &Caller<'_>,
        object: &'static Object,
        fields: Vec<&'static Field>,
        condition: &str,
        page_size: usize,
    ) -> Result<Self, Fault> {
        let condition = query_string::parse(object, condition)?;
        Ok(Self {
            object,
            fields,
            keys: matching(&caller.scope(), object, &condition)?,
            at: 0,
            page_size,
            format: ReturnFormat::Xml,
        })
    }
}

/// The next page; what remains is kept under the id.
///
/// # Errors
/// The fault that the gateway answers.
pub fn page(caller: &Caller<'_>, id: String, mut stored: Stored) -> Result<Outcome, Fault> {
    let scope = caller.scope();
    let end = (stored.at + stored.page_size).min(stored.keys.len());
    let tag = if stored.object.custom {
        stored.object.name.clone()
    } else {
        stored.object.name.to_lowercase()
    };
    let mut writer = RowWriter::new(&scope, stored.format, &tag, &shapes(&stored.fields));
    show(
        &scope,
        stored.object,
        &columns(&stored.fields),
        &stored.keys[stored.at..end],
        &mut writer,
    )?;
    stored.at = end;
    let (count, total, remaining) = (writer.count, stored.keys.len(), stored.keys.len() - end);
    let format = stored.format;
    let name = stored.object.name.to_lowercase();
    if remaining > 0 {
        caller
            .company
            .results
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id.clone(), stored);
    }
    let note = Note {
        rows: count,
        total: Some(total),
    };
    let body = writer.finish();
    let bare = match format {
        ReturnFormat::Json => Some("application/json"),
        ReturnFormat::Csv => Some("text/csv"),
        ReturnFormat::Xml => None,
    };
    if let Some(content_type) = bare {
        return Ok(Outcome {
            bare: Some((body, content_type)),
            note,
            ..Outcome::default()
        });
    }
    let mut xml = Xml::part(caller.whitespace, 3);
    xml.open(
        "data",
        &[
            ("listtype", &name),
            ("count", &count.to_string()),
            ("totalcount", &total.to_string()),
            ("numremaining", &remaining.to_string()),
            ("resultId", &id),
        ],
    );
    xml.raw(&body).close("data");
    Ok(Outcome {
        data: Some(xml),
        note,
        ..Outcome::default()
    })
}

/// `readRelated`: rows of a custom object's relation.
///
/// # Errors
/// The fault that the gateway answers.
pub fn read_related(caller: &Caller<'_>, node: &Node) -> Result<Outcome, Fault> {
    let object = caller.readable(node.child_text("object").unwrap_or_default())?;
    let path = node.child_text("relation").unwrap_or_default();
    let relation = object
        .relation(path)
        .filter(|_| object.custom)
        .ok_or_else(|| Fault::new("XL03000006", format!("The relation {path} does not exist")))?;
    let target = Catalog::builtin()
        .object(&relation.object)
        .ok_or_else(Fault::database)?;
    caller.readable(&target.name)?;
    let (fields, _) = fields(target, node.child_text("fields").unwrap_or("*"))?;
    let keys = super::read::keys(node.child_text("keys").unwrap_or_default())?;
    let marks = vec!["?"; keys.len()].join(", ");
    let sql = format!(
        "SELECT DISTINCT b.{} FROM {} a JOIN {} b ON b.{} = a.{} WHERE CAST(a.{} AS TEXT) IN ({marks})",
        crate::store::quote(&target.row_id),
        crate::store::quote(&object.table()),
        crate::store::quote(&target.table()),
        crate::store::quote(&relation.remote),
        crate::store::quote(&relation.local),
        crate::store::quote(&object.row_id)
    );
    let keys: Vec<i64> = {
        let connection = caller.company.store.read()?;
        let mut statement = connection.prepare(&sql)?;
        statement
            .query_map(rusqlite::params_from_iter(keys), |r| r.get(0))?
            .collect::<Result<_, _>>()?
    };
    let page_size = keys.len().max(1);
    let stored = Stored {
        object: target,
        fields,
        keys,
        at: 0,
        page_size,
        format: ReturnFormat::Xml,
    };
    page(caller, String::new(), stored)
}
