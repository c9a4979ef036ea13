//! The response document: did each level succeed, and what did each function answer.

use crate::config::Caps;
use crate::dialect::get_list::rows::{ListColumns, ListType};
use crate::error::{GatewayError, Level};
use crate::xml::allowance::Allowance;
use crate::xml::columns::Columns;
use crate::xml::escape::unescape_html;
use crate::xml::page::{Bounds, Page};
use crate::xml::parse_error::ParseError;
use crate::xml::scanner::{Scanner, Token};
use crate::xml::tree::{Element, opened, read_element};
use quick_xml::events::BytesStart;

/// A function of the request.
pub(crate) struct Expected<'a> {
    pub control_id: &'a str,
    /// The columns of its rows; `None` when the answer is wanted as a tree.
    pub columns: Option<RowColumns<'a>>,
    pub extent: Extent,
}

/// How much an answer may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// A page for which so many rows were asked.
    Rows(usize),
    /// Records as trees, as many as a body may hold.
    Records,
    /// Something that is never large: a definition, a session, what became of a write.
    Small,
}

/// Rows that are read in any case, in half: a small page that holds more than was asked for is refused by the caller, which
/// reports how many there are.
const SMALL_PAGE: usize = 1000;

impl Extent {
    /// Of a page for which so many rows were asked.
    pub(crate) fn of_page(asked: u32) -> Extent {
        Extent::Rows((asked as usize).max(SMALL_PAGE))
    }

    /// Of the function that answers with a tree.
    pub(crate) fn of_tree(function: &str) -> Extent {
        match function {
            "read" | "readByName" | "readReport" | "readMore" | "get" => Extent::Records,
            _ => Extent::Small,
        }
    }

    fn bounds(self) -> Bounds {
        match self {
            Extent::Rows(asked) => Bounds::of_rows(asked),
            Extent::Records | Extent::Small => Bounds::default(),
        }
    }
}

/// Errors that one response may name.
const MOST_ERRORS: usize = 10_000;

/// The columns of rows.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RowColumns<'a> {
    /// A row holds its fields.
    Fields(&'a Columns),
    /// A row of `get_list`.
    Listed(&'a ListColumns),
}

/// What a function answered.
#[derive(Debug)]
pub(crate) enum Answer {
    Rows(Page),
    /// The `data` element, if there was one.
    Tree(Option<Element>),
    /// The key of what a legacy function made.
    Key(String),
    Failure(Vec<GatewayError>),
    /// A failure that names objects as stored all the same.
    Partial(Vec<GatewayError>),
}

/// A response that got as far as the functions.
#[derive(Debug)]
pub(crate) struct Response {
    /// When the session was used, on the gateway's clock.
    pub session_timestamp: Option<jiff::Timestamp>,
    /// When the session will end unless it is used.
    pub session_timeout: Option<jiff::Timestamp>,
    /// The company in whose name the request was answered, where it is shown.
    pub company: Option<String>,
    /// One answer for each expected function, in that order.
    pub answers: Vec<Answer>,
}

/// Why there is no [`Response`].
#[derive(Debug)]
pub(crate) enum Failure {
    /// The document is not acceptable.
    Document(ParseError),
    /// The gateway refused the whole request.
    Gateway(Level, Vec<GatewayError>),
}

impl From<ParseError> for Failure {
    fn from(error: ParseError) -> Self {
        Failure::Document(error)
    }
}

fn malformed<T>(what: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::Document(ParseError::malformed(what)))
}

/// Reads a whole response. Nothing of it is handed out unless the document is complete, and the answer to the request
/// with this control id.
pub(crate) fn parse(
    body: &[u8],
    control_id: &str,
    expected: &[Expected<'_>],
    caps: &Caps,
) -> Result<Response, Failure> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(Failure::Document(ParseError::Truncated("is empty".into())));
    }
    let mut scanner = Scanner::new(body, caps);
    if expected.iter().all(|function| function.extent == Extent::Small) {
        scanner.allowance = Allowance::new(caps.tree_bytes);
    }
    let mut parser = Parser {
        expected,
        caps,
        body_bytes: body.len(),
        parts: Parts {
            answers: expected.iter().map(|_| None).collect(),
            ..Parts::default()
        },
    };
    let mut root_seen = false;
    loop {
        match scanner.next()? {
            Token::Start(root) if !root_seen => {
                root_seen = true;
                if !root.name().as_ref().eq_ignore_ascii_case("response") {
                    return malformed(format!("is a document of type {}", root.name().as_ref()));
                }
                parser.response(&mut scanner)?;
            }
            Token::Text(text) if text.bytes().all(|b| b.is_ascii_whitespace()) => {}
            Token::Eof if root_seen => return parser.parts.finish(control_id, expected),
            Token::Eof => {
                return Err(Failure::Document(ParseError::Truncated(
                    "holds no element".into(),
                )));
            }
            Token::Start(_) | Token::Empty(_) => return malformed("has another element beside the response"),
            Token::Text(_) | Token::Char(_) | Token::End => return malformed("has text beside the response"),
        }
    }
}

/// What was found so far.
#[derive(Default)]
struct Parts {
    control: Option<Element>,
    authentication: Option<Element>,
    /// Errors beside `control` or `authentication`.
    errors: Vec<GatewayError>,
    answers: Vec<Option<Answer>>,
}

struct Parser<'a> {
    expected: &'a [Expected<'a>],
    caps: &'a Caps,
    body_bytes: usize,
    parts: Parts,
}

impl Parser<'_> {
    /// Calls `f` for each child element of the element that was just started. `f` reads the child to its end, unless
    /// it is empty, which it is passed.
    fn children<'d>(
        &mut self,
        scanner: &mut Scanner<'d>,
        mut f: impl FnMut(&mut Self, &mut Scanner<'d>, &BytesStart<'d>, bool) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        loop {
            match scanner.next()? {
                Token::Start(start) => f(self, scanner, &start, false)?,
                Token::Empty(start) => f(self, scanner, &start, true)?,
                Token::End => return Ok(()),
                Token::Text(text) if text.bytes().all(|b| b.is_ascii_whitespace()) => {}
                Token::Text(_) | Token::Char(_) => return malformed("has text between the elements"),
                Token::Eof => return Err(Failure::Document(ParseError::Truncated("ends early".into()))),
            }
        }
    }

    fn response(&mut self, scanner: &mut Scanner<'_>) -> Result<(), Failure> {
        self.children(scanner, |this, scanner, start, empty| {
            match start.name().as_ref() {
                "control" => {
                    this.parts.control = Some(element(scanner, start, empty)?);
                    Ok(())
                }
                "errormessage" => this.errors(scanner, start, empty),
                "operation" if !empty => this.operation(scanner),
                _ => skip(scanner, empty),
            }
        })
    }

    fn operation(&mut self, scanner: &mut Scanner<'_>) -> Result<(), Failure> {
        let mut results = 0;
        self.children(scanner, |this, scanner, start, empty| {
            match start.name().as_ref() {
                "authentication" => {
                    this.parts.authentication = Some(element(scanner, start, empty)?);
                    Ok(())
                }
                "errormessage" => this.errors(scanner, start, empty),
                "result" if !empty => {
                    results += 1;
                    this.result(scanner, results - 1)
                }
                _ => skip(scanner, empty),
            }
        })
    }

    fn errors(
        &mut self,
        scanner: &mut Scanner<'_>,
        start: &BytesStart<'_>,
        empty: bool,
    ) -> Result<(), Failure> {
        let message = element(scanner, start, empty)?;
        self.parts.errors.extend(gateway_errors(&message)?);
        Ok(())
    }

    fn result(&mut self, scanner: &mut Scanner<'_>, position: usize) -> Result<(), Failure> {
        let mut status = None;
        let mut control_id: Option<String> = None;
        let mut errors = Vec::new();
        let mut answer = None;
        let mut key = None;
        let mut list = None;
        self.children(scanner, |this, scanner, start, empty| {
            match start.name().as_ref() {
                "status" => {
                    status = Some(element(scanner, start, empty)?.text.trim().to_owned());
                    Ok(())
                }
                "controlid" => {
                    control_id = Some(element(scanner, start, empty)?.text.trim().to_owned());
                    Ok(())
                }
                "errormessage" => {
                    errors.extend(gateway_errors(&element(scanner, start, empty)?)?);
                    Ok(())
                }
                "key" => {
                    key = Some(element(scanner, start, empty)?.text.trim().to_owned());
                    Ok(())
                }
                "listtype" => {
                    list = ListType::read(&element(scanner, start, empty)?)?;
                    Ok(())
                }
                "data" => {
                    let index = this.index_of(control_id.as_deref(), position)?;
                    answer = Some(this.data(scanner, start, empty, index, list)?);
                    Ok(())
                }
                _ => skip(scanner, empty),
            }
        })?;
        let index = self.index_of(control_id.as_deref(), position)?;
        let answer = match status.as_deref() {
            Some("success") if errors.is_empty() => match (answer, self.expected[index].columns) {
                (Some(answer), _) => answer,
                (None, None) => key.map_or(Answer::Tree(None), Answer::Key),
                (None, Some(RowColumns::Listed(columns))) if list.is_some_and(ListType::is_empty) => {
                    Answer::Rows(columns.empty(list)?)
                }
                (None, Some(_)) => return malformed("holds no data for a function that reads rows"),
            },
            Some(_) => match answer {
                Some(Answer::Tree(Some(data))) if !data.children.is_empty() => Answer::Partial(errors),
                _ => Answer::Failure(errors),
            },
            None => return malformed("has a result without a status"),
        };
        match self.parts.answers[index].replace(answer) {
            None => Ok(()),
            Some(_) => malformed("has two results for one function"),
        }
    }

    /// The function that a result belongs to: by control id, or by position where the result names none.
    fn index_of(&self, control_id: Option<&str>, position: usize) -> Result<usize, Failure> {
        let index = match control_id {
            Some(id) if !id.is_empty() => self.expected.iter().position(|e| e.control_id == id),
            _ => (position < self.expected.len()).then_some(position),
        };
        index.map_or_else(|| malformed("has a result for a function that was not asked"), Ok)
    }

    fn data(
        &self,
        scanner: &mut Scanner<'_>,
        start: &BytesStart<'_>,
        empty: bool,
        index: usize,
        list: Option<ListType>,
    ) -> Result<Answer, Failure> {
        let Some(columns) = self.expected[index].columns else {
            return Ok(Answer::Tree(Some(element(scanner, start, empty)?)));
        };
        let attributes = scanner.attributes(start)?;
        let bounds = self.expected[index].extent.bounds();
        let page = match (columns, empty) {
            (RowColumns::Fields(columns), true) => Page::empty(&attributes, columns)?,
            (RowColumns::Fields(columns), false) => {
                let (fields, bytes) = (self.caps.fields, self.body_bytes);
                Page::read(scanner, &attributes, columns, fields, bytes, bounds)?
            }
            (RowColumns::Listed(columns), true) => columns.empty(list)?,
            (RowColumns::Listed(columns), false) => columns.read(scanner, list, bounds)?,
        };
        Ok(Answer::Rows(page))
    }
}

impl Parts {
    fn finish(self, control_id: &str, expected: &[Expected<'_>]) -> Result<Response, Failure> {
        let Some(control) = self.control else {
            return malformed("has no control block");
        };
        // Looked at before the status: a refusal of another request says nothing of this one. The gateway leaves the
        // id out where it could not read the request.
        let answered = control.text_of("controlid").trim();
        if !answered.is_empty() && !control_id.is_empty() && answered != control_id {
            let what = "answers another request: its control id is not the one that was sent";
            return Err(Failure::Document(ParseError::Foreign(what.to_owned())));
        }
        if control.text_of("status") != "success" {
            let inside = control.child("errormessage").map(gateway_errors);
            let errors = [self.errors, inside.transpose()?.unwrap_or_default()];
            return Err(Failure::Gateway(Level::Control, errors.concat()));
        }
        let Some(authentication) = self.authentication else {
            return match self.errors.is_empty() {
                true => malformed("has no authentication block"),
                false => Err(Failure::Gateway(Level::Control, self.errors)),
            };
        };
        if authentication.text_of("status") != "success" {
            return Err(Failure::Gateway(Level::Authentication, self.errors));
        }
        let answers: Vec<Answer> = self.answers.into_iter().flatten().collect();
        if answers.len() != expected.len() {
            return match self.errors.is_empty() {
                true => malformed(format!(
                    "has {} results for {} functions",
                    answers.len(),
                    expected.len()
                )),
                false => Err(Failure::Gateway(Level::Function, self.errors)),
            };
        }
        let instant = |name: &str| authentication.text_of(name).parse().ok();
        Ok(Response {
            session_timestamp: instant("sessiontimestamp"),
            session_timeout: instant("sessiontimeout"),
            company: Some(authentication.text_of("companyid").trim().to_owned()).filter(|id| !id.is_empty()),
            answers,
        })
    }
}

fn element(scanner: &mut Scanner<'_>, start: &BytesStart<'_>, empty: bool) -> Result<Element, Failure> {
    match empty {
        true => Ok(opened(scanner, start)?),
        false => Ok(read_element(scanner, start)?),
    }
}

fn skip(scanner: &mut Scanner<'_>, empty: bool) -> Result<(), Failure> {
    if !empty {
        scanner.skip_element()?;
    }
    Ok(())
}

/// The errors of an `errormessage` element, one or many, with their texts freed of HTML escapes.
fn gateway_errors(message: &Element) -> Result<Vec<GatewayError>, ParseError> {
    let text = |error: &Element, name: &str| unescape_html(error.text_of(name));
    if message.children.len() > MOST_ERRORS {
        let message = format!("names more than {MOST_ERRORS} errors");
        return Err(ParseError::TooLarge(message));
    }
    Ok(message
        .children_named("error")
        .map(|error| GatewayError {
            errorno: text(error, "errorno"),
            description: text(error, "description"),
            description2: text(error, "description2"),
            correction: text(error, "correction"),
        })
        .collect())
}

#[cfg(test)]
mod tests;
