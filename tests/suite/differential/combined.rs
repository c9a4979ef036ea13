//! Generates groupings that are functions of columns the gateway can group by, and counts the plans that combine its
//! groups.

use std::sync::LazyLock;

use fastrand::Rng;
use postgres::Client;
use regex::Regex;

use super::aggregate::{exact, filter, trimmed};
use super::column::{Column, Kind, Table};
use super::condition::Constants;
use super::lookup;
use super::run::LOCAL;

/// Stands in statements that are made for the node.
const MARK: &str = "/* combined */";

/// A statement whose keys or aggregates the gateway cannot compute as they stand.
pub fn combined(rng: &mut Rng, table: &Table, constants: &mut Constants) -> String {
    let relation = match rng.u8(..8) {
        0 => branches(rng, table),
        _ => table.name.clone(),
    };
    let (joined, condition) = match rng.u8(..4) {
        0 => beside(rng, table),
        _ => (String::new(), String::new()),
    };
    // Under a condition that the gateway checks only roughly there are no groups.
    let mut filter = match rng.u8(..16) {
        0 => filter(rng, table, constants),
        1..=13 => String::new(),
        _ => format!(" WHERE {}", exact(rng, table, "t", constants)),
    };
    if !condition.is_empty() {
        filter = match filter.strip_prefix(" WHERE ") {
            Some(filter) => format!(" WHERE {condition} AND ({filter})"),
            None => format!(" WHERE {condition}"),
        };
    }
    let from = format!("FROM {relation} t{joined}{filter}");
    let keys: Vec<Column> = (0..rng.u8(0..=2)).map(|_| few(rng, table).clone()).collect();
    let mut keys: Vec<(Kind, String)> = keys.iter().map(|key| expression(rng, key)).collect();
    if !joined.is_empty() && rng.bool() {
        keys.truncate(1);
        keys.push((Kind::Integer, "v.n % 3".to_owned()));
    }
    let shown = keys.iter().map(|(kind, key)| trimmed(*kind, key));
    if !keys.is_empty() && rng.u8(..8) == 0 {
        return format!(
            "SELECT {MARK} DISTINCT {} {from}",
            shown.collect::<Vec<_>>().join(", ")
        );
    }
    let calls = (0..rng.u8(1..=3)).map(|_| call(rng, table, constants));
    let mut calls: Vec<_> = calls.collect();
    if !joined.is_empty() {
        let of_others = [
            "sum(v.n)",
            "count(v.k0), max(v.n)",
            "sum(CASE WHEN v.n > 3 THEN 2 ELSE v.n END)",
        ];
        calls.push(rng.choice(of_others).expect("not empty").to_owned());
    }
    let listed: Vec<_> = shown.chain(calls).collect();
    let names: Vec<_> = keys.iter().map(|(_, key)| key.as_str()).collect();
    let names = names.join(", ");
    let grouping = match (keys.len(), rng.u8(..8)) {
        (0, _) => String::new(),
        (_, 0) => format!(" GROUP BY ROLLUP ({names})"),
        (2, 1) => format!(" GROUP BY CUBE ({names})"),
        (_, 2) => format!(" GROUP BY GROUPING SETS (({names}), ())"),
        _ => format!(" GROUP BY {names}"),
    };
    let having = match rng.u8(..5) {
        0 => " HAVING count(*) > 1".to_owned(),
        // It may be several.
        1 if rng.bool() => format!(" HAVING ROW({}) IS NOT NULL", call(rng, table, constants)),
        _ => String::new(),
    };
    format!("SELECT {MARK} {} {from}{grouping}{having}", listed.join(", "))
}

/// What the table is joined with, by a column of few values: keys that match, some of them twice, and others. Beside it the
/// condition for that, where it adds no columns.
fn beside(rng: &mut Rng, table: &Table) -> (String, String) {
    let column = few(rng, table);
    let outer = lookup::outer(rng, table, &[column]);
    let mut on = format!("t.{} = v.k0", column.name);
    if rng.u8(..3) == 0 {
        on += " AND v.n % 4 <> 0";
    }
    match rng.u8(..8) {
        0..=2 => (format!(" JOIN {outer} ON {on}"), String::new()),
        3..=5 => (format!(" LEFT JOIN {outer} ON {on}"), String::new()),
        6 => (String::new(), format!("EXISTS (SELECT FROM {outer} WHERE {on})")),
        _ => (
            String::new(),
            format!("NOT EXISTS (SELECT FROM {outer} WHERE {on})"),
        ),
    }
}

/// A UNION ALL of the table with itself, one of whose columns may be something else in a branch: each branch is grouped by
/// itself.
fn branches(rng: &mut Rng, table: &Table) -> String {
    let name = &table.name;
    let mut all: Vec<String> = vec![format!("SELECT * FROM {name}")];
    for _ in 0..rng.u8(1..=2) {
        let other = few(rng, table).name.clone();
        let changed = rng.u8(..3);
        let columns = table.columns.iter().map(|column| {
            let name = &column.name;
            match (column.name == other, column.kind, changed) {
                (true, Kind::Text, 0) => format!("upper({name}) AS {name}"),
                (true, Kind::Text, 1) => format!("'all'::text AS {name}"),
                (true, Kind::Boolean, 0) => format!("NOT {name} AS {name}"),
                (true, Kind::Date, 0) => format!("{name} + 1 AS {name}"),
                (true, kind, 1) => format!("NULL::{} AS {name}", kind.type_name()),
                _ => name.clone(),
            }
        });
        let columns: Vec<String> = columns.collect();
        // A branch that is kept here, or that is a subquery, is grouped here.
        let (schema, condition) = match rng.u8(..6) {
            0 => (format!("{LOCAL}."), String::new()),
            1 => (String::new(), format!(" WHERE {} > 3", table.key)),
            _ => (String::new(), String::new()),
        };
        all.push(format!(
            "SELECT {} FROM {schema}{name}{condition}",
            columns.join(", ")
        ));
    }
    // The first names all columns as the others do.
    let names: Vec<_> = table.columns.iter().map(|column| column.name.as_str()).collect();
    all[0] = format!("SELECT {} FROM {name}", names.join(", "));
    format!("({})", all.join(" UNION ALL "))
}

/// A column with few values, as far as a few tries find one: groups are then fewer than rows.
fn few<'a>(rng: &mut Rng, table: &'a Table) -> &'a Column {
    (0..6)
        .map(|_| table.any(rng))
        .find(|column| {
            column.name != table.key && matches!(column.kind, Kind::Text | Kind::Boolean | Kind::Date)
        })
        .unwrap_or_else(|| table.any(rng))
}

/// An expression over a column.
fn expression(rng: &mut Rng, column: &Column) -> (Kind, String) {
    let name = format!("t.{}", column.name);
    let of = |choices: &[(Kind, String)], rng: &mut Rng| rng.choice(choices.to_vec()).expect("not empty");
    let text = |text: String| (Kind::Text, text);
    match column.kind {
        Kind::Text => of(
            &[
                text(format!("lower({name})")),
                text(format!("coalesce({name}, '?')")),
                text(format!("left({name}, 3)")),
                text(format!("{name}::varchar(4)::text")),
                (Kind::Integer, format!("length({name})::bigint")),
                (Kind::Boolean, format!("{name} IS NULL")),
                text(name.clone()),
            ],
            rng,
        ),
        Kind::Integer => of(
            &[
                (Kind::Integer, format!("{name} % 3")),
                (Kind::Integer, format!("coalesce({name}, -1)")),
                (Kind::Boolean, format!("{name} > 20")),
            ],
            rng,
        ),
        Kind::Number => of(
            &[
                (Kind::Number, format!("coalesce({name}, 0)")),
                (Kind::Number, format!("round({name}, -4)")),
                (Kind::Boolean, format!("{name} > 1000")),
            ],
            rng,
        ),
        Kind::Boolean => of(
            &[
                (Kind::Boolean, format!("coalesce({name}, false)")),
                text(format!(
                    "CASE WHEN {name} THEN 'y' WHEN NOT {name} THEN 'n' ELSE '?' END"
                )),
                (Kind::Boolean, name.clone()),
            ],
            rng,
        ),
        Kind::Date => of(
            &[
                (Kind::Date, format!("date_trunc('month', {name})::date")),
                (Kind::Number, format!("extract(year FROM {name})")),
                text(format!("to_char({name}, 'YYYY-MM')")),
            ],
            rng,
        ),
        Kind::Instant => of(
            &[
                (Kind::Instant, format!("date_trunc('month', {name})")),
                (Kind::Date, format!("{name}::date")),
                (Kind::Number, format!("extract(quarter FROM {name})")),
            ],
            rng,
        ),
    }
}

/// An aggregate that PostgreSQL makes of the gateway's groups.
fn call(rng: &mut Rng, table: &Table, constants: &mut Constants) -> String {
    let column = few(rng, table);
    let name = format!("t.{}", column.name);
    let kind = rng.choice([Kind::Number, Kind::Integer]).expect("not empty");
    let summed = table.of_kind(rng, kind).unwrap_or(column);
    let is_number = matches!(summed.kind, Kind::Number | Kind::Integer);
    let summand = format!("t.{}", summed.name);
    let mut test = || exact(rng, table, "t", constants);
    let (a, b) = (test(), test());
    let sum = |summand: &str| trimmed(Kind::Number, &format!("sum({summand})::numeric"));
    match rng.u8(..16) {
        14 if is_number => trimmed(Kind::Number, &format!("avg({summand})")),
        15 if is_number => format!("trim_scale(avg({summand}) FILTER (WHERE {a})), count({summand})"),
        0 if is_number => sum(&format!("CASE WHEN {a} THEN {summand} ELSE 0 END")),
        1 if is_number => sum(&format!("CASE WHEN {a} THEN {summand} WHEN {b} THEN 7 END")),
        2 if is_number => sum(&format!("coalesce({summand}, 0)")),
        3 if is_number => format!("trim_scale((sum({summand}) FILTER (WHERE {a}))::numeric)"),
        4 if is_number => sum(&summand),
        5 => sum("1"),
        6 => sum(&format!("CASE WHEN {a} THEN 2.5 WHEN {b} THEN NULL ELSE 1 END")),
        7 => format!("count(*) FILTER (WHERE {a})"),
        8 => format!("count(CASE WHEN {a} THEN 1 END)"),
        9 => format!("count(DISTINCT {name})"),
        10 => format!("count({name})"),
        11 => format!("bool_or({a}), bool_and({b})"),
        12 if column.kind == Kind::Text => format!("max(upper({name})), min({name})"),
        _ => format!("min(t.{}) FILTER (WHERE {a}), max(t.{})", table.key, table.key),
    }
}

/// Statements that group, of which there must be so many for their share to mean something.
const ENOUGH: u32 = 200;

/// How many statements that group have a plan with the node.
#[derive(Debug, Default)]
pub struct Plans {
    aggregates: u32,
    made_for_it: u32,
    combined: u32,
}

impl Plans {
    /// Whether a statement has an aggregate, GROUP BY or DISTINCT.
    pub fn is_aggregate(sql: &str) -> bool {
        static GROUPS: LazyLock<Regex> = LazyLock::new(|| {
            let pattern =
                r"GROUP BY|SELECT (/\*.*\*/ )?DISTINCT |\b(count|sum|avg|min|max|bool_and|bool_or)\(";
            Regex::new(pattern).expect("a pattern")
        });
        GROUPS.is_match(sql)
    }

    /// Counts a statement and its plan.
    pub fn count(&mut self, sql: &str, plan: Option<&str>) {
        if !Self::is_aggregate(sql) {
            return;
        }
        self.aggregates += 1;
        self.made_for_it += u32::from(sql.contains(MARK));
        // Groups of one table, and those of several or joined ones.
        let nodes = ["Intacct Groups: combined", "Intacct Combined Groups"];
        let combines = |plan: &str| nodes.iter().any(|node| plan.contains(node));
        self.combined += u32::from(plan.is_some_and(combines));
    }

    /// Fails if too few of enough such statements did: three of ten.
    #[track_caller]
    pub fn assert_plenty(&self, client: &mut Client) {
        let version: String = client
            .query_one("SHOW server_version", &[])
            .expect("a setting")
            .get(0);
        println!("combined groups on {version}: {self:?}");
        // Three of ten; of a few hundred chance may take some.
        let tenths = if self.aggregates < 5 * ENOUGH { 2 } else { 3 };
        let is_plenty = self.combined * 10 >= self.aggregates * tenths;
        // Of some kinds of statements none is made for it.
        let is_asked = self.made_for_it > 0 && self.aggregates >= ENOUGH;
        assert!(!is_asked || is_plenty, "{self:?}");
    }

    /// Whether there are enough of them.
    pub fn are_enough(&self) -> bool {
        self.aggregates >= ENOUGH
    }
}
