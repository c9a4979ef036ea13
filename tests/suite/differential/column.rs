//! The columns that statements are made of, and values worth comparing them with.

use fastrand::Rng;
use postgres::Client;

/// What kind of values a column has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// text
    Text,
    /// bigint
    Integer,
    /// numeric
    Number,
    /// boolean
    Boolean,
    /// date
    Date,
    /// timestamp with time zone
    Instant,
}

impl Kind {
    /// PostgreSQL's name of the type.
    pub fn type_name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Integer => "bigint",
            Self::Number => "numeric",
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::Instant => "timestamptz",
        }
    }
}

/// A column and some of the values that it holds.
#[derive(Debug, Clone)]
pub struct Column {
    /// Name, quoted where SQL needs it.
    pub name: String,
    /// Type.
    pub kind: Kind,
    /// Distinct values, as text; never empty texts of NULLs.
    samples: Vec<String>,
}

/// A table that exists as a foreign table and as a local copy under the same name.
#[derive(Debug, Clone)]
pub struct Table {
    /// Name without schema.
    pub name: String,
    /// The unique column that makes an order total.
    pub key: String,
    /// All its columns.
    pub columns: Vec<Column>,
}

impl Table {
    /// Reads columns and samples of `schema.name`.
    pub fn read(client: &mut Client, schema: &str, name: &str, key: &str) -> Self {
        let columns = client
            .query(
                "SELECT quote_ident(attname), format_type(atttypid, NULL) FROM pg_attribute
                 WHERE attrelid = ($1 || '.' || $2)::text::regclass AND attnum > 0 AND NOT attisdropped
                 ORDER BY attnum",
                &[&schema, &name],
            )
            .expect("the catalog answers");
        let columns = columns
            .iter()
            .map(|row| {
                let (column, type_name): (String, String) = (row.get(0), row.get(1));
                let kind = match type_name.as_str() {
                    "text" => Kind::Text,
                    "bigint" => Kind::Integer,
                    "numeric" => Kind::Number,
                    "boolean" => Kind::Boolean,
                    "date" => Kind::Date,
                    "timestamp with time zone" => Kind::Instant,
                    other => panic!("{name}.{column} has the unexpected type {other}"),
                };
                let samples = client
                    .query(
                        // A fixed pseudo-random choice: the same seed must give the same statements.
                        &format!(
                            "SELECT v FROM (SELECT DISTINCT {column}::text AS v FROM {schema}.{name}) d
                             WHERE v IS NOT NULL ORDER BY md5(v), v COLLATE \"C\" LIMIT 40"
                        ),
                        &[],
                    )
                    .expect("a local table answers");
                Column {
                    name: column,
                    kind,
                    samples: samples.iter().map(|row| row.get(0)).collect(),
                }
            })
            .collect();
        Self {
            name: name.to_owned(),
            key: key.to_owned(),
            columns,
        }
    }

    /// A column that is not empty in every row (nine times in ten).
    pub fn any(&self, rng: &mut Rng) -> &Column {
        loop {
            let column = &self.columns[rng.usize(..self.columns.len())];
            if !column.samples.is_empty() || rng.u8(..10) == 0 {
                return column;
            }
        }
    }

    /// A column of one kind.
    pub fn of_kind(&self, rng: &mut Rng, kind: Kind) -> Option<&Column> {
        let fitting: Vec<_> = self.columns.iter().filter(|column| column.kind == kind).collect();
        rng.choice(fitting)
    }
}

/// A constant: its SQL text and the type it has as a parameter.
#[derive(Debug, Clone)]
pub struct Value {
    /// Text between quotes, or a bare expression if `bare`.
    pub text: String,
    /// Type as a parameter.
    pub type_name: &'static str,
    /// Whether the text is an expression rather than the inside of a literal.
    pub bare: bool,
}

impl Value {
    fn typed(text: impl Into<String>, type_name: &'static str) -> Self {
        Self {
            text: text.into(),
            type_name,
            bare: false,
        }
    }

    fn expression(text: impl Into<String>, type_name: &'static str) -> Self {
        Self {
            text: text.into(),
            type_name,
            bare: true,
        }
    }

    /// The value in SQL, with its type.
    pub fn sql(&self) -> String {
        if self.bare {
            self.text.clone()
        } else {
            format!("{}::{}", quote(&self.text), self.type_name)
        }
    }
}

/// A literal that stands for `text` whatever `standard_conforming_strings` says.
pub fn quote(text: &str) -> String {
    if text.contains(['\\', '\t', '\n']) {
        let escaped = text
            .replace('\\', "\\\\")
            .replace('\'', "''")
            .replace('\t', "\\t")
            .replace('\n', "\\n");
        format!("E'{escaped}'")
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

const TEXTS: &[&str] = &[
    "",
    " ",
    "O'Neil",
    "a & b",
    "<x>",
    "\"q\"",
    "ß",
    "Ü-Nord",
    "ÿ",
    "zzz",
    "\u{10348}",
    "%",
    "_",
    "a\\b",
    "tab\there",
    "]]>",
    "null",
    "NULL",
    "true",
];
const INTEGERS: &[&str] = &[
    "0",
    "-1",
    "1",
    "9223372036854775807",
    "-9223372036854775808",
    "2147483648",
];
const NUMBERS: &[&str] = &[
    "0",
    "-0.01",
    "0.000001",
    "1e20",
    "-1e20",
    "99999999999999999999.999",
    "100.00",
    "NaN",
    "Infinity",
    "-Infinity",
];
const DATES: &[&str] = &[
    "2024-02-29",
    "1969-12-31",
    "2000-01-01",
    "9999-12-31",
    "infinity",
    "-infinity",
    "0044-03-15 BC",
    "10000-01-01",
    "0005-06-01",
    "0999-12-31",
    "1000-01-01",
];
const INSTANTS: &[&str] = &[
    "2024-03-10 02:30:00-08",
    "2024-03-10 10:00:00+00",
    "2024-11-03 08:30:00+00",
    "2024-11-03 09:30:00+00",
    "2024-03-31 01:00:00+00",
    "2024-10-27 00:30:00+00",
    "1969-12-31 23:59:59+00",
    "9999-12-31 23:59:59+00",
    "0999-12-31 23:30:00+00",
    "1000-01-01 00:30:00+00",
    "infinity",
    "-infinity",
];

impl Column {
    /// A value of the column's own type: mostly one that occurs, or nearly.
    pub fn value(&self, rng: &mut Rng) -> Value {
        let sample = rng.choice(&self.samples).cloned();
        let strange = rng.u8(..6) == 0;
        match (self.kind, sample) {
            (Kind::Text, Some(sample)) if !strange => Value::typed(vary_text(rng, sample), "text"),
            (Kind::Text, _) => Value::typed(*rng.choice(TEXTS).expect("not empty"), "text"),
            (Kind::Boolean, _) => Value::typed(if rng.bool() { "true" } else { "false" }, "boolean"),
            (Kind::Integer, Some(sample)) if !strange => {
                let step = rng.i64(-1..=1);
                let near = sample
                    .parse::<i64>()
                    .expect("a bigint prints as one")
                    .saturating_add(step);
                Value::typed(near.to_string(), "bigint")
            }
            (Kind::Integer, _) => Value::typed(*rng.choice(INTEGERS).expect("not empty"), "bigint"),
            (Kind::Number, Some(sample)) if !strange => Value::typed(vary_number(rng, sample), "numeric"),
            (Kind::Number, _) => Value::typed(*rng.choice(NUMBERS).expect("not empty"), "numeric"),
            (Kind::Date, Some(sample)) if !strange => match rng.u8(..4) {
                0 => Value::expression(format!("(date {} + {})", quote(&sample), rng.i8(-2..=2)), "date"),
                _ => Value::typed(sample, "date"),
            },
            (Kind::Date, _) => Value::typed(*rng.choice(DATES).expect("not empty"), "date"),
            (Kind::Instant, Some(sample)) if !strange => match rng.u8(..4) {
                0 => {
                    let shift = rng.choice(["0.5 seconds", "-0.000001 seconds", "1 second", "-1 hour"]);
                    let shift = shift.expect("not empty");
                    Value::expression(
                        format!("(timestamptz {} + interval '{shift}')", quote(&sample)),
                        "timestamptz",
                    )
                }
                _ => Value::typed(sample, "timestamptz"),
            },
            (Kind::Instant, _) => Value::typed(*rng.choice(INSTANTS).expect("not empty"), "timestamptz"),
        }
    }

    /// A value of another type that PostgreSQL compares with this column's.
    pub fn foreign_value(&self, rng: &mut Rng) -> Value {
        let own = self.value(rng);
        match self.kind {
            Kind::Integer => match rng.u8(..4) {
                0 => Value::expression(format!("{}.5", rng.i32(0..5000)), "numeric"),
                1 => Value::expression(format!("{}::smallint", rng.i16(0..)), "smallint"),
                2 => Value::expression(format!("{}::float8", rng.i32(0..5000)), "float8"),
                _ => Value::expression(rng.i32(0..10_000).to_string(), "integer"),
            },
            Kind::Number => match rng.u8(..3) {
                0 => Value::expression(format!("{}::float8", rng.i32(-10..20_000)), "float8"),
                _ => Value::expression(rng.i32(-10..20_000).to_string(), "integer"),
            },
            Kind::Date => match rng.u8(..2) {
                0 => Value::expression("timestamp '2023-06-30 12:00:00'", "timestamp"),
                _ => Value::expression("timestamptz '2023-06-30 23:30:00-07'", "timestamptz"),
            },
            Kind::Instant => match rng.u8(..2) {
                0 => Value::expression("date '2023-06-30'", "date"),
                _ => Value::expression("timestamp '2023-06-30 12:00:00'", "timestamp"),
            },
            Kind::Text | Kind::Boolean => own,
        }
    }
}

fn vary_text(rng: &mut Rng, sample: String) -> String {
    match rng.u8(..8) {
        0 => sample.to_uppercase(),
        1 => sample.to_lowercase(),
        2 => format!("{sample} "),
        3 => sample.chars().take(3).collect(),
        _ => sample,
    }
}

fn vary_number(rng: &mut Rng, sample: String) -> String {
    match rng.u8(..5) {
        // The same number with another scale.
        0 if sample.contains('.') => format!("{sample}00"),
        0 => format!("{sample}.000"),
        1 if !sample.contains('.') => format!("{sample}.01"),
        2 if sample.starts_with('-') => sample[1..].to_owned(),
        2 if sample != "0" => format!("-{sample}"),
        _ => sample,
    }
}
