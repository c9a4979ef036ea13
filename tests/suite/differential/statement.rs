//! Generates SELECT statements.

use fastrand::Rng;

use super::aggregate::aggregate;
use super::column::{Kind, Table, Value};
use super::condition::{Constants, condition};
use super::join::join;
use super::shapes::shape;

/// How the answers of two runs are to be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compare {
    /// Row by row.
    Ordered,
    /// The same rows in any order.
    Unordered,
    /// The same number of rows, each of which the statement without its limit returns.
    Part {
        /// The statement without LIMIT and OFFSET.
        whole: String,
    },
}

/// A statement to be run on the foreign tables and on their copies.
#[derive(Debug, Clone)]
pub struct Statement {
    /// The text to execute; for a prepared statement several statements, of which the last gives the rows.
    pub sql: String,
    /// How to compare.
    pub compare: Compare,
    /// Session zone for it.
    pub time_zone: &'static str,
    /// Settings of the transaction, each ended with a semicolon.
    pub settings: String,
}

const ZONES: &[&str] = &[
    "UTC",
    "America/Los_Angeles",
    "Europe/Berlin",
    "Asia/Kolkata",
    "Pacific/Kiritimati",
    // Clocks that change at midnight, just after it, and over the date line.
    "America/Havana",
    "America/St_Johns",
    "Pacific/Apia",
];

/// Makes one statement.
pub fn statement(rng: &mut Rng, tables: &[Table]) -> Statement {
    match std::env::var("SAGE_FUZZ_ONLY").as_deref() {
        Ok("lookups") => lookup(rng, tables),
        Ok("recalled") => recalled(rng, tables),
        Err(_) => match rng.u8(..20) {
            0..=5 => lookup(rng, tables),
            6..=7 => recalled(rng, tables),
            8..=13 => combining(rng, tables),
            _ => make(rng, tables, Joins::Some),
        },
        _ => make(rng, tables, Joins::Some),
    }
}

/// Makes one statement that joins tables along their relations.
pub fn joining(rng: &mut Rng, tables: &[Table]) -> Statement {
    make(rng, tables, Joins::All)
}

/// Makes one statement whose join the planner makes a lookup join of.
pub fn lookup(rng: &mut Rng, tables: &[Table]) -> Statement {
    made(rng, tables, super::lookup::lookup, super::lookup::settings)
}

/// Makes one statement that runs a node for one row outside after another.
pub fn recalled(rng: &mut Rng, tables: &[Table]) -> Statement {
    made(rng, tables, super::recalled::recalled, super::recalled::settings)
}

fn made(
    rng: &mut Rng,
    tables: &[Table],
    make: fn(&mut Rng, &Table, &mut Constants) -> (String, Compare),
    settings: fn(&mut Rng) -> String,
) -> Statement {
    let table = rng.choice(tables).expect("there are tables");
    let time_zone = rng.choice(ZONES).copied().expect("there are zones");
    let mut constants = Constants::new(rng.u8(..4) == 0);
    let (sql, compare) = make(rng, table, &mut constants);
    let compare = match compare {
        Compare::Part { whole } => Compare::Part {
            whole: finish(&whole, &constants),
        },
        compare => compare,
    };
    Statement {
        sql: finish(&sql, &constants),
        compare,
        time_zone,
        settings: settings(rng),
    }
}

/// Makes one statement whose groups PostgreSQL combines from the gateway's.
pub fn combining(rng: &mut Rng, tables: &[Table]) -> Statement {
    let table = rng.choice(tables).expect("there are tables");
    let time_zone = rng.choice(ZONES).copied().expect("there are zones");
    let mut constants = Constants::new(rng.u8(..3) == 0);
    let sql = super::combined::combined(rng, table, &mut constants);
    Statement {
        sql: finish(&sql, &constants),
        compare: Compare::Unordered,
        time_zone,
        settings: String::new(),
    }
}

/// Makes one statement that joins no tables, so that they may be any.
pub fn without_joins(rng: &mut Rng, tables: &[Table]) -> Statement {
    make(rng, tables, Joins::None)
}

/// Which statements join tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Joins {
    None,
    Some,
    All,
}

fn make(rng: &mut Rng, tables: &[Table], joins: Joins) -> Statement {
    let table = rng.choice(tables).expect("there are tables");
    let time_zone = rng.choice(ZONES).copied().expect("there are zones");
    let kind = match std::env::var("SAGE_FUZZ_ONLY").as_deref() {
        Ok("aggregates") => 2,
        Ok("joins") => 4,
        Ok("shapes") => 5,
        _ if joins == Joins::All => 4,
        // Those that join no tables have none.
        Ok("lookups" | "recalled") | Err(_) => rng.u8(..16),
        Ok(other) => panic!("SAGE_FUZZ_ONLY is aggregates, joins, lookups, recalled or shapes, not {other}"),
    };
    let (sql, compare) = match kind {
        0 => (lateral(rng, table), Compare::Unordered),
        1 => (correlated(rng, table), Compare::Unordered),
        2..=4 => {
            let mut constants = Constants::new(rng.u8(..3) == 0);
            let (sql, compare) = match kind {
                4 if joins != Joins::None => join(rng, tables, &mut constants),
                _ => (aggregate(rng, table, &mut constants), Compare::Unordered),
            };
            let compare = match compare {
                Compare::Part { whole } => Compare::Part {
                    whole: finish(&whole, &constants),
                },
                compare => compare,
            };
            (finish(&sql, &constants), compare)
        }
        5 | 6 => {
            let mut constants = Constants::new(rng.u8(..4) == 0);
            let (sql, compare) = shape(rng, tables, &mut constants);
            (finish(&sql, &constants), compare)
        }
        _ => return simple(rng, table, time_zone),
    };
    Statement {
        sql,
        compare,
        time_zone,
        settings: String::new(),
    }
}

fn simple(rng: &mut Rng, table: &Table, time_zone: &'static str) -> Statement {
    let prepared = rng.u8(..4) == 0;
    let mut constants = Constants::new(prepared);
    let mut sql = format!("SELECT {} FROM {} t", select_list(rng, table), table.name);
    if rng.u8(..8) != 0 {
        let depth = rng.u8(0..=3);
        sql += &format!(" WHERE {}", condition(rng, table, "t", depth, &mut constants));
    }
    let (order, total) = order_by(rng, table);
    sql += &order;
    let whole = finish(&sql, &constants);
    let mut compare = if total {
        Compare::Ordered
    } else {
        Compare::Unordered
    };
    if rng.u8(..2) == 0 {
        sql += &format!(
            " LIMIT {}",
            rng.choice([0, 1, 2, 5, 10, 36, 37, 38, 100, 5000])
                .expect("not empty")
        );
        if rng.u8(..3) == 0 {
            sql += &format!(
                " OFFSET {}",
                rng.choice([0, 1, 3, 37, 90, 4000]).expect("not empty")
            );
        }
        if !total {
            compare = Compare::Part { whole };
        }
    } else if total && rng.u8(..8) == 0 {
        sql += " FETCH FIRST 7 ROWS WITH TIES";
    } else if total && rng.u8(..8) == 0 {
        sql += &format!(" OFFSET {}", rng.u16(..200));
    }
    Statement {
        sql: finish(&sql, &constants),
        compare,
        time_zone,
        settings: String::new(),
    }
}

/// Wraps a statement with parameters into PREPARE and EXECUTE.
fn finish(sql: &str, constants: &Constants) -> String {
    if constants.values().is_empty() {
        return sql.to_owned();
    }
    let types: Vec<_> = constants.values().iter().map(|value| value.type_name).collect();
    let values: Vec<_> = constants.values().iter().map(Value::sql).collect();
    format!(
        "DEALLOCATE ALL; SET LOCAL plan_cache_mode = force_generic_plan; PREPARE s ({}) AS {sql}; EXECUTE s ({})",
        types.join(", "),
        values.join(", ")
    )
}

fn select_list(rng: &mut Rng, table: &Table) -> String {
    match rng.u8(..8) {
        0 => "*".to_owned(),
        1 => "t".to_owned(),
        2 => format!("t.{}, t.{} IS NULL AS x", table.key, table.any(rng).name),
        _ => {
            let names: Vec<_> = (0..rng.u8(1..=5))
                .map(|_| format!("t.{}", table.any(rng).name))
                .collect();
            names.join(", ")
        }
    }
}

/// An ORDER BY clause (perhaps empty), and whether it leaves no choice.
fn order_by(rng: &mut Rng, table: &Table) -> (String, bool) {
    if rng.u8(..3) == 0 {
        return (String::new(), false);
    }
    let mut total = rng.u8(..4) != 0;
    let mut keys: Vec<_> = (0..rng.u8(0..=2))
        .map(|_| {
            let column = table.any(rng);
            let collation = if column.kind == Kind::Text && rng.bool() {
                " COLLATE \"C\""
            } else {
                ""
            };
            format!("t.{}{collation}{}", column.name, direction(rng))
        })
        .collect();
    total |= keys.is_empty();
    if total {
        keys.push(format!("t.{}{}", table.key, direction(rng)));
    }
    (format!(" ORDER BY {}", keys.join(", ")), total)
}

pub fn direction(rng: &mut Rng) -> &'static str {
    rng.choice([
        "",
        "",
        " DESC",
        " ASC NULLS FIRST",
        " DESC NULLS LAST",
        " NULLS LAST",
        " DESC NULLS FIRST",
    ])
    .expect("not empty")
}

/// A parameterised re-scan: the foreign table inside of a lateral subquery.
fn lateral(rng: &mut Rng, table: &Table) -> String {
    let column = table.any(rng);
    let values: Vec<_> = (0..4).map(|_| format!("({})", column.value(rng).sql())).collect();
    let mut constants = Constants::new(false);
    format!(
        "SELECT v.k, x.* FROM (VALUES {}, (NULL)) v(k), LATERAL (SELECT t.{key}, t.{} FROM {} t \
         WHERE t.{} {} v.k AND {} ORDER BY t.{key} LIMIT 3) x",
        values.join(", "),
        table.any(rng).name,
        table.name,
        column.name,
        rng.choice(["=", "<", ">="]).expect("not empty"),
        condition(rng, table, "t", 1, &mut constants),
        key = table.key,
    )
}

/// A subquery that depends on the row outside.
fn correlated(rng: &mut Rng, table: &Table) -> String {
    let column = table.any(rng);
    let mut constants = Constants::new(false);
    let outer = condition(rng, table, "a", 1, &mut constants);
    let inner = condition(rng, table, "b", 1, &mut constants);
    let word = if rng.bool() { "EXISTS" } else { "NOT EXISTS" };
    format!(
        "SELECT a.{key} FROM {name} a WHERE {outer} AND a.{key} < 400 AND {word} \
         (SELECT FROM {name} b WHERE b.{column} = a.{column} AND b.{key} <> a.{key} AND {inner})",
        key = table.key,
        name = table.name,
        column = column.name,
    )
}
