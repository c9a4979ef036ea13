//! Generates joins of something local with a foreign table, and settings under which they become lookup joins.

use std::collections::BTreeMap;

use fastrand::Rng;
use postgres::Client;

use super::aggregate::exact;
use super::column::{Column, Kind, Table};
use super::condition::{Constants, condition};
use super::run::LOCAL;
use super::statement::{Compare, Statement};

/// Settings that leave the planner nothing else, with lists and memory of any size. What is switched off costs so much that each
/// statement would be compiled.
pub fn settings(rng: &mut Rng) -> String {
    let batch = rng.choice([1, 2, 7, 1000, 1000]).expect("not empty");
    let memory = rng.choice(["64kB", "4MB"]).expect("not empty");
    format!(
        "SET LOCAL sage_intacct.push_lookups = on; SET LOCAL sage_intacct.lookup_batch = {batch}; \
         SET LOCAL work_mem = '{memory}'; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; \
         SET LOCAL enable_nestloop = off; SET LOCAL jit = off; "
    )
}

/// One or two columns to compare with what is outside; one time in `often` the row key is the first.
pub fn keys<'a>(rng: &mut Rng, table: &'a Table, often: u8) -> Vec<&'a Column> {
    let columns: Vec<&Column> = table
        .columns
        .iter()
        .filter(|column| column.kind != Kind::Boolean)
        .collect();
    let mut keys: Vec<&Column> = (0..if rng.u8(..4) == 0 { 2 } else { 1 })
        .map(|_| *rng.choice(&columns).expect("tables have columns"))
        .collect();
    if rng.u8(..often) == 0 {
        let key = table.columns.iter().find(|column| column.name == table.key);
        keys[0] = key.expect("a key");
    }
    keys
}

/// A join of `table` by one or two keys.
pub fn lookup(rng: &mut Rng, table: &Table, constants: &mut Constants) -> (String, Compare) {
    // Most tables are joined by what tells their rows apart.
    let keys = keys(rng, table, 3);
    let outer = outer(rng, table, &keys);
    let mut on: Vec<String> = keys
        .iter()
        .enumerate()
        .map(|(number, column)| equal(rng, column, &format!("v.k{number}")))
        .collect();
    if rng.u8(..3) == 0 {
        on.push(exact(rng, table, "t", constants));
    }
    if rng.u8(..6) == 0 {
        on.push(format!("v.n % 3 <> t.{} % 2", number(table)));
    }
    let on = on.join(" AND ");
    let filter = match rng.u8(..3) {
        0 => format!(" WHERE {}", condition(rng, table, "t", 1, constants)),
        1 => " WHERE v.n > 2".to_owned(),
        _ => String::new(),
    };
    let local = if rng.bool() { " WHERE v.n > 1" } else { "" };
    let (name, any) = (&table.name, &table.any(rng).name);
    let select = match rng.u8(..6) {
        0 => "v.n, t".to_owned(),
        1 => format!("v.n, t.{}, t.{any} IS NULL", table.key),
        _ => format!("v.n, v.k0, t.{}, t.{any}", table.key),
    };
    let and = if local.is_empty() { " WHERE" } else { " AND" };
    let sql = match rng.u8(..12) {
        0..=2 => format!("SELECT {select} FROM {outer} JOIN {name} t ON {on}{filter}"),
        3..=5 => format!("SELECT {select} FROM {outer} LEFT JOIN {name} t ON {on}{filter}"),
        6 => format!("SELECT v.n FROM {outer}{local}{and} EXISTS (SELECT FROM {name} t WHERE {on})"),
        7 => format!("SELECT v.n FROM {outer}{local}{and} NOT EXISTS (SELECT FROM {name} t WHERE {on})"),
        8 => format!(
            "SELECT v.n, t.{any} FROM {outer} LEFT JOIN {name} t ON {on} WHERE t.{} IS NULL",
            table.key
        ),
        9 => format!(
            "SELECT t.{}, t.{any} FROM {name} t WHERE t.{} IN (SELECT v.k0 FROM {outer}{local})",
            table.key, keys[0].name
        ),
        10 => format!(
            "SELECT g, x.* FROM generate_series(0, 4, 2) g, \
             LATERAL (SELECT v.n, t.{} AS y FROM {outer} LEFT JOIN {name} t ON {on} AND t.{} % 3 > g - 2 WHERE v.n > g) x",
            table.key,
            number(table)
        ),
        _ => {
            // Which of equal numbers with other scales a group shows depends on the order of its rows.
            let shown = match keys[0].kind.type_name() {
                "numeric" => "trim_scale(v.k0)",
                _ => "v.k0",
            };
            format!(
                "SELECT {shown}, count(*), count(t.{any}) FROM {outer} LEFT JOIN {name} t ON {on}{filter} GROUP BY v.k0"
            )
        }
    };
    let is_join = sql.starts_with("SELECT v.n, ") && !sql.contains("LATERAL");
    match rng.u8(..5) {
        0 => {
            let rows = rng.choice([1, 2, 5, 40]).expect("not empty");
            (format!("{sql} LIMIT {rows}"), Compare::Part { whole: sql })
        }
        1 if is_join => {
            let limit = if rng.bool() { " LIMIT 7" } else { "" };
            (
                format!("{sql} ORDER BY v.n, t.{}{limit}", table.key),
                Compare::Ordered,
            )
        }
        _ => (sql, Compare::Unordered),
    }
}

/// A column of whole numbers.
pub fn number(table: &Table) -> &str {
    let found = table.columns.iter().find(|column| column.kind == Kind::Integer);
    found.map_or("recordno", |column| &column.name)
}

/// Rows `v` with a number `n` and keys `k0`, `k1`: some that are in the table, some near those, some that are strange.
pub fn outer(rng: &mut Rng, table: &Table, keys: &[&Column]) -> String {
    let names: Vec<String> = (0..keys.len()).map(|number| format!("k{number}")).collect();
    if rng.u8(..3) == 0 {
        let columns: Vec<String> = keys
            .iter()
            .zip(&names)
            .map(|(column, name)| format!("{} AS {name}", column.name))
            .collect();
        let from = format!("{LOCAL}.{}", table.name);
        return format!(
            "(SELECT row_number() OVER (ORDER BY {key}) AS n, {} FROM {from} ORDER BY {key} LIMIT 70) v",
            columns.join(", "),
            key = table.key
        );
    }
    let rows: Vec<String> = (1..=rng.u8(1..=25))
        .map(|number| {
            let values: Vec<String> = keys.iter().map(|column| value(rng, column)).collect();
            format!("({number}, {})", values.join(", "))
        })
        .collect();
    format!("(VALUES {}) v(n, {})", rows.join(", "), names.join(", "))
}

/// A value for a column, of its type, now and then NULL.
fn value(rng: &mut Rng, column: &Column) -> String {
    let kind = column.kind.type_name();
    if rng.u8(..10) == 0 {
        return format!("NULL::{kind}");
    }
    for _ in 0..20 {
        let value = column.value(rng);
        if value.type_name == kind {
            return format!("({})::{kind}", value.sql());
        }
    }
    format!("NULL::{kind}")
}

/// That a column equals a key, as people write it.
pub fn equal(rng: &mut Rng, column: &Column, key: &str) -> String {
    let name = format!("t.{}", column.name);
    match (column.kind, rng.u8(..8)) {
        (_, 0) => format!("{key} = {name}"),
        (Kind::Integer, 1) => format!("{name}::numeric = {key}::numeric"),
        (Kind::Integer, 2) => format!("{name} = {key}::numeric / 2"),
        // Nothing that overflows: whether PostgreSQL computes it depends on the plan.
        (Kind::Integer, 3) => format!("{name} = {key} / 2"),
        (Kind::Text, 1) => format!("{name} = {key} COLLATE \"C\""),
        (Kind::Text, 2) => format!("{name} = rtrim({key})"),
        (Kind::Instant, 1) => format!("{name}::date = {key}::date"),
        (Kind::Instant, 2) => format!("date_trunc('month', {name}) = date_trunc('month', {key})"),
        (Kind::Date, 1) => format!("{name}::timestamp = {key}::timestamp"),
        (Kind::Date, 2) => format!("{name} = least({key}, date '9999-01-01') + 1"),
        _ => format!("{name} = {key}"),
    }
}

/// How many plans held the node, by its kind.
#[derive(Debug, Default)]
pub struct Nodes {
    statements: u32,
    made_for_it: u32,
    with_node: u32,
    made_to_recall: u32,
    with_parameters: u32,
    kinds: BTreeMap<String, u32>,
}

impl Nodes {
    /// Counts a statement and its plan.
    pub fn count(&mut self, statement: &Statement, plan: Option<&str>) {
        self.statements += 1;
        self.made_for_it += u32::from(statement.settings.contains("push_lookups = on"));
        if statement.settings.contains("enable_memoize") {
            self.made_to_recall += 1;
            // A query with a parameter that the executor sets.
            let mut lines = plan.unwrap_or_default().lines();
            let asks = lines.any(|line| line.contains("Intacct Query") && line.contains('$'));
            self.with_parameters += u32::from(asks);
        }
        let kinds = plan
            .unwrap_or_default()
            .lines()
            .filter_map(|line| line.trim().strip_prefix("Intacct Join Type: "));
        let mut found = false;
        for kind in kinds {
            *self.kinds.entry(kind.to_owned()).or_default() += 1;
            found = true;
        }
        self.with_node += u32::from(found);
    }

    /// Fails if the node was hardly ever planned.
    #[track_caller]
    pub fn assert_plenty(&self, client: &mut Client) {
        let version: String = client
            .query_one("SHOW server_version", &[])
            .expect("a setting")
            .get(0);
        println!("lookup joins on {version}: {self:?}");
        // Statements that are errors have no plan; those without a key of a sayable type have no node.
        // A handful of them shows nothing.
        assert!(
            self.made_for_it < 20 || self.with_node * 2 >= self.made_for_it,
            "{self:?}"
        );
        assert!(
            self.made_to_recall < 20 || self.with_parameters * 10 >= self.made_to_recall * 3,
            "{self:?}"
        );
    }
}
