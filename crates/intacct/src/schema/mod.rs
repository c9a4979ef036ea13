//! What a company has: objects, fields and relations.

mod class;
pub(crate) mod known;
mod lines;
mod read;
mod removed;
mod survey;

pub(crate) use class::Class;
pub use known::is_keyless;
pub use lines::owned_lines;
pub use survey::{Entity, Readable, concerns_one_object};

/// An object type of the company, as `inspect` lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectName {
    /// Integration name.
    pub name: String,
    /// Display name.
    pub label: String,
}

/// An object type, as `lookup` describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectDefinition {
    /// Integration name.
    pub name: String,
    /// Transaction definition, for documents; else empty.
    pub document_type: String,
    /// Fields in the gateway's order.
    pub fields: Vec<FieldDefinition>,
    /// Relations to other objects.
    pub relationships: Vec<Relationship>,
}

/// A field of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldDefinition {
    /// Name used in requests, possibly with dots.
    pub id: String,
    /// Display name.
    pub label: String,
    /// What the gateway says about it.
    pub description: String,
    /// Needed on create. Does not promise a value in every row.
    pub required: bool,
    /// Never written.
    pub read_only: bool,
    /// Type of the values.
    pub data_type: DataType,
    /// Labels allowed; empty when any value is.
    pub valid_values: Vec<String>,
    /// Added by the company.
    pub custom: bool,
}

/// DATATYPE of a field.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DataType {
    /// `TEXT`
    Text,
    /// `ENUM`
    Enum,
    /// `SEQUENCE`
    Sequence,
    /// `INTEGER`
    Integer,
    /// `DECIMAL`
    Decimal,
    /// `CURRENCY`
    Currency,
    /// `PERCENT`
    Percent,
    /// `BOOLEAN`
    Boolean,
    /// `DATE`
    Date,
    /// `TIMESTAMP`
    Timestamp,
    /// A type that is not known here; values are text.
    Other(String),
}

impl DataType {
    /// Reads the gateway's spelling.
    pub fn from_name(name: &str) -> DataType {
        match name {
            "TEXT" => DataType::Text,
            "ENUM" => DataType::Enum,
            "SEQUENCE" => DataType::Sequence,
            "INTEGER" => DataType::Integer,
            "DECIMAL" => DataType::Decimal,
            "CURRENCY" => DataType::Currency,
            "PERCENT" => DataType::Percent,
            "BOOLEAN" => DataType::Boolean,
            "DATE" => DataType::Date,
            "TIMESTAMP" => DataType::Timestamp,
            other => DataType::Other(other.to_owned()),
        }
    }

    /// The gateway's spelling.
    pub fn name(&self) -> &str {
        match self {
            DataType::Text => "TEXT",
            DataType::Enum => "ENUM",
            DataType::Sequence => "SEQUENCE",
            DataType::Integer => "INTEGER",
            DataType::Decimal => "DECIMAL",
            DataType::Currency => "CURRENCY",
            DataType::Percent => "PERCENT",
            DataType::Boolean => "BOOLEAN",
            DataType::Date => "DATE",
            DataType::Timestamp => "TIMESTAMP",
            DataType::Other(name) => name,
        }
    }
}

/// A relation to another object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relationship {
    /// First part of dotted fields (`JOURNAL` in `JOURNAL.SYMBOL`).
    pub path: String,
    /// The related object.
    pub object: String,
    /// Display name.
    pub label: String,
    /// `MANY2ONE` and the like.
    pub kind: String,
    /// Field that holds the key of the related object.
    pub related_by: String,
}
