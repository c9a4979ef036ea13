//! What a company has: objects, fields and relations.

mod class;
mod lines;
mod read;

pub(crate) use class::Class;
pub use lines::owned_lines;

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

/// An entity of a shared company that the user may sign in at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entity {
    /// Its id, for the option `location_id`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Record number of its LOCATIONENTITY.
    pub record_no: String,
    /// Base currency.
    pub currency: String,
    /// First month of the fiscal year.
    pub first_fiscal_month: String,
    /// First month of the tax year.
    pub first_tax_month: String,
    /// First day of the week.
    pub week_start: String,
}

/// Objects whose rows have no field that is unique.
const KEYLESS: [&str; 2] = ["GLDETAIL", "GLACCOUNTBALANCE"];

/// Whether the rows of an object have no key, as those of views.
pub fn is_keyless(object: &str) -> bool {
    KEYLESS.iter().any(|name| name.eq_ignore_ascii_case(object))
}

impl ObjectDefinition {
    /// The field of this name; an exact spelling goes before one that differs in case.
    pub fn field(&self, name: &str) -> Option<&FieldDefinition> {
        let exact = self.fields.iter().find(|field| field.id == name);
        exact.or_else(|| {
            self.fields
                .iter()
                .find(|field| field.id.eq_ignore_ascii_case(name))
        })
    }

    /// The field that is unique and ordered: RECORDNO, or `id` of the company's own objects; none for views.
    pub fn row_key(&self) -> Option<&FieldDefinition> {
        if is_keyless(&self.name) {
            return None;
        }
        self.field("RECORDNO").or_else(|| self.field("id"))
    }
}
