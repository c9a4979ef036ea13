//! Generates joins along many-to-one relations, with conditions on both sides, and aggregates over them.

use fastrand::Rng;

use super::aggregate::{calls, exact, trimmed};
use super::column::Table;
use super::condition::{Constants, condition};
use super::statement::{Compare, direction};

/// A child's column and the parent's key that it refers to.
struct Relation {
    child: &'static str,
    column: &'static str,
    parent: &'static str,
    key: &'static str,
}

const RELATIONS: &[Relation] = &[
    Relation {
        child: "arinvoice",
        column: "customerid",
        parent: "customer",
        key: "customerid",
    },
    Relation {
        child: "arinvoice",
        column: "termname",
        parent: "arterm",
        key: "name",
    },
    Relation {
        child: "customer",
        column: "territoryid",
        parent: "territory",
        key: "territoryid",
    },
    Relation {
        child: "customer",
        column: "parentkey",
        parent: "customer",
        key: "recordno",
    },
    Relation {
        child: "customer",
        column: "termname",
        parent: "arterm",
        key: "name",
    },
];

/// Documents, whose rows of entities are shown, and what lies behind them.
const DOCUMENTS: &[Relation] = &[
    Relation {
        child: "arinvoiceitem",
        column: "recordkey",
        parent: "arinvoice",
        key: "recordno",
    },
    Relation {
        child: "arinvoiceitem",
        column: "customerdimkey",
        parent: "customer",
        key: "recordno",
    },
    Relation {
        child: "customer",
        column: "custrepid",
        parent: "employee",
        key: "employeeid",
    },
];

/// A join of two to four tables.
pub fn join(rng: &mut Rng, tables: &[Table], constants: &mut Constants) -> (String, Compare) {
    let table = |name: &str| {
        tables
            .iter()
            .find(|table| table.name == name)
            .expect("the tables of the relations are imported")
    };
    let first = rng
        .choice(["arinvoice", "arinvoiceitem", "arinvoiceitem", "customer"])
        .expect("not empty");
    let mut joined: Vec<(String, &Table)> = vec![("t".to_owned(), table(first))];
    let mut from = format!("{first} t");
    let mut conditions = Vec::new();
    let mut keys = Vec::new();
    for number in 0..rng.u8(1..=3) {
        let (alias, child) = rng.choice(&joined).cloned().expect("not empty");
        let fitting: Vec<_> = RELATIONS
            .iter()
            .chain(DOCUMENTS)
            .filter(|relation| relation.child == child.name)
            .collect();
        let Some(relation) = rng.choice(fitting) else {
            continue;
        };
        let parent = format!("p{number}");
        let on = format!("{alias}.{} = {parent}.{}", relation.column, relation.key);
        match rng.u8(..8) {
            7 => {
                let filter = exact(rng, table(relation.parent), &parent, constants);
                conditions.push(format!(
                    "{alias}.{} IN (SELECT {parent}.{} FROM {} {parent} WHERE {filter})",
                    relation.column, relation.key, relation.parent
                ));
                continue;
            }
            6 => {
                let filter = exact(rng, table(relation.parent), &parent, constants);
                conditions.push(format!(
                    "EXISTS (SELECT FROM {} {parent} WHERE {on} AND {filter})",
                    relation.parent
                ));
                continue;
            }
            0 => from += &format!(" LEFT JOIN {} {parent} ON {on}", relation.parent),
            1 => {
                from += &format!(
                    " JOIN {} {parent} ON {on} AND {parent}.recordno > 2",
                    relation.parent
                )
            }
            2 => {
                from += &format!(" CROSS JOIN {} {parent}", relation.parent);
                conditions.push(on);
            }
            _ => from += &format!(" JOIN {} {parent} ON {on}", relation.parent),
        }
        keys.push((format!("{alias}.{}", relation.column), relation));
        keys.push((format!("{parent}.{}", relation.key), relation));
        joined.push((parent, table(relation.parent)));
    }
    // The planner compares both sides with the constant, and drops the clause that joins them.
    if rng.u8(..5) == 0
        && let Some((name, relation)) = rng.choice(&keys)
    {
        let parent = table(relation.parent);
        let key = parent.columns.iter().find(|column| column.name == relation.key);
        let value = key.expect("the key is a column").value(rng);
        conditions.push(format!("{name} = {}", constants.put(value)));
    }
    for _ in 0..rng.u8(..3) {
        let (alias, table) = rng.choice(&joined).expect("not empty");
        conditions.push(if rng.u8(..3) == 0 {
            condition(rng, table, alias, 1, constants)
        } else {
            exact(rng, table, alias, constants)
        });
    }
    let filter = match conditions.is_empty() {
        true => String::new(),
        false => format!(" WHERE {}", conditions.join(" AND ")),
    };
    let (measured, key) = (
        rng.choice(&joined).cloned().expect("not empty"),
        rng.choice(&joined).cloned().expect("not empty"),
    );
    let sql = match rng.u8(..4) {
        0 => format!(
            "SELECT {} FROM {from}{filter}",
            calls(rng, measured.1, &measured.0)
        ),
        1 => {
            let column = key.1.any(rng);
            let name = format!("{}.{}", key.0, column.name);
            format!(
                "SELECT {}, {} FROM {from}{filter} GROUP BY {name}",
                trimmed(column.kind, &name),
                calls(rng, measured.1, &measured.0)
            )
        }
        _ => {
            let columns: Vec<_> = (0..rng.u8(1..=4))
                .map(|_| {
                    let (alias, table) = rng.choice(&joined).expect("not empty");
                    let name = format!("{alias}.{}", table.any(rng).name);
                    match rng.u8(..8) {
                        0 | 1 => format!("{name} IS NULL"),
                        2 => format!("count(*) OVER (PARTITION BY {name})"),
                        _ => name,
                    }
                })
                .collect();
            let whole = format!("SELECT {} FROM {from}{filter}", columns.join(", "));
            return limited(rng, whole, &joined);
        }
    };
    (sql, Compare::Unordered)
}

/// The rows of a join: all, some, or the first in an order that leaves no choice.
fn limited(rng: &mut Rng, whole: String, joined: &[(String, &Table)]) -> (String, Compare) {
    let rows = *rng.choice(&[1, 2, 5, 10, 37, 100]).expect("not empty");
    match rng.u8(..4) {
        0 => (format!("{whole} LIMIT {rows}"), Compare::Part { whole }),
        1 | 2 => {
            let mut order = Vec::new();
            if rng.bool() {
                let (alias, table) = match rng.u8(..4) {
                    0 => rng.choice(joined).expect("not empty"),
                    _ => &joined[0],
                };
                order.push(format!("{alias}.{}{}", table.any(rng).name, direction(rng)));
            }
            order.push(format!("t.{}{}", joined[0].1.key, direction(rng)));
            let parents = joined[1..].iter();
            order.extend(parents.map(|(alias, table)| format!("{alias}.{}", table.key)));
            let limit = match rng.bool() {
                true => format!(" LIMIT {rows}"),
                false => String::new(),
            };
            let sql = format!("{whole} ORDER BY {}{limit}", order.join(", "));
            (sql, Compare::Ordered)
        }
        _ => (whole, Compare::Unordered),
    }
}
