//! `query` with aggregates: every plain field is a group key.

use std::sync::Arc;

use rusqlite::params_from_iter;
use rusqlite::types::{Value, ValueRef};

use super::Scope;
use super::cache::Rendered;
use super::condition::{Renderer, Sql};
use super::request::{Request, Selected};
use super::resolve::{Column, Resolver};
use super::rows::{Kind, ReturnFormat, RowWriter, Shape};
use super::run::{Page, refuse, sort_key, where_clause};
use crate::catalog::{DataType, Object};
use crate::error::Fault;
use crate::settings::{AggregateNames, Count, EmptyAggregate, NullGroups, TextGroups, Unordered};
use crate::store::functions::AVERAGE_DIGITS;

struct Output {
    /// What is shown.
    sql: String,
    /// What rows of one group have in common.
    group: String,
    shape: Shape,
    key: Option<Column>,
    count: bool,
}

/// Answers a request whose select holds aggregates.
pub(super) fn run(
    scope: &Scope<'_>,
    request: &Request,
    object: &'static Object,
    format: ReturnFormat,
) -> Result<Page, Fault> {
    let renderer = Renderer {
        scope,
        case_insensitive: request.case_insensitive,
    };
    let mut resolver = Resolver::new(scope, object, request.show_private);
    let mut outputs = Vec::new();
    for selected in &request.select {
        if let Some(column) = resolver.column(&selected.path) {
            outputs.push(output(&renderer, selected, column)?);
        }
    }
    let mut order = Vec::new();
    for key in &request.order {
        let Some(column) = resolver.column(&key.path) else {
            continue;
        };
        if !outputs
            .iter()
            .any(|o| o.key.as_ref().is_some_and(|k| k.sql == column.sql))
        {
            return Err(Fault::new(
                "Query Failed",
                format!("{} in orderby is not a grouped field", key.path),
            ));
        }
        order.push(sort_key(
            &renderer,
            &match column.data_type() {
                DataType::Timestamp => renderer.comparable(&column),
                _ => shown(&renderer, &column),
            },
            column.data_type().is_text(),
            key.descending,
        ));
    }
    let parts: Vec<_> = request.filter.iter().collect();
    let mut condition = where_clause(&renderer, request, object, &mut resolver, &parts)?;
    refuse(object, &[&resolver])?;

    let keys: Vec<&str> = outputs
        .iter()
        .filter(|o| o.key.is_some())
        .map(|o| o.group.as_str())
        .collect();
    if scope.readings.null_groups == NullGroups::Dropped {
        outputs
            .iter()
            .filter_map(|o| o.key.as_ref())
            .for_each(|k| condition.text.push_str(&format!(" AND {} IS NOT NULL", k.sql)));
    }
    if !keys.is_empty() {
        // Groups that the given order leaves tied come in an undefined order too.
        order.push(match scope.readings.unordered {
            Unordered::Stable => keys.join(", "),
            _ => format!("scramble({}, {})", keys.join(", "), scope.nonce % 1_000_003),
        });
    }
    let shapes: Vec<Shape> = outputs.iter().map(|o| o.shape.clone()).collect();
    let mut writer = RowWriter::new(scope, format, &object.name, &shapes);
    let total = if keys.is_empty() {
        whole(scope, request, &outputs, &resolver, &condition, &mut writer)?
    } else {
        groups(
            scope,
            request,
            &outputs,
            &keys,
            &order,
            &resolver,
            &condition,
            &mut writer,
        )?
    };
    let count = writer.count;
    Ok(Page {
        rows: Arc::new(Rendered::new(writer.finish(), count)),
        format,
        object: &object.name,
        total,
        offset: request.offset,
    })
}

/// Aggregates over all rows: one row, or what the settings say when there is none.
fn whole(
    scope: &Scope<'_>,
    request: &Request,
    outputs: &[Output],
    resolver: &Resolver<'_>,
    condition: &Sql,
    writer: &mut RowWriter<'_>,
) -> Result<usize, Fault> {
    let list: Vec<&str> = outputs.iter().map(|o| o.sql.as_str()).collect();
    let sql = format!(
        "SELECT COUNT(*), {} FROM {} WHERE {}",
        list.join(", "),
        resolver.from(),
        condition.text
    );
    let connection = scope.store.read()?;
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(&condition.values))?;
    let row = rows.next()?.ok_or_else(Fault::database)?;
    let empty = row.get::<_, i64>(0)? == 0;
    let reading = scope.readings.empty_aggregate;
    if empty && reading == EmptyAggregate::None {
        return Ok(0);
    }
    if request.offset > 0 {
        return Ok(1);
    }
    if empty {
        let value = |o: &Output| {
            if o.count
                || (reading == EmptyAggregate::Zero
                    && !matches!(o.shape.kind, Kind::Text | Kind::Date | Kind::Instant))
            {
                ValueRef::Integer(0)
            } else {
                ValueRef::Null
            }
        };
        writer.values(&outputs.iter().map(value).collect::<Vec<_>>());
    } else {
        writer.row(row, 1)?;
    }
    Ok(1)
}

#[allow(clippy::too_many_arguments, reason = "one request's parts, used once")]
fn groups(
    scope: &Scope<'_>,
    request: &Request,
    outputs: &[Output],
    keys: &[&str],
    order: &[String],
    resolver: &Resolver<'_>,
    condition: &Sql,
    writer: &mut RowWriter<'_>,
) -> Result<usize, Fault> {
    let list: Vec<&str> = outputs.iter().map(|o| o.sql.as_str()).collect();
    let body = format!(
        "FROM {} WHERE {} GROUP BY {}",
        resolver.from(),
        condition.text,
        keys.join(", ")
    );
    let sql = format!(
        "SELECT {} {body} ORDER BY {} LIMIT ? OFFSET ?",
        list.join(", "),
        order.join(", ")
    );
    let connection = scope.store.read()?;
    let mut statement = connection.prepare_cached(&sql)?;
    let page = [
        Value::Integer(request.page_size as i64),
        Value::Integer(request.offset as i64),
    ];
    let mut rows = statement.query(params_from_iter(condition.values.iter().chain(&page)))?;
    while let Some(row) = rows.next()? {
        writer.row(row, 0)?;
    }
    if request.offset == 0 && writer.count < request.page_size {
        return Ok(writer.count);
    }
    let sql = format!("SELECT COUNT(*) FROM (SELECT 1 {body})");
    let name = format!("{sql} {:?}", condition.values);
    let total = scope.cache.keys(name, scope.store, &resolver.objects(), || {
        let mut statement = connection.prepare_cached(&sql)?;
        Ok(vec![
            statement.query_row(params_from_iter(&condition.values), |r| r.get(0))?,
        ])
    })?;
    Ok(total[0] as usize)
}

/// What the rows of a group have in common in a key.
fn grouped(renderer: &Renderer<'_>, key: &Column) -> String {
    let name = &key.sql;
    match renderer.scope.readings.text_groups {
        _ if !key.data_type().is_text() => name.clone(),
        TextGroups::Exact => name.clone(),
        TextGroups::Case => format!("fold({name})"),
        TextGroups::Blanks => format!("rtrim({name}, ' ')"),
        TextGroups::Both => format!("rtrim(fold({name}), ' ')"),
    }
}

/// What a group shows of a key: where its rows differ, the text of one of them.
fn shown(renderer: &Renderer<'_>, key: &Column) -> String {
    match renderer.scope.readings.text_groups {
        TextGroups::Exact => key.sql.clone(),
        _ if !key.data_type().is_text() => key.sql.clone(),
        _ => format!("MIN({})", key.sql),
    }
}

fn output(renderer: &Renderer<'_>, selected: &Selected, column: Column) -> Result<Output, Fault> {
    let Some(function) = selected.aggregate else {
        return Ok(Output {
            sql: shown(renderer, &column),
            group: grouped(renderer, &column),
            shape: Shape::of(&column),
            key: Some(column),
            count: false,
        });
    };
    let data_type = column.data_type();
    let scale = column.field.scale;
    let name = &column.sql;
    let readings = renderer.scope.readings;
    let (sql, kind) = match function {
        "count" => {
            let sql = match readings.count {
                Count::Rows => "COUNT(*)".to_string(),
                _ => format!("COUNT({name})"),
            };
            (sql, Kind::Integer)
        }
        "sum" if data_type.is_number() => (format!("exact_sum({name})"), Kind::Decimal(scale)),
        "avg" if data_type.is_number() => (
            format!("exact_avg({name}, {scale})"),
            Kind::Decimal(scale + AVERAGE_DIGITS),
        ),
        "min" | "max" if data_type != DataType::Boolean => {
            let collate = if data_type.is_text() {
                renderer.collate()
            } else {
                ""
            };
            (
                format!("{function}({name}{collate})"),
                Shape::kind(data_type, scale),
            )
        }
        _ => return Err(Fault::database()),
    };
    let prefixed = function == "count" || readings.aggregate_names == AggregateNames::Prefixed;
    let tag = if prefixed {
        format!("{}.{}", function.to_uppercase(), column.tag)
    } else {
        column.tag.clone()
    };
    Ok(Output {
        sql,
        group: String::new(),
        shape: Shape { tag, kind },
        key: None,
        count: function == "count",
    })
}
