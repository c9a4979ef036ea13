//! Rows as XML, JSON or CSV, straight from SQLite's buffers.

use rusqlite::Row;
use rusqlite::types::ValueRef;

use super::Scope;
use super::resolve::Column;
use crate::catalog::DataType;
use crate::envelope::node::legal;
use crate::settings::{ControlCharacters, EmptyElements, UnsetBooleans};
use crate::store::functions::decimal_text;

/// Form of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReturnFormat {
    /// Inside the envelope.
    Xml,
    /// An array of objects, without envelope.
    Json,
    /// A header line and rows, without envelope.
    Csv,
}

impl ReturnFormat {
    /// By its name in a request.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "" | "xml" => Some(Self::Xml),
            "json" => Some(Self::Json),
            "csv" => Some(Self::Csv),
            _ => None,
        }
    }
}

/// How the cells of a column are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text as is.
    Text,
    /// Whole number.
    Integer,
    /// Scaled integer, or its text where it may exceed 64 bits.
    Decimal(u8),
    /// 0 or 1.
    Boolean,
    /// ISO date.
    Date,
    /// ISO instant, UTC.
    Instant,
}

/// A column of the answer.
#[derive(Debug, Clone)]
pub struct Shape {
    /// Element name.
    pub tag: String,
    /// Storage.
    pub kind: Kind,
}

impl Shape {
    /// A plain field.
    pub fn of(column: &Column) -> Self {
        Self {
            tag: column.tag.clone(),
            kind: Self::kind(column.data_type(), column.field.scale),
        }
    }

    /// Storage of a type.
    pub fn kind(data_type: DataType, scale: u8) -> Kind {
        match data_type {
            DataType::Integer => Kind::Integer,
            DataType::Boolean => Kind::Boolean,
            DataType::Date => Kind::Date,
            DataType::Timestamp => Kind::Instant,
            t if t.is_decimal() => Kind::Decimal(scale),
            _ => Kind::Text,
        }
    }
}

/// Collects the rows of one answer.
#[derive(Debug)]
pub struct RowWriter<'a> {
    scope: &'a Scope<'a>,
    format: ReturnFormat,
    tags: Vec<(String, String, Kind)>,
    row: (String, String),
    /// What was written so far.
    pub out: Vec<u8>,
    scratch: String,
    /// Rows written.
    pub count: usize,
}

impl<'a> RowWriter<'a> {
    /// For rows called `tag` with the given columns.
    pub fn new(scope: &'a Scope<'a>, format: ReturnFormat, tag: &str, shapes: &[Shape]) -> Self {
        let line = |depth: usize| {
            if scope.whitespace {
                format!("\n{:1$}", "", depth * 4)
            } else {
                String::new()
            }
        };
        let tags = shapes
            .iter()
            .map(|s| (format!("{}<{}>", line(5), s.tag), format!("</{}>", s.tag), s.kind))
            .collect();
        let row = (format!("{}<{tag}>", line(4)), format!("{}</{tag}>", line(4)));
        let mut out = Vec::with_capacity(1 << 16);
        match format {
            ReturnFormat::Csv => {
                let names: Vec<String> = shapes.iter().map(|s| format!("\"{}\"", s.tag)).collect();
                out.extend_from_slice(names.join(",").as_bytes());
                out.push(b'\n');
            }
            ReturnFormat::Json => out.push(b'['),
            ReturnFormat::Xml => {}
        }
        Self {
            scope,
            format,
            tags,
            row,
            out,
            scratch: String::new(),
            count: 0,
        }
    }

    /// What the text depends on beside the values.
    pub fn form(&self) -> String {
        let Self {
            scope,
            format,
            tags,
            row,
            ..
        } = self;
        format!(
            "{format:?} {row:?} {tags:?} {:?} {:?}",
            scope.readings, scope.format
        )
    }

    /// Appends a row of a statement; `first` is its first column that is shown.
    ///
    /// # Errors
    /// When a column is missing.
    pub fn row(&mut self, row: &Row<'_>, first: usize) -> rusqlite::Result<()> {
        self.begin();
        for i in 0..self.tags.len() {
            self.cell(i, row.get_ref(first + i)?);
        }
        self.end();
        Ok(())
    }

    /// Appends a row followed, inside of its element, by XML that was written before.
    ///
    /// # Errors
    /// When a column is missing.
    pub fn row_with(&mut self, row: &Row<'_>, first: usize, extra: &[u8]) -> rusqlite::Result<()> {
        self.begin();
        for i in 0..self.tags.len() {
            self.cell(i, row.get_ref(first + i)?);
        }
        self.out.extend_from_slice(extra);
        self.end();
        Ok(())
    }

    /// Appends a row of given values.
    pub fn values(&mut self, values: &[ValueRef<'_>]) {
        self.begin();
        for (i, value) in values.iter().enumerate() {
            self.cell(i, *value);
        }
        self.end();
    }

    /// The finished text.
    pub fn finish(mut self) -> Vec<u8> {
        if self.format == ReturnFormat::Json {
            self.out.push(b']');
        }
        self.out
    }

    fn begin(&mut self) {
        match self.format {
            ReturnFormat::Xml => self.out.extend_from_slice(self.row.0.as_bytes()),
            ReturnFormat::Json => self
                .out
                .extend_from_slice(if self.count > 0 { b",{" } else { b"{" }),
            ReturnFormat::Csv => {}
        }
        self.count += 1;
    }

    fn end(&mut self) {
        match self.format {
            ReturnFormat::Xml => self.out.extend_from_slice(self.row.1.as_bytes()),
            ReturnFormat::Json => self.out.push(b'}'),
            ReturnFormat::Csv => self.out.push(b'\n'),
        }
    }

    fn cell(&mut self, i: usize, value: ValueRef<'_>) {
        let kind = self.tags[i].2;
        let readings = &self.scope.readings;
        let is_empty = matches!(value, ValueRef::Null)
            && !(kind == Kind::Boolean && readings.unset_booleans == UnsetBooleans::False);
        match self.format {
            ReturnFormat::Xml if is_empty && readings.empty_elements == EmptyElements::Omitted => {}
            ReturnFormat::Xml => {
                let Self {
                    scope,
                    tags,
                    out,
                    scratch,
                    ..
                } = self;
                let (open, close, _) = &tags[i];
                out.extend_from_slice(open.as_bytes());
                if kind == Kind::Text {
                    if let ValueRef::Text(text) = value {
                        escape(out, text, scope);
                    }
                } else {
                    scratch.clear();
                    render(scope, kind, value, scratch);
                    out.extend_from_slice(scratch.as_bytes());
                }
                out.extend_from_slice(close.as_bytes());
            }
            ReturnFormat::Json | ReturnFormat::Csv => {
                let mut text = String::new();
                render(self.scope, kind, value, &mut text);
                let tag = self.tags[i].1[2..].trim_end_matches('>').to_string();
                if i > 0 {
                    self.out.push(b',');
                }
                if self.format == ReturnFormat::Json {
                    self.out
                        .extend_from_slice(serde_json::Value::from(tag).to_string().as_bytes());
                    self.out.push(b':');
                    self.out
                        .extend_from_slice(serde_json::Value::from(text).to_string().as_bytes());
                } else {
                    self.out
                        .extend_from_slice(format!("\"{}\"", text.replace('"', "\"\"")).as_bytes());
                }
            }
        }
    }
}

/// Appends the text of a stored value, as a cell shows it; without the characters that XML forbids, unless a setting
/// wants them.
pub fn cell(scope: &Scope<'_>, kind: Kind, value: ValueRef<'_>, out: &mut String) {
    render(scope, kind, value, out);
    if scope.readings.control_characters == ControlCharacters::Stripped {
        out.retain(legal);
    }
}

/// Appends the text of a stored value.
fn render(scope: &Scope<'_>, kind: Kind, value: ValueRef<'_>, out: &mut String) {
    use std::fmt::Write;
    match (kind, value) {
        (Kind::Boolean, ValueRef::Null) if scope.readings.unset_booleans == UnsetBooleans::False => {
            out.push_str("false");
        }
        (_, ValueRef::Null) => {}
        (Kind::Boolean, ValueRef::Integer(i)) => out.push_str(if i == 0 { "false" } else { "true" }),
        (Kind::Decimal(scale), ValueRef::Integer(i)) => scope.format.decimal(out, i.into(), scale),
        (Kind::Decimal(scale), ValueRef::Text(t)) => {
            let scaled = std::str::from_utf8(t)
                .ok()
                .and_then(|t| t.parse::<i128>().ok())
                .unwrap_or(0);
            scope.format.decimal(out, scaled, scale);
        }
        (Kind::Date, ValueRef::Text(t)) => scope.format.date(out, text(t)),
        (Kind::Instant, ValueRef::Text(t)) => scope.format.instant(out, text(t)),
        (_, ValueRef::Integer(i)) => {
            let _ = write!(out, "{i}");
        }
        (_, ValueRef::Text(t)) => out.push_str(text(t)),
        (_, ValueRef::Real(r)) => out.push_str(&decimal_text(r as i128, 0, false)),
        (_, ValueRef::Blob(_)) => {}
    }
}

/// SQLite holds what Rust strings gave it.
fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

/// Appends text with markup escaped and forbidden characters handled as the settings say.
fn escape(out: &mut Vec<u8>, text: &[u8], scope: &Scope<'_>) {
    let special = |b: &u8| matches!(b, b'&' | b'<' | b'>' | 0..=0x1f);
    let mut rest = text;
    while let Some(i) = rest.iter().position(special) {
        out.extend_from_slice(&rest[..i]);
        match rest[i] {
            b'&' => out.extend_from_slice(b"&amp;"),
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            // A bare carriage return would be normalised away by any parser.
            b'\r' => out.extend_from_slice(b"&#13;"),
            b if legal(b.into()) || scope.readings.control_characters == ControlCharacters::Raw => {
                out.push(b)
            }
            _ => {}
        }
        rest = &rest[i + 1..];
    }
    out.extend_from_slice(rest);
}
