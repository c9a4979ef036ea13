//! Answers a `query`: which keys, in which order, which page; then the rows of that page.

use std::sync::Arc;

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::cache::{PageName, Rendered};
use super::condition::{Renderer, Sql};
use super::request::{Condition, Operator, Request};
use super::resolve::Resolver;
use super::rows::{ReturnFormat, RowWriter, Shape};
use super::{Scope, aggregate};
use crate::catalog::Object;
use crate::error::Fault;
use crate::format::read_number;
use crate::settings::{DottedOrder, DottedPaths, Nulls, PrivateOption, RequireFilters, Unordered};
use crate::store::quote;

/// A page of rows.
#[derive(Debug)]
pub struct Page {
    /// The rows, in the asked format.
    pub rows: Arc<Rendered>,
    /// Format of `rows`.
    pub format: ReturnFormat,
    /// Object name, for `listtype`.
    pub object: &'static str,
    /// Rows (or groups) that match.
    pub total: usize,
    /// Rows skipped.
    pub offset: usize,
}

/// Answers a request.
///
/// # Errors
/// Function-level faults.
pub fn run(scope: &Scope<'_>, request: &Request) -> Result<Page, Fault> {
    let object = scope
        .catalog
        .object(&request.object)
        .ok_or_else(|| Fault::unknown_object(&request.object))?;
    if object.read_by_query_only {
        return Err(Fault::unknown_object(&request.object));
    }
    let format = ReturnFormat::parse(&request.return_format).ok_or_else(|| {
        Fault::new(
            "Query Failed",
            format!("Unknown return format {}", request.return_format),
        )
    })?;
    if request.show_private && scope.readings.private_option == PrivateOption::Refused {
        return Err(Fault::new(
            "Query Failed",
            "The option showprivate is not available to you",
        ));
    }
    if scope.readings.require_filters == RequireFilters::On {
        check_required_filters(object, request.filter.as_ref())?;
    }
    if request.select.iter().any(|s| s.aggregate.is_some()) {
        return aggregate::run(scope, request, object, format);
    }
    let renderer = Renderer {
        scope,
        case_insensitive: request.case_insensitive,
    };
    let mut shown = Resolver::new(scope, object, request.show_private);
    let columns: Vec<_> = request
        .select
        .iter()
        .filter_map(|s| shown.column(&s.path))
        .collect();
    let mut found = Resolver::new(scope, object, request.show_private);
    if scope.readings.dotted_paths == DottedPaths::Inner {
        // An inner join drops rows even where the path is only shown.
        request.select.iter().for_each(|s| drop(found.column(&s.path)));
    }
    let plan = plan(&renderer, request, object, &mut found)?;
    refuse(object, &[&shown, &found])?;
    let connection = scope.store.read()?;
    let (wanted, total) = wanted(scope, &connection, object, request, &plan, &found)?;
    let shapes: Vec<Shape> = columns.iter().map(Shape::of).collect();
    let mut writer = RowWriter::new(scope, format, &object.name, &shapes);
    let name = PageName {
        sql: statement(object, &shown, columns.iter().map(|c| c.sql.as_str())),
        form: writer.form(),
        keys: wanted,
    };
    let rows = scope.cache.page(name, scope.store, &shown.objects(), |name| {
        fetch(&connection, &name.sql, &name.keys, &mut writer)?;
        let count = writer.count;
        Ok(Rendered::new(writer.finish(), count))
    })?;
    Ok(Page {
        rows,
        format,
        object: &object.name,
        total,
        offset: request.offset,
    })
}

/// Keys of the rows of a request's page, in order, and how many rows match. Nothing is selected.
///
/// # Errors
/// Function-level faults.
pub fn keys(
    scope: &Scope<'_>,
    object: &'static Object,
    request: &Request,
) -> Result<(Vec<i64>, usize), Fault> {
    let renderer = Renderer {
        scope,
        case_insensitive: request.case_insensitive,
    };
    let mut found = Resolver::new(scope, object, request.show_private);
    let plan = plan(&renderer, request, object, &mut found)?;
    refuse(object, &[&found])?;
    let connection = scope.store.read()?;
    wanted(scope, &connection, object, request, &plan, &found)
}

/// The keys of a page, and how many rows match.
fn wanted(
    scope: &Scope<'_>,
    connection: &Connection,
    object: &'static Object,
    request: &Request,
    plan: &Plan,
    found: &Resolver<'_>,
) -> Result<(Vec<i64>, usize), Fault> {
    let keys = key_list(scope, connection, object, plan, found)?;
    let (low, high) = plan.range.bounds(&keys);
    let total = high - low;
    let page =
        (request.offset.min(total)..(request.offset + request.page_size).min(total)).map(|i| {
            match plan.walk {
                Walk::Up => keys[low + i],
                Walk::Down => keys[high - 1 - i],
                Walk::AsListed => keys[low + i],
                Walk::Undefined => keys[low + shuffle(i, total, scope.nonce)],
            }
        });
    Ok((page.collect(), total))
}

/// Keys of the rows that satisfy a condition over an object's own fields, in key order.
///
/// # Errors
/// Function-level faults.
pub fn matching(
    scope: &Scope<'_>,
    object: &'static Object,
    condition: &Condition,
) -> Result<Vec<i64>, Fault> {
    let renderer = Renderer {
        scope,
        case_insensitive: false,
    };
    let mut resolver = Resolver::new(scope, object, false);
    let mut sql = Sql {
        text: resolver.visibility(),
        values: Vec::new(),
    };
    if !sql.text.is_empty() {
        sql.text.push_str(" AND ");
    }
    renderer.condition(condition, &mut resolver, &mut sql)?;
    if !resolver.refused.is_empty() {
        return Err(Fault::database());
    }
    let id = quote(&object.row_id);
    let text = format!(
        "SELECT a0.{id} FROM {} WHERE {} ORDER BY a0.{id}",
        resolver.from(),
        sql.text
    );
    let connection = scope.store.read()?;
    let mut statement = connection.prepare_cached(&text)?;
    Ok(statement
        .query_map(params_from_iter(&sql.values), |row| row.get(0))?
        .collect::<Result<_, _>>()?)
}

/// Appends the rows of some keys, in their order; `columns` are SQL expressions over `a0`.
///
/// # Errors
/// What SQLite says.
pub fn show(
    scope: &Scope<'_>,
    object: &'static Object,
    columns: &str,
    keys: &[i64],
    writer: &mut RowWriter<'_>,
) -> Result<(), Fault> {
    let connection = scope.store.read()?;
    let resolver = Resolver::new(scope, object, true);
    let sql = statement(object, &resolver, std::iter::once(columns));
    fetch(&connection, &sql, keys, writer)
}

/// The SQL that reads the rows of some keys, in their order.
fn statement<'c>(object: &Object, resolver: &Resolver<'_>, columns: impl Iterator<Item = &'c str>) -> String {
    let columns: Vec<&str> = columns.collect();
    let first = format!(
        "json_each(?1) AS k CROSS JOIN {} AS a0 ON a0.{} = k.value",
        quote(&object.table()),
        quote(&object.row_id)
    );
    format!(
        "SELECT {} FROM {}",
        columns.join(", "),
        resolver.joins_after(&first)
    )
}

fn fetch(connection: &Connection, sql: &str, keys: &[i64], writer: &mut RowWriter<'_>) -> Result<(), Fault> {
    if keys.is_empty() {
        return Ok(());
    }
    let mut statement = connection.prepare_cached(sql)?;
    // As JSON, which needs no extension of SQLite.
    let keys: Vec<String> = keys.iter().map(i64::to_string).collect();
    let mut rows = statement.query([format!("[{}]", keys.join(","))])?;
    while let Some(row) = rows.next()? {
        writer.row(row, 0)?;
    }
    Ok(())
}

/// Fails when paths were refused.
pub(super) fn refuse(object: &Object, resolvers: &[&Resolver<'_>]) -> Result<(), Fault> {
    let mut names: Vec<String> = Vec::new();
    for name in resolvers.iter().flat_map(|r| &r.refused) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    if names.is_empty() {
        Ok(())
    } else {
        Err(Fault::fields(&object.name, &names))
    }
}

/// In which order the key list is walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Walk {
    Up,
    Down,
    AsListed,
    Undefined,
}

/// Bounds on the row key, taken out of the condition so that all pages of a keyset walk share one list.
#[derive(Debug, Default)]
struct Range {
    /// Least key allowed.
    low: Option<i64>,
    /// Greatest key allowed.
    high: Option<i64>,
}

impl Range {
    fn bounds(&self, keys: &[i64]) -> (usize, usize) {
        let low = self.low.map_or(0, |l| keys.partition_point(|k| *k < l));
        let high = self
            .high
            .map_or(keys.len(), |h| keys.partition_point(|k| *k <= h));
        (low, high.max(low))
    }
}

struct Plan {
    condition: Sql,
    order: String,
    range: Range,
    walk: Walk,
}

fn plan(
    renderer: &Renderer<'_>,
    request: &Request,
    object: &'static Object,
    resolver: &mut Resolver<'_>,
) -> Result<Plan, Fault> {
    let is_key = |path: &str| path.eq_ignore_ascii_case(&object.row_id) && object.field(path).is_some();
    let walk = match request.order.first() {
        Some(o) if is_key(&o.path) && o.descending => Walk::Down,
        Some(o) if is_key(&o.path) => Walk::Up,
        Some(_) => Walk::AsListed,
        None if renderer.scope.readings.unordered == Unordered::Stable => Walk::Up,
        None => Walk::Undefined,
    };
    let mut range = Range::default();
    let mut rest = Vec::new();
    for part in conjuncts(request.filter.as_ref()) {
        if walk == Walk::AsListed || !narrow(&mut range, part, is_key) {
            rest.push(part);
        }
    }
    let condition = where_clause(renderer, request, object, resolver, &rest)?;
    let mut order = Vec::new();
    for key in &request.order {
        let Some(column) = resolver.column(&key.path) else {
            continue;
        };
        if column.dotted && renderer.scope.readings.dotted_order == DottedOrder::Refused {
            resolver.refused.push(key.path.clone());
        }
        if walk == Walk::AsListed {
            order.push(sort_key(
                renderer,
                &renderer.comparable(&column),
                column.data_type().is_text(),
                key.descending,
            ));
        }
    }
    let row_id = format!("a0.{}", quote(&object.row_id));
    if walk != Walk::AsListed || renderer.scope.readings.unordered == Unordered::Stable {
        order.push(row_id);
    } else if !request.order.iter().any(|o| is_key(&o.path)) {
        // Ties come in another order with each request unless the client breaks them.
        order.push(format!("scramble({row_id}, {})", renderer.scope.nonce % 4));
    }
    Ok(Plan {
        condition,
        order: order.join(", "),
        range,
        walk,
    })
}

/// One ORDER BY term.
pub(super) fn sort_key(renderer: &Renderer<'_>, sql: &str, text: bool, descending: bool) -> String {
    let first = match renderer.scope.readings.nulls {
        Nulls::Low => !descending,
        Nulls::Last => false,
        Nulls::First => true,
        _ => descending,
    };
    let collate = if text { renderer.collate() } else { "" };
    format!(
        "{sql}{collate} {} NULLS {}",
        if descending { "DESC" } else { "ASC" },
        if first { "FIRST" } else { "LAST" }
    )
}

/// The WHERE clause: visibility, transaction definition and the given conditions.
pub(super) fn where_clause(
    renderer: &Renderer<'_>,
    request: &Request,
    object: &Object,
    resolver: &mut Resolver<'_>,
    parts: &[&Condition],
) -> Result<Sql, Fault> {
    let mut sql = Sql {
        text: resolver.visibility(),
        values: Vec::new(),
    };
    let and = |sql: &mut Sql| {
        if !sql.text.is_empty() {
            sql.text.push_str(" AND ");
        }
    };
    if let Some(docparid) = request
        .docparid
        .as_ref()
        .filter(|_| object.field("DOCPARID").is_some())
    {
        and(&mut sql);
        sql.text.push_str("a0.\"DOCPARID\" = ?");
        sql.values.push(Value::Text(docparid.clone()));
    }
    for part in parts {
        and(&mut sql);
        renderer.condition(part, resolver, &mut sql)?;
    }
    if sql.text.is_empty() {
        sql.text.push('1');
    }
    Ok(sql)
}

fn conjuncts(condition: Option<&Condition>) -> Vec<&Condition> {
    match condition {
        None => Vec::new(),
        Some(Condition::And(parts)) => parts.iter().flat_map(|p| conjuncts(Some(p))).collect(),
        Some(other) => vec![other],
    }
}

/// Takes a bound on the row key into the range; false: it is none.
fn narrow(range: &mut Range, condition: &Condition, is_key: impl Fn(&str) -> bool) -> bool {
    let Condition::Compare {
        operator,
        path,
        values,
    } = condition
    else {
        return false;
    };
    if !is_key(path) {
        return false;
    }
    let number = |i: usize| {
        values
            .get(i)
            .and_then(|v: &String| read_number(v.trim(), 0))
            .filter(|(_, cut)| !cut)
    };
    let (low, high) = match (operator, number(0), number(1)) {
        (Operator::GreaterThan, Some((n, _)), _) => (n.checked_add(1), None),
        (Operator::GreaterThanOrEqualTo, Some((n, _)), _) => (Some(n), None),
        (Operator::LessThan, Some((n, _)), _) => (None, n.checked_sub(1)),
        (Operator::LessThanOrEqualTo, Some((n, _)), _) => (None, Some(n)),
        (Operator::Between, Some((a, _)), Some((b, _))) if a <= b => (Some(a), Some(b)),
        _ => return false,
    };
    if low.is_none() && high.is_none() {
        return false;
    }
    range.low = range.low.max(low);
    range.high = match (range.high, high) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    true
}

fn key_list(
    scope: &Scope<'_>,
    connection: &Connection,
    object: &Object,
    plan: &Plan,
    resolver: &Resolver<'_>,
) -> Result<Arc<Vec<i64>>, Fault> {
    let sql = format!(
        "SELECT a0.{} FROM {} WHERE {} ORDER BY {}",
        quote(&object.row_id),
        resolver.from(),
        plan.condition.text,
        plan.order
    );
    let name = format!("{sql} {:?}", plan.condition.values);
    scope.cache.keys(name, scope.store, &resolver.objects(), || {
        let mut statement = connection.prepare_cached(&sql)?;
        let rows = statement.query_map(params_from_iter(&plan.condition.values), |row| {
            row.get::<_, i64>(0)
        })?;
        Ok(rows.collect::<Result<Vec<i64>, _>>()?)
    })
}

/// A permutation of 0..n that differs with the seed.
pub(super) fn shuffle(i: usize, n: usize, seed: u64) -> usize {
    if n < 2 {
        return i;
    }
    let n64 = n as u64;
    let mut step = (seed >> 17) % n64;
    while gcd(step, n64) != 1 {
        step = (step + 1) % n64;
    }
    ((u128::from(step) * i as u128 + u128::from(seed % n64)) % n as u128) as usize
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Views that the reference says must be filtered.
fn check_required_filters(object: &Object, filter: Option<&Condition>) -> Result<(), Fault> {
    let needed: &[&str] = match object.name.as_str() {
        "GLACCOUNTBALANCE" => &["PERIOD"],
        "AUDITHISTORY" => &["OBJECTTYPE", "ACCESSTIME"],
        "GLDETAIL" if filter.is_none() => return Err(Fault::database()),
        _ => return Ok(()),
    };
    let parts = conjuncts(filter);
    let has = |name: &&str| {
        parts
            .iter()
            .any(|p| matches!(p, Condition::Compare { path, .. } if path.eq_ignore_ascii_case(name)))
    };
    if needed.iter().all(has) {
        Ok(())
    } else {
        Err(Fault::database())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shuffle_is_a_permutation_for_every_size_and_seed() {
        for n in [1usize, 2, 3, 10, 97, 1000] {
            for seed in [0u64, 1, 12_345_678_901_234, u64::MAX] {
                let mut seen: Vec<usize> = (0..n).map(|i| shuffle(i, n, seed)).collect();
                seen.sort_unstable();
                assert_eq!(seen, (0..n).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn key_bounds_become_a_range() {
        let compare = |operator, value: &str| Condition::Compare {
            operator,
            path: "RECORDNO".into(),
            values: vec![value.into()],
        };
        let mut range = Range::default();
        assert!(narrow(&mut range, &compare(Operator::GreaterThan, "3"), |_| true));
        assert!(narrow(
            &mut range,
            &compare(Operator::LessThanOrEqualTo, "9"),
            |_| true
        ));
        assert!(!narrow(&mut range, &compare(Operator::EqualTo, "5"), |_| true));
        assert!(!narrow(
            &mut range,
            &compare(Operator::GreaterThan, "3.5"),
            |_| true
        ));
        let keys = [1, 3, 4, 8, 9, 12];
        assert_eq!(range.bounds(&keys), (2, 5));
    }
}
