//! EXPLAIN: the query in connector syntax; with VERBOSE what is sent, with ANALYZE what came back.

use super::aggregate::total_query;
use super::job;
use super::scan::{Running, state};
use super::state::Received;
use crate::error::raise_internal;
use crate::plan::private::{AggregatePrivate, Part, Private, ScanPrivate};
use intacct::{GatewayZone, PageRequest, RenderContext};
use pgrx::{pg_guard, pg_sys};
use std::ffi::{CStr, CString};

/// Shows a scan. Contacts nobody.
#[pg_guard]
pub unsafe extern "C-unwind" fn explain_foreign_scan(
    node: *mut pg_sys::ForeignScanState,
    es: *mut pg_sys::ExplainState,
) {
    // SAFETY: called by EXPLAIN with a node whose plan is ours.
    unsafe {
        let plan = (*node).ss.ps.plan.cast::<pg_sys::ForeignScan>();
        match Private::from_list((*plan).fdw_private) {
            Ok(Private::Scan(private)) => explain_rows(es, &private),
            Ok(Private::Aggregate(private)) => explain_groups(es, &private),
            Err(error) => raise_internal(&format!("the plan cannot be read: {error}")),
        }
        if (*es).analyze
            && let Some(state) = state(node)
        {
            let received = match state {
                Running::Scan(state) => state.received,
                Running::Aggregate(state) => state.received,
            };
            explain_received(es, received);
        }
    }
}

/// What a scan of rows asks.
unsafe fn explain_rows(es: *mut pg_sys::ExplainState, private: &ScanPrivate) {
    // SAFETY: the caller's valid explain state.
    unsafe {
        let zone = GatewayZone::new(None, None);
        for (number, part) in private.parts.iter().enumerate() {
            let mut query = private.query.clone();
            if private.parts.len() > 1 {
                query = job::part_query(&query, part, &zone);
                query.limit = private.query.limit;
            }
            property(es, &numbered(c"Intacct Query", number), &query.to_string());
            if (*es).verbose {
                let size = match query.limit {
                    Some(intacct::Count::Number(limit)) => limit.clamp(1, 2000) as u32,
                    _ => private.dialect.capabilities().max_page,
                };
                let page = PageRequest { size, offset: 0 };
                let context = RenderContext { zone: zone.clone() };
                let sent = job::part_query(&private.query, part, &zone);
                if let Ok(request) = intacct::render_function(private.dialect, &sent, &page, &context) {
                    property(es, &numbered(c"Intacct Request", number), &request);
                }
            }
        }
    }
}

/// What an aggregate asks: for groups, and for the number of rows that they must add up to.
unsafe fn explain_groups(es: *mut pg_sys::ExplainState, private: &AggregatePrivate) {
    // SAFETY: the caller's valid explain state.
    unsafe {
        let page = PageRequest {
            size: match private.only_count {
                true => 1,
                false => private.dialect.capabilities().max_page,
            },
            offset: 0,
        };
        for (number, query) in private.queries.iter().enumerate() {
            let mut query = query.clone();
            if private.only_count {
                query.limit = Some(intacct::Count::Number(1));
            }
            property(es, &numbered(c"Intacct Query", number), &query.to_string());
            request(es, &numbered(c"Intacct Request", number), private, &query, page);
        }
        if private.only_count {
            property(es, c"Intacct Aggregate", "number of matching rows");
        }
        if private.verify
            && let Some(mut query) = private.queries.first().and_then(total_query)
        {
            query.limit = Some(intacct::Count::Number(1));
            property(es, c"Intacct Verification", &query.to_string());
            let page = PageRequest { size: 1, offset: 0 };
            request(es, c"Intacct Verification Request", private, &query, page);
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
        let zone = GatewayZone::new(None, None);
        let query = job::part_query(query, &Part::Whole, &zone);
        if let Ok(request) = intacct::render_function(private.dialect, &query, &page, &RenderContext { zone })
        {
            property(es, label, &request);
        }
    }
}

unsafe fn explain_received(es: *mut pg_sys::ExplainState, received: Received) {
    // SAFETY: the caller's valid explain state.
    unsafe {
        count(es, c"Intacct Pages", received.pages);
        count(es, c"Intacct Rows Received", received.rows);
        count(es, c"Intacct Bytes on the Wire", received.wire_bytes);
        count(es, c"Intacct Bytes Decoded", received.decoded_bytes);
    }
}

/// The label of a property that may come several times.
fn numbered(label: &CStr, number: usize) -> CString {
    if number == 0 {
        return label.to_owned();
    }
    CString::new(format!("{} {}", label.to_string_lossy(), number + 1)).unwrap_or_else(|_| label.to_owned())
}

unsafe fn property(es: *mut pg_sys::ExplainState, label: &CStr, text: &str) {
    let text = CString::new(text.replace('\0', "")).unwrap_or_default();
    // SAFETY: both strings are copied into the output.
    unsafe { pg_sys::ExplainPropertyText(label.as_ptr(), text.as_ptr(), es) };
}

unsafe fn count(es: *mut pg_sys::ExplainState, label: &CStr, value: u64) {
    // SAFETY: the label is copied into the output.
    unsafe { pg_sys::ExplainPropertyInteger(label.as_ptr(), std::ptr::null(), value as i64, es) };
}
