//! Legacy functions, whose elements have names and an order of their own.

use super::element::Element;
use super::lines::{self, Cell};
use super::{Verb, WriteValue};
use crate::error::{Error, ErrorKind};
use crate::xml::escape::push_text;
use std::cell::Cell as Slot;
use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

/// The functions, in the words of the file.
const TABLE: &str = include_str!("legacy.txt");

static FUNCTIONS: LazyLock<HashMap<&'static str, Function>> =
    LazyLock::new(|| parse(TABLE).unwrap_or_else(|line| panic!("legacy.txt: {line}")));

/// A legacy function.
#[derive(Debug)]
pub(super) struct Function {
    name: &'static str,
    object: &'static str,
    /// The field that the `key` attribute of an update or delete holds, and the answer of a create.
    pub key: &'static str,
    parts: Vec<Part>,
}

/// An element of a function.
#[derive(Debug, Clone)]
struct Part {
    name: &'static str,
    kind: Kind,
    /// Sent even without a value.
    always: bool,
    /// Fields of the object that it stands for.
    fields: Vec<&'static str>,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Date,
    Line,
    Custom,
}

/// A field that no element stands for: of the object, or of an object of lines.
pub(super) type Leftover = (String, String);

/// The function of this name.
pub(super) fn find(name: &str) -> Option<&'static Function> {
    FUNCTIONS.get(name)
}

fn parse(text: &'static str) -> Result<HashMap<&'static str, Function>, &'static str> {
    let mut blocks: HashMap<&str, Vec<Part>> = HashMap::new();
    let mut functions = HashMap::new();
    let lines: Vec<&'static str> = text
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
        .collect();
    let mut at = 0;
    while at < lines.len() {
        let head = lines[at];
        at += 1;
        let parts = parts(&lines, &mut at, 2, &blocks)?;
        let mut words = head.split_whitespace();
        let name = words.next().ok_or(head)?;
        if let Some(block) = name.strip_prefix('@') {
            blocks.insert(block, parts);
            continue;
        }
        let function = Function {
            name,
            object: words.next().ok_or(head)?,
            key: words
                .next()
                .and_then(|word| word.strip_prefix("key="))
                .ok_or(head)?,
            parts,
        };
        functions.insert(name, function);
    }
    Ok(functions)
}

/// The lines from `at` on that stand at this indentation, and those inside of them.
fn parts(
    lines: &[&'static str],
    at: &mut usize,
    indent: usize,
    blocks: &HashMap<&str, Vec<Part>>,
) -> Result<Vec<Part>, &'static str> {
    let mut found = Vec::new();
    while let Some(line) = lines.get(*at) {
        let depth = line.len() - line.trim_start().len();
        if depth < indent {
            break;
        }
        if depth > indent {
            return Err(line);
        }
        *at += 1;
        let mut words = line.split_whitespace();
        let word = words.next().ok_or(*line)?;
        if let Some(block) = word.strip_prefix('@') {
            found.extend(blocks.get(block).ok_or(*line)?.iter().cloned());
            continue;
        }
        let (name, kind) = word.split_once(':').unwrap_or((word, ""));
        found.push(Part {
            name: name.trim_end_matches('!'),
            kind: match kind {
                "" => Kind::Plain,
                "date" => Kind::Date,
                "line" => Kind::Line,
                "custom" => Kind::Custom,
                _ => return Err(line),
            },
            always: name.ends_with('!'),
            fields: words.collect(),
            parts: parts(lines, at, indent + 2, blocks)?,
        });
    }
    Ok(found)
}

/// Cells with a mark on those that an element took.
struct Given<'a> {
    cells: Vec<(&'a str, &'a WriteValue, Slot<bool>)>,
}

impl<'a> Given<'a> {
    fn new(cells: &'a [Cell]) -> Self {
        Given {
            cells: cells
                .iter()
                .map(|(path, value)| (path.as_str(), value, Slot::new(false)))
                .collect(),
        }
    }

    /// The value of a part: by one of its fields, or by its own path.
    fn take(&self, part: &Part, path: &str) -> Option<&'a WriteValue> {
        let named = |name: &str| {
            part.fields.iter().any(|field| field.eq_ignore_ascii_case(name))
                || path.eq_ignore_ascii_case(name)
        };
        let (_, value, taken) = self
            .cells
            .iter()
            .find(|(name, _, taken)| !taken.get() && named(name))?;
        taken.set(true);
        Some(value)
    }

    fn left(&self) -> impl Iterator<Item = (&'a str, &'a WriteValue)> {
        self.cells
            .iter()
            .filter(|(_, _, taken)| !taken.get())
            .map(|(name, value, _)| (*name, *value))
    }
}

/// What a pass over the parts collects.
struct Pass<'a> {
    verb: Verb,
    /// Fields known to be custom ones; `None` while they are looked for.
    custom: Option<&'a BTreeSet<Leftover>>,
    leftovers: BTreeSet<Leftover>,
}

impl Function {
    /// The fields that no element of the function stands for: custom ones, or mistakes.
    pub(super) fn leftovers(&self, cells: &[Cell]) -> Result<BTreeSet<Leftover>, Error> {
        let mut pass = Pass {
            verb: Verb::Create,
            custom: None,
            leftovers: BTreeSet::new(),
        };
        pass.elements(&self.parts, self.object, cells)?;
        Ok(pass.leftovers)
    }

    /// Appends the function element.
    ///
    /// Fails with [`ErrorKind::Unsupported`] for fields that the function does not take; `custom` names the
    /// [leftovers](Function::leftovers) that are custom fields.
    pub(super) fn render(
        &self,
        verb: Verb,
        key: Option<&str>,
        cells: &[Cell],
        custom: &BTreeSet<Leftover>,
        out: &mut String,
    ) -> Result<(), Error> {
        let mut pass = Pass {
            verb,
            custom: Some(custom),
            leftovers: BTreeSet::new(),
        };
        let elements = pass.elements(&self.parts, self.object, cells)?;
        let mistakes = pass.leftovers.iter().filter(|left| !custom.contains(*left));
        let mistakes: Vec<&str> = mistakes.map(|(_, field)| field.as_str()).collect();
        if !mistakes.is_empty() {
            let message = format!("{} does not take {}", self.name, mistakes.join(", "));
            return Err(Error::new(ErrorKind::Unsupported, message).with_hint(
                "Leave these columns out: the gateway computes them, or sets them by other functions.",
            ));
        }
        let mut inner = String::new();
        elements
            .iter()
            .try_for_each(|element| element.render(&mut inner))?;
        out.push('<');
        out.push_str(self.name);
        if let Some(key) = key {
            out.push_str(" key=\"");
            push_attribute(out, key)?;
            out.push('"');
            // Without it the gateway takes no notice of an empty element.
            if verb == Verb::Update && cells.iter().any(|(_, value)| *value == WriteValue::Empty) {
                out.push_str(" set_nulls=\"true\"");
            }
        }
        if inner.is_empty() {
            out.push_str("/>");
            return Ok(());
        }
        out.push('>');
        out.push_str(&inner);
        out.push_str("</");
        out.push_str(self.name);
        out.push('>');
        Ok(())
    }
}

fn push_attribute(out: &mut String, text: &str) -> Result<(), Error> {
    let mut escaped = String::new();
    push_text(&mut escaped, text).map_err(|_| {
        Error::new(
            ErrorKind::Unsupported,
            "the key of a record holds a control character, which XML cannot carry",
        )
    })?;
    out.push_str(&escaped.replace('"', "&quot;"));
    Ok(())
}

impl Pass<'_> {
    fn elements(&mut self, parts: &[Part], object: &str, cells: &[Cell]) -> Result<Vec<Element>, Error> {
        let given = Given::new(cells);
        let mut elements = self.walk(parts, "", &given)?;
        let left: Vec<Cell> = given
            .left()
            .map(|(field, value)| (field.to_owned(), value.clone()))
            .collect();
        self.leftovers
            .extend(left.iter().map(|(field, _)| (object.to_owned(), field.clone())));
        if let Some(custom) = self.custom {
            let fields = left
                .iter()
                .filter(|(field, _)| custom.contains(&(object.to_owned(), field.clone())))
                .filter_map(|(field, value)| self.custom_field(field, value))
                .collect::<Vec<_>>();
            self.place_custom(&mut elements, parts, fields, object)?;
        }
        Ok(elements)
    }

    /// Custom fields have a place among the others.
    fn place_custom(
        &mut self,
        elements: &mut Vec<Element>,
        parts: &[Part],
        fields: Vec<Element>,
        object: &str,
    ) -> Result<(), Error> {
        if fields.is_empty() {
            return Ok(());
        }
        let Some(place) = parts.iter().position(|part| part.kind == Kind::Custom) else {
            let message = format!("custom fields of {object} cannot be written by this function");
            return Err(Error::new(ErrorKind::Unsupported, message)
                .with_hint("Leave the custom fields out, and set them in Intacct."));
        };
        let before = |element: &Element| parts[..place].iter().any(|part| part.name == element.name);
        let at = elements.iter().take_while(|element| before(element)).count();
        elements.insert(at, Element::of("customfields", fields));
        Ok(())
    }

    fn custom_field(&self, field: &str, value: &WriteValue) -> Option<Element> {
        let text = match value {
            WriteValue::Text(text) => text.clone(),
            WriteValue::Empty if self.verb == Verb::Update => String::new(),
            WriteValue::Empty | WriteValue::Lines(_) => return None,
        };
        let parts = vec![
            Element::text("customfieldname", field),
            Element::text("customfieldvalue", text),
        ];
        Some(Element::of("customfield", parts))
    }

    fn walk(&mut self, parts: &[Part], prefix: &str, given: &Given<'_>) -> Result<Vec<Element>, Error> {
        let mut elements = Vec::new();
        for part in parts {
            let path = format!("{prefix}{}", part.name);
            match part.kind {
                Kind::Custom => {}
                Kind::Line => elements.extend(self.line_elements(part, &path, given)?),
                Kind::Plain | Kind::Date if part.parts.is_empty() => {
                    elements.extend(self.leaf(part, &path, given)?);
                }
                Kind::Plain | Kind::Date => {
                    let inner = self.walk(&part.parts, &format!("{path}."), given)?;
                    if !inner.is_empty() {
                        elements.push(Element::of(part.name, inner));
                    }
                }
            }
        }
        Ok(elements)
    }

    fn line_elements(&mut self, part: &Part, path: &str, given: &Given<'_>) -> Result<Vec<Element>, Error> {
        let Some(WriteValue::Lines(value)) = given.take(part, path) else {
            return Ok(Vec::new());
        };
        let object = part
            .fields
            .first()
            .and_then(|field| field.rsplit('.').next())
            .unwrap_or(part.name);
        let mut elements = Vec::new();
        lines::check(path, value)?;
        for line in lines::lines(path, value)? {
            let cells = lines::cells(line)?;
            elements.push(Element::of(
                part.name,
                self.elements(&part.parts, object, &cells)?,
            ));
        }
        Ok(elements)
    }

    fn leaf(&self, part: &Part, path: &str, given: &Given<'_>) -> Result<Option<Element>, Error> {
        let text = match given.take(part, path) {
            Some(WriteValue::Text(text)) => text.as_str(),
            Some(WriteValue::Empty) if self.verb == Verb::Update => "",
            Some(WriteValue::Lines(_)) => {
                let message = format!("{path} holds one value, not lines");
                return Err(Error::new(ErrorKind::Unsupported, message));
            }
            Some(WriteValue::Empty) | None if part.always => "",
            Some(WriteValue::Empty) | None => return Ok(None),
        };
        if part.kind == Kind::Date && !text.is_empty() {
            return Ok(Some(Element::of(part.name, date_parts(path, text)?)));
        }
        Ok(Some(Element::text(part.name, text)))
    }
}

/// `MM/DD/YYYY` or `YYYY-MM-DD` as year, month and day.
fn date_parts(path: &str, text: &str) -> Result<Vec<Element>, Error> {
    let us = lines::us_date(text).unwrap_or_else(|| text.to_owned());
    let parts: Vec<&str> = us.split('/').collect();
    let digits = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let &[month, day, year] = parts.as_slice() else {
        return Err(no_date(path, text));
    };
    if ![month, day, year].iter().all(digits) {
        return Err(no_date(path, text));
    }
    Ok(vec![
        Element::text("year", year),
        Element::text("month", month),
        Element::text("day", day),
    ])
}

fn no_date(path: &str, text: &str) -> Error {
    let message = format!("{path} is a date, and \"{text}\" is none");
    Error::new(ErrorKind::Unsupported, message).with_hint("Write dates as YYYY-MM-DD.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn text(path: &str, text: &str) -> Cell {
        (path.into(), WriteValue::Text(text.into()))
    }

    fn render(
        name: &str,
        verb: Verb,
        key: Option<&str>,
        cells: &[Cell],
        custom: &[(&str, &str)],
    ) -> Result<String, Error> {
        let custom = custom.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect();
        let mut out = String::new();
        let function = find(name).expect("known");
        function.render(verb, key, cells, &custom, &mut out)?;
        Ok(out)
    }

    #[test]
    fn every_function_of_the_objects_is_described() {
        for line in include_str!("objects.txt")
            .lines()
            .filter(|line| !line.starts_with('#'))
        {
            for name in line.split_whitespace().filter(|word| word.contains("e_")) {
                assert!(find(name).is_some(), "{name}");
            }
        }
    }

    #[test]
    fn elements_come_in_the_schemas_order() {
        let line = json!([{"AMOUNT": 100.5, "ACCOUNTNO": "4000", "Job_No": "7", "locationid": "100"}]);
        let cells = [
            ("ARINVOICEITEMS.ARINVOICEITEM".into(), WriteValue::Lines(line)),
            text("RECORDID", "INV-1"),
            text("Region", "north"),
            text("WHENCREATED", "06/30/2024"),
            ("DESCRIPTION".into(), WriteValue::Empty),
            text("CUSTOMERID", "C-9"),
            text("billto.contactname", "Ann"),
        ];
        let left = find("create_invoice")
            .expect("known")
            .leftovers(&cells)
            .expect("lines");
        let custom = [("ARINVOICE", "Region"), ("ARINVOICEITEM", "Job_No")];
        assert_eq!(
            left,
            custom
                .iter()
                .map(|(a, b)| (a.to_string(), b.to_string()))
                .collect()
        );
        assert_eq!(
            render("create_invoice", Verb::Create, None, &cells, &custom).expect("rendered"),
            "<create_invoice><customerid>C-9</customerid><datecreated><year>2024</year><month>06</month><day>30</day>\
             </datecreated><invoiceno>INV-1</invoiceno><billto><contactname>Ann</contactname></billto><customfields>\
             <customfield><customfieldname>Region</customfieldname><customfieldvalue>north</customfieldvalue>\
             </customfield></customfields><invoiceitems><lineitem><glaccountno>4000</glaccountno><amount>100.5</amount>\
             <locationid>100</locationid><customfields><customfield><customfieldname>Job_No</customfieldname>\
             <customfieldvalue>7</customfieldvalue></customfield></customfields></lineitem></invoiceitems>\
             </create_invoice>"
        );
    }

    #[test]
    fn updates_have_a_key_and_say_null() {
        let cells = [text("DESCRIPTION", "x"), ("DOCNUMBER".into(), WriteValue::Empty)];
        assert_eq!(
            render("update_invoice", Verb::Update, Some("12"), &cells, &[]).expect("rendered"),
            "<update_invoice key=\"12\" set_nulls=\"true\"><ponumber/><description>x</description></update_invoice>"
        );
        assert_eq!(
            render(
                "delete_sotransaction",
                Verb::Delete,
                Some("Sales Order-S<1"),
                &[],
                &[]
            )
            .expect("rendered"),
            "<delete_sotransaction key=\"Sales Order-S&lt;1\"/>"
        );
    }

    #[test]
    fn what_a_function_does_not_take_is_refused() {
        let refused = |cells: &[Cell]| {
            render("create_invoice", Verb::Create, None, cells, &[])
                .expect_err("refused")
                .to_string()
        };
        assert_eq!(
            refused(&[text("TOTALDUE", "1"), text("STATE", "x")]),
            "create_invoice does not take STATE, TOTALDUE"
        );
        assert_eq!(
            refused(&[text("WHENDUE", "soon")]),
            "datedue is a date, and \"soon\" is none"
        );
        let lines = WriteValue::Lines(json!([]));
        assert_eq!(
            refused(&[("CUSTOMERID".into(), lines)]),
            "customerid holds one value, not lines"
        );
    }
}
