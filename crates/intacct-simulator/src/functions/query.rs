//! `query`.

use super::Caller;
use crate::envelope::Node;
use crate::error::Fault;
use crate::query::{Request, ReturnFormat, run};
use crate::respond::{Note, Outcome, Xml};

/// Answers a `query`.
///
/// # Errors
/// The fault that the gateway answers.
pub fn query(caller: &Caller<'_>, node: &Node) -> Result<Outcome, Fault> {
    let request = Request::parse(node)?;
    caller.readable(&request.object)?;
    let page = run(&caller.scope(), &request)?;
    let note = Note {
        rows: page.rows.count,
        total: Some(page.total),
    };
    let bare = match page.format {
        ReturnFormat::Xml => None,
        ReturnFormat::Json => Some("application/json"),
        ReturnFormat::Csv => Some("text/csv"),
    };
    if let Some(content_type) = bare {
        return Ok(Outcome {
            bare: Some((page.rows.body.clone(), content_type)),
            note,
            ..Outcome::default()
        });
    }
    let remaining = page.total.saturating_sub(page.offset + page.rows.count);
    let mut xml = Xml::part(caller.whitespace, 3);
    xml.out.reserve(page.rows.body.len() + 200);
    xml.open(
        "data",
        &[
            ("listtype", page.object),
            ("totalcount", &page.total.to_string()),
            ("offset", &page.offset.to_string()),
            ("count", &page.rows.count.to_string()),
            ("numremaining", &remaining.to_string()),
        ],
    );
    xml.rows(page.rows).close("data");
    Ok(Outcome {
        data: Some(xml),
        note,
        ..Outcome::default()
    })
}
