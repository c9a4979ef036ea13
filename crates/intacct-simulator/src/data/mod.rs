//! The company's data: a pure function of (seed, object, row, field).
//!
//! Because a cell depends on nothing but these four, a column that repeats a value of another object
//! (`CUSTOMERNAME` on an invoice) computes it again instead of looking it up, and a million rows need no memory.

pub mod load;
pub mod recipe;
pub mod value;
mod words;

use std::collections::HashMap;

use crate::catalog::{Catalog, DataType};
use recipe::{Pool, Recipe};
use value::Value;

/// The last day of the generated data: nothing ordinary is later. Tests depend on no clock.
const AS_OF: (i16, i8, i8) = (2025, 6, 30);
/// The first day of the generated data.
const SINCE: (i16, i8, i8) = (2019, 1, 2);

/// A recipe whose names are resolved to positions.
#[derive(Debug, Clone)]
enum Step {
    Null,
    RecordNo,
    Position,
    Code(String, usize),
    Pool(Pool),
    Ref(usize),
    SelfRef,
    RefField(usize, usize),
    Line(usize),
    PairLine(usize),
    LineNo(usize, i64),
    Via(usize, usize),
    Copy(usize),
    Difference(usize, usize),
    Pick(Vec<&'static str>),
    Const(&'static str),
    Cycle(Vec<&'static str>),
    Date(i64, i64),
    After(usize, i64),
    Created,
    Modified,
    Amount(i64, i64),
    PairAmount(i64, i64),
    PairSign,
    Paid(usize),
    PaidState(usize, usize),
    Int(i64, i64),
    Bool(u64),
    Entity(usize),
}

/// Generates the cells of one company.
#[derive(Debug)]
pub struct Generator {
    catalog: &'static Catalog,
    seed: u64,
    rows: Vec<u64>,
    steps: Vec<Vec<Step>>,
    entity_object: usize,
    since: i64,
    as_of: i64,
}

impl Generator {
    /// `rows` overrides the default number of rows, by upper-case object name.
    pub fn new(catalog: &'static Catalog, seed: u64, rows: &HashMap<String, u64>) -> Self {
        let counts = catalog
            .objects
            .iter()
            .map(|o| rows.get(&o.name.to_uppercase()).copied().unwrap_or(o.rows))
            .collect();
        let steps = (0..catalog.objects.len()).map(|o| resolve(catalog, o)).collect();
        let entity_object = catalog.position("LOCATIONENTITY").unwrap_or(0);
        let day = |(y, m, d)| value::days(y, m, d);
        Self {
            catalog,
            seed,
            rows: counts,
            steps,
            entity_object,
            since: day(SINCE),
            as_of: day(AS_OF),
        }
    }

    /// Number of rows of an object.
    pub fn rows(&self, object: usize) -> u64 {
        self.rows[object]
    }

    /// The sparse record number of a row; grows with the position.
    pub fn record_no(&self, object: usize, row: u64) -> i64 {
        let jitter = mix(self.seed ^ 0x5eed, object as u64, row) % 3;
        // A hole of 5,000 numbers after each 700 rows, as left behind by deleted imports.
        (row * 3 + jitter + 1 + row / 700 * 5_000) as i64
    }

    /// The value of a cell.
    pub fn value(&self, object: usize, field: usize, row: u64) -> Value {
        let data_type = self.catalog.objects[object].fields[field].data_type;
        match self.raw_value(object, field, row) {
            Value::Int(number) if data_type.is_text() => Value::Text(number.to_string().into()),
            Value::Text(text) if data_type == DataType::Integer => {
                text.parse().map_or(Value::Null, Value::Int)
            }
            value => value,
        }
    }

    fn raw_value(&self, object: usize, field: usize, row: u64) -> Value {
        let def = &self.catalog.objects[object].fields[field];
        let h = mix(self.seed, ((object as u64) << 16) | field as u64, row);
        if def.null_percent > 0 && h % 100 < u64::from(def.null_percent) {
            return Value::Null;
        }
        let n = mix(h, 1, 2);
        let own = |f: usize| self.value(object, f, row);
        match &self.steps[object][field] {
            Step::Null => Value::Null,
            Step::RecordNo => Value::Int(self.record_no(object, row)),
            Step::Position => Value::Int(row as i64 + 1),
            Step::Code(prefix, width) => Value::Text(code(prefix, *width, row).into()),
            Step::Pool(pool) => Value::Text(words::word(*pool, n, row)),
            Step::Ref(_) | Step::SelfRef | Step::Line(_) | Step::PairLine(_) => self
                .target(object, field, row)
                .map_or(Value::Null, |(o, r)| Value::Int(self.record_no(o, r))),
            Step::RefField(_, f) => self
                .target(object, field, row)
                .map_or(Value::Null, |(o, r)| self.value(o, *f, r)),
            Step::LineNo(parent, first) => {
                let (n, parents) = (self.rows[object], self.rows[*parent].max(1));
                let header = header_of(row, n, parents);
                Value::Int((row - first_line(header, n, parents)) as i64 + first)
            }
            Step::Via(column, f) => self
                .target(object, *column, row)
                .map_or(Value::Null, |(o, r)| self.value(o, *f, r)),
            Step::Copy(f) => own(*f),
            Step::Difference(a, b) => match (own(*a), own(*b)) {
                (Value::Int(a), Value::Int(b)) => Value::Int(a - b),
                (Value::Int(a), _) => Value::Int(a),
                _ => Value::Null,
            },
            Step::Pick(values) => Value::Text(values[(n % values.len() as u64) as usize].into()),
            Step::Const(text) => Value::Text((*text).into()),
            Step::Cycle(values) => {
                let (round, word) = (
                    row / values.len() as u64,
                    values[(row % values.len() as u64) as usize],
                );
                let key = self.catalog.objects[object].natural_key.as_deref() == Some(def.name.as_str());
                // More rows than words: a key must not repeat.
                Value::Text(if key && round > 0 {
                    format!("{word} {}", round + 1).into()
                } else {
                    word.into()
                })
            }
            Step::Date(from, to) => self.date(*from, *to, row, n),
            Step::After(column, limit) => match own(*column) {
                Value::Date(d) => {
                    Value::Date(d.min(value::days(9999, 1, 1)) + (n % (*limit as u64 + 1)) as i64)
                }
                _ => Value::Null,
            },
            Step::Created => Value::Time(self.created(object, row)),
            Step::Modified => Value::Time(self.modified(object, row)),
            Step::Amount(low, high) => Value::Int(amount(*low, *high, def.scale, row, n, def.data_type)),
            Step::PairAmount(low, high) => {
                let n = mix(self.seed, object as u64, row / 2);
                Value::Int(amount(*low, *high, def.scale, u64::MAX, n, def.data_type))
            }
            Step::PairSign => Value::Int(if row.is_multiple_of(2) { 1 } else { -1 }),
            Step::Paid(column) => match own(*column) {
                Value::Int(total) => Value::Int(match n % 10 {
                    0..=4 => total,
                    5..=6 => total / 3,
                    _ => 0,
                }),
                _ => Value::Null,
            },
            Step::PaidState(total, paid) => match (own(*total), own(*paid)) {
                (Value::Int(t), Value::Int(p)) if t == p => Value::Text("Paid".into()),
                (_, Value::Int(p)) if p != 0 => Value::Text("Partially Paid".into()),
                _ => Value::Text("Posted".into()),
            },
            Step::Int(low, high) => Value::Int(low + (n % (high - low + 1) as u64) as i64),
            Step::Bool(percent) => Value::Int(i64::from(n % 100 < *percent)),
            Step::Entity(f) => self
                .entity(object, row)
                .map_or(Value::Null, |e| self.value(self.entity_object, *f, e)),
        }
    }

    /// The row that a reference column points at.
    fn target(&self, object: usize, field: usize, row: u64) -> Option<(usize, u64)> {
        let def = &self.catalog.objects[object].fields[field];
        let h = mix(self.seed, ((object as u64) << 16) | field as u64, row);
        if def.null_percent > 0 && h % 100 < u64::from(def.null_percent) {
            return None;
        }
        let n = mix(h, 1, 2);
        let target = match self.steps[object][field] {
            Step::Ref(o) | Step::RefField(o, _) => {
                // Squared, so that few customers have many invoices.
                let u = (n >> 11) as f64 / (1u64 << 53) as f64;
                (o, (u * u * self.rows[o] as f64) as u64)
            }
            Step::SelfRef if row > 0 => (object, n % row),
            Step::Line(o) => (o, header_of(row, self.rows[object], self.rows[o].max(1))),
            Step::PairLine(o) => (
                o,
                header_of(row / 2, self.rows[object].div_ceil(2), self.rows[o].max(1)),
            ),
            _ => return None,
        };
        (target.1 < self.rows[target.0]).then_some(target)
    }

    /// The entity (position in LOCATIONENTITY) that owns a row, for one row in twelve of objects with private rows.
    fn entity(&self, object: usize, row: u64) -> Option<u64> {
        let h = mix(self.seed ^ 0xe27, object as u64, row);
        (self.catalog.objects[object].private && h.is_multiple_of(12))
            .then(|| (h >> 8) % self.rows[self.entity_object].min(2))
    }

    fn created(&self, object: usize, row: u64) -> i64 {
        let span = (self.as_of - self.since) * 86_400;
        let n = self.rows[object].max(1);
        let slot = span / n as i64;
        let jitter = mix(self.seed ^ 0xc0, object as u64, row) as i64 & 0xffff;
        self.since * 86_400 + (row as i64) * slot + jitter % slot.max(1)
    }

    fn modified(&self, object: usize, row: u64) -> i64 {
        // Bulk changes give many rows one second; some fall on the hours when clocks change.
        match row % 100 {
            10..=19 => self.as_of * 86_400 - 86_400 * (1 + (row / 1000 % 30) as i64) + 43_200,
            31 => CLOCK_CHANGES[(row / 100) as usize % CLOCK_CHANGES.len()],
            _ => {
                let created = self.created(object, row);
                let room = (self.as_of * 86_400 - created).max(1);
                created + (mix(self.seed ^ 0xed, object as u64, row) % room as u64) as i64
            }
        }
    }

    fn date(&self, from: i64, to: i64, row: u64, n: u64) -> Value {
        Value::Date(match row % 307 {
            301 => value::days(1900, 1, 1),
            302 => value::days(9999, 12, 31),
            303 => value::days(2024, 2, 29),
            304 => value::days(1969, 12, 31),
            _ => {
                let (first, last) = (
                    value::days(from as i16, 1, 1),
                    value::days(to as i16, 12, 31).min(self.as_of),
                );
                first + (n % (last - first).max(1) as u64) as i64
            }
        })
    }
}

/// Seconds around changes of daylight-saving time in Europe and America, 2024 (UTC).
const CLOCK_CHANGES: &[i64] = &[
    1_711_846_799, // 2024-03-31 00:59:59
    1_711_846_800, // 2024-03-31 01:00:00
    1_729_988_999, // 2024-10-27 00:29:59
    1_729_989_000, // 2024-10-27 00:30:00
    1_729_990_800, // 2024-10-27 01:00:00
    1_729_992_600, // 2024-10-27 01:30:00
    1_710_064_799, // 2024-03-10 09:59:59
    1_730_622_600, // 2024-11-03 08:30:00
];

fn resolve(catalog: &'static Catalog, object: usize) -> Vec<Step> {
    let o = &catalog.objects[object];
    let object_at = |name: &str| catalog.position(name).unwrap_or(object);
    let own = |name: &str| o.position(name).unwrap_or(0);
    let of = |target: usize, name: &str| catalog.objects[target].position(name).unwrap_or(0);
    o.fields
        .iter()
        .map(|f| match &f.recipe {
            Recipe::Null => Step::Null,
            Recipe::RecordNo => Step::RecordNo,
            Recipe::Position => Step::Position,
            Recipe::Code(p, w) => Step::Code(p.clone(), *w),
            Recipe::Pool(p) => Step::Pool(*p),
            Recipe::Ref(t) => Step::Ref(object_at(t)),
            Recipe::SelfRef => Step::SelfRef,
            Recipe::RefField(t, f) => Step::RefField(object_at(t), of(object_at(t), f)),
            Recipe::Line(t) => Step::Line(object_at(t)),
            Recipe::PairLine(t) => Step::PairLine(object_at(t)),
            Recipe::LineNo(t, first) => Step::LineNo(object_at(t), *first),
            Recipe::Via(column, f) => {
                let target = match &o.fields[own(column)].recipe {
                    Recipe::Ref(t) | Recipe::Line(t) | Recipe::PairLine(t) | Recipe::RefField(t, _) => {
                        object_at(t)
                    }
                    _ => object,
                };
                Step::Via(own(column), of(target, f))
            }
            Recipe::Copy(c) => Step::Copy(own(c)),
            Recipe::Difference(a, b) => Step::Difference(own(a), own(b)),
            Recipe::Pick if f.values.is_empty() => Step::Null,
            Recipe::Pick => Step::Pick(f.values.iter().map(|(l, _)| l.as_str()).collect()),
            Recipe::Const(t) => Step::Const(t),
            Recipe::Cycle(list) => Step::Cycle(list.iter().map(String::as_str).collect()),
            Recipe::Date(a, b) => Step::Date(*a, *b),
            Recipe::After(c, n) => Step::After(own(c), *n),
            Recipe::Created => Step::Created,
            Recipe::Modified => Step::Modified,
            Recipe::Amount(a, b) => Step::Amount(*a, *b),
            Recipe::PairAmount(a, b) => Step::PairAmount(*a, *b),
            Recipe::PairSign => Step::PairSign,
            Recipe::Paid(c) => Step::Paid(own(c)),
            Recipe::PaidState(a, b) => Step::PaidState(own(a), own(b)),
            Recipe::Int(a, b) => Step::Int(*a, *b),
            Recipe::Bool(p) => Step::Bool(*p),
            Recipe::Entity(f) => {
                let entity = object_at("LOCATIONENTITY");
                Step::Entity(of(entity, f))
            }
        })
        .collect()
}

/// Position of the header that line `row` of `n` belongs to.
fn header_of(row: u64, n: u64, headers: u64) -> u64 {
    row * headers / n.max(1)
}

/// First line of a header: the least row whose header it is.
fn first_line(header: u64, n: u64, headers: u64) -> u64 {
    (header * n).div_ceil(headers)
}

fn code(prefix: &str, width: usize, row: u64) -> String {
    let number = row + 1;
    match row % 40 {
        _ if prefix.is_empty() => format!("{number:0width$}"),
        3 => format!("{number:0width$}"),
        4 => format!("{}-{number:0width$}", prefix.to_lowercase()),
        _ => format!("{prefix}-{number:0width$}"),
    }
}

fn amount(low: i64, high: i64, scale: u8, row: u64, n: u64, data_type: DataType) -> i64 {
    let unit = 10i64.pow(u32::from(scale));
    if data_type == DataType::Currency {
        match row % 503 {
            401 => return 99_999_999_999_999 * unit + (unit - 1),
            402 => return -99_999_999_999_999 * unit - (unit - 1),
            403 => return 1,
            404 => return 0,
            _ => {}
        }
    }
    let span = ((high - low) * unit).max(1) as u64;
    let fine = low * unit + (n % span) as i64;
    // Prices are often round.
    if n >> 60 == 0 { fine / unit * unit } else { fine }
}

/// A well-mixed 64-bit hash (the finaliser of MurmurHash3).
fn mix(seed: u64, a: u64, b: u64) -> u64 {
    let mut x = seed ^ a.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ b.wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
    x ^= x >> 33;
    x = x.wrapping_mul(0xff51_afd7_ed55_8ccd);
    x ^= x >> 33;
    x = x.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    x ^ (x >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_number_from_the_first_line_of_their_header() {
        for (n, headers) in [(10, 4), (7, 7), (3, 9), (100, 1)] {
            for row in 0..n {
                let header = header_of(row, n, headers);
                let first = first_line(header, n, headers);
                assert!(first <= row && header_of(first, n, headers) == header);
                assert!(first == 0 || header_of(first - 1, n, headers) != header);
            }
        }
    }

    #[test]
    fn record_numbers_grow_and_have_gaps() {
        let g = Generator::new(Catalog::builtin(), 1, &HashMap::new());
        let numbers: Vec<i64> = (0..2000).map(|r| g.record_no(0, r)).collect();
        assert!(numbers.windows(2).all(|w| w[0] < w[1]));
        assert!(numbers.windows(2).any(|w| w[1] - w[0] > 1000));
    }
}
