//! Row counts from the gateway, with option `use_remote_estimate`: one request of one row for each distinct condition,
//! remembered while a statement is planned. Without the option planning sends no request.

use super::cost;
use super::relation::RelationState;
use crate::catalog::Column;
use crate::error::raise;
use intacct::{CompareOp, Condition, Query, Value};
use pgrx::{PgList, pg_sys};
use std::cell::RefCell;

/// What was counted while planning one statement.
#[derive(Default)]
struct Counted {
    /// Which planning: its state, and when the statement began.
    planning: (usize, i64),
    counts: Vec<(pg_sys::Oid, pg_sys::Oid, Query, f64)>,
}

thread_local! {
    static COUNTED: RefCell<Counted> = RefCell::default();
}

/// The rows under the conditions that the gateway can check, if the table wants them counted and they are known while
/// planning. Raises what goes wrong.
///
/// # Safety
/// Planner nodes of the current planning; `rel` is a relation of ours.
pub unsafe fn counted_rows(
    root: *mut pg_sys::PlannerInfo,
    rel: *mut pg_sys::RelOptInfo,
    state: &RelationState,
) -> Option<f64> {
    let table = &state.table;
    let wanted = table
        .options
        .use_remote_estimate
        .unwrap_or(table.server.use_remote_estimate);
    if !wanted || !table.dialect().capabilities().total_count {
        return None;
    }
    // SAFETY: the caller guarantees valid planner or executor nodes.
    let (query, planning, user, rest) = unsafe {
        // What a parameter holds, or a function that is only stable, shows at execution.
        let (known, unknown): (Vec<_>, Vec<_>) = super::nodes::clauses((*rel).baserestrictinfo)
            .into_iter()
            .partition(|clause| {
                let translated = state.translator(root, rel).translated((**clause).clause.cast());
                translated.params.is_empty()
            });
        let remote = if state.push.where_ {
            state.translator(root, rel).translate_all(&known)
        } else {
            None
        };
        if remote.is_none() && !unknown.is_empty() {
            return None;
        }
        let mut rest = PgList::<pg_sys::RestrictInfo>::new();
        for clause in unknown {
            rest.push(clause);
        }
        let rest = pg_sys::clauselist_selectivity(
            root,
            rest.into_pg(),
            0,
            pg_sys::JoinType::JOIN_INNER,
            std::ptr::null_mut(),
        );
        let mut query = table.counting_query()?;
        query.case_insensitive = remote.as_ref().is_some_and(|pushed| pushed.case_insensitive);
        query.filter = match (query.filter.take(), remote) {
            (always, Some(pushed)) => Some(intacct::Condition::and(always, pushed.condition)),
            (always, None) => always,
        };
        let user = match (*rel).userid {
            pg_sys::InvalidOid => pg_sys::GetUserId(),
            user => user,
        };
        let planning = ((*root).glob as usize, pg_sys::GetCurrentStatementStartTimestamp());
        (query, planning, user, rest)
    };
    let known = COUNTED.with_borrow_mut(|counted| {
        if counted.planning != planning {
            *counted = Counted {
                planning,
                counts: Vec::new(),
            };
        }
        counted
            .counts
            .iter()
            .find(|(server, who, asked, _)| *server == table.server_oid && *who == user && *asked == query)
            .map(|(.., count)| *count)
    });
    if let Some(count) = known {
        return Some(count * rest);
    }
    let client = crate::connection::client(table.server_oid, user).unwrap_or_else(|error| raise(error));
    let count = crate::connection::count_rows(client, table.dialect(), query.clone())? as f64;
    COUNTED.with_borrow_mut(|counted| counted.counts.push((table.server_oid, user, query, count)));
    Some(count * rest)
}

/// The rows that conditions leave of a table without statistics.
///
/// # Safety
/// As [`counted_rows`].
pub unsafe fn guessed_rows(
    root: *mut pg_sys::PlannerInfo,
    rel: *mut pg_sys::RelOptInfo,
    state: &RelationState,
) -> f64 {
    let table = &state.table;
    let is_enum = |field: &str| {
        let column = table.column_of_field(field);
        column.is_some_and(Column::is_enum)
    };
    let mut share = 1.0;
    // SAFETY: the caller guarantees valid planner or executor nodes.
    unsafe {
        let translator = state.translator(root, rel);
        for clause in super::nodes::clauses((*rel).baserestrictinfo) {
            pgrx::check_for_interrupts!();
            let translated = match (*clause).pseudoconstant {
                true => None,
                false => Some(translator.translated((*clause).clause.cast())),
            };
            let pushed = translated
                .as_ref()
                .and_then(|translated| translated.pushed.as_ref());
            share *= match pushed.and_then(|pushed| values_named(&pushed.condition)) {
                Some((field, values)) if table.is_row_key(field) => return values,
                Some((field, values)) if is_enum(field) => (values * cost::ENUM_SHARE).min(1.0),
                _ => pg_sys::clause_selectivity(
                    root,
                    clause.cast(),
                    0,
                    pg_sys::JoinType::JOIN_INNER,
                    std::ptr::null_mut(),
                ),
            };
        }
        pg_sys::clamp_row_est((*rel).tuples * share.max(cost::LEAST_UNKNOWN_SHARE))
    }
}

/// The field of which a condition names the values, and how many. An array that is known only at execution counts as ten,
/// as PostgreSQL counts it.
fn values_named(condition: &Condition) -> Option<(&str, f64)> {
    let elements = |value: &Value| match value {
        Value::Param(_) => 10.0,
        _ => 1.0,
    };
    match condition {
        Condition::Compare {
            field,
            op: CompareOp::Eq,
            ..
        } => Some((field.as_str(), 1.0)),
        Condition::In {
            field,
            values,
            negated: false,
        } => Some((field.as_str(), values.iter().map(elements).sum())),
        _ => None,
    }
}
