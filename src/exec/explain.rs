//! EXPLAIN of a foreign scan: the query in connector syntax; with VERBOSE the request, with ANALYZE the statistics.

use super::aggregate::verification;
use super::scan::{Running, ScanStats, job, state};
use crate::catalog::ForeignTable;
use crate::error::{raise, raise_internal};
use crate::private::transform::ParamTransform;
use crate::private::{AggregatePrivate, Private, ScanPart, ScanPrivate};
use intacct::{DialectKind, Doubts, GatewayZone, PageRequest, Query, RenderContext};
use pgrx::{PgList, pg_guard, pg_sys};
use std::ffi::{CStr, CString};

/// Shows a scan. Sends no request.
#[pg_guard]
pub unsafe extern "C-unwind" fn explain_foreign_scan(
    node: *mut pg_sys::ForeignScanState,
    es: *mut pg_sys::ExplainState,
) {
    // SAFETY: called by EXPLAIN with a node whose plan is ours.
    unsafe {
        let plan = (*node).ss.ps.plan.cast::<pg_sys::ForeignScan>();
        let transforms = match Private::from_list((*plan).fdw_private) {
            Ok(Private::Scan(private)) => {
                explain_rows(es, &private, page_size(node, private.joined.unwrap_or(0)));
                private.transforms
            }
            Ok(Private::Aggregate(private)) => {
                explain_groups(es, &private, page_size(node, private.relation));
                private.transforms
            }
            Ok(Private::Combined) => {
                return property(es, c"Intacct Groups", "combined by the plan below");
            }
            Err(error) => raise_internal(&format!("the plan cannot be read: {error}")),
        };
        if (*es).verbose {
            parameters(
                es,
                plan.cast(),
                std::ptr::null_mut(),
                (*plan).fdw_exprs,
                &transforms,
            );
        }
        if (*es).analyze
            && let Some(state) = state(node)
        {
            let received = match state {
                Running::Scan(state) => &state.received,
                Running::Aggregate(state) => &state.received,
                Running::Combined => return,
            };
            explain_received(es, received);
            let calls = received.meter.stats().calls;
            let lookups = match state {
                Running::Scan(state) => state.answers.as_ref().and_then(|answers| answers.text(calls)),
                Running::Aggregate(state) => state.answers.as_ref().and_then(|answers| answers.text(calls)),
                Running::Combined => None,
            };
            if let Some(lookups) = lookups {
                property(es, c"Intacct Lookups", &lookups);
            }
            if matches!(state, Running::Scan(_))
                && let Some(instrument) = (*node).ss.ps.instrument.as_ref()
            {
                count(
                    es,
                    c"Intacct Rows Removed by Recheck",
                    instrument.nfiltered1 as u64,
                );
            }
        }
    }
}

/// Rows of a page of the table that is read, `relation` among those that are joined.
unsafe fn page_size(node: *mut pg_sys::ForeignScanState, relation: u16) -> u32 {
    // SAFETY: the caller's node, whose executor state is set up.
    let table = unsafe { crate::compat::scan_table(node, relation) };
    let table = ForeignTable::load(table).unwrap_or_else(|error| raise(error));
    table.page_size()
}

/// What the parameters of the query stand for.
///
/// # Safety
/// A valid explain state, a plan and expressions of it.
pub unsafe fn parameters(
    es: *mut pg_sys::ExplainState,
    plan: *mut pg_sys::Plan,
    ancestors: *mut pg_sys::List,
    expressions: *mut pg_sys::List,
    transforms: &[ParamTransform],
) {
    // SAFETY: the caller's valid explain state and plan; what is made lives in EXPLAIN's memory.
    unsafe {
        if transforms.is_empty() || (*es).deparse_cxt.is_null() {
            return;
        }
        let context = pg_sys::set_deparse_context_plan((*es).deparse_cxt, plan, ancestors);
        let expressions = PgList::<pg_sys::Node>::from_pg(expressions);
        let mut parameters = PgList::<std::ffi::c_char>::new();
        for (number, (expression, shape)) in (1..).zip(expressions.iter_ptr().zip(transforms)) {
            let text = CStr::from_ptr(pg_sys::deparse_expression(expression, context, true, false));
            let text = CString::new(format!("${number} = {}{shape}", text.to_string_lossy()));
            parameters.push(pg_sys::pstrdup(text.unwrap_or_default().as_ptr()));
        }
        pg_sys::ExplainPropertyList(c"Intacct Parameters".as_ptr(), parameters.into_pg(), es);
    }
}

/// What a scan of rows asks.
unsafe fn explain_rows(es: *mut pg_sys::ExplainState, private: &ScanPrivate, page_size: u32) {
    // SAFETY: the caller's valid explain state.
    unsafe {
        let whole = private.doubts.first_form(&private.query);
        for (number, part) in private.parts.iter().enumerate() {
            let mut query = whole.clone();
            if private.parts.len() > 1 {
                query = job::part_query(&query, part);
                query.limit = private.query.limit;
                query.offset = private.query.offset;
            }
            property(es, &numbered(c"Intacct Query", number), &query.to_string());
            if number == 0 && !private.lines.is_empty() {
                let paths: Vec<&str> = private.lines.iter().map(|(_, path)| path.as_str()).collect();
                property(es, c"Intacct Lines", &format!("{}, by record", paths.join(", ")));
            }
            if (*es).verbose {
                let size = match query.limit {
                    Some(intacct::Count::Number(limit)) if private.assumed.is_empty() => {
                        limit.clamp(1, page_size.into()) as u32
                    }
                    _ => page_size,
                };
                let offset = match query.offset {
                    Some(intacct::Count::Number(offset)) => offset,
                    _ => 0,
                };
                let page = PageRequest { size, offset };
                let sent = job::part_query(&whole, part);
                rendered(
                    es,
                    &numbered(c"Intacct Request", number),
                    private.dialect,
                    &sent,
                    page,
                );
            }
        }
        explain_evidence(es, &private.doubts, &whole);
    }
}

/// What travels with the first request to prove that its rows are those that SQL wants.
unsafe fn explain_evidence(es: *mut pg_sys::ExplainState, doubts: &Doubts, query: &Query) {
    // SAFETY: the caller's valid explain state.
    unsafe {
        if (*es).verbose {
            for (number, query) in doubts.first_evidence(query).iter().enumerate() {
                property(es, &numbered(c"Intacct Evidence", number), &query.to_string());
            }
        }
    }
}

/// What an aggregate asks: for groups, and for the number of rows that they must add up to.
unsafe fn explain_groups(es: *mut pg_sys::ExplainState, private: &AggregatePrivate, page_size: u32) {
    // SAFETY: the caller's valid explain state.
    unsafe {
        let page = PageRequest {
            size: match private.only_count {
                true => 1,
                false => page_size,
            },
            offset: 0,
        };
        for (number, query) in private.queries.iter().enumerate() {
            let mut query = private.doubts.first_form(query);
            if private.only_count {
                query.limit = Some(intacct::Count::Number(1));
            }
            property(es, &numbered(c"Intacct Query", number), &query.to_string());
            request(es, &numbered(c"Intacct Request", number), private, &query, page);
        }
        if private.only_count {
            property(es, c"Intacct Aggregate", "number of matching rows");
        }
        for (number, query) in private.counts.iter().enumerate() {
            let mut query = private.doubts.first_form(query);
            query.limit = Some(intacct::Count::Number(1));
            property(es, &numbered(c"Intacct Count", number), &query.to_string());
            let page = PageRequest { size: 1, offset: 0 };
            request(
                es,
                &numbered(c"Intacct Count Request", number),
                private,
                &query,
                page,
            );
        }
        if let Some(first) = &private.first_row {
            let spared = format!(
                "query {} is sent only if the first row of the verification shows no {}",
                first.query + 1,
                first.field
            );
            property(es, c"Intacct First Row", &spared);
        }
        if private.verify
            && let Some(query) = verification(private)
        {
            let mut query = private.doubts.first_form(&query);
            query.limit = Some(intacct::Count::Number(1));
            property(es, c"Intacct Verification", &query.to_string());
            let page = PageRequest { size: 1, offset: 0 };
            request(es, c"Intacct Verification Request", private, &query, page);
        }
        if let Some(query) = private.queries.first() {
            explain_evidence(es, &private.doubts, &private.doubts.first_form(query));
        }
    }
}

/// What is sent, with VERBOSE.
unsafe fn request(
    es: *mut pg_sys::ExplainState,
    label: &CStr,
    private: &AggregatePrivate,
    query: &intacct::Query,
    page: PageRequest,
) {
    // SAFETY: the caller's valid explain state.
    unsafe {
        if !(*es).verbose {
            return;
        }
        let query = job::part_query(query, &ScanPart::Whole);
        rendered(es, label, private.dialect, &query, page);
    }
}

/// The request for a page, as far as it is known without a request: points in time on a clock at Greenwich.
unsafe fn rendered(
    es: *mut pg_sys::ExplainState,
    label: &CStr,
    dialect: DialectKind,
    query: &intacct::Query,
    page: PageRequest,
) {
    let zone = GatewayZone::new(None, None);
    let request = match query.at_wall_clock(&zone, dialect) {
        Some(mut query) => {
            query.show_private &= dialect.capabilities().show_private;
            intacct::render_function(dialect, &query, &page, &RenderContext { zone }).ok()
        }
        None => Some("none: no row can match".to_owned()),
    };
    if let Some(request) = request {
        // SAFETY: the caller's valid explain state.
        unsafe { property(es, label, &request) };
    }
}

/// What was asked and what came back.
unsafe fn explain_received(es: *mut pg_sys::ExplainState, received: &ScanStats) {
    // SAFETY: the caller's valid explain state.
    unsafe {
        let stats = received.meter.stats();
        if let Some(why) = &received.local {
            property(es, c"Intacct Local Plan", why);
        }
        count(es, c"Intacct Calls", stats.calls);
        count(es, c"Intacct Round Trips", stats.requests);
        count(es, c"Intacct Retries", stats.retries);
        count(es, c"Intacct Pages", received.pages);
        count(es, c"Intacct Rows Received", received.rows);
        count(es, c"Intacct Bytes on the Wire", received.wire_bytes);
        count(es, c"Intacct Bytes Decoded", received.decoded_bytes);
        if (*es).timing {
            let waited = received.waited.as_secs_f64() * 1000.0;
            pg_sys::ExplainPropertyFloat(c"Intacct Wait Time".as_ptr(), c"ms".as_ptr(), waited, 3, es);
        }
    }
}

/// The label of a property that may come several times.
fn numbered(label: &CStr, number: usize) -> CString {
    if number == 0 {
        return label.to_owned();
    }
    CString::new(format!("{} {}", label.to_string_lossy(), number + 1)).unwrap_or_else(|_| label.to_owned())
}

/// Adds a property to what EXPLAIN shows.
///
/// # Safety
/// `es` must be a valid explain state.
pub unsafe fn property(es: *mut pg_sys::ExplainState, label: &CStr, text: &str) {
    let text = CString::new(text.replace('\0', "")).unwrap_or_default();
    // SAFETY: both strings are copied into the output.
    unsafe { pg_sys::ExplainPropertyText(label.as_ptr(), text.as_ptr(), es) };
}

/// Adds a number.
///
/// # Safety
/// As [`property`].
pub unsafe fn count(es: *mut pg_sys::ExplainState, label: &CStr, value: u64) {
    // SAFETY: the label is copied into the output.
    unsafe { pg_sys::ExplainPropertyInteger(label.as_ptr(), std::ptr::null(), value as i64, es) };
}
