//! Generates statements that run a scan or an aggregate for one row outside after another, and settings under which the planner
//! does not get around that.

use fastrand::Rng;

use super::aggregate::{calls, exact};
use super::column::Table;
use super::condition::Constants;
use super::lookup::{equal, keys, number, outer};
use super::statement::{Compare, direction};

/// Settings that leave the planner nothing else, and memory of any size.
pub fn settings(rng: &mut Rng) -> String {
    let memory = rng.choice(["64kB", "4MB"]).expect("not empty");
    format!(
        "SET LOCAL sage_intacct.push_lookups = off; SET LOCAL work_mem = '{memory}'; SET LOCAL enable_memoize = off; \
         SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL enable_material = off; \
         SET LOCAL jit = off; "
    )
}

/// A subquery over `table` for each of some rows outside.
pub fn recalled(rng: &mut Rng, table: &Table, constants: &mut Constants) -> (String, Compare) {
    let keys = keys(rng, table, 4);
    let outer = outer(rng, table, &keys);
    let mut on: Vec<String> = keys
        .iter()
        .enumerate()
        .map(|(number, column)| match rng.u8(..5) {
            0 => {
                let operator = rng.choice(["<", "<=", ">", ">="]).expect("not empty");
                format!("t.{} {operator} v.k{number}", column.name)
            }
            _ => equal(rng, column, &format!("v.k{number}")),
        })
        .collect();
    if rng.u8(..3) == 0 {
        on.push(exact(rng, table, "t", constants));
    }
    if rng.u8(..6) == 0 {
        on.push(format!("v.n % 3 <> t.{} % 2", number(table)));
    }
    let on = on.join(" AND ");
    let (name, key, any) = (&table.name, &table.key, &table.any(rng).name);
    let sql = match rng.u8(..8) {
        0 | 1 => {
            let rows = rng.choice([1, 2, 5, 40]).expect("not empty");
            let offset = match rng.u8(..3) {
                0 => format!(" OFFSET {}", rng.choice([0, 1, 3]).expect("not empty")),
                _ => String::new(),
            };
            format!(
                "SELECT v.n, x.* FROM {outer}, LATERAL (SELECT t.{key}, t.{any} FROM {name} t WHERE {on} \
                 ORDER BY t.{key}{} LIMIT {rows}{offset}) x",
                direction(rng)
            )
        }
        2 => {
            let by = table.any(rng);
            format!(
                "SELECT v.n, x.* FROM {outer}, LATERAL (SELECT t.{key}, t.{any} FROM {name} t WHERE {on} \
                 ORDER BY t.{}{}, t.{key} LIMIT 3) x",
                by.name,
                direction(rng)
            )
        }
        3 => format!("SELECT v.n, t.{key}, t.{any} FROM {outer} JOIN {name} t ON {on}"),
        4 => format!(
            "SELECT v.n, (SELECT t.{any} FROM {name} t WHERE {on} ORDER BY t.{key} LIMIT 1) FROM {outer}"
        ),
        5 => format!("SELECT v.n FROM {outer} WHERE EXISTS (SELECT FROM {name} t WHERE {on}) OR v.n = 3"),
        6 => format!(
            "SELECT v.n, x.* FROM {outer}, LATERAL (SELECT {} FROM {name} t WHERE {on}) x",
            calls(rng, table, "t")
        ),
        _ => format!("SELECT v.n, (SELECT count(*) FROM {name} t WHERE {on}) FROM {outer}"),
    };
    (sql, Compare::Unordered)
}
