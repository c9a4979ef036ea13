//! What the measurements of this crate need of its inside. Not part of the API.

use crate::config::Caps;
use crate::query::SelectItem;
use crate::response::{Answer, Expected, Extent, RowColumns, parse};
use crate::xml::columns::Columns;
use crate::xml::page::Page;

/// The rows of a response to a request with one function.
pub fn page(body: &[u8], select: &[SelectItem]) -> Option<Page> {
    let columns = Columns::new(select);
    let expected = [Expected {
        control_id: "f",
        columns: Some(RowColumns::Fields(&columns)),
        extent: Extent::Rows(usize::MAX),
    }];
    match parse(body, "", &expected, &Caps::default()).ok()?.answers.pop()? {
        Answer::Rows(page) => Some(page),
        _ => None,
    }
}
