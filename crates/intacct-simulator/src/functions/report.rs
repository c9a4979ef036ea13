//! `readReport`: a few custom reports, which take a while and are then paged by `readMore` (fact 65).

use std::sync::PoisonError;

use super::Caller;
use super::read::fields;
use super::read_by_query::{Stored, page};
use crate::envelope::Node;
use crate::error::Fault;
use crate::respond::{Outcome, Xml};

/// Largest page, and the longest wait in seconds.
const MAX_PAGE: usize = 1000;
const MAX_WAIT: u64 = 30;

/// A custom report.
struct Report {
    name: &'static str,
    object: &'static str,
    fields: &'static str,
    /// Fields that the arguments may ask for.
    parameters: &'static [&'static str],
}

const REPORTS: &[Report] = &[
    Report {
        name: "Customer balances",
        object: "CUSTOMER",
        fields: "CUSTOMERID,NAME,TOTALDUE,STATUS",
        parameters: &["CUSTOMER.CUSTOMERID", "CUSTOMER.TOTALDUE"],
    },
    Report {
        name: "Invoice register",
        object: "ARINVOICE",
        fields: "RECORDID,CUSTOMERNAME,WHENCREATED,TOTALDUE",
        parameters: &["ARINVOICE.STATE", "ARINVOICE.CUSTOMERID"],
    },
    Report {
        name: "Broken report",
        object: "CUSTOMER",
        fields: "CUSTOMERID",
        parameters: &[],
    },
];

/// Starts a report; it is pending as often as the setting says.
///
/// # Errors
/// The fault that the gateway answers.
pub fn read_report(caller: &Caller<'_>, node: &Node) -> Result<Outcome, Fault> {
    let name = node.child_text("report").unwrap_or_default();
    let report = REPORTS
        .iter()
        .find(|report| report.name == name)
        .ok_or_else(|| Fault::new("CRE-0010", format!("The report {name} does not exist")))?;
    let object = caller.readable(report.object)?;
    let page_size = bounded(node, "pagesize", 1..=MAX_PAGE as u64)?.unwrap_or(MAX_PAGE as u64);
    bounded(node, "waitTime", 0..=MAX_WAIT)?;
    let mut conditions = Vec::new();
    for argument in node.child("arguments").map_or(&[][..], |list| &list.children) {
        if !report.parameters.contains(&argument.name.as_str()) {
            let text = format!("The report {name} has no parameter {}", argument.name);
            return Err(Fault::new("CRE-0020", text));
        }
        let field = argument.name.rsplit('.').next().unwrap_or_default();
        let text = argument.text.trim();
        let is_number = text.parse::<f64>().is_ok();
        conditions.push(match is_number {
            true => format!("{field} = {text}"),
            false => format!("{field} = '{}'", text.replace('\'', "\\'")),
        });
    }
    let (fields, _) = fields(object, report.fields)?;
    let size = usize::try_from(page_size).unwrap_or(MAX_PAGE);
    let stored = Stored::find(caller, object, fields, &conditions.join(" AND "), size)?;
    let id = format!("Report_{:016x}", caller.scope().nonce);
    let polls = match report.name {
        // It never gets ready: the run fails.
        "Broken report" => u64::MAX,
        _ => caller.settings.report_polls,
    };
    let lock = |id: &str, polls| {
        let mut reports = caller
            .company
            .reports
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        reports.insert(id.to_string(), polls);
    };
    lock(&id, polls);
    caller
        .company
        .results
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(id.clone(), stored);
    Ok(status(caller, &id, "PENDING"))
}

/// Asks for a report's status, or for its next page once it is ready.
///
/// # Errors
/// The fault that the gateway answers.
pub fn read_more(caller: &Caller<'_>, node: &Node) -> Result<Outcome, Fault> {
    let id = node.child_text("reportId").unwrap_or_default().to_string();
    let polls = {
        let mut reports = caller
            .company
            .reports
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let left = reports.get_mut(&id);
        left.map(|left| {
            let polls = *left;
            *left = left.saturating_sub(1);
            polls
        })
    };
    match polls {
        Some(0) => {}
        // One answer that it is still at it, then the failure.
        Some(u64::MAX) => return Ok(status(caller, &id, "PENDING")),
        Some(polls) if polls > u64::MAX / 2 => return Ok(status(caller, &id, "ERROR")),
        Some(_) => return Ok(status(caller, &id, "PENDING")),
        None => return Err(unknown(&id)),
    }
    let stored = caller
        .company
        .results
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .remove(&id);
    page(caller, id.clone(), stored.ok_or_else(|| unknown(&id))?)
}

fn unknown(id: &str) -> Fault {
    Fault::new("CRE-0030", format!("The report run {id} does not exist any more"))
}

fn status(caller: &Caller<'_>, id: &str, status: &str) -> Outcome {
    let mut xml = Xml::part(caller.whitespace, 3);
    xml.open("data", &[("listtype", "report_results"), ("count", "1")])
        .open("report_results", &[]);
    xml.leaf("REPORTID", id)
        .leaf("STATUS", status)
        .close("report_results")
        .close("data");
    Outcome {
        data: Some(xml),
        ..Outcome::default()
    }
}

fn bounded(node: &Node, name: &str, range: std::ops::RangeInclusive<u64>) -> Result<Option<u64>, Fault> {
    match node.child_text(name).unwrap_or_default() {
        "" => Ok(None),
        text => match text.parse() {
            Ok(number) if range.contains(&number) => Ok(Some(number)),
            _ => {
                let text = format!(
                    "The {name} {text} is not between {} and {}",
                    range.start(),
                    range.end()
                );
                Err(Fault::new("XL03000006", text))
            }
        },
    }
}
