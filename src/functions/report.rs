//! `read_report`: the rows of a custom report.

use super::access::{callers_client, usable_server};
use crate::convert::json::{Document, Jsonb};
use crate::error::{Report, raise};
use crate::{io, options};
use intacct::{Argument, ReportRequest};
use pgrx::iter::SetOfIterator;
use pgrx::prelude::*;
use serde_json::Value;

/// Pages that may wait for the backend.
const QUEUED: usize = 1;

/// Runs a custom report and returns its rows as JSON objects of text.
///
/// `arguments` holds the report's parameters by name; one with parts (a range of dates) is an object.
/// `interactive`: the report was made with the interactive report writer. A field that some rows have and others do
/// not is an error, unless `missing_elements` is `null`.
#[pg_extern]
fn read_report(
    server: &str,
    report: &str,
    arguments: default!(Document, "'{}'"),
    interactive: default!(bool, false),
    missing_elements: default!(&str, "'error'"),
) -> SetOfIterator<'static, Jsonb> {
    let page_size = options::server(usable_server(server))
        .unwrap_or_else(|error| raise(error))
        .page_size;
    let request = ReportRequest {
        report: report.to_owned(),
        is_interactive: interactive,
        arguments: parts(&arguments.0).unwrap_or_else(|| raise(wrong_arguments())),
        page_size,
        missing_as_null: match missing_elements {
            "error" => false,
            "null" => true,
            other => raise(
                Report::new(
                    PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
                    format!("invalid value for missing_elements: \"{other}\""),
                )
                .hint("It must be error or null."),
            ),
        },
    };
    let client = callers_client(server);
    let pages = io::stream(QUEUED, move |emitter| async move {
        client
            .report(&request, async |rows| emitter.send(rows).await)
            .await
    });
    let mut pages = pages.unwrap_or_else(|error| raise(error));
    let next = move || pages.next().unwrap_or_else(|error| raise(error));
    SetOfIterator::new(std::iter::from_fn(next).flatten().map(Jsonb))
}

/// Arguments by name; `None` when they are not an object of values and objects.
fn parts(arguments: &Value) -> Option<Vec<(String, Argument)>> {
    let arguments = arguments.as_object()?.iter();
    arguments
        .map(|(name, value)| {
            let argument = match value {
                Value::Object(_) => Argument::Parts(parts(value)?),
                Value::String(text) => Argument::Value(text.clone()),
                Value::Number(number) => Argument::Value(number.to_string()),
                Value::Bool(value) => Argument::Value(value.to_string()),
                Value::Null => Argument::Value(String::new()),
                Value::Array(_) => return None,
            };
            Some((name.clone(), argument))
        })
        .collect()
}

fn wrong_arguments() -> Report {
    Report::new(
        PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
        "the arguments of a report must be a JSON object of values, or of objects of values",
    )
    .hint(r#"For example {"REPORTINGPERIOD": "Current Month", "APBILL.WHENDUE": {"FROM_DATE": "1/1/2024", "TO_DATE": "1/31/2024"}}."#)
}
