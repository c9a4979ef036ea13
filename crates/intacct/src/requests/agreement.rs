//! Whether an answer agrees with itself and with what was asked: every count that it announces, its rows, and their
//! elements. An answer that does not is asked for once more; then it is an error, never a short or an empty result.

use crate::error::classify::Retry;
use crate::error::{Error, ErrorKind};
use crate::query::{Query, SelectItem};
use crate::retry::Failed;
use crate::xml::page::Page;

/// A page as it was asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AskedPage<'a> {
    pub query: &'a Query,
    pub offset: u64,
    /// Rows at most.
    pub size: u32,
}

/// Fails where the page does not agree with itself.
pub(super) fn check(page: &Page, asked: AskedPage<'_>) -> Result<(), Failed> {
    let contradiction = counts(page, asked).err().map(|message| {
        Error::new(ErrorKind::Malformed, message).with_hint(
            "The gateway's answer contradicts itself, also when it is asked for again: run the statement later; if it goes \
             on, report it to Sage's support with the control id.",
        )
    });
    match contradiction.or_else(|| missing_element(page, asked.query)) {
        None => Ok(()),
        Some(error) => Err(Failed::new(error, Retry::Once)),
    }
}

fn counts(page: &Page, asked: AskedPage<'_>) -> Result<(), String> {
    let rows = page.rows() as u64;
    // A list counts documents, whatever lines they have.
    let sent = page.listing.as_ref().map_or(rows, |list| list.keys.len() as u64);
    if sent > u64::from(asked.size) {
        return Err(format!(
            "the gateway sent {sent} rows where {} were asked for",
            asked.size
        ));
    }
    let (total, remaining, offset) = match &page.listing {
        Some(list) => (Some(list.total), None, list.start),
        None if page.offset_reported => (page.total_count, page.remaining, page.offset),
        None => (page.total_count, page.remaining, asked.offset),
    };
    if sent == 0
        && let Some(remaining) = remaining.filter(|remaining| *remaining > 0)
    {
        return Err(format!(
            "the gateway reports that {remaining} rows remain, and shows none"
        ));
    }
    let is_grouped = asked
        .query
        .select
        .iter()
        .any(|item| matches!(item, SelectItem::Aggregate { .. }));
    // Of groups, some gateways count the rows: the reader of groups compares sums.
    let Some(total) = total.filter(|_| !is_grouped) else {
        return Ok(());
    };
    let shown = offset + sent;
    match remaining {
        _ if sent == 0 && total > offset => Err(format!(
            "the gateway counts {total} rows, and shows none behind {offset}"
        )),
        _ if sent > 0 && total < shown => Err(format!(
            "the gateway counts {total} rows, and shows {sent} behind {offset}"
        )),
        Some(remaining) if sent > 0 && shown + remaining != total => Err(format!(
            "the gateway counts {total} rows, shows {shown}, and reports that {remaining} remain"
        )),
        _ => Ok(()),
    }
}

/// An element that was asked for and is not there: what the field holds is not known.
pub(crate) fn missing_element(page: &Page, query: &Query) -> Option<Error> {
    if query.missing_as_null {
        return None;
    }
    let (row, column) = page.missing().next()?;
    let field = query.select.get(column)?;
    let key = query
        .select
        .iter()
        .position(|item| {
            ["RECORDNO", "id"]
                .iter()
                .any(|key| item.field().eq_ignore_ascii_case(key))
        })
        .filter(|_| matches!(field, SelectItem::Field(_)))
        .and_then(|at| Some((at, page.cell(row, at)?)))
        .map(|(at, key)| {
            format!(
                " (record with {} {})",
                query.select[at].field(),
                String::from_utf8_lossy(key)
            )
        });
    let message = format!(
        "field {field} of {} is missing in row {} of the gateway's answer{}",
        query.object,
        row + 1,
        key.unwrap_or_default()
    );
    Some(Error::new(ErrorKind::Malformed, message).with_hint(
        "An element that is not there is not read as NULL, since Intacct may hold a value. Where this company's gateway \
         leaves out the elements of empty fields, set the table option missing_elements to 'null' (in a statement of \
         sage_intacct.query(): options (missing_elements_null)).",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(rows: usize, counts: (Option<u64>, Option<u64>, Option<u64>)) -> Page {
        let cells = vec![["1"].as_slice(); rows];
        let (total, offset, remaining) = counts;
        let mut page = Page::of_cells(&cells);
        (page.total_count, page.remaining) = (total, remaining);
        (page.offset, page.offset_reported) = (offset.unwrap_or(0), offset.is_some());
        page
    }

    fn agrees(
        select: &str,
        rows: usize,
        counts: (Option<u64>, Option<u64>, Option<u64>),
        at: (u64, u32),
    ) -> bool {
        let query: Query = format!("select {select} from CUSTOMER").parse().expect("a query");
        let asked = AskedPage {
            query: &query,
            offset: at.0,
            size: at.1,
        };
        check(&page(rows, counts), asked).is_ok()
    }

    #[test]
    fn all_counts_of_an_answer_agree() {
        let plain = |rows, counts| agrees("NAME", rows, counts, (0, 100));
        assert!(plain(3, (Some(3), Some(0), Some(0))));
        assert!(plain(3, (Some(9), Some(0), Some(6))));
        assert!(plain(3, (None, None, None)) && plain(3, (Some(9), None, None)));
        assert!(plain(0, (Some(0), Some(0), Some(0))) && plain(0, (None, None, Some(0))));
        for (rows, counts) in [
            (1, (Some(0), Some(0), Some(450))),
            (1, (Some(450), Some(0), Some(450))),
            (1, (Some(450), Some(0), Some(0))),
            (0, (Some(450), Some(0), Some(0))),
            (0, (Some(450), None, None)),
            (0, (Some(0), Some(0), Some(7))),
            (3, (Some(2), None, None)),
            (3, (Some(9), Some(3), Some(6))),
        ] {
            assert!(!plain(rows, counts), "{rows} {counts:?}");
        }
    }

    #[test]
    fn counts_go_with_the_offset() {
        let behind = |rows, counts| agrees("NAME", rows, counts, (50, 10));
        assert!(behind(10, (Some(70), None, Some(10))) && behind(10, (Some(70), Some(50), Some(10))));
        // Behind the end nothing is shown.
        assert!(behind(0, (Some(20), Some(50), Some(0))) && behind(0, (Some(50), None, Some(0))));
        assert!(!behind(0, (Some(51), None, Some(0))));
        assert!(!behind(10, (Some(70), None, Some(20))));
        assert!(!behind(11, (Some(70), None, Some(9))));
    }

    #[test]
    fn of_groups_some_gateways_count_the_rows() {
        assert!(agrees(
            "STATUS, count(RECORDNO)",
            2,
            (Some(450), Some(0), Some(0)),
            (0, 100)
        ));
        assert!(agrees("sum(TOTALDUE)", 0, (Some(1), Some(0), Some(0)), (0, 100)));
        assert!(!agrees(
            "STATUS, count(RECORDNO)",
            0,
            (Some(1), Some(0), Some(4)),
            (0, 100)
        ));
    }
}
