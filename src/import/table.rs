//! Table definitions, made from the definitions of objects.

use super::fetch::{Described, leads_to_one, paths};
use super::naming::{Assigned, Case, Namer, SYSTEM_COLUMNS};
use crate::options::Reference;
use intacct::{DataType, FieldDefinition, ObjectDefinition, is_keyless};

/// Columns of a PostgreSQL table, at most.
const MAX_COLUMNS: usize = 1600;

/// A table to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableDefinition {
    /// Its name.
    pub name: String,
    /// Intacct object.
    pub object: String,
    /// Intacct's name for people.
    pub label: String,
    /// Field that is unique and ordered; none for views.
    pub row_key: Option<String>,
    /// Read by `readByQuery`, as `query` refuses the object.
    pub by_query_string: bool,
    /// Rows may belong to an entity.
    pub entities: bool,
    /// Columns in order.
    pub columns: Vec<ColumnDefinition>,
}

/// A column to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnDefinition {
    /// Its name.
    pub name: String,
    /// PostgreSQL type.
    pub sql_type: &'static str,
    /// Path in Intacct.
    pub field: String,
    /// Intacct's type, as in the option `type`.
    pub data_type: String,
    /// Intacct's name for people.
    pub label: String,
    /// Needed on create.
    pub required: bool,
    /// Never written.
    pub read_only: bool,
    /// The row key.
    pub key: bool,
    /// Many-to-one relation.
    pub references: Option<Reference>,
}

/// Something about a table that its user should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remark {
    /// The column for this field does not have the plain name.
    Renamed {
        /// Path in Intacct.
        field: String,
        /// The column.
        column: String,
    },
    /// A type that is not known; the column is text.
    UnknownType {
        /// Path in Intacct.
        field: String,
        /// Intacct's type.
        data_type: String,
    },
    /// So many fields did not fit.
    TooMany(usize),
}

/// The PostgreSQL type for a DATATYPE; none for one that is not known.
pub fn sql_type(data_type: &DataType) -> Option<&'static str> {
    match data_type {
        DataType::Text | DataType::Enum | DataType::Sequence => Some("text"),
        DataType::Integer => Some("bigint"),
        DataType::Decimal | DataType::Currency | DataType::Percent => Some("numeric"),
        DataType::Boolean => Some("boolean"),
        DataType::Date => Some("date"),
        DataType::Timestamp => Some("timestamptz"),
        DataType::Other(name) if name.eq_ignore_ascii_case("RECORDNO") => Some("bigint"),
        DataType::Other(_) => None,
    }
}

impl TableDefinition {
    /// Adds a column for the lines that records of the object own, where it is known to have any.
    pub fn add_lines(&mut self, case: Case) {
        let (Some(path), Some(_)) = (intacct::schema::owned_lines(&self.object), &self.row_key) else {
            return;
        };
        if self.columns.len() == MAX_COLUMNS {
            return;
        }
        let mut namer = Namer::new(case, &SYSTEM_COLUMNS);
        for column in &self.columns {
            namer.assign(&column.name);
        }
        let (Assigned::Plain(name) | Assigned::Changed(name)) = namer.assign(path);
        self.columns.push(ColumnDefinition {
            name,
            sql_type: "jsonb",
            field: path.to_owned(),
            data_type: "LINES".to_owned(),
            label: String::new(),
            required: false,
            read_only: false,
            key: false,
            references: None,
        });
    }
}

/// The table for an object, and remarks about it. None when no field is left.
pub fn table(object: &Described, name: String, case: Case) -> Option<(TableDefinition, Vec<Remark>)> {
    let definition = &object.definition;
    let mut remarks = Vec::new();
    let mut namer = Namer::new(case, &SYSTEM_COLUMNS);
    let row_key = row_key(object);
    let mut columns: Vec<ColumnDefinition> = Vec::new();
    let mut too_many = 0;
    for (path, field, own) in paths(object) {
        if object.refused.iter().any(|name| name.eq_ignore_ascii_case(&path)) {
            continue;
        }
        if columns.len() == MAX_COLUMNS {
            too_many += 1;
            continue;
        }
        // The company's own fields have the column names of 3.0.
        let plain = path.strip_prefix("CUSTOMFIELDS.").unwrap_or(&path);
        let name = match namer.assign(plain) {
            Assigned::Plain(name) => name,
            Assigned::Changed(name) => {
                remarks.push(Remark::Renamed {
                    field: path.clone(),
                    column: name.clone(),
                });
                name
            }
        };
        let (sql_type, data_type) = match sql_type(&field.data_type) {
            Some("bigint") => ("bigint", DataType::Integer.name().to_owned()),
            // A text of a few labels is an enumeration: readByQuery knows it by other words.
            Some("text") if !field.valid_values.is_empty() => ("text", DataType::Enum.name().to_owned()),
            Some(sql_type) => (sql_type, field.data_type.name().to_owned()),
            None => {
                remarks.push(Remark::UnknownType {
                    field: path.clone(),
                    data_type: field.data_type.name().to_owned(),
                });
                ("text", type_name(&field.data_type))
            }
        };
        columns.push(ColumnDefinition {
            name,
            sql_type,
            key: own && row_key.as_deref() == Some(path.as_str()),
            references: if own { references(definition, field) } else { None },
            data_type,
            label: label(&field.label),
            required: own && field.required,
            read_only: !own || field.read_only,
            field: path,
        });
    }
    if too_many > 0 {
        remarks.push(Remark::TooMany(too_many));
    }
    let table = TableDefinition {
        name,
        object: definition.name.clone(),
        label: label(&object.wanted.object.label),
        row_key,
        by_query_string: object.by_query_string,
        // Refused or not: the object has it. 2.1 does not show it.
        entities: object.settled_key.is_some() || definition.field("MEGAENTITYID").is_some(),
        columns,
    };
    (!table.columns.is_empty()).then_some((table, remarks))
}

/// RECORDNO; `id` for the company's own objects; nothing for views.
fn row_key(object: &Described) -> Option<String> {
    if let Some(key) = object.settled_key {
        return Some(key.to_owned());
    }
    if is_keyless(&object.definition.name) {
        return None;
    }
    let offered = |name: &str| {
        let own = object
            .definition
            .fields
            .iter()
            .find(|field| field.id.eq_ignore_ascii_case(name));
        own.map(|field| field.id.clone()).filter(|id| {
            !object
                .refused
                .iter()
                .any(|refused| refused.eq_ignore_ascii_case(id))
        })
    };
    offered("RECORDNO").or_else(|| offered("id"))
}

/// Fields that identify a row to people, and that other objects hold to refer to it.
const NATURAL_KEYS: [(&str, &str); 28] = [
    ("ACCOUNTLABEL", "ACCOUNTLABEL"),
    ("APTERM", "NAME"),
    ("ARTERM", "NAME"),
    ("CHECKINGACCOUNT", "BANKACCOUNTID"),
    ("CLASS", "CLASSID"),
    ("CONTACT", "CONTACTNAME"),
    ("CONTRACT", "CONTRACTID"),
    ("CREDITCARD", "CARDID"),
    ("CUSTOMER", "CUSTOMERID"),
    ("CUSTTYPE", "NAME"),
    ("DEPARTMENT", "DEPARTMENTID"),
    ("EMPLOYEE", "EMPLOYEEID"),
    ("EMPLOYEETYPE", "NAME"),
    ("GLACCOUNT", "ACCOUNTNO"),
    ("GLJOURNAL", "SYMBOL"),
    ("ITEM", "ITEMID"),
    ("LOCATION", "LOCATIONID"),
    ("LOCATIONENTITY", "LOCATIONID"),
    ("PRODUCTLINE", "PRODUCTLINEID"),
    ("PROJECT", "PROJECTID"),
    ("PROJECTTYPE", "NAME"),
    ("REPORTINGPERIOD", "NAME"),
    ("STATACCOUNT", "ACCOUNTNO"),
    ("TERRITORY", "TERRITORYID"),
    ("USERINFO", "LOGINID"),
    ("VENDOR", "VENDORID"),
    ("VENDTYPE", "NAME"),
    ("WAREHOUSE", "WAREHOUSEID"),
];

/// The relation that a field holds the key of. `lookup` does not report which field of the parent the key equals: a
/// number is the parent's record number, a text its natural key where that is known.
fn references(definition: &ObjectDefinition, field: &FieldDefinition) -> Option<Reference> {
    let relation = definition
        .relationships
        .iter()
        .find(|relation| leads_to_one(relation) && relation.related_by.eq_ignore_ascii_case(&field.id))?;
    let parent_field = match sql_type(&field.data_type) {
        Some("bigint") if relation.object.chars().any(char::is_lowercase) => "id",
        Some("bigint") => "RECORDNO",
        Some("text") => NATURAL_KEYS
            .iter()
            .find(|(object, _)| object.eq_ignore_ascii_case(&relation.object))
            .map(|(_, key)| *key)?,
        _ => return None,
    };
    // What the option's own syntax cannot express is left out.
    let text = format!("{}={}({parent_field})", relation.path, relation.object);
    Reference::parse(&text)
}

/// One line, without control characters.
pub fn label(text: &str) -> String {
    let words: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .collect();
    words
        .into_iter()
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// An unknown type as the option `type` takes it.
pub fn type_name(data_type: &DataType) -> String {
    let name: String = data_type
        .name()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    if name.is_empty() {
        "UNKNOWN".to_owned()
    } else {
        name
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
