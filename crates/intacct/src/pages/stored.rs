//! Pages of a result that the gateway stores (`readByQuery`, then `readMore`): stable, but read once and forward only.

use super::reader::{ReadSummary, Reader};
use crate::error::{Error, ErrorKind};
use crate::xml::page::Page;

/// Later pages have the size of the first: a small one would cost many requests.
const MIN_PAGE: u32 = 100;

pub(super) async fn read(
    reader: Reader<'_>,
    mut emit: impl AsyncFnMut(Page) -> bool,
) -> Result<ReadSummary, Error> {
    let query = &reader.plan.query;
    let size = reader.first_size().max(MIN_PAGE).min(reader.max_size());
    let mut summary = ReadSummary::default();
    let mut page = reader.page(query, reader.first_offset(), size).await?;
    loop {
        // Only the counts show whether a page was lost between a request and its repetition.
        let remaining = page.remaining.ok_or_else(|| {
            Error::new(
                ErrorKind::Malformed,
                "the gateway does not report how many rows of the result remain",
            )
        })?;
        if remaining > 0 && page.rows() == 0 {
            let message = format!("the gateway reports that {remaining} rows remain, and shows none");
            return Err(Error::new(ErrorKind::Malformed, message));
        }
        let result_id = page.result_id.take();
        summary.count(&page);
        if !emit(page).await {
            return Ok(summary);
        }
        if remaining == 0 {
            summary.complete = true;
            return Ok(summary);
        }
        let result_id = result_id.ok_or_else(|| {
            Error::new(
                ErrorKind::Malformed,
                "the gateway names no result to read on from",
            )
        })?;
        page = reader.client.read_more(query, &result_id, size).await?;
        page.offset = summary.rows;
        if page
            .remaining
            .map(|after| after.saturating_add(page.rows() as u64))
            != Some(remaining)
        {
            let message = format!(
                "a page of {} was lost: {remaining} rows remained, and the next page has {} and leaves {}",
                query.object,
                page.rows(),
                page.remaining.unwrap_or_default()
            );
            return Err(Error::new(ErrorKind::ConnectionLost, message));
        }
        let counted = page.offset + page.rows() as u64 + page.remaining.unwrap_or_default();
        if let Some(total) = page.total_count.filter(|total| *total != counted) {
            let message = format!(
                "the gateway counts {total} rows of {}, shows {}, and reports that {} remain",
                query.object,
                page.offset + page.rows() as u64,
                page.remaining.unwrap_or_default()
            );
            return Err(Error::new(ErrorKind::Malformed, message));
        }
    }
}
