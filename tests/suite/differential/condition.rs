//! Generates conditions.

use fastrand::Rng;

use super::column::{Column, Kind, Table, Value, quote};

/// Collects the constants of a statement: written in place, or as parameters of a prepared one.
#[derive(Debug, Default)]
pub struct Constants {
    prepared: bool,
    values: Vec<Value>,
}

impl Constants {
    /// With `prepared`, constants become `$1`, `$2` …
    pub fn new(prepared: bool) -> Self {
        Self {
            prepared,
            values: Vec::new(),
        }
    }

    /// Writes a constant.
    pub fn put(&mut self, value: Value) -> String {
        if self.prepared {
            self.values.push(value);
            format!("${}", self.values.len())
        } else {
            value.sql()
        }
    }

    /// Types and values of the parameters.
    pub fn values(&self) -> &[Value] {
        &self.values
    }
}

/// A condition on columns of `alias`, up to `depth` levels of AND, OR and NOT.
pub fn condition(rng: &mut Rng, table: &Table, alias: &str, depth: u8, constants: &mut Constants) -> String {
    if depth == 0 || rng.u8(..3) == 0 {
        return leaf(rng, table, alias, constants);
    }
    match rng.u8(..7) {
        0 => format!("NOT ({})", condition(rng, table, alias, depth - 1, constants)),
        1 | 2 => join(rng, " OR ", table, alias, depth, constants),
        _ => join(rng, " AND ", table, alias, depth, constants),
    }
}

fn join(
    rng: &mut Rng,
    word: &str,
    table: &Table,
    alias: &str,
    depth: u8,
    constants: &mut Constants,
) -> String {
    let parts: Vec<_> = (0..rng.u8(2..=3))
        .map(|_| condition(rng, table, alias, depth - 1, constants))
        .collect();
    format!("({})", parts.join(word))
}

fn leaf(rng: &mut Rng, table: &Table, alias: &str, constants: &mut Constants) -> String {
    if rng.u8(..3) == 0 {
        return super::constructs::leaf(rng, table, alias, constants);
    }
    let column = table.any(rng);
    let name = format!("{alias}.{}", column.name);
    match rng.u8(..20) {
        0 => format!("{name} IS NULL"),
        1 => format!("{name} IS NOT NULL"),
        2 | 3 => list(rng, column, &name, constants),
        4 => {
            let (low, high) = (constants.put(column.value(rng)), constants.put(column.value(rng)));
            let not = if rng.u8(..4) == 0 { "NOT " } else { "" };
            format!("{name} {not}BETWEEN {low} AND {high}")
        }
        5 => {
            let word = if rng.bool() {
                "IS DISTINCT FROM"
            } else {
                "IS NOT DISTINCT FROM"
            };
            format!("{name} {word} {}", constants.put(column.value(rng)))
        }
        6 => match table.of_kind(rng, column.kind) {
            Some(other) => format!("{name} {} {alias}.{}", operator(rng), other.name),
            None => format!("{name} IS NOT NULL"),
        },
        7 => format!("{name} = NULL::{}", column.kind.type_name()),
        8 => format!(
            "{name} {} {}",
            operator(rng),
            constants.put(column.foreign_value(rng))
        ),
        9 | 10 => special(rng, column, &name, constants),
        // The constant on the left.
        11 => format!("{} {} {name}", constants.put(column.value(rng)), operator(rng)),
        _ if column.kind == Kind::Boolean => boolean(rng, &name),
        _ => format!("{name} {} {}", operator(rng), constants.put(column.value(rng))),
    }
}

fn operator(rng: &mut Rng) -> &'static str {
    rng.choice(["=", "=", "<", "<=", ">", ">=", "<>"])
        .expect("not empty")
}

fn list(rng: &mut Rng, column: &Column, name: &str, constants: &mut Constants) -> String {
    let mut values: Vec<_> = (0..rng.u8(1..=5))
        .map(|_| constants.put(column.value(rng)))
        .collect();
    if rng.u8(..5) == 0 {
        values.push(format!("NULL::{}", column.kind.type_name()));
    }
    let values = values.join(", ");
    match rng.u8(..5) {
        0 => format!("{name} NOT IN ({values})"),
        1 => format!("{name} = ANY (ARRAY[{values}])"),
        2 => format!("{name} <> ALL (ARRAY[{values}])"),
        3 => format!("{name} > ANY (ARRAY[{values}])"),
        _ => format!("{name} IN ({values})"),
    }
}

fn boolean(rng: &mut Rng, name: &str) -> String {
    let forms = [
        "{}",
        "NOT {}",
        "{} IS TRUE",
        "{} IS FALSE",
        "{} IS NOT TRUE",
        "{} IS NOT FALSE",
        "{} IS UNKNOWN",
        "{} IS NOT UNKNOWN",
        "{} = true",
        "{} = false",
        "{} <> true",
        "{} <> false",
    ];
    rng.choice(forms).expect("not empty").replace("{}", name)
}

/// Forms that fit one type.
fn special(rng: &mut Rng, column: &Column, name: &str, constants: &mut Constants) -> String {
    match column.kind {
        Kind::Text => {
            let sample = column.value(rng).text;
            let start: String = sample.chars().take(rng.usize(0..4)).collect();
            let operator = rng
                .choice(["LIKE", "NOT LIKE", "ILIKE", "NOT ILIKE"])
                .expect("not empty");
            match rng.u8(..6) {
                0 => format!("{name} {operator} {}", quote(&format!("{start}%"))),
                1 => format!("{name} {operator} {}", quote(&format!("%{start}%"))),
                2 => format!("{name} {operator} {}", quote(&format!("{start}_%"))),
                3 => format!("{name} {operator} {}", quote(&like_escaped(&sample))),
                4 => format!("lower({name}) = {}", quote(&sample.to_lowercase())),
                _ => format!(
                    "{name} COLLATE \"C\" {} {}",
                    operator_of_order(rng),
                    constants.put(column.value(rng))
                ),
            }
        }
        Kind::Date => match rng.u8(..3) {
            0 => format!("extract(year FROM {name}) = {}", rng.u16(2018..2027)),
            1 => format!("{name} + 30 > current_date - {}", rng.u16(0..2500)),
            _ => format!("{name} >= current_date - {}", rng.u16(0..2500)),
        },
        Kind::Instant => match rng.u8(..3) {
            0 => format!(
                "{name}::date = date '2024-{:02}-{:02}'",
                rng.u8(1..=12),
                rng.u8(1..=28)
            ),
            1 => format!(
                "date_trunc('month', {name}) = date_trunc('month', {})",
                column.value(rng).sql()
            ),
            _ => format!("{name} > now() - interval '{} days'", rng.u16(0..2500)),
        },
        Kind::Integer | Kind::Number => match rng.u8(..3) {
            0 => format!(
                "{name} % 2 = 0 AND {name} {} {}",
                operator(rng),
                constants.put(column.value(rng))
            ),
            1 => format!(
                "coalesce({name}, 0) {} {}",
                operator(rng),
                constants.put(column.value(rng))
            ),
            _ => format!("{name} {} (SELECT {})", operator(rng), column.value(rng).sql()),
        },
        Kind::Boolean => boolean(rng, name),
    }
}

fn operator_of_order(rng: &mut Rng) -> &'static str {
    rng.choice(["<", "<=", ">", ">="]).expect("not empty")
}

fn like_escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}
