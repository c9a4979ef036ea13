//! What a company knows: objects, their fields and the many-to-one relations between them.
//!
//! The definitions are text files under `objects/` (format: module `parse`), because an object is a list of fields
//! and nothing else; `lookup`, `inspect`, the generator and the SQL planner all read this one description.

pub mod legacy;
mod parse;

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Serialize;

use crate::data::recipe::Recipe;

/// Intacct's DATATYPE of a field, as `lookup` spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum DataType {
    /// Free text.
    Text,
    /// One of a fixed list of labels.
    Enum,
    /// Text made by a numbering sequence.
    Sequence,
    /// Whole number.
    Integer,
    /// Decimal number.
    Decimal,
    /// Amount of money.
    Currency,
    /// Percentage.
    Percent,
    /// `true` or `false`.
    Boolean,
    /// Calendar date.
    Date,
    /// Date and time, whole seconds.
    Timestamp,
}

impl DataType {
    /// The spelling `lookup` uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "TEXT",
            Self::Enum => "ENUM",
            Self::Sequence => "SEQUENCE",
            Self::Integer => "INTEGER",
            Self::Decimal => "DECIMAL",
            Self::Currency => "CURRENCY",
            Self::Percent => "PERCENT",
            Self::Boolean => "BOOLEAN",
            Self::Date => "DATE",
            Self::Timestamp => "TIMESTAMP",
        }
    }

    /// Whether values compare as text.
    pub fn is_text(self) -> bool {
        matches!(self, Self::Text | Self::Enum | Self::Sequence)
    }

    /// Whether values are stored as integers scaled by a power of ten.
    pub fn is_decimal(self) -> bool {
        matches!(self, Self::Decimal | Self::Currency | Self::Percent)
    }

    /// Whether `sum` and `avg` apply.
    pub fn is_number(self) -> bool {
        self.is_decimal() || self == Self::Integer
    }
}

/// One field of an object.
#[derive(Debug, Clone, Serialize)]
pub struct Field {
    /// Integration name; may contain dots (`DISPLAYCONTACT.EMAIL1`) and, for custom fields, lower case.
    pub name: String,
    /// Human name.
    pub label: String,
    /// Intacct's type.
    pub data_type: DataType,
    /// Digits after the decimal point that the store keeps (0 for everything but decimals).
    pub scale: u8,
    /// Needed on create.
    pub required: bool,
    /// Never written by a client.
    pub read_only: bool,
    /// Added by the company.
    pub custom: bool,
    /// False: `lookup` lists it, `query` refuses it (fact 64).
    pub queryable: bool,
    /// Valid labels, each with the code that readByQuery compares with.
    pub values: Vec<(String, String)>,
    /// Percentage of rows in which the generator leaves it empty.
    pub null_percent: u8,
    /// How the generator fills it.
    #[serde(skip)]
    pub recipe: Recipe,
}

/// A many-to-one relation that dotted paths can follow.
#[derive(Debug, Clone, Serialize)]
pub struct Relation {
    /// First part of a dotted path (`CUSTOMER` in `CUSTOMER.NAME`).
    pub path: String,
    /// Object it leads to.
    pub object: String,
    /// Field of this object that holds the key (`RELATEDBY`).
    pub local: String,
    /// Field of the other object that the key equals; unique there.
    pub remote: String,
    /// Defined by the company.
    pub custom: bool,
}

/// One object type.
#[derive(Debug, Clone, Serialize)]
pub struct Object {
    /// Integration name.
    pub name: String,
    /// Human name, singular.
    pub label: String,
    /// Column that identifies the row in the store: RECORDNO, `id`, `ID`, or `_ROW` where the object has no key.
    pub row_id: String,
    /// Natural key, if any (`readByName`, update by id).
    pub natural_key: Option<String>,
    /// Defined by the company.
    pub custom: bool,
    /// Rows at the default scale.
    pub rows: u64,
    /// Stands behind the objects that were there before it.
    #[serde(skip)]
    pub later: bool,
    /// Has rows that are private to an entity.
    pub private: bool,
    /// Master data: rows that are private to an entity are hidden at top level.
    pub master: bool,
    /// `query` refuses it, `readByQuery` answers.
    pub read_by_query_only: bool,
    /// Not subscribed: every read is refused for every user although `lookup` describes it.
    pub unsubscribed: bool,
    /// Generic functions that may write it: any of `c`, `u`, `d`.
    pub writable: String,
    /// Field that AUDITHISTORY.OBJECTKEY carries.
    pub audit_key: String,
    /// For owned lines: the collection element in the header, and the header object with the link field.
    pub owner: Option<Owner>,
    /// Fields in lookup order.
    pub fields: Vec<Field>,
    /// Many-to-one relations.
    pub relations: Vec<Relation>,
    #[serde(skip)]
    by_name: HashMap<String, usize>,
}

/// Where lines belong.
#[derive(Debug, Clone, Serialize)]
pub struct Owner {
    /// Header object.
    pub object: String,
    /// Element of the header that holds the lines (`APBILLITEMS`).
    pub collection: String,
    /// Field of the line that holds the header's row id.
    pub link: String,
}

impl Object {
    /// Field position by name, in any case.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.by_name.get(&name.to_uppercase()).copied()
    }

    /// Field by name, in any case.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.position(name).map(|i| &self.fields[i])
    }

    /// Relation by path, in any case.
    pub fn relation(&self, path: &str) -> Option<&Relation> {
        self.relations.iter().find(|r| r.path.eq_ignore_ascii_case(path))
    }

    /// Whether rows carry the entity that owns them.
    pub fn has_entity(&self) -> bool {
        self.position("MEGAENTITYID").is_some()
    }

    /// Name of the store's base table.
    pub fn table(&self) -> String {
        format!("t_{}", self.name)
    }

    fn finish(&mut self) {
        self.by_name = self
            .fields
            .iter()
            .enumerate()
            .map(|(i, f)| (f.name.to_uppercase(), i))
            .collect();
    }
}

/// All objects of the simulator.
#[derive(Debug, Serialize)]
pub struct Catalog {
    /// Objects sorted by name, those that came later behind the others.
    pub objects: Vec<Object>,
    #[serde(skip)]
    by_name: HashMap<String, usize>,
}

impl Catalog {
    /// The built-in catalogue, parsed once.
    ///
    /// # Panics
    /// When an object file of this crate is malformed, which its tests exclude.
    pub fn builtin() -> &'static Self {
        static CATALOG: LazyLock<Catalog> =
            LazyLock::new(|| parse::parse(SOURCES).expect("built-in catalogue parses"));
        &CATALOG
    }

    fn new(mut objects: Vec<Object>) -> Self {
        objects.sort_by(|a, b| (a.later, &a.name).cmp(&(b.later, &b.name)));
        objects.iter_mut().for_each(Object::finish);
        let by_name = objects
            .iter()
            .enumerate()
            .map(|(i, o)| (o.name.to_uppercase(), i))
            .collect();
        Self { objects, by_name }
    }

    /// Object position by name, in any case.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.by_name.get(&name.to_uppercase()).copied()
    }

    /// Object by name, in any case.
    pub fn object(&self, name: &str) -> Option<&Object> {
        self.position(name).map(|i| &self.objects[i])
    }
}

const SOURCES: &[&str] = &[
    include_str!("objects/receivable.txt"),
    include_str!("objects/payable.txt"),
    include_str!("objects/ledger.txt"),
    include_str!("objects/company.txt"),
    include_str!("objects/orders.txt"),
    include_str!("objects/projects.txt"),
    include_str!("objects/reference.txt"),
    include_str!("objects/custom.txt"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relations_join_on_existing_fields() {
        let catalog = Catalog::builtin();
        for object in &catalog.objects {
            for relation in &object.relations {
                let target = catalog
                    .object(&relation.object)
                    .unwrap_or_else(|| panic!("{}.{}: no {}", object.name, relation.path, relation.object));
                assert!(
                    object.field(&relation.local).is_some(),
                    "{} {}",
                    object.name,
                    relation.local
                );
                assert!(
                    target.field(&relation.remote).is_some(),
                    "{} {}",
                    target.name,
                    relation.remote
                );
            }
        }
    }

    #[test]
    fn recipes_name_existing_objects_and_fields() {
        let catalog = Catalog::builtin();
        for object in &catalog.objects {
            for field in &object.fields {
                if let Err(problem) = field.recipe.check(catalog, object) {
                    panic!("{}.{}: {problem}", object.name, field.name);
                }
            }
        }
    }

    #[test]
    fn names_are_found_in_any_case() {
        let catalog = Catalog::builtin();
        assert_eq!(
            catalog
                .object("customer")
                .unwrap()
                .field("REGION_CODE")
                .unwrap()
                .name,
            "Region_Code"
        );
        assert!(catalog.objects.len() >= 40);
    }
}
