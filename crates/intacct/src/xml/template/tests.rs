//! A page's rows are what each row is by itself, where there is no row before it to learn from.

use super::*;
use crate::config::Caps;
use crate::query::SelectItem;
use crate::xml::page::Bounds;
use crate::xml::scanner::Token;
use proptest::prelude::*;

fn columns() -> Columns {
    Columns::new(&["A", "B", "C.D", "B"].map(|name| SelectItem::Field(name.into())))
}

type Rows = Vec<Vec<Option<Vec<u8>>>>;

fn read(rows: &[u8]) -> Result<Rows, ParseError> {
    let document = [b"<data>", rows, b"</data>"].concat();
    let caps = Caps::default();
    let mut scanner = Scanner::new(&document, &caps);
    assert!(matches!(scanner.next()?, Token::Start(_)));
    let page = Page::read(
        &mut scanner,
        &[],
        &columns(),
        caps.fields,
        document.len(),
        Bounds::default(),
    )?;
    Ok((0..page.rows())
        .map(|row| {
            (0..page.columns())
                .map(|column| page.cell(row, column).map(<[u8]>::to_vec))
                .collect()
        })
        .collect())
}

/// How many of the rows a template takes that was made from the first.
fn taken(rows: &[&str]) -> usize {
    let columns = columns();
    let template = Template::of(rows[0].as_bytes(), &columns).expect("a template");
    let mut page = Page::of_columns(columns.len());
    rows.iter()
        .filter(|row| {
            let verdict = template.read(row.as_bytes(), &columns, &mut page);
            matches!(verdict, Ok(Verdict::Row(length)) if length == row.len())
        })
        .count()
}

#[test]
fn rows_of_one_form_are_taken() {
    let rows = [
        "\n <R>\n  <A>1</A>\n  <B/>\n  <X>x</X>\n  <C.D>d</C.D>\n </R>",
        "\n <R>\n  <A>2 \u{fc}</A>\n  <B>b</B>\n  <X/>\n  <C.D></C.D>\n </R>",
        "\n <R>\n  <B>b</B>\n </R>",
        "\n <R>\n </R>",
    ];
    assert_eq!(taken(&rows), 4);
}

#[test]
fn rows_of_other_forms_are_left_to_the_tokens() {
    let row = "<R><A>1</A><B>2</B></R>";
    for other in [
        "<r><A>1</A><B>2</B></r>",
        "<R x=\"1\"><A>1</A></R>",
        "<R><A x=\"1\">1</A></R>",
        "<R><AB>1</AB></R>",
        "<R><B>2</B><A>1</A></R>",
        "<R><A>1</A><A>1</A></R>",
        "<R><A>&amp;</A></R>",
        "<R><A>1<!-- --></A></R>",
        "<R><A><![CDATA[1]]></A></R>",
        "<R><A><X/></A></R>",
        "<R><A/ ></R>",
        "<R><A>1</A>text</R>",
        "<R><A>1</A",
        "<R><A>1",
        "<R>",
        "</data>",
        "",
    ] {
        assert_eq!(taken(&[row, other]), 1, "{other}");
    }
    assert!(Template::of(b"<R><A><X/></A></R>", &columns()).is_none());
    assert!(Template::of(b"<R><A x='1'/></R>", &columns()).is_none());
    let broken = [b"<R><A>1</A></R><R><A>".as_slice(), b"\xff</A></R>"].concat();
    assert!(read(&broken).is_err());
}

/// A field of a row, in one of the forms that a document may have.
fn field() -> impl Strategy<Value = String> {
    let name = prop_oneof![4 => Just("A"), 4 => Just("B"), 4 => Just("C.D"), 1 => Just("X"), 1 => Just("a")];
    let text = "[a-z0-9\u{e9}\u{4e2d} ]{0,6}";
    (name, text, 0..24u8).prop_map(|(name, text, form)| match form {
        0 => format!("<{name}/>"),
        1 => format!("<{name}>&amp;{text}</{name}>"),
        2 => format!("<{name}><![CDATA[{text}<]]></{name}>"),
        3 => format!("<{name} x='1'>{text}</{name}>"),
        4 => format!("<{name}><A>{text}</A></{name}>"),
        5 => format!("<{name}>{text}<!-- c --></{name}>"),
        6 => format!("\n  <{name}>{text}</{name}>"),
        7 => String::new(),
        _ => format!("<{name}>{text}</{name}>"),
    })
}

/// Mostly rows with the same fields in the same order.
fn row() -> impl Strategy<Value = String> {
    let usual = ("[a-z]{0,3}", "[0-9]{0,3}", field())
        .prop_map(|(a, b, other)| format!("<R><A>{a}</A><B>{b}</B>{}</R>", other.replace(['A', 'B'], "C.D")));
    let any =
        proptest::collection::vec(field(), 0..5).prop_map(|fields| format!("<R>{}</R>", fields.concat()));
    prop_oneof![3 => usual, 1 => any, 1 => Just("<R/>".to_owned())]
}

proptest! {
    #[test]
    fn a_page_holds_what_each_row_holds_by_itself(rows in proptest::collection::vec(row(), 0..12)) {
        let alone: Result<Rows, ParseError> = rows.iter().map(|row| Ok(read(row.as_bytes())?.remove(0))).collect();
        match (read(rows.concat().as_bytes()), alone) {
            (Ok(together), Ok(alone)) => prop_assert_eq!(together, alone),
            (together, alone) => prop_assert!(together.is_err() && alone.is_err(), "{:?}\n{:?}", together, alone),
        }
    }

    #[test]
    fn a_cut_document_is_refused(rows in proptest::collection::vec(row(), 1..6), cut in 1..60usize) {
        let document = rows.concat();
        let keep = document.len().saturating_sub(cut);
        prop_assume!(document.is_char_boundary(keep));
        let kept = &document[..keep];
        // Cut between two rows, only the announced count shows it.
        prop_assume!(!kept.ends_with("</R>") && !kept.ends_with("<R/>") && !kept.is_empty());
        prop_assert!(read(kept.as_bytes()).is_err());
    }
}
