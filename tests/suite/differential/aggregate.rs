//! Generates statements with aggregates, groups and DISTINCT.
//!
//! Numbers are compared by value: their scale is trimmed, since a sum of the gateway's has the gateway's own.

use fastrand::Rng;

use super::column::{Column, Kind, Table};
use super::condition::{Constants, condition};

/// A statement over one table, whose rows come in any order.
pub fn aggregate(rng: &mut Rng, table: &Table, constants: &mut Constants) -> String {
    let filter = filter(rng, table, constants);
    let from = format!("FROM {} t{filter}", table.name);
    match rng.u8(..20) {
        7.. => super::combined::combined(rng, table, constants),
        0 => format!("SELECT count(*) {from}"),
        1 => distinct(rng, table, &from),
        // Aggregates over one column can be asked for without the rows that have no value in it.
        2 => {
            let column = measured(rng, table);
            let calls: Vec<_> = (0..rng.u8(1..=3)).map(|_| over(rng, column, "t")).collect();
            format!("SELECT {} {from}", calls.join(", "))
        }
        3 => format!("SELECT {} {from}", calls(rng, table, "t")),
        4 => {
            let condition = exact(rng, table, "t", constants);
            let column = measured(rng, table);
            format!(
                "SELECT sum_or_count FROM (SELECT {} AS sum_or_count {from}) s",
                filter_clause(rng, column, &condition)
            )
        }
        _ => grouped(rng, table, &from),
    }
}

/// Half of the conditions are such that the gateway can check them exactly.
pub fn filter(rng: &mut Rng, table: &Table, constants: &mut Constants) -> String {
    if rng.u8(..4) == 0 {
        return String::new();
    }
    if rng.u8(..3) == 0 {
        return format!(" WHERE {}", condition(rng, table, "t", 2, constants));
    }
    let parts: Vec<_> = (0..rng.u8(1..=2))
        .map(|_| exact(rng, table, "t", constants))
        .collect();
    format!(" WHERE {}", parts.join(" AND "))
}

/// A condition that the gateway can mostly check exactly.
pub fn exact(rng: &mut Rng, table: &Table, alias: &str, constants: &mut Constants) -> String {
    let column = table.any(rng);
    match rng.u8(..4) {
        0 if column.kind != Kind::Boolean => format!("{alias}.{} IS NOT NULL", column.name),
        1 if column.kind != Kind::Boolean => format!("{alias}.{} IS NULL", column.name),
        _ if column.kind == Kind::Text => {
            format!("{alias}.{} = {}", column.name, constants.put(column.value(rng)))
        }
        _ if column.kind == Kind::Boolean => format!("{alias}.{}", column.name),
        _ => {
            let operator = rng.choice([">", "<", ">=", "<>", "="]).expect("not empty");
            format!(
                "{alias}.{} {operator} {}",
                column.name,
                constants.put(column.value(rng))
            )
        }
    }
}

fn filter_clause(rng: &mut Rng, column: &Column, condition: &str) -> String {
    match rng.u8(..3) {
        0 => format!("count(*) FILTER (WHERE {condition})"),
        1 => format!("max(t.{}) FILTER (WHERE {condition})", column.name),
        _ => format!("count(t.{}) FILTER (WHERE {condition})", column.name),
    }
}

fn distinct(rng: &mut Rng, table: &Table, from: &str) -> String {
    let columns: Vec<_> = (0..rng.u8(1..=2))
        .map(|_| format!("t.{}", table.any(rng).name))
        .collect();
    format!("SELECT DISTINCT {} {from}", columns.join(", "))
}

fn grouped(rng: &mut Rng, table: &Table, from: &str) -> String {
    let keys: Vec<_> = (0..rng.u8(1..=2)).map(|_| table.any(rng)).collect();
    let names: Vec<_> = keys.iter().map(|key| format!("t.{}", key.name)).collect();
    let shown: Vec<_> = keys
        .iter()
        .map(|key| trimmed(key.kind, &format!("t.{}", key.name)))
        .collect();
    let having = match rng.u8(..4) {
        0 => " HAVING count(*) > 1".to_owned(),
        1 => {
            let column = measured(rng, table);
            format!(" HAVING {} IS NOT NULL", over(rng, column, "t"))
        }
        _ => String::new(),
    };
    format!(
        "SELECT {}, {} {from} GROUP BY {}{having}",
        shown.join(", "),
        calls(rng, table, "t"),
        names.join(", ")
    )
}

/// A list of aggregates over columns of `alias`.
pub fn calls(rng: &mut Rng, table: &Table, alias: &str) -> String {
    let calls: Vec<_> = (0..rng.u8(1..=4))
        .map(|_| match rng.u8(..4) {
            0 => "count(*)".to_owned(),
            1 => format!("count({alias}.{})", table.any(rng).name),
            _ => {
                let column = measured(rng, table);
                over(rng, column, alias)
            }
        })
        .collect();
    calls.join(", ")
}

/// A column that has an order or a sum, mostly.
fn measured<'a>(rng: &mut Rng, table: &'a Table) -> &'a Column {
    let kind = rng.choice([
        Kind::Number,
        Kind::Number,
        Kind::Integer,
        Kind::Date,
        Kind::Instant,
    ]);
    let kind = kind.expect("not empty");
    table.of_kind(rng, kind).unwrap_or_else(|| table.any(rng))
}

fn over(rng: &mut Rng, column: &Column, alias: &str) -> String {
    let name = format!("{alias}.{}", column.name);
    let functions: &[&str] = match column.kind {
        Kind::Number | Kind::Integer => &["sum", "avg", "min", "max", "count"],
        Kind::Date | Kind::Instant | Kind::Text => &["min", "max", "count"],
        Kind::Boolean => &["count", "bool_or"],
    };
    let function = rng.choice(functions).expect("not empty");
    let kind = match *function {
        "sum" | "avg" => Kind::Number,
        "count" => Kind::Integer,
        _ => column.kind,
    };
    trimmed(kind, &format!("{function}({name})"))
}

/// The expression, a number without zeros at its end.
pub fn trimmed(kind: Kind, expression: &str) -> String {
    if kind == Kind::Number {
        format!("trim_scale({expression})")
    } else {
        expression.to_owned()
    }
}
