//! EXPLAIN of a lookup join: what is asked for each outer row; with ANALYZE what was asked.

use super::node::{lookup, private};
use crate::exec::explain::{count, parameters, property};
use pgrx::{PgList, pg_guard, pg_sys};
use std::ffi::CStr;

/// Shows a lookup join. Sends no request.
#[pg_guard]
pub unsafe extern "C-unwind" fn explain(
    node: *mut pg_sys::CustomScanState,
    ancestors: *mut pg_sys::List,
    es: *mut pg_sys::ExplainState,
) {
    // SAFETY: called by EXPLAIN with a node of ours.
    unsafe {
        let private = private(node);
        let plan = (*node).ss.ps.plan.cast::<pg_sys::CustomScan>();
        let expressions: Vec<_> = PgList::<pg_sys::Node>::from_pg((*plan).custom_exprs)
            .iter_ptr()
            .collect();
        property(es, c"Intacct Join Type", private.join.name());
        if !(*es).deparse_cxt.is_null() {
            let context = pg_sys::set_deparse_context_plan((*es).deparse_cxt, plan.cast(), ancestors);
            let conditions = expressions
                .iter()
                .take(private.conditions.into())
                .map(|expression| {
                    let text = pg_sys::deparse_expression(*expression, context, true, false);
                    CStr::from_ptr(text).to_string_lossy().into_owned()
                })
                .collect::<Vec<_>>();
            property(es, c"Intacct Join Condition", &conditions.join(" AND "));
        }
        property(es, c"Intacct Lookup Key", &private.template.to_string());
        if (*es).verbose {
            let mut values = PgList::<pg_sys::Node>::new();
            let first = usize::from(private.conditions) + usize::from(private.keys);
            for value in expressions.iter().skip(first).take(private.transforms.len()) {
                values.push(*value);
            }
            parameters(es, plan.cast(), ancestors, values.into_pg(), &private.transforms);
        }
        if (*es).analyze
            && let Some(lookup) = lookup(node)
        {
            let counts = lookup.counts;
            let stats = lookup.scan().received.meter.stats();
            count(es, c"Intacct Lookup Keys", counts.keys);
            count(es, c"Intacct Lookup Lists", counts.lists);
            count(es, c"Intacct Lookup Calls", stats.calls);
            count(es, c"Intacct Lookup Round Trips", stats.requests);
            count(es, c"Intacct Lookup Rows", lookup.scan().received.rows);
            count(es, c"Intacct Lookup Rows from Memory", counts.known);
        }
    }
}
