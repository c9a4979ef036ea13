//! Rows of `get_list`: elements inside of elements, dates in three parts, lines inside of their document.

use super::{paths, selected};
use crate::dialect::legacy::{ElementPath, LegacyObject};
use crate::error::Error;
use crate::query::SelectItem;
use crate::xml::page::{Bounds, Listing, Page};
use crate::xml::parse_error::ParseError;
use crate::xml::scanner::{Scanner, Token};
use crate::xml::tree::{Element, read_element};

/// The select list, prepared for reading the rows of a list.
#[derive(Debug)]
pub(crate) struct ListColumns {
    object: &'static LegacyObject,
    paths: Vec<Vec<ElementPath>>,
}

/// The `listtype` element, which stands before the data.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ListType {
    total: u64,
    start: u64,
    /// The number of the last element, from 0; of no use in an empty list.
    end: Option<u64>,
}

impl ListType {
    /// Reads it; `None` for an element of that name that announces no list.
    pub(crate) fn read(element: &Element) -> Result<Option<ListType>, ParseError> {
        let number = |name: &str| {
            let text = element.attribute(name).map(str::trim);
            text.map(|text| {
                text.parse::<u64>().map_err(|_| {
                    ParseError::malformed(format!("attribute {name} of listtype is not a number"))
                })
            })
            .transpose()
        };
        let (Some(total), Some(start)) = (number("total")?, number("start")?) else {
            return Ok(None);
        };
        let end = if total == 0 { None } else { number("end")? };
        Ok(Some(ListType { total, start, end }))
    }

    /// Nothing matches.
    pub(crate) fn is_empty(self) -> bool {
        self.total == 0
    }
}

impl ListColumns {
    /// Fails for what the object does not show.
    pub(crate) fn new(object: &'static LegacyObject, select: &[SelectItem]) -> Result<ListColumns, Error> {
        let paths = select.iter().map(|item| paths(object, selected(item)?));
        Ok(ListColumns {
            object,
            paths: paths.collect::<Result<_, _>>()?,
        })
    }

    /// Reads the children of `data`, whose start tag was just taken, up to its end.
    pub(crate) fn read(
        &self,
        scanner: &mut Scanner<'_>,
        list: Option<ListType>,
        bounds: Bounds,
    ) -> Result<Page, ParseError> {
        let mut page = Page::of_columns(self.paths.len());
        let mut listing = Listing::default();
        let whole = scanner.allowance;
        loop {
            match scanner.next()? {
                Token::Start(start) => {
                    let element = read_element(scanner, &start)?;
                    // An element may have any number of lines: they are counted by what they take, the elements by number.
                    page.bound(Bounds {
                        bytes: page.held_bytes() + scanner.allowance.left(),
                        ..Bounds::default()
                    });
                    self.add(&element, &mut page, &mut listing)?;
                    drop(element);
                    scanner.allowance = whole;
                    scanner.allowance.take(page.held_bytes() + listing.held_bytes())?;
                    bounds.check_rows(listing.keys.len())?;
                }
                Token::Empty(_) => {
                    self.add(&Element::default(), &mut page, &mut listing)?;
                    bounds.check_rows(listing.keys.len())?;
                }
                Token::End => break,
                Token::Text(text) if text.bytes().all(|b| b.is_ascii_whitespace()) => {}
                Token::Text(_) | Token::Char(_) => {
                    return Err(ParseError::malformed("text between the rows"));
                }
                Token::Eof => return Err(ParseError::Truncated("ends between the rows".into())),
            }
        }
        self.finish(page, listing, list)
    }

    /// A page without rows.
    pub(crate) fn empty(&self, list: Option<ListType>) -> Result<Page, ParseError> {
        self.finish(Page::of_columns(self.paths.len()), Listing::default(), list)
    }

    fn add(&self, element: &Element, page: &mut Page, listing: &mut Listing) -> Result<(), ParseError> {
        let before = page.rows();
        let mut lines = vec![element];
        for step in &self.object.lines {
            lines = lines
                .iter()
                .flat_map(|parent| parent.children_named(step))
                .collect();
        }
        for line in lines {
            page.push_row(self.paths.iter().map(|paths| cell(paths, element, line)))?;
        }
        if listing.keys.is_empty() {
            listing.first_rows = page.rows() - before;
        }
        let key = element.child(self.object.row_key());
        let key = key.map(|key| key.text.clone()).unwrap_or_default();
        listing.key_bytes += key.len();
        listing.keys.push(key);
        Ok(())
    }

    fn finish(
        &self,
        mut page: Page,
        mut listing: Listing,
        list: Option<ListType>,
    ) -> Result<Page, ParseError> {
        let list = list.ok_or_else(|| ParseError::malformed("does not report how many rows the list has"))?;
        let count = listing.keys.len() as u64;
        let announced = list
            .end
            .and_then(|end| end.checked_add(1)?.checked_sub(list.start));
        if let Some(announced) = announced
            && announced != count
        {
            return Err(ParseError::Truncated(format!(
                "announces {announced} rows and holds {count}"
            )));
        }
        (listing.total, listing.start) = (list.total, list.start);
        if self.object.lines.is_empty() {
            page.total_count = Some(list.total);
            page.remaining = Some(list.total.saturating_sub(list.start.saturating_add(count)));
        }
        page.count = page.rows() as u64;
        page.offset = list.start;
        page.offset_reported = true;
        page.listing = Some(listing);
        Ok(page)
    }
}

/// The text at the first of these paths that is there; an empty one is none.
fn cell(paths: &[ElementPath], element: &Element, line: &Element) -> Option<String> {
    let found = paths
        .iter()
        .find_map(|place| at(place, if place.outer { element } else { line }));
    found.filter(|text| !text.is_empty())
}

/// What stands at a place; a date in parts as `YYYY-MM-DD`.
pub(crate) fn at(place: &ElementPath, row: &Element) -> Option<String> {
    let mut element = row;
    for step in &place.path {
        element = element.child(step)?;
    }
    if let Some(name) = &place.custom {
        let field = element
            .children
            .iter()
            .find(|field| field.text_of("customfieldname").eq_ignore_ascii_case(name))?;
        return field.child("customfieldvalue").map(|value| value.text.clone());
    }
    if element.children.is_empty() {
        return Some(element.text.clone());
    }
    let part = |name: &str| element.child(name).map(|part| part.text.trim());
    match (part("year"), part("month"), part("day")) {
        (Some(year), Some(month), Some(day)) if !(year.is_empty() && month.is_empty() && day.is_empty()) => {
            Some(format!("{year:0>4}-{month:0>2}-{day:0>2}"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Caps;

    fn read(object: &str, select: &str, data: &str, listtype: &str) -> Result<Page, ParseError> {
        let caps = Caps::default();
        let query: crate::query::Query = format!("select {select} from {object}").parse().expect("a query");
        let object = LegacyObject::find(object).expect("an object");
        let columns = ListColumns::new(object, &query.select).expect("known fields");
        let list = crate::xml::tree::parse(listtype.as_bytes(), &caps)?;
        let body = format!("<data>{data}</data>");
        let mut scanner = Scanner::new(body.as_bytes(), &caps);
        assert!(matches!(scanner.next()?, Token::Start(_)));
        columns.read(&mut scanner, ListType::read(&list)?, Bounds::default())
    }

    fn rows(page: &Page) -> Vec<Vec<Option<String>>> {
        let cell = |row, column| {
            page.cell(row, column)
                .map(|cell| String::from_utf8_lossy(cell).into_owned())
        };
        (0..page.rows())
            .map(|row| (0..page.columns()).map(|column| cell(row, column)).collect())
            .collect()
    }

    const INVOICE: &str = "<invoice><key>7</key><customerid>C</customerid><datecreated><year>2024</year><month>6</month>\
        <day>3</day></datecreated><datedue/><billto><contact><contactname>B&amp;C</contactname></contact></billto>\
        <shipto><contactname>S</contactname></shipto><invoiceitems><lineitem><line_num>1</line_num><key>70</key>\
        <amount>5.00</amount></lineitem><lineitem><line_num>2</line_num><key>71</key></lineitem></invoiceitems></invoice>";

    #[test]
    fn nested_elements_and_dates_are_cells() {
        let page = read(
            "ARINVOICE",
            "WHENCREATED, WHENDUE, WHENPAID, BILLTOPAYTOCONTACTNAME, SHIPTORETURNTOCONTACTNAME, RECORDNO",
            INVOICE,
            "<listtype start=\"2\" end=\"2\" total=\"9\">invoice</listtype>",
        )
        .expect("a page");
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(
            rows(&page),
            [[text("2024-06-03"), None, None, text("B&C"), text("S"), text("7")]]
        );
        assert_eq!(
            (page.offset, page.remaining, page.total_count),
            (2, Some(6), Some(9))
        );
        assert_eq!(page.listing.expect("a listing").keys, ["7"]);
    }

    #[test]
    fn lines_are_rows_with_fields_of_their_document() {
        let data = format!("<invoice><key>6</key></invoice>{INVOICE}");
        let page = read(
            "ARINVOICEITEM",
            "RECORDNO, RECORDKEY, AMOUNT",
            &data,
            "<listtype start=\"0\" end=\"1\" total=\"2\">invoice</listtype>",
        )
        .expect("a page");
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(
            rows(&page),
            [
                [text("70"), text("7"), text("5.00")],
                [text("71"), text("7"), None]
            ]
        );
        // The number of lines is not reported.
        assert_eq!((page.total_count, page.remaining), (None, None));
        let listing = page.listing.expect("a listing");
        assert_eq!((listing.keys.len(), listing.first_rows, listing.total), (2, 0, 2));
    }

    #[test]
    fn custom_fields_are_found_by_name() {
        let data = "<customer><customerid>C</customerid><customfields><customfield><customfieldname>A</customfieldname>\
            <customfieldvalue>1</customfieldvalue></customfield><customfield><customfieldname>Region</customfieldname>\
            <customfieldvalue>North</customfieldvalue></customfield></customfields></customer>";
        let page = read(
            "CUSTOMER",
            "CUSTOMFIELDS.Region, CUSTOMFIELDS.Other",
            data,
            "<listtype start=\"0\" end=\"0\" total=\"1\">customer</listtype>",
        )
        .expect("a page");
        assert_eq!(rows(&page), [[Some("North".to_owned()), None]]);
    }

    /// A list read within bounds, under a cap on memory.
    fn bounded(
        object: &str,
        select: &str,
        data: &str,
        elements: usize,
        bytes: usize,
    ) -> Result<Page, ParseError> {
        let caps = Caps {
            body_bytes: bytes,
            ..Caps::default()
        };
        let query: crate::query::Query = format!("select {select} from {object}").parse().expect("a query");
        let object = LegacyObject::find(object).expect("an object");
        let columns = ListColumns::new(object, &query.select).expect("known fields");
        let list = crate::xml::tree::parse(b"<listtype start=\"0\" total=\"9\">x</listtype>", &caps)?;
        let body = format!("<data>{data}</data>");
        let mut scanner = Scanner::new(body.as_bytes(), &caps);
        assert!(matches!(scanner.next()?, Token::Start(_)));
        columns.read(&mut scanner, ListType::read(&list)?, Bounds::of_rows(elements))
    }

    #[test]
    fn elements_and_lines_are_counted_as_they_come() {
        let too_large = |read: Result<Page, ParseError>| matches!(read, Err(ParseError::TooLarge(_)));
        let item = "<lineitem><line_num>1</line_num></lineitem>";
        let document = |notes: &str, lines: usize| {
            format!(
                "<invoice><key>6</key><description>{notes}</description><invoiceitems>{}</invoiceitems></invoice>",
                item.repeat(lines)
            )
        };
        let read = |data: &str, elements, bytes| {
            bounded("ARINVOICEITEM", "RECORDKEY, LINE_NO", data, elements, bytes)
        };
        assert_eq!(read(&document("", 50), 5, 1 << 20).expect("a page").rows(), 50);
        // More documents than twice what was asked for.
        assert!(too_large(read(&document("", 1).repeat(11), 5, 1 << 20)));
        assert!(too_large(read(&"<invoice/>".repeat(11), 5, 1 << 20)));
        // Any number of lines, as far as memory goes; what one document took is free for the next.
        assert!(too_large(read(&document("", 5000), 5, 1 << 20)));
        assert_eq!(
            read(&document("", 1000).repeat(5), 5, 1 << 20)
                .expect("a page")
                .rows(),
            5000
        );
        // Fields of the document come with each of its lines.
        let long = "x".repeat(10_000);
        let read = bounded(
            "ARINVOICEITEM",
            "RECORDKEY, LINE_NO",
            &document(&long, 500),
            5,
            1 << 20,
        );
        assert_eq!(read.expect("the notes are not asked for").rows(), 500);
    }

    #[test]
    fn a_list_that_is_cut_off_is_no_list() {
        let list = |listtype: &str| read("ARINVOICE", "RECORDNO", INVOICE, listtype);
        assert!(list("<listtype start=\"0\" end=\"1\" total=\"9\">invoice</listtype>").is_err());
        assert!(list("<listtype>invoice</listtype>").is_err());
        assert!(list("<listtype start=\"0\" end=\"x\" total=\"1\">invoice</listtype>").is_err());
        let empty = read(
            "ARINVOICE",
            "RECORDNO",
            "",
            "<listtype start=\"0\" end=\"-1\" total=\"0\"/>",
        );
        assert_eq!(empty.expect("an empty page").rows(), 0);
    }
}
