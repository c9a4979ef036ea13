//! How a field is filled: the words that object files use, parsed.

use crate::catalog::{Catalog, DataType, Object};

/// A recipe; arguments follow the name, separated by colons (`amount:0:9000`).
#[derive(Debug, Clone, PartialEq)]
pub enum Recipe {
    /// Always empty.
    Null,
    /// The row's own sparse record number.
    RecordNo,
    /// Row position, counted from 1.
    Position,
    /// Prefix and zero-padded position; now and then digits only, or the prefix in lower case.
    Code(String, usize),
    /// Text from a named pool (`company`, `city`, `memo` …).
    Pool(Pool),
    /// Record number of some row of an object.
    Ref(String),
    /// Record number of an earlier row of the same object.
    SelfRef,
    /// A field of some row of an object.
    RefField(String, String),
    /// Record number of the header; lines of one header are adjacent.
    Line(String),
    /// As `Line`, but two adjacent rows (debit and credit) never part.
    PairLine(String),
    /// Number of the line within its header, first 0 or 1 as given.
    LineNo(String, i64),
    /// A field of the row that another column of this row refers to.
    Via(String, String),
    /// Another column of this row.
    Copy(String),
    /// First column minus the second.
    Difference(String, String),
    /// One of the field's valid values.
    Pick,
    /// A fixed text.
    Const(String),
    /// A fixed text by position, cycling.
    Cycle(Vec<String>),
    /// Date in a range of years.
    Date(i64, i64),
    /// Date up to n days after another date column.
    After(String, i64),
    /// The instant of creation; grows with the position.
    Created,
    /// The instant of the last change, after creation; many rows share a second.
    Modified,
    /// Amount between two bounds, with a few extreme values.
    Amount(i64, i64),
    /// Amount shared by two adjacent rows.
    PairAmount(i64, i64),
    /// 1 for the first row of a pair, -1 for the second.
    PairSign,
    /// Nothing, part or all of another amount.
    Paid(String),
    /// `Paid`, `Partially Paid` or `Posted`, from the amounts entered and paid.
    PaidState(String, String),
    /// Whole number between two bounds.
    Int(i64, i64),
    /// True in n % of the rows.
    Bool(u64),
    /// A field of the entity that owns the row, if one does.
    Entity(String),
}

/// Pools of words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Pool {
    Company,
    Person,
    First,
    Last,
    Email,
    Phone,
    Street,
    City,
    State,
    Zip,
    Country,
    CountryCode,
    Word,
    Sentence,
    Memo,
    Product,
    ContactName,
}

impl Recipe {
    /// Parses `name:argument:argument`.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = text.splitn(2, ':');
        let name = parts.next().unwrap_or_default();
        let rest = parts.next().unwrap_or_default();
        let arguments: Vec<&str> = rest.split(':').collect();
        let text_at = |i: usize| {
            arguments
                .get(i)
                .map(|s| (*s).to_string())
                .filter(|s| !s.is_empty())
        };
        let need = |i: usize| text_at(i).ok_or_else(|| format!("{text}: argument {} is missing", i + 1));
        let number = |i: usize| {
            need(i).and_then(|s| {
                s.parse::<i64>()
                    .map_err(|_| format!("{text}: {s} is not a number"))
            })
        };
        if let Some(pool) = pool(name) {
            return Ok(Self::Pool(pool));
        }
        Ok(match name {
            "null" => Self::Null,
            "rec" => Self::RecordNo,
            "position" => Self::Position,
            "code" => Self::Code(arguments[0].into(), number(1)? as usize),
            "ref" => Self::Ref(need(0)?),
            "self" => Self::SelfRef,
            "refid" => Self::RefField(need(0)?, need(1)?),
            "line" => Self::Line(need(0)?),
            "pairline" => Self::PairLine(need(0)?),
            "lineno" => Self::LineNo(need(0)?, text_at(1).map_or(Ok(1), |_| number(1))?),
            "via" => Self::Via(need(0)?, need(1)?),
            "copy" => Self::Copy(need(0)?),
            "diff" => Self::Difference(need(0)?, need(1)?),
            "pick" => Self::Pick,
            "const" => Self::Const(rest.into()),
            "cycle" => Self::Cycle(rest.split(':').map(Into::into).collect()),
            "date" => Self::Date(number(0)?, number(1)?),
            "after" => Self::After(need(0)?, number(1)?),
            "created" => Self::Created,
            "modified" => Self::Modified,
            "amount" => Self::Amount(number(0)?, number(1)?),
            "pairamount" => Self::PairAmount(number(0)?, number(1)?),
            "pairsign" => Self::PairSign,
            "paid" => Self::Paid(need(0)?),
            "paidstate" => Self::PaidState(need(0)?, need(1)?),
            "int" => Self::Int(number(0)?, number(1)?),
            "bool" => Self::Bool(number(0)? as u64),
            "entity" => Self::Entity(need(0)?),
            _ => return Err(format!("unknown recipe {text}")),
        })
    }

    /// The recipe of a field whose line names none.
    pub fn default_for(data_type: DataType, name: &str) -> Self {
        match data_type {
            DataType::Enum => Self::Pick,
            DataType::Sequence | DataType::Text => Self::Pool(match name {
                n if n.contains("DESC") || n.contains("NOTE") || n.contains("COMMENT") => Pool::Memo,
                _ => Pool::Word,
            }),
            DataType::Integer => Self::Int(0, 1000),
            DataType::Decimal | DataType::Currency => Self::Amount(0, 5000),
            DataType::Percent => Self::Amount(0, 100),
            DataType::Boolean => Self::Bool(30),
            DataType::Date => Self::Date(2019, 2025),
            DataType::Timestamp => Self::Created,
        }
    }

    /// Says what is wrong with the names a recipe uses.
    ///
    /// # Errors
    /// The first name that the catalogue lacks.
    pub fn check(&self, catalog: &Catalog, object: &Object) -> Result<(), String> {
        let own = |name: &str| {
            object
                .field(name)
                .map(|_| ())
                .ok_or_else(|| format!("no field {name}"))
        };
        let other = |name: &str| catalog.object(name).ok_or_else(|| format!("no object {name}"));
        match self {
            Self::Ref(o) | Self::Line(o) | Self::PairLine(o) | Self::LineNo(o, _) => other(o).map(|_| ()),
            Self::RefField(o, f) => other(o)?
                .field(f)
                .map(|_| ())
                .ok_or_else(|| format!("no field {f} in {o}")),
            Self::Via(column, field) => {
                let target = match &object
                    .field(column)
                    .ok_or_else(|| format!("no field {column}"))?
                    .recipe
                {
                    Self::Ref(o) | Self::Line(o) | Self::PairLine(o) | Self::RefField(o, _) => other(o)?,
                    Self::SelfRef => object,
                    _ => return Err(format!("{column} refers to nothing")),
                };
                target
                    .field(field)
                    .map(|_| ())
                    .ok_or_else(|| format!("no field {field} in {}", target.name))
            }
            Self::Copy(c) | Self::After(c, _) | Self::Paid(c) => own(c),
            Self::Difference(a, b) | Self::PaidState(a, b) => own(a).and_then(|()| own(b)),
            _ => Ok(()),
        }
    }
}

fn pool(name: &str) -> Option<Pool> {
    Some(match name {
        "company" => Pool::Company,
        "person" => Pool::Person,
        "first" => Pool::First,
        "last" => Pool::Last,
        "email" => Pool::Email,
        "phone" => Pool::Phone,
        "street" => Pool::Street,
        "city" => Pool::City,
        "state" => Pool::State,
        "zip" => Pool::Zip,
        "country" => Pool::Country,
        "countrycode" => Pool::CountryCode,
        "word" => Pool::Word,
        "sentence" => Pool::Sentence,
        "memo" => Pool::Memo,
        "product" => Pool::Product,
        "contactname" => Pool::ContactName,
        _ => return None,
    })
}
