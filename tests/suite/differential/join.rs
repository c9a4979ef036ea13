//! Generates joins along many-to-one relations, with conditions on both sides, and aggregates over them.

use fastrand::Rng;

use super::aggregate::{calls, exact, trimmed};
use super::column::Table;
use super::condition::{Constants, condition};

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

/// A join of two to four tables, whose rows come in any order.
pub fn join(rng: &mut Rng, tables: &[Table], constants: &mut Constants) -> String {
    let table = |name: &str| {
        tables
            .iter()
            .find(|table| table.name == name)
            .expect("the tables of the relations are imported")
    };
    let first = rng
        .choice(["arinvoice", "arinvoice", "customer"])
        .expect("not empty");
    let mut joined: Vec<(String, &Table)> = vec![("t".to_owned(), table(first))];
    let mut from = format!("{first} t");
    let mut conditions = Vec::new();
    for number in 0..rng.u8(1..=3) {
        let (alias, child) = rng.choice(&joined).cloned().expect("not empty");
        let fitting: Vec<_> = RELATIONS
            .iter()
            .filter(|relation| relation.child == child.name)
            .collect();
        let Some(relation) = rng.choice(fitting) else {
            continue;
        };
        let parent = format!("p{number}");
        let on = format!("{alias}.{} = {parent}.{}", relation.column, relation.key);
        match rng.u8(..7) {
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
        joined.push((parent, table(relation.parent)));
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
    match rng.u8(..4) {
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
                    if rng.u8(..4) == 0 {
                        format!("{name} IS NULL")
                    } else {
                        name
                    }
                })
                .collect();
            format!("SELECT {} FROM {from}{filter}", columns.join(", "))
        }
    }
}
