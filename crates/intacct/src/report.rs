//! Custom reports (`readReport`): started, waited for, and read page by page.
//!
//! Facts: the vendor's page on custom reports and `api.xsd`. A run that takes longer than it may wait answers with a
//! report id and the status PENDING; `readMore` with that id asks again and then pages through the rows. The element of
//! rows has no fixed name (fact 65): every child of the data that is not a status is a row.

use crate::client::Client;
use crate::error::{Error, ErrorKind};
use crate::json;
use crate::xml::escape::push_element;
use crate::xml::tree::Element;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// Rows of a page: the gateway's limit for reports.
const PAGE: u32 = 1000;

/// Seconds that the gateway may wait for a report before it answers that it is pending: its own limit.
const LONGEST_WAIT: u64 = 30;

/// Waits between the questions whether a report is ready: the first and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// Answers in a row that may bring neither rows nor the end of the report.
const EMPTY_ANSWERS: u32 = 3;

/// A run-time argument of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Argument {
    /// A value.
    Value(String),
    /// Named parts, such as the two ends of a range.
    Parts(Vec<(String, Argument)>),
}

/// Which report, and how it is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportRequest {
    /// Its name.
    pub report: String,
    /// Made with the interactive report writer, not with the original one.
    pub is_interactive: bool,
    /// Run-time arguments by name.
    pub arguments: Vec<(String, Argument)>,
    /// Rows of a page, at most; clamped to what the gateway allows.
    pub page_size: u32,
    /// A field that a row does not have, and others have, is left out of its object, and not an error.
    pub missing_as_null: bool,
}

/// What an answer says.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    report_id: Option<String>,
    status: Option<String>,
    rows: Vec<String>,
    /// The fields of each row, and its element.
    shapes: Vec<(String, BTreeSet<String>)>,
    remaining: Option<u64>,
}

/// The fields that rows have had so far, by their element: rows of subtotals may be of another kind.
type Fields = BTreeMap<String, BTreeSet<String>>;

impl Client {
    /// Runs a report and hands each page of rows, as JSON objects of text, to `emit`, until it ends or `emit` says
    /// false. Can be dropped at any await; the gateway then goes on by itself.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] when the gateway reports that the run failed, [`ErrorKind::RequestTimeout`] when it is pending
    /// for longer than `request_timeout`, [`ErrorKind::Malformed`] when its pages come to no end.
    pub async fn report(
        &self,
        request: &ReportRequest,
        mut emit: impl AsyncFnMut(Vec<String>) -> bool,
    ) -> Result<(), Error> {
        let patience = (self.config().request_timeout.as_secs() / 2).min(LONGEST_WAIT);
        let place = |error: Error, function: &str| self.place(error, Some(&request.report), function);
        let body = request
            .body(patience)
            .map_err(|error| place(error, "readReport"))?;
        let data = self.data("readReport", Some(&request.report), body).await?;
        let mut answer = Answer::read(&data).map_err(|error| place(error, "readReport"))?;
        let mut report_id = None;
        let mut pause = FIRST_PAUSE;
        let mut deadline = None;
        let mut progress = Progress::default();
        let mut fields = Fields::new();
        loop {
            if !request.missing_as_null {
                answer
                    .compare_fields(&mut fields, &request.report)
                    .map_err(|error| place(error, "readReport"))?;
            }
            report_id = answer.report_id.take().or(report_id);
            let is_pending = answer.is_pending().map_err(|error| place(error, "readReport"))?;
            let shown = answer.rows.len();
            let has_more = match (answer.remaining, shown) {
                (Some(remaining), _) => remaining > 0,
                // A run that is done may say so without rows; they come with the next question.
                (None, 0) => answer.status.is_some(),
                (None, shown) => shown >= request.page_size.clamp(1, PAGE) as usize,
            };
            if !is_pending && has_more {
                progress
                    .check(shown, answer.remaining)
                    .map_err(|error| place(error, "readMore"))?;
            }
            if shown > 0 && !emit(std::mem::take(&mut answer.rows)).await {
                return Ok(());
            }
            if !is_pending && !has_more {
                return Ok(());
            }
            let Some(id) = &report_id else {
                let error = Error::new(ErrorKind::Malformed, "the report goes on and has no id");
                return Err(place(error, "readReport"));
            };
            if is_pending {
                let longest = self.config().request_timeout;
                let deadline = *deadline.get_or_insert_with(|| Instant::now() + longest);
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(place(still_pending(longest), "readMore"));
                }
                tokio::time::sleep(pause.min(left)).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            let mut body = String::from("<readMore>");
            element(&mut body, "reportId", id)?;
            body.push_str("</readMore>");
            let data = self.data("readMore", Some(&request.report), body).await?;
            answer = Answer::read(&data).map_err(|error| place(error, "readMore"))?;
        }
    }
}

/// Whether the pages of a report come nearer to their end.
#[derive(Default)]
struct Progress {
    /// Answers without rows since the last one with some.
    empty: u32,
    remaining: Option<u64>,
}

impl Progress {
    /// Looks at a page behind which there is to be another one. Fails when nothing says that there will be an end: the
    /// rows do not come, or no fewer of them remain.
    fn check(&mut self, shown: usize, remaining: Option<u64>) -> Result<(), Error> {
        if shown == 0 {
            self.empty += 1;
            return match (self.empty > EMPTY_ANSWERS, remaining) {
                (false, _) => Ok(()),
                (true, Some(remaining)) => Err(malformed(format!(
                    "{remaining} rows of the report remain, and {} answers in a row bring none",
                    self.empty
                ))),
                (true, None) => Err(malformed(format!(
                    "the report is done, and {} answers in a row bring no rows",
                    self.empty
                ))),
            };
        }
        self.empty = 0;
        if let (Some(before), Some(now)) = (self.remaining, remaining)
            && now >= before
        {
            return Err(malformed(format!(
                "{now} rows of the report remain behind a page, and {before} did before it"
            )));
        }
        self.remaining = remaining;
        Ok(())
    }
}

fn still_pending(longest: Duration) -> Error {
    let message = format!("the report is still pending after {} seconds", longest.as_secs());
    Error::new(ErrorKind::RequestTimeout, message).with_hint(
        "Its run goes on at the gateway. Narrow the report by its arguments, or raise the server option request_timeout, \
         for which a report may be pending.",
    )
}

impl ReportRequest {
    fn body(&self, patience: u64) -> Result<String, Error> {
        let mut body = String::from(match self.is_interactive {
            true => "<readReport type=\"interactive\">",
            false => "<readReport>",
        });
        element(&mut body, "report", &self.report)?;
        if !self.arguments.is_empty() {
            body.push_str("<arguments>");
            push_arguments(&mut body, &self.arguments)?;
            body.push_str("</arguments>");
        }
        element(&mut body, "waitTime", &patience.to_string())?;
        element(&mut body, "pagesize", &self.page_size.clamp(1, PAGE).to_string())?;
        element(&mut body, "returnFormat", "xml")?;
        body.push_str("</readReport>");
        Ok(body)
    }
}

fn element(body: &mut String, name: &str, text: &str) -> Result<(), Error> {
    push_element(body, name, text).map_err(|_| {
        Error::new(
            ErrorKind::Unsupported,
            format!("{name} holds a control character"),
        )
    })
}

fn push_arguments(body: &mut String, arguments: &[(String, Argument)]) -> Result<(), Error> {
    for (name, argument) in arguments {
        let starts = name.starts_with(|c: char| c.is_alphabetic() || c == '_');
        let goes_on = name
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '-'));
        if !(starts && goes_on) {
            let message = format!("\"{name}\" cannot be the name of an argument");
            return Err(Error::new(ErrorKind::Unsupported, message)
                .with_hint("Arguments go by the name of the report's parameter, such as APBILL.TEST_DATE."));
        }
        match argument {
            Argument::Value(text) => element(body, name, text)?,
            Argument::Parts(parts) => {
                body.push_str(&format!("<{name}>"));
                push_arguments(body, parts)?;
                body.push_str(&format!("</{name}>"));
            }
        }
    }
    Ok(())
}

impl Answer {
    fn read(data: &Element) -> Result<Answer, Error> {
        let is_status =
            |element: &&Element| element.child("STATUS").is_some() && element.child("REPORTID").is_some();
        let status = data.children.iter().find(is_status);
        let text_of = |name: &str| {
            let of = status.unwrap_or(data);
            Some(of.text_of(name).to_owned()).filter(|text| !text.is_empty())
        };
        let number = |name: &str| -> Result<Option<u64>, Error> {
            let text = data
                .attribute(name)
                .map(str::trim)
                .filter(|text| !text.is_empty());
            text.map(|text| text.parse::<u64>())
                .transpose()
                .map_err(|_| malformed(format!("attribute {name} of a report's page is not a number")))
        };
        let found: Vec<&Element> = data
            .children
            .iter()
            .filter(|element| !is_status(element) && !element.children.is_empty())
            .collect();
        let rows: Vec<String> = found.iter().copied().map(row).collect();
        let shape = |row: &&Element| {
            let fields = row.children.iter().map(|field| field.name.clone());
            (row.name.clone(), fields.collect())
        };
        let answer = Answer {
            report_id: text_of("REPORTID").or_else(|| data.attribute("reportId").map(str::to_owned)),
            status: text_of("STATUS"),
            // Beside a status the numbers are not about rows.
            remaining: number("numremaining")?.filter(|_| status.is_none()),
            rows,
            shapes: found.iter().map(shape).collect(),
        };
        match number("count")? {
            // A page that is cut off must not pass for the end of the report.
            Some(count) if count != answer.rows.len() as u64 && answer.status.is_none() => {
                let shown = answer.rows.len();
                Err(malformed(format!(
                    "a page of the report has {shown} rows and counts {count}"
                )))
            }
            _ => Ok(answer),
        }
    }

    /// Fails when a row lacks a field that others have, also those before this page.
    fn compare_fields(&self, known: &mut Fields, report: &str) -> Result<(), Error> {
        let rows_before = !known.is_empty();
        let mut missing = None;
        for (element, fields) in &self.shapes {
            let new = known.entry(element.clone()).or_default();
            if rows_before && !new.is_empty() {
                missing = missing.or_else(|| fields.difference(new).next().cloned());
            }
            new.extend(fields.iter().cloned());
        }
        for (element, fields) in &self.shapes {
            missing = missing.or_else(|| known[element].difference(fields).next().cloned());
        }
        let Some(field) = missing else { return Ok(()) };
        Err(
            malformed(format!("field {field} of report {report} is missing in some of its rows")).with_hint(
                "An element that is not there is not read as NULL. Where this company's gateway leaves out the elements of \
                 empty fields, call read_report() with missing_elements => 'null'.",
            ),
        )
    }

    /// Whether the run goes on; fails when it failed.
    fn is_pending(&self) -> Result<bool, Error> {
        match self.status.as_deref().map(str::to_ascii_uppercase).as_deref() {
            None | Some("DONE" | "COMPLETE" | "COMPLETED" | "SUCCESS") => Ok(false),
            Some("PENDING" | "INPROGRESS" | "IN PROGRESS" | "IN_PROGRESS" | "QUEUED" | "RUNNING") => Ok(true),
            Some(other) => Err(Error::new(
                ErrorKind::Refused,
                format!("the run of the report ended with status {other}"),
            )),
        }
    }
}

fn malformed(message: String) -> Error {
    Error::new(ErrorKind::Malformed, message)
}

/// A row as a JSON object: text, null where there is none, objects for what is nested.
fn row(element: &Element) -> String {
    let mut out = String::from("{");
    for (index, field) in element.children.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        json::push_text(&mut out, &field.name);
        out.push_str(": ");
        if !field.children.is_empty() {
            out.push_str(&row(field));
        } else if field.text.is_empty() {
            out.push_str("null");
        } else {
            json::push_text(&mut out, &field.text);
        }
    }
    out.push('}');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Caps;
    use crate::xml::tree::parse;

    fn answer(body: &str) -> Result<Answer, Error> {
        Answer::read(&parse(body.as_bytes(), &Caps::default()).expect("well-formed"))
    }

    #[test]
    fn a_request_has_nested_arguments() {
        let request = ReportRequest {
            report: "Aging & more".into(),
            is_interactive: true,
            arguments: vec![
                ("REPORTINGPERIOD".into(), Argument::Value("Q1 < Q2".into())),
                (
                    "APBILL.TEST_DATE".into(),
                    Argument::Parts(vec![("FROM_DATE".into(), Argument::Value("1/1/2014".into()))]),
                ),
            ],
            page_size: 2000,
            missing_as_null: false,
        };
        assert_eq!(
            request.body(30).expect("a body"),
            "<readReport type=\"interactive\"><report>Aging &amp; more</report><arguments><REPORTINGPERIOD>Q1 &lt; Q2\
             </REPORTINGPERIOD><APBILL.TEST_DATE><FROM_DATE>1/1/2014</FROM_DATE></APBILL.TEST_DATE></arguments>\
             <waitTime>30</waitTime><pagesize>1000</pagesize><returnFormat>xml</returnFormat></readReport>"
        );
        let wrong = ReportRequest {
            arguments: vec![("a><b".into(), Argument::Value(String::new()))],
            ..request
        };
        assert!(wrong.body(1).is_err());
    }

    #[test]
    fn pages_come_to_an_end() {
        let run = |pages: &[(usize, Option<u64>)]| {
            let mut progress = Progress::default();
            let mut results = pages
                .iter()
                .map(|(shown, remaining)| progress.check(*shown, *remaining));
            results.find_map(Result::err).map(|error| error.to_string())
        };
        assert_eq!(
            run(&[
                (0, None),
                (10, Some(25)),
                (0, Some(25)),
                (10, Some(15)),
                (10, Some(5))
            ]),
            None
        );
        assert_eq!(run(&[(1000, None); 9]), None, "full pages that report no number");
        assert_eq!(
            run(&[
                (10, Some(7)),
                (0, Some(7)),
                (0, Some(7)),
                (0, Some(7)),
                (0, Some(7))
            ])
            .as_deref(),
            Some("7 rows of the report remain, and 4 answers in a row bring none")
        );
        assert_eq!(
            run(&[(0, None); 4]).as_deref(),
            Some("the report is done, and 4 answers in a row bring no rows")
        );
        assert_eq!(
            run(&[(10, Some(20)), (10, Some(20))]).as_deref(),
            Some("20 rows of the report remain behind a page, and 20 did before it")
        );
    }

    #[test]
    fn answers_are_distinguished() {
        let pending =
            "<data><report_results><REPORTID>R1</REPORTID><STATUS>PENDING</STATUS></report_results></data>";
        let pending = answer(pending).expect("an answer");
        assert_eq!(pending.report_id.as_deref(), Some("R1"));
        assert!(pending.is_pending().expect("a status") && pending.rows.is_empty());

        let page = "<data listtype=\"report\" count=\"1\" totalcount=\"2\" numremaining=\"1\"><row><A>1</A><B/>\
                    <C><D>\"x\"</D></C></row></data>";
        let page = answer(page).expect("an answer");
        assert_eq!(page.rows, [r#"{"A": "1", "B": null, "C": {"D": "\"x\""}}"#]);
        assert_eq!((page.remaining, page.status), (Some(1), None));

        let failed =
            "<data><report_results><REPORTID>R1</REPORTID><STATUS>ERROR</STATUS></report_results></data>";
        assert!(answer(failed).expect("an answer").is_pending().is_err());
        let mut fields = Fields::new();
        let mut compare = |body: &str| answer(body).expect("an answer").compare_fields(&mut fields, "R");
        assert!(
            compare("<data><row><A>1</A><B/></row><total><A>1</A></total><row><B>2</B><A/></row></data>")
                .is_ok()
        );
        let missing = compare("<data><row><A>1</A></row></data>").expect_err("B is missing");
        assert_eq!(
            missing.to_string(),
            "field B of report R is missing in some of its rows"
        );
        assert!(
            compare("<data><row><A>1</A><B/><C/></row></data>").is_err(),
            "rows before have no C"
        );
        let one_page = answer("<data><row><A>1</A></row><row><B>1</B></row></data>").expect("an answer");
        assert!(one_page.compare_fields(&mut Fields::new(), "R").is_err());
        let cut = "<data count=\"2\" numremaining=\"0\"><row><A>1</A></row></data>";
        assert!(answer(cut).is_err());
    }
}
