//! Generates conditions whose column is seen through a function, a cast, a pattern, or a row.

use fastrand::Rng;

use super::column::{Column, Kind, Table, Value, quote};
use super::condition::Constants;

/// A condition on columns of `alias`.
pub fn leaf(rng: &mut Rng, table: &Table, alias: &str, constants: &mut Constants) -> String {
    let column = table.any(rng);
    let name = format!("{alias}.{}", column.name);
    match rng.u8(..12) {
        0 | 1 => rows(rng, table, alias, constants),
        2 => distinct(rng, column, &name, constants),
        3 => coalesce(rng, column, &name, constants),
        4 => match table.of_kind(rng, Kind::Date) {
            Some(date) => calendar(rng, date, &format!("{alias}.{}", date.name), constants),
            None => coalesce(rng, column, &name, constants),
        },
        5 | 6 => match table.of_kind(rng, Kind::Instant) {
            Some(instant) => calendar(rng, instant, &format!("{alias}.{}", instant.name), constants),
            None => coalesce(rng, column, &name, constants),
        },
        _ => match column.kind {
            Kind::Text => text(rng, column, &name, constants),
            Kind::Integer => integer(rng, column, &name, constants),
            Kind::Date | Kind::Instant => calendar(rng, column, &name, constants),
            Kind::Boolean => boolean(rng, &name, constants),
            Kind::Number => coalesce(rng, column, &name, constants),
        },
    }
}

fn operator(rng: &mut Rng) -> &'static str {
    rng.choice(["=", "=", "<>", "<", "<=", ">", ">="])
        .expect("not empty")
}

fn value(text: impl Into<String>, type_name: &'static str) -> Value {
    Value {
        text: text.into(),
        type_name,
        bare: true,
    }
}

/// NULL now and then, else a value of the column.
fn perhaps_null(rng: &mut Rng, column: &Column) -> Value {
    match rng.u8(..6) {
        0 => value(
            format!("NULL::{}", column.kind.type_name()),
            column.kind.type_name(),
        ),
        _ => column.value(rng),
    }
}

fn rows(rng: &mut Rng, table: &Table, alias: &str, constants: &mut Constants) -> String {
    let count = rng.usize(2..=3);
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let column = table.any(rng);
        let name = format!("{alias}.{}", column.name);
        let value = constants.put(perhaps_null(rng, column));
        if rng.u8(..6) == 0 {
            left.push(value);
            right.push(name);
        } else {
            left.push(name);
            right.push(value);
        }
    }
    let not = if rng.u8(..4) == 0 { "NOT " } else { "" };
    format!(
        "{not}(({}) {} ({}))",
        left.join(", "),
        operator(rng),
        right.join(", ")
    )
}

fn distinct(rng: &mut Rng, column: &Column, name: &str, constants: &mut Constants) -> String {
    let not = if rng.bool() { "NOT " } else { "" };
    let value = constants.put(perhaps_null(rng, column));
    match rng.bool() {
        true => format!("{name} IS {not}DISTINCT FROM {value}"),
        false => format!("{not}({value} IS DISTINCT FROM {name})"),
    }
}

fn coalesce(rng: &mut Rng, column: &Column, name: &str, constants: &mut Constants) -> String {
    let not = if rng.u8(..4) == 0 { "NOT " } else { "" };
    if column.kind == Kind::Text && rng.bool() {
        let default = rng.choice(["''", "'x'"]).expect("not empty");
        let other = rng.choice(["''", "'x'"]).expect("not empty");
        return format!("{not}(coalesce({name}, {default}) {} {other})", operator(rng));
    }
    format!(
        "{not}(coalesce({name}, {}) {} {})",
        constants.put(column.value(rng)),
        operator(rng),
        constants.put(perhaps_null(rng, column))
    )
}

fn boolean(rng: &mut Rng, name: &str, constants: &mut Constants) -> String {
    let truth = rng.choice(["true", "false", "NULL::boolean"]).expect("not empty");
    let constant = constants.put(value(truth, "boolean"));
    let default = if rng.bool() { "true" } else { "false" };
    match rng.u8(..6) {
        0 => format!("{name} = {constant}"),
        1 => format!("{name} <> {constant}"),
        2 => format!("{constant} = {name}"),
        3 => format!("coalesce({name}, {default})"),
        4 => format!("NOT coalesce({name}, {default})"),
        _ => format!("{name} IS DISTINCT FROM {constant}"),
    }
}

/// A text as a constant or parameter.
fn literal(text: &str, constants: &mut Constants) -> String {
    constants.put(Value {
        text: text.to_owned(),
        type_name: "text",
        bare: false,
    })
}

fn text(rng: &mut Rng, column: &Column, name: &str, constants: &mut Constants) -> String {
    let sample = column.value(rng).text;
    let start: String = sample.chars().take(rng.usize(0..5)).collect();
    let pattern = match rng.u8(..6) {
        0 => format!("{start}%"),
        1 => format!("%{start}%"),
        2 => format!("{start}_%"),
        3 => sample
            .replace('\\', "\\\\")
            .replace('%', "\\%")
            .replace('_', "\\_"),
        4 => format!(
            "%{}",
            sample.chars().skip(2).collect::<String>().replace('\\', "")
        ),
        _ => format!("{}%", start.to_uppercase()),
    };
    let like = rng
        .choice(["LIKE", "NOT LIKE", "ILIKE", "ILIKE", "NOT ILIKE"])
        .expect("not empty");
    let not = if rng.u8(..3) == 0 { "NOT " } else { "" };
    match rng.u8(..9) {
        0 => format!("{not}{name} ^@ {}", literal(&start, constants)),
        1 => format!("{not}starts_with({name}, {})", literal(&start, constants)),
        2 => format!("lower({name}) = {}", literal(&sample.to_lowercase(), constants)),
        3 => format!(
            "lower({name}) LIKE {}",
            literal(&pattern.to_lowercase(), constants)
        ),
        4 => format!(
            "{not}{name} {like} ANY (ARRAY[{}, {}])",
            quote(&pattern),
            quote(&format!("{start}%"))
        ),
        5 => format!(
            "{name} {like} ALL (ARRAY[{}, {}])",
            quote(&pattern),
            quote(&format!("%{start}%"))
        ),
        6 => format!("{name} COLLATE \"C\" {like} {}", literal(&pattern, constants)),
        _ => format!("{not}{name} {like} {}", literal(&pattern, constants)),
    }
}

fn integer(rng: &mut Rng, column: &Column, name: &str, constants: &mut Constants) -> String {
    let near = column.value(rng).text;
    let number = match rng.u8(..8) {
        0 => "1e30".to_owned(),
        1 => "-9223372036854775808.5".to_owned(),
        2 => "'NaN'".to_owned(),
        3 => "'-Infinity'".to_owned(),
        4 => format!("{near}.0"),
        _ => format!("{near}.5"),
    };
    let numeric = |text: &str| value(format!("({text})::numeric"), "numeric");
    let not = if rng.u8(..4) == 0 { "NOT " } else { "" };
    match rng.u8(..5) {
        0 => format!("{not}({name} IN ({near}.5, {near}.0, 2))"),
        1 => format!(
            "{not}({} {} {name})",
            constants.put(numeric(&number)),
            operator(rng)
        ),
        2 => format!("{name} = ANY ((ARRAY[{near}, 7, NULL])::bigint[])"),
        3 => format!("{name}::numeric IS NOT NULL AND {name} <> {near}"),
        _ => format!(
            "{not}({name}::numeric {} {})",
            operator(rng),
            constants.put(numeric(&number))
        ),
    }
}

/// A date, timestamp or timestamptz near a value of the column, or near a change of the clock somewhere.
fn moment(rng: &mut Rng, column: &Column) -> Value {
    const EDGES: &[&str] = &[
        "2024-03-10 02:30:00",
        "2024-03-10 03:00:00",
        "2024-11-03 01:30:00",
        "2024-11-03 00:00:00",
        "2024-03-31 02:00:00",
        "2024-10-27 02:30:00",
        "2011-12-30 00:00:00",
        "2023-01-01 00:00:00",
        "2023-06-01 00:00:00",
        "2022-12-31 23:59:59.999999",
        "9999-12-31 23:59:59",
        "0044-03-15 00:00:00 BC",
        "0005-06-01 12:00:00",
        "0999-12-31 23:59:59",
        "infinity",
        "-infinity",
    ];
    let own = column.value(rng).sql();
    let zone = rng.choice(["", "-07", "+00", "+14"]).expect("not empty");
    let edge = rng.choice(EDGES).copied().expect("not empty");
    let edge_zone = if edge.ends_with(|c: char| c.is_ascii_digit()) {
        zone
    } else {
        ""
    };
    match rng.u8(..10) {
        0 => value(format!("({own})::date"), "date"),
        1 => value(format!("({own})::timestamp"), "timestamp"),
        2 => value(format!("({own})::timestamptz"), "timestamptz"),
        3 => value(format!("(({own})::timestamp + interval '12 hours')"), "timestamp"),
        4 => value(
            format!("(({own})::timestamptz - interval '1 hour')"),
            "timestamptz",
        ),
        5 => value(format!("date {}", quote(edge)), "date"),
        6 => value(format!("timestamp {}", quote(edge)), "timestamp"),
        7 => value(
            format!("timestamptz {}", quote(&format!("{edge}{edge_zone}"))),
            "timestamptz",
        ),
        8 => value(
            format!("date_trunc('month', ({own})::timestamptz)"),
            "timestamptz",
        ),
        _ => value(
            format!("(current_date - interval '{} days')", rng.u16(0..2500)),
            "timestamp",
        ),
    }
}

fn calendar(rng: &mut Rng, column: &Column, name: &str, constants: &mut Constants) -> String {
    let not = if rng.u8(..4) == 0 { "NOT " } else { "" };
    let unit = rng
        .choice([
            "second", "hour", "day", "week", "month", "quarter", "year", "decade",
        ])
        .expect("not empty");
    let seen = match rng.u8(..10) {
        0 | 1 => format!("date_trunc('{unit}', {name})"),
        2 => format!("date_trunc('{unit}', {name})::date"),
        3 => format!("{name}::timestamp"),
        4 => format!("{name}::timestamptz"),
        5 | 6 => format!("{name}::date"),
        7 => format!("date_trunc('{unit}', {name}::timestamp)"),
        _ => name.to_owned(),
    };
    match rng.u8(..8) {
        0 => {
            // Among them years that no day of the gateway's calendar is in.
            let year = match rng.u16(2011..2028) {
                2011 => 5,
                2012 => 999,
                2013 => 1000,
                2014 => 9999,
                year => year,
            };
            let (form, type_name) = match rng.bool() {
                true => (format!("extract(year FROM {name})"), "numeric"),
                false => (format!("date_part('year', {name})"), "float8"),
            };
            let half = if rng.u8(..4) == 0 { ".5" } else { "" };
            let year = constants.put(value(format!("{year}{half}::{type_name}"), type_name));
            format!("{not}({form} {} {year})", operator(rng))
        }
        1 => format!("{not}({seen} IS NULL)"),
        2 => format!(
            "{not}({} {} {seen})",
            constants.put(moment(rng, column)),
            operator(rng)
        ),
        3 => format!(
            "{seen} BETWEEN {} AND {}",
            constants.put(moment(rng, column)),
            constants.put(moment(rng, column))
        ),
        _ => format!(
            "{not}({seen} {} {})",
            operator(rng),
            constants.put(moment(rng, column))
        ),
    }
}
