use super::*;
use crate::config::Config;

fn parent(path: &str, object: &str, first: OwnedRows, optional: bool) -> OwnedParent {
    OwnedParent {
        path: path.into(),
        object: object.into(),
        row_key: "RECORDNO".into(),
        first,
        optional,
    }
}

fn client() -> Client {
    let config = Config::new("acme", "user", "secret", "sender", "secret");
    Client::new(config).expect("a client")
}

/// An answer of all groups.
fn all(rows: &[&[&str]]) -> Result<Page, Error> {
    let mut page = Page::of_cells(rows);
    page.remaining = Some(0);
    Ok(page)
}

fn refused() -> Result<Page, Error> {
    Err(Error::new(ErrorKind::Refused, "no"))
}

fn lines(first: OwnedRows) -> Doubts {
    Doubts {
        row_key: "RECORDNO".into(),
        parents: vec![parent("APBILL", "APBILL", first, false)],
        texts: Vec::new(),
    }
}

fn query() -> Query {
    "select RECORDNO, APBILL.STATE from APBILLITEM where APBILL.RECORDNO is not null"
        .parse()
        .expect("a query")
}

#[test]
fn forms_and_what_proves_them() {
    let (client, owned) = (client(), lines(OwnedRows::Hidden));
    let mut attempts = Attempts::new(&client, &owned, false).expect("nothing is known");
    let hidden = attempts.query(&query());
    let text = |queries: &[Query]| queries.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        text(std::slice::from_ref(&hidden)),
        [
            "select RECORDNO, APBILL.STATE from APBILLITEM where APBILL.RECORDNO is not null and APBILL.MEGAENTITYID is null"
        ]
    );
    let evidence = attempts.evidence(&hidden);
    assert_eq!(
        text(&evidence.queries),
        ["select MEGAENTITYID, count(RECORDNO) from APBILL where MEGAENTITYID is not null"]
    );
    // Rows of an entity are shown: they must not be left out.
    assert_eq!(
        attempts.judge(&evidence, &[all(&[&["E100", "7"]])]),
        Verdict::Again
    );
    let shown = attempts.query(&query());
    assert_eq!(shown, query());
    let evidence = attempts.evidence(&shown);
    let mut private: Query =
        "select MEGAENTITYID, count(RECORDNO) from APBILL where MEGAENTITYID is not null"
            .parse()
            .expect("a query");
    private.show_private = true;
    assert_eq!(evidence.queries[1], private);
    assert_eq!(
        text(&evidence.queries[2..]),
        [
            "select APBILL.MEGAENTITYID, count(RECORDNO) from APBILLITEM where APBILL.RECORDNO is not null and APBILL.MEGAENTITYID is not null"
        ]
    );
    let answers = [
        all(&[&["E100", "7"]]),
        all(&[&["E100", "7"]]),
        all(&[&["E100", "19"]]),
    ];
    assert_eq!(attempts.judge(&evidence, &answers), Verdict::Proven);
    // What was found out is tried first by the next.
    let attempts = Attempts::new(&client, &owned, false).expect("a form");
    assert_eq!(attempts.query(&query()), query());
    let others = Attempts::new(&client, &owned, true).expect("nothing is known of private rows");
    assert_ne!(others.query(&query()), query());
}

#[test]
fn every_answer_has_its_verdict() {
    let some: &[&[&str]] = &[&["E100", "7"]];
    let more: &[&[&str]] = &[&["E100", "8"]];
    let both: &[&[&str]] = &[&["E100", "7"], &["E200", "5"]];
    let other: &[&[&str]] = &[&["E200", "7"]];
    let none: &[&[&str]] = &[];
    let zero: &[&[&str]] = &[&["E100", "0"]];
    let undecided = |verdict: &Verdict| matches!(verdict, Verdict::Undecided(_));
    // Direct, private, reached by the path.
    for (answers, expected) in [
        ([all(some), all(some), all(some)], Some(Verdict::Proven)),
        ([all(both), all(both), all(other)], Some(Verdict::Proven)),
        ([all(some), all(both), all(none)], Some(Verdict::Proven)),
        ([all(none), all(some), all(none)], Some(Verdict::Proven)),
        ([all(zero), all(zero), all(zero)], Some(Verdict::Proven)),
        ([all(none), all(some), all(some)], Some(Verdict::Again)),
        ([all(none), refused(), all(some)], Some(Verdict::Again)),
        ([all(some), all(both), all(some)], None),
        ([all(some), all(more), all(some)], None),
        ([all(more), all(some), all(some)], None),
        ([all(some), all(none), all(some)], None),
        ([all(some), refused(), all(some)], None),
        ([all(some), all(some), all(other)], None),
        ([all(some), all(some), all(both)], None),
        ([all(some), all(some), refused()], None),
        ([refused(), all(some), all(some)], None),
        (
            [all(&[&["E100", "7"], &["E100", "1"]]), all(some), all(some)],
            None,
        ),
        ([Ok(Page::of_cells(some)), all(some), all(some)], None),
    ] {
        let (client, owned) = (client(), lines(OwnedRows::Shown));
        let mut attempts = Attempts::new(&client, &owned, false).expect("nothing is known");
        let evidence = attempts.evidence(&query());
        let verdict = attempts.judge(&evidence, &answers);
        match expected {
            Some(expected) => assert_eq!(verdict, expected, "{answers:?}"),
            None => assert!(undecided(&verdict), "{answers:?}: {verdict:?}"),
        }
        assert_eq!(
            Attempts::new(&client, &owned, false).is_err(),
            undecided(&verdict)
        );
    }
    for (answer, expected) in [
        (all(none), Some(Verdict::Proven)),
        (all(zero), Some(Verdict::Proven)),
        (all(some), Some(Verdict::Again)),
        (refused(), None),
        (Ok(Page::of_cells(none)), None),
    ] {
        let (client, owned) = (client(), lines(OwnedRows::Hidden));
        let mut attempts = Attempts::new(&client, &owned, false).expect("nothing is known");
        let evidence = attempts.evidence(&query());
        let verdict = attempts.judge(&evidence, &[answer]);
        match expected {
            Some(expected) => assert_eq!(verdict, expected),
            None => assert!(undecided(&verdict), "{verdict:?}"),
        }
    }
}

#[test]
fn rows_that_stay_without_a_parent_are_not_left_out() {
    let client = client();
    let owned = Doubts {
        row_key: "RECORDNO".into(),
        parents: vec![parent("CUSTOMER", "CUSTOMER", OwnedRows::Shown, true)],
        ..Doubts::default()
    };
    let mut attempts = Attempts::new(&client, &owned, false).expect("nothing is known");
    let evidence = attempts.evidence(&query());
    let hidden = [all(&[]), all(&[&["E100", "7"]]), all(&[&["E100", "7"]])];
    assert!(matches!(
        attempts.judge(&evidence, &hidden),
        Verdict::Undecided(_)
    ));
    assert!(Attempts::new(&client, &owned, false).is_err());
}

#[test]
fn each_parent_has_its_own_form_and_an_object_is_counted_once() {
    let client = client();
    let owned = Doubts {
        row_key: "RECORDNO".into(),
        parents: vec![
            parent("ARINVOICE", "ARINVOICE", OwnedRows::Shown, false),
            parent("ARINVOICE.CUSTOMER", "CUSTOMER", OwnedRows::Hidden, false),
            parent("CUSTOMER", "CUSTOMER", OwnedRows::Hidden, false),
        ],
        ..Doubts::default()
    };
    let mut attempts = Attempts::new(&client, &owned, false).expect("nothing is known");
    let formed = attempts.query(&Query::new("ARINVOICEITEM"));
    assert_eq!(
        formed.filter.as_ref().map(ToString::to_string).as_deref(),
        Some("ARINVOICE.CUSTOMER.MEGAENTITYID is null and CUSTOMER.MEGAENTITYID is null")
    );
    let evidence = attempts.evidence(&formed);
    assert_eq!(evidence.queries.len(), 4);
    let some: &[&[&str]] = &[&["E100", "7"]];
    let answers = [all(some), all(some), all(some), all(&[])];
    assert_eq!(attempts.judge(&evidence, &answers), Verdict::Proven);
}

#[test]
fn rows_with_blanks_at_the_edges_of_what_is_compared_are_asked_for() {
    let client = client();
    let doubts = Doubts {
        texts: vec!["VENDOR.NAME".into(), "CITY".into()],
        ..Doubts::default()
    };
    let query: Query = "select RECORDNO from APBILL where VENDOR.NAME = 'x' and CITY = 'y' order by RECORDNO"
        .parse()
        .expect("a query");
    let mut attempts = Attempts::new(&client, &doubts, false).expect("nothing is known");
    let evidence = attempts.evidence(&query);
    let texts: Vec<_> = evidence.queries.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "select VENDOR.NAME from APBILL where VENDOR.NAME = 'x' and CITY = 'y' and \
         [VENDOR.NAME like '% ' or VENDOR.NAME like ' %' or CITY like '% ' or CITY like ' %'] limit 1"
        ]
    );
    assert_eq!(attempts.judge(&evidence, &[all(&[])]), Verdict::Proven);
    for doubtful in [vec![all(&[&["x "]])], vec![refused()], vec![]] {
        assert!(matches!(
            attempts.judge(&evidence, &doubtful),
            Verdict::Undecided(_)
        ));
    }
}
