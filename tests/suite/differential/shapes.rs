//! Generates statements whose tables stand in subqueries, set operations, windows and joins of every kind: the planner
//! then asks for orders, sizes and keys that a plain SELECT never does.

use fastrand::Rng;

use super::aggregate::{exact, trimmed};
use super::column::{Column, Kind, Table, Value};
use super::condition::{Constants, condition};
use super::statement::{Compare, direction};

/// A statement, and how its answers compare.
pub fn shape(rng: &mut Rng, tables: &[Table], constants: &mut Constants) -> (String, Compare) {
    let table = rng.choice(tables).expect("there are tables");
    let other = rng.choice(tables).expect("there are tables");
    match rng.u8(..14) {
        0 | 1 => (member_of(rng, table, other, constants), Compare::Unordered),
        2 => (extreme_of(rng, table, other, constants), Compare::Unordered),
        3 => (joined(rng, table, other, constants), Compare::Unordered),
        4 => joined_and_limited(rng, table, other, constants),
        5 | 6 => (ordered_groups(rng, table, constants), Compare::Ordered),
        7 => (sets(rng, table, constants), Compare::Unordered),
        8 => (distinct_on(rng, table, constants), Compare::Ordered),
        9 => (window(rng, table, constants), Compare::Unordered),
        10 => (over_a_limit(rng, table, constants), Compare::Unordered),
        11 => (long_list(rng, table), Compare::Unordered),
        12 => (limits_as_parameters(rng, table, constants), Compare::Ordered),
        _ => (unusual_aggregates(rng, table, constants), Compare::Unordered),
    }
}

/// A WHERE clause, perhaps empty.
fn filter(rng: &mut Rng, table: &Table, alias: &str, constants: &mut Constants) -> String {
    match rng.u8(..4) {
        0 => String::new(),
        1 => format!(" WHERE {}", condition(rng, table, alias, 2, constants)),
        _ => format!(" WHERE {}", exact(rng, table, alias, constants)),
    }
}

/// A column of each table, of one type.
fn pair<'a>(rng: &mut Rng, table: &'a Table, other: &'a Table) -> (&'a Column, &'a Column) {
    loop {
        let column = table.any(rng);
        // Few values of each kind of these match each other, and none of a boolean is worth a join.
        if column.kind != Kind::Boolean
            && let Some(partner) = other.of_kind(rng, column.kind)
        {
            return (column, partner);
        }
    }
}

/// A value that is in, or not in, what a subquery finds.
fn member_of(rng: &mut Rng, table: &Table, other: &Table, constants: &mut Constants) -> String {
    let (column, partner) = match rng.bool() {
        true => pair(rng, table, other),
        false => pair(rng, table, table),
    };
    let other = match other.columns.iter().any(|own| std::ptr::eq(own, partner)) {
        true => other,
        false => table,
    };
    let inner = format!(
        "SELECT u.{} FROM {} u{}",
        partner.name,
        other.name,
        filter(rng, other, "u", constants)
    );
    let name = format!("t.{}", column.name);
    let member = match rng.u8(..7) {
        0 => format!("{name} IN ({inner})"),
        1 => format!("{name} NOT IN ({inner})"),
        2 => format!("{name} = ANY (ARRAY({inner}))"),
        3 => format!("NOT ({name} = ANY (ARRAY({inner})))"),
        4 => format!("{name} <> ALL (ARRAY({inner}))"),
        5 => format!("{name} > ALL ({inner})"),
        _ => format!("{name} = ANY ({inner})"),
    };
    let rest = exact(rng, table, "t", constants);
    let word = rng.choice(["AND", "AND", "OR"]).expect("not empty");
    format!(
        "SELECT t.{}, {name} FROM {} t WHERE {member} {word} {rest}",
        table.key, table.name
    )
}

/// A comparison with the least or greatest value of a subquery.
fn extreme_of(rng: &mut Rng, table: &Table, other: &Table, constants: &mut Constants) -> String {
    let (column, partner) = pair(rng, table, other);
    let function = rng.choice(["min", "max"]).expect("not empty");
    let operator = rng.choice(["=", "<", ">=", "<>"]).expect("not empty");
    let inner = filter(rng, other, "u", constants);
    format!(
        "SELECT t.{}, t.{column} FROM {} t WHERE t.{column} {operator} (SELECT {function}(u.{}) FROM {} u{inner})",
        table.key,
        table.name,
        partner.name,
        other.name,
        column = column.name,
    )
}

const JOINS: &[&str] = &["JOIN", "JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"];

/// A join by any two columns of one type.
fn joined(rng: &mut Rng, table: &Table, other: &Table, constants: &mut Constants) -> String {
    let (column, partner) = pair(rng, table, other);
    let word = rng.choice(JOINS).expect("not empty");
    let rest = exact(rng, table, "a", constants);
    let select = match rng.bool() {
        true => "count(*)".to_owned(),
        false => format!("a.{}, b.{}", table.key, other.any(rng).name),
    };
    format!(
        "SELECT {select} FROM {} a {word} {} b ON a.{} = b.{} WHERE {rest} AND (a.{} < 60 OR a.{} IS NULL)",
        table.name, other.name, column.name, partner.name, table.key, table.key
    )
}

/// The same with an order and a limit.
fn joined_and_limited(
    rng: &mut Rng,
    table: &Table,
    other: &Table,
    constants: &mut Constants,
) -> (String, Compare) {
    let (column, partner) = pair(rng, table, other);
    let rest = exact(rng, table, "a", constants);
    let mut order = [
        format!("a.{}{}", table.any(rng).name, direction(rng)),
        format!("a.{}{}", table.key, direction(rng)),
        format!("b.{}{}", other.key, direction(rng)),
    ];
    // A key of one table before those of the other: it orders its own rows alone.
    match rng.u8(..4) {
        0 => order.swap(1, 2),
        1 => order.swap(0, 1),
        2 => order.rotate_right(1),
        _ => {}
    }
    let sql = format!(
        "SELECT a.{key}, b.{other_key} FROM {} a JOIN {} b ON a.{} = b.{} WHERE {rest} AND a.{key} < 60
         ORDER BY {} LIMIT {}",
        table.name,
        other.name,
        column.name,
        partner.name,
        order.join(", "),
        rng.u8(1..60),
        key = table.key,
        other_key = other.key,
    );
    (sql, Compare::Ordered)
}

/// Groups in the order of their keys.
fn ordered_groups(rng: &mut Rng, table: &Table, constants: &mut Constants) -> String {
    let keys: Vec<_> = (0..rng.u8(1..=2)).map(|_| table.any(rng)).collect();
    let shown: Vec<_> = keys
        .iter()
        .map(|key| trimmed(key.kind, &format!("t.{}", key.name)))
        .collect();
    let order: Vec<_> = keys
        .iter()
        .map(|key| {
            let direction = rng.choice(["", " DESC", " NULLS FIRST", " DESC NULLS LAST"]);
            format!("t.{}{}", key.name, direction.expect("not empty"))
        })
        .collect();
    let names: Vec<_> = keys.iter().map(|key| format!("t.{}", key.name)).collect();
    let filter = filter(rng, table, "t", constants);
    let limit = match rng.u8(..3) {
        0 => String::new(),
        1 => format!(" LIMIT {}", rng.u8(1..20)),
        _ => format!(" LIMIT {} OFFSET {}", rng.u8(1..20), rng.u8(..20)),
    };
    // DISTINCT is a grouping too, without anything counted.
    if rng.u8(..3) == 0 {
        return format!(
            "SELECT DISTINCT {} FROM {} t{filter} ORDER BY {}{limit}",
            names.join(", "),
            table.name,
            order.join(", ")
        );
    }
    format!(
        "SELECT {}, count(*) FROM {} t{filter} GROUP BY {} ORDER BY {}{limit}",
        shown.join(", "),
        table.name,
        names.join(", "),
        order.join(", ")
    )
}

fn sets(rng: &mut Rng, table: &Table, constants: &mut Constants) -> String {
    let column = &table.any(rng).name;
    let word = rng
        .choice(["UNION", "UNION ALL", "INTERSECT", "EXCEPT", "EXCEPT ALL"])
        .expect("not empty");
    let (first, second) = (
        filter(rng, table, "t", constants),
        filter(rng, table, "t", constants),
    );
    format!(
        "SELECT t.{column} FROM {name} t{first} {word} SELECT t.{column} FROM {name} t{second}",
        name = table.name
    )
}

fn distinct_on(rng: &mut Rng, table: &Table, constants: &mut Constants) -> String {
    let column = &table.any(rng).name;
    format!(
        "SELECT DISTINCT ON (t.{column}) t.{column}, t.{key} FROM {} t{} ORDER BY t.{column}, t.{key}{}",
        table.name,
        filter(rng, table, "t", constants),
        rng.choice(["", " DESC"]).expect("not empty"),
        key = table.key,
    )
}

fn window(rng: &mut Rng, table: &Table, constants: &mut Constants) -> String {
    let (by, of) = (&table.any(rng).name, &table.any(rng).name);
    let function = rng.choice([
        "row_number()".to_owned(),
        "count(*)".to_owned(),
        format!("lag(t.{of})"),
        format!("first_value(t.{of})"),
    ]);
    format!(
        "SELECT t.{key}, {} OVER (PARTITION BY t.{by} ORDER BY t.{key}) FROM {} t{}",
        function.expect("not empty"),
        table.name,
        filter(rng, table, "t", constants),
        key = table.key,
    )
}

/// What is asked of a limited subquery must not be asked before the limit.
fn over_a_limit(rng: &mut Rng, table: &Table, constants: &mut Constants) -> String {
    let (column, first) = (table.any(rng), table.any(rng));
    let inner = format!(
        "SELECT t.* FROM {} t{} ORDER BY t.{}{}, t.{} LIMIT {} OFFSET {}",
        table.name,
        filter(rng, table, "t", constants),
        first.name,
        rng.choice(["", " DESC", " NULLS FIRST"]).expect("not empty"),
        table.key,
        rng.u8(1..80),
        rng.choice([0, 0, 1, 37, 50]).expect("not empty"),
    );
    let outer = exact(rng, table, "s", constants);
    let with = rng
        .choice(["", "MATERIALIZED", "NOT MATERIALIZED"])
        .expect("not empty");
    let select = match rng.bool() {
        true => format!("count(*), count(s.{})", column.name),
        false => format!("s.{}, s.{}", table.key, column.name),
    };
    match rng.bool() {
        true => format!("SELECT {select} FROM ({inner}) s WHERE {outer}"),
        false => format!("WITH s AS {with} ({inner}) SELECT {select} FROM s WHERE {outer}"),
    }
}

/// More values than one condition of the gateway takes.
fn long_list(rng: &mut Rng, table: &Table) -> String {
    let values: Vec<_> = (0..rng.u16(900..2600))
        .map(|number| (u32::from(number) * 3 + 1).to_string())
        .collect();
    let word = rng.choice(["IN", "IN", "NOT IN"]).expect("not empty");
    let column = table
        .of_kind(rng, Kind::Integer)
        .map_or(&table.key, |column| &column.name);
    format!(
        "SELECT t.{}, t.{column} FROM {} t WHERE t.{column} {word} ({})",
        table.key,
        table.name,
        values.join(", ")
    )
}

/// LIMIT and OFFSET that are known at execution only, or never.
fn limits_as_parameters(rng: &mut Rng, table: &Table, constants: &mut Constants) -> String {
    let column = table.any(rng);
    let mut number = || {
        let number = rng
            .choice(["NULL::bigint", "0", "1", "7", "40"])
            .expect("not empty");
        match rng.u8(..3) {
            0 => format!("(SELECT {number})"),
            _ => constants.put(Value {
                text: number.to_owned(),
                type_name: "bigint",
                bare: true,
            }),
        }
    };
    let (limit, offset) = (number(), number());
    format!(
        "SELECT t.{key}, t.{column} FROM {} t{} ORDER BY t.{column}{}, t.{key} LIMIT {limit} OFFSET {offset}",
        table.name,
        filter(rng, table, "t", constants),
        rng.choice(["", " DESC", " NULLS FIRST", " DESC NULLS LAST"])
            .expect("not empty"),
        key = table.key,
        column = column.name,
    )
}

fn unusual_aggregates(rng: &mut Rng, table: &Table, constants: &mut Constants) -> String {
    let (a, b) = (table.any(rng), table.any(rng));
    let filter = filter(rng, table, "t", constants);
    let (a_name, b_name) = (&a.name, &b.name);
    let key = &table.key;
    let call = match rng.u8(..7) {
        0 => format!("count(DISTINCT t.{a_name})"),
        1 => format!("count(*), count(DISTINCT t.{a_name})"),
        2 => format!("string_agg(t.{key}::text, ',' ORDER BY t.{key})"),
        3 => format!("count(*) FILTER (WHERE t.{a_name} IS NULL), count(*)"),
        4 => format!("bool_and(t.{a_name} IS NOT NULL), max(t.{key}), min(t.{key})"),
        5 => format!("max(t.{key}), count(t.{a_name}), count(t.{b_name})"),
        _ => format!("min(t.{key}) FILTER (WHERE t.{a_name} IS NOT NULL), max(t.{key})"),
    };
    match rng.bool() {
        true => format!("SELECT {call} FROM {} t{filter}", table.name),
        false => format!(
            "SELECT {}, {call} FROM {} t{filter} GROUP BY t.{b_name}",
            trimmed(b.kind, &format!("t.{b_name}")),
            table.name
        ),
    }
}
