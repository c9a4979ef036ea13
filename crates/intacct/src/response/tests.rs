use super::*;
use crate::query::{AggregateFunction, SelectItem};
use proptest::prelude::*;

const ROWS: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<response>
  <control><status>success</status><senderid>S</senderid><controlid>1</controlid>
    <uniqueid>false</uniqueid><dtdversion>3.0</dtdversion></control>
  <operation>
    <authentication><status>success</status><userid>u</userid><companyid>c</companyid>
      <sessiontimestamp>2022-02-07T20:21:01+00:00</sessiontimestamp>
      <sessiontimeout>2022-02-08T20:21:01+00:00</sessiontimeout></authentication>
    <result>
      <status>success</status><function>query</function><controlid>f1</controlid>
      <data listtype="VENDOR" totalcount="18" offset="0" count="3" numremaining="15">
        <VENDOR><RECORDNO>1010</RECORDNO><NAME>Erin &amp; S&#246;hne</NAME><TOTALDUE>3797</TOTALDUE></VENDOR>
        <vendor><totaldue/><name><![CDATA[a < b]]></name><recordno>11</recordno><EXTRA><X>1</X></EXTRA></vendor>
        <VENDOR><RECORDNO>12</RECORDNO><NAME></NAME></VENDOR>
      </data>
    </result>
  </operation>
</response>"#;

fn fields(names: &[&str]) -> Columns {
    Columns::new(
        &names
            .iter()
            .map(|name| SelectItem::Field((*name).into()))
            .collect::<Vec<_>>(),
    )
}

fn rows(body: &str, columns: &Columns) -> Result<Page, String> {
    let expected = [Expected {
        control_id: "f1",
        columns: Some(RowColumns::Fields(columns)),
        extent: Extent::Rows(2),
    }];
    match parse(body.as_bytes(), "", &expected, &Caps::default()) {
        Ok(mut response) => match response.answers.remove(0) {
            Answer::Rows(page) => Ok(page),
            other => Err(format!("{other:?}")),
        },
        Err(failure) => Err(format!("{failure:?}")),
    }
}

fn table(page: &Page) -> Vec<Vec<Option<String>>> {
    let text = |cell: &[u8]| String::from_utf8(cell.to_vec()).expect("UTF-8");
    (0..page.rows())
        .map(|r| (0..page.columns()).map(|c| page.cell(r, c).map(text)).collect())
        .collect()
}

/// The response with other rows in it.
fn with_data(data: &str) -> String {
    let start = ROWS.find("<data").expect("data");
    let end = ROWS.find("</data>").expect("data") + "</data>".len();
    format!("{}{data}{}", &ROWS[..start], &ROWS[end..])
}

#[test]
fn rows_are_read_whatever_their_tag_case_and_order() {
    let page = rows(ROWS, &fields(&["RECORDNO", "NAME", "TotalDue"])).expect("a page");
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        table(&page),
        [
            [some("1010"), some("Erin & Söhne"), some("3797")],
            [some("11"), some("a < b"), None],
            [some("12"), None, None],
        ]
    );
    assert_eq!(
        (page.total_count, page.remaining, page.count),
        (Some(18), Some(15), 3)
    );
    assert_eq!(page.cell(0, 3), None);
    assert_eq!(page.cell(3, 0), None);
}

#[test]
fn a_column_may_be_selected_twice() {
    let page = rows(ROWS, &fields(&["RECORDNO", "NAME", "recordno"])).expect("a page");
    assert_eq!(page.cell(0, 2), Some(&b"1010"[..]));
    assert_eq!(page.cell(1, 2), Some(&b"11"[..]));
}

#[test]
fn session_times_are_read() {
    let columns = fields(&["RECORDNO"]);
    let expected = [Expected {
        control_id: "f1",
        columns: Some(RowColumns::Fields(&columns)),
        extent: Extent::Rows(2),
    }];
    let response = parse(ROWS.as_bytes(), "", &expected, &Caps::default()).expect("a response");
    let life = response.session_timeout.expect("timeout") - response.session_timestamp.expect("timestamp");
    assert_eq!(life.get_seconds(), 24 * 3600);
}

#[test]
fn truncation_anywhere_never_yields_a_page() {
    let columns = fields(&["RECORDNO", "NAME", "TOTALDUE"]);
    for length in 0..ROWS.len() {
        let Some(body) = ROWS.get(..length) else { continue };
        assert!(rows(body, &columns).is_err(), "{length} bytes made a page");
    }
}

#[test]
fn the_announced_count_must_be_there() {
    let body = ROWS.replace("count=\"3\"", "count=\"4\"");
    assert!(
        rows(&body, &fields(&["NAME"]))
            .expect_err("a failure")
            .contains("announces 4 rows and holds 3")
    );
}

#[test]
fn aggregates_are_read_by_full_name_or_by_field() {
    let sum = |field: &str| SelectItem::Aggregate {
        function: AggregateFunction::Sum,
        field: field.into(),
    };
    let max = |field: &str| SelectItem::Aggregate {
        function: AggregateFunction::Max,
        field: field.into(),
    };
    let data = |row: &str| with_data(&format!("<data count=\"1\"><G>{row}</G></data>"));

    let single = Columns::new(&[SelectItem::Field("STATE".into()), sum("DUE")]);
    let full = rows(&data("<STATE>a</STATE><SUM.DUE>5</SUM.DUE>"), &single).expect("a page");
    assert_eq!(full.cell(0, 1), Some(&b"5"[..]));
    let plain = rows(&data("<STATE>a</STATE><DUE>5</DUE>"), &single).expect("a page");
    assert_eq!(plain.cell(0, 1), Some(&b"5"[..]));
    for row in [
        "<DUE>5</DUE><SUM.DUE>6</SUM.DUE>",
        "<SUM.DUE>6</SUM.DUE><DUE>5</DUE>",
    ] {
        assert_eq!(
            rows(&data(row), &single).expect("a page").cell(0, 1),
            Some(&b"6"[..])
        );
    }

    let double = Columns::new(&[sum("DUE"), max("DUE")]);
    let full = rows(&data("<SUM.DUE>5</SUM.DUE><MAX.DUE>4</MAX.DUE>"), &double).expect("a page");
    assert_eq!(
        (full.cell(0, 0), full.cell(0, 1)),
        (Some(&b"5"[..]), Some(&b"4"[..]))
    );
    assert!(rows(&data("<DUE>5</DUE><DUE>4</DUE>"), &double).is_err());

    let beside_field = Columns::new(&[SelectItem::Field("DUE".into()), sum("DUE")]);
    assert!(rows(&data("<DUE>5</DUE><SUM.DUE>5</SUM.DUE>"), &beside_field).is_ok());
    assert!(rows(&data("<DUE>5</DUE>"), &beside_field).is_err());
    assert!(rows(&data("<DUE>5</DUE><DUE>5</DUE>"), &beside_field).is_err());
}

#[test]
fn what_xml_does_not_allow_is_replaced() {
    let page = rows(
        &with_data("<data count=\"1\"><V><NAME>a\u{1}b&#2;c\r\nd&#xD800;</NAME></V></data>"),
        &fields(&["NAME"]),
    );
    assert_eq!(
        page.expect("a page").cell(0, 0),
        Some("a\u{fffd}b\u{fffd}c\nd\u{fffd}".as_bytes())
    );
}

#[test]
fn hostile_documents_are_refused() {
    let columns = fields(&["NAME"]);
    let nested = format!(
        "<data count=\"1\"><V>{}{}</V></data>",
        "<x>".repeat(100),
        "</x>".repeat(100)
    );
    let wide = format!("<data count=\"1\"><V>{}</V></data>", "<x/>".repeat(5000));
    let long = format!("<data count=\"1\"><{0}/></data>", "x".repeat(300));
    for (body, part) in [
        (
            format!(
                "<!DOCTYPE response [<!ENTITY a \"b\">]>{}",
                &ROWS[ROWS.find("<resp").unwrap_or(0)..]
            ),
            "document type",
        ),
        (
            with_data("<data count=\"1\"><V><NAME>&xxe;</NAME></V></data>"),
            "entity",
        ),
        (with_data(&nested), "deeper"),
        (with_data(&wide), "fields"),
        (with_data(&long), "longer"),
        (
            with_data("<data count=\"1\"><V><NAME>a</NAME><NAME>b</NAME></V></data>"),
            "twice",
        ),
        (
            with_data("<data count=\"1\"><V><NAME>a</NOME></V></data>"),
            "Malformed",
        ),
        (with_data("<data count=\"x\"/>"), "not a number"),
        (format!("{ROWS}<response/>"), "another element"),
        (format!("{ROWS}text"), "text beside"),
        (format!("text{ROWS}"), "text beside"),
        (ROWS.replace("f1", "f2"), "not asked"),
        (
            ROWS.replace("<result>", "<other>")
                .replace("</result>", "</other>"),
            "0 results for 1 functions",
        ),
        ("<html><body>hi</body></html>".into(), "document of type html"),
        (" \n".into(), "empty"),
    ] {
        let message = rows(&body, &columns).expect_err(part);
        assert!(message.contains(part), "{message} lacks {part}");
    }
}

fn refused(body: &str) -> (Level, Vec<GatewayError>) {
    let expected = [Expected {
        control_id: "f1",
        columns: None,
        extent: Extent::Small,
    }];
    match parse(body.as_bytes(), "", &expected, &Caps::default()) {
        Err(Failure::Gateway(level, errors)) => (level, errors),
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_level_of_failure_is_distinguished() {
    let error = "<errormessage><error><errorno>XL03000006</errorno><description></description>\
                 <description2>it isn&amp;#039;t</description2><correction/></error>\
                 <error><errorno>B</errorno></error></errormessage>";
    let control =
        format!("<response><control><status>failure</status><senderid/></control>{error}</response>");
    let (level, errors) = refused(&control);
    assert_eq!((level, errors.len()), (Level::Control, 2));
    assert_eq!(errors[0].description2, "it isn't");

    let authentication = format!(
        "<response><control><status>success</status></control><operation><authentication><status>failure</status>\
         <userid/></authentication>{error}</operation></response>"
    );
    assert_eq!(refused(&authentication).0, Level::Authentication);

    for status in ["failure", "aborted"] {
        let function = format!(
            "<response><control><status>success</status></control><operation><authentication>\
             <status>success</status></authentication><result><status>{status}</status><function>query</function>\
             <controlid>f1</controlid>{error}</result></operation></response>"
        );
        let expected = [Expected {
            control_id: "f1",
            columns: None,
            extent: Extent::Small,
        }];
        let response = parse(function.as_bytes(), "", &expected, &Caps::default()).expect("a response");
        assert!(matches!(&response.answers[0], Answer::Failure(errors) if errors.len() == 2));
    }
}

/// What reading this response fails with, under caps that are small enough for a test.
fn failure(body: &str, extent: Extent, columns: Option<RowColumns<'_>>) -> String {
    let caps = Caps {
        body_bytes: 100_000,
        tree_bytes: 20_000,
        ..Caps::default()
    };
    let expected = [Expected {
        control_id: "f1",
        columns,
        extent,
    }];
    match parse(body.as_bytes(), "", &expected, &caps) {
        Ok(response) => format!("{} answers", response.answers.len()),
        Err(Failure::Document(ParseError::TooLarge(what))) => format!("too large: {what}"),
        Err(other) => format!("{other:?}"),
    }
}

#[test]
fn rows_are_counted_as_they_come() {
    let columns = fields(&["RECORDNO", "NAME"]);
    let rows = |row: &str, count: usize| {
        let body = with_data(&format!("<data>{}</data>", row.repeat(count)));
        failure(&body, Extent::Rows(10), Some(RowColumns::Fields(&columns)))
    };
    for row in [
        "<x/>",
        "<x></x>",
        "<R><RECORDNO>1</RECORDNO></R>",
        "<R><NAME>&amp;</NAME></R>",
        "<R><other/></R>",
    ] {
        assert_eq!(rows(row, 20), "1 answers", "{row}");
        assert!(rows(row, 21).contains("more than 20 rows"), "{row}");
        assert!(rows(row, 20_000).contains("more than 20 rows"), "{row}");
    }
}

#[test]
fn rows_times_columns_are_counted_as_they_come() {
    let names: Vec<String> = (0..500).map(|n| format!("F{n}")).collect();
    let columns = fields(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let rows = |row: &str, count: usize| {
        let body = with_data(&format!("<data>{}</data>", row.repeat(count)));
        failure(&body, Extent::Rows(1000), Some(RowColumns::Fields(&columns)))
    };
    // 4000 bytes of cells each.
    for row in ["<x/>", "<R><F1>1</F1></R>"] {
        assert_eq!(rows(row, 20), "1 answers", "{row}");
        assert!(rows(row, 30).contains("bytes of memory"), "{row}");
    }
    // Each control character becomes three bytes.
    let odd = "\u{1}".repeat(40_000);
    assert!(rows(&format!("<R><F1>{odd}</F1></R>"), 1).contains("bytes of memory"));
}

#[test]
fn elements_of_trees_are_counted_as_they_come() {
    let tree = |data: &str, extent| failure(&with_data(&format!("<data>{data}</data>")), extent, None);
    let text = "x".repeat(30_000);
    let odd = "\u{1}".repeat(8000);
    let attribute = format!("<a b=\"{}\"/>", "x".repeat(100));
    for (data, what) in [
        ("<a/>".repeat(300), "empty elements"),
        ("<a></a>".repeat(300), "elements without text"),
        ("<a><b/></a>".repeat(150), "nested elements"),
        ("<a>1</a>".repeat(300), "elements with text"),
        (format!("<a>{text}</a>"), "text"),
        (format!("<a>{odd}</a>"), "control characters"),
        (attribute.repeat(120), "attributes"),
    ] {
        assert!(tree(&data, Extent::Small).contains("bytes of memory"), "{what}");
        assert_eq!(tree(&data, Extent::Records), "1 answers", "{what}");
    }
    assert_eq!(tree(&"<a>1</a>".repeat(100), Extent::Small), "1 answers");
    assert!(tree(&"<a/>".repeat(2000), Extent::Records).contains("bytes of memory"));
}

#[test]
fn what_stands_beside_the_data_is_counted_too() {
    let many = "<error><errorno>1</errorno></error>".repeat(300);
    for (from, to) in [
        ("<uniqueid>", format!("{}<uniqueid>", "<a/>".repeat(300))),
        ("<userid>", format!("{}<userid>", "<a/>".repeat(300))),
        (
            "<authentication>",
            format!("<errormessage>{many}</errormessage><authentication>"),
        ),
        (
            "<function>",
            format!("<errormessage>{many}</errormessage><function>"),
        ),
        (
            "<function>",
            format!("<key>{}</key><function>", "<a/>".repeat(300)),
        ),
        // Each of them is small, and all together they are not.
        ("<function>", format!("{}<function>", "<key>1</key>".repeat(300))),
    ] {
        let body = ROWS.replacen(from, &to, 1);
        let message = failure(&body, Extent::Small, None);
        assert!(message.contains("bytes of memory"), "{from} {message}");
    }
    let most = "<error/>".repeat(MOST_ERRORS + 1);
    let body = ROWS.replacen(
        "<function>",
        &format!("<errormessage>{most}</errormessage><function>"),
        1,
    );
    let columns = fields(&["NAME"]);
    let message = rows(&body, &columns).expect_err("too many errors");
    assert!(message.contains("errors"), "{message}");
}

#[test]
fn attributes_are_counted_as_they_come() {
    let some = |count: usize| (0..count).map(|n| format!(" a{n}=\"1\"")).collect::<String>();
    let columns = fields(&["NAME"]);
    assert!(rows(&with_data(&format!("<data{}/>", some(50))), &columns).is_ok());
    let message = rows(&with_data(&format!("<data{}/>", some(100_000))), &columns).expect_err("too many");
    assert!(message.contains("TooLarge"), "{message}");
}

proptest! {
    #[test]
    fn random_bytes_never_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let columns = fields(&["NAME"]);
        let expected = [Expected { control_id: "f1", columns: Some(RowColumns::Fields(&columns)), extent: Extent::Rows(2) }];
        prop_assert!(parse(&body, "", &expected, &Caps::default()).is_err());
    }

    #[test]
    fn damage_never_panics(at in 0..ROWS.len(), byte in any::<u8>()) {
        let mut body = ROWS.as_bytes().to_vec();
        body[at] = byte;
        let columns = fields(&["RECORDNO", "NAME", "TOTALDUE"]);
        let expected = [Expected { control_id: "f1", columns: Some(RowColumns::Fields(&columns)), extent: Extent::Rows(2) }];
        let _ = parse(&body, "", &expected, &Caps::default());
    }
}
