use super::*;
use proptest::prelude::*;

fn reprint(text: &str) -> String {
    text.parse::<Query>()
        .unwrap_or_else(|error| panic!("{text}: {error}"))
        .to_string()
}

fn complaint(text: &str) -> (usize, usize, String) {
    let error = text.parse::<Query>().expect_err(text);
    (error.line, error.column, error.expected)
}

#[test]
fn documented_examples_parse() {
    for (text, printed) in [
        ("Select * from CUSTOMER", "select * from CUSTOMER"),
        (
            "Select Customerid,Name, Parentid,Termname, Shippingmethod, Custtype,Taxid,Creditlimit from CUSTOMER",
            "select Customerid, Name, Parentid, Termname, Shippingmethod, Custtype, Taxid, Creditlimit \
             from CUSTOMER",
        ),
        (
            "Select * from AIRINVOICE WHERE whenmodified < 10/22/2010 00:00:00\\",
            "select * from AIRINVOICE where whenmodified < 10/22/2010 00:00:00",
        ),
        (
            "Select Recordno,Customerid, Name from CUSTOMER Where Customerid = ZAB001 AND Recordno = 24",
            "select Recordno, Customerid, Name from CUSTOMER where Customerid = 'ZAB001' and Recordno = 24",
        ),
        (
            "select fld1, fld2 from ENTITY\nwhere [fld1 = a] and [[fld2 > 5] or [fld3 <= x y]]\norder_by fld1 asc, fld2 desc",
            "select fld1, fld2 from ENTITY where fld1 = 'a' and [fld2 > 5 or fld3 <= 'x y'] \
             order_by fld1 asc, fld2 desc",
        ),
    ] {
        assert_eq!(reprint(text), printed);
    }
}

#[test]
fn and_binds_tighter_than_or() {
    let condition: Condition = "A = 1 or B = 2 and C = 3".parse().expect("condition");
    assert_eq!(condition.to_string(), "A = 1 or [B = 2 and C = 3]");
}

#[test]
fn every_clause_parses() {
    let text = "select STATE, count(RECORDNO), \"sum\" from SODOCUMENT docparid 'Sales Order' where \
                A in (x, 'y', $3) and B not in ('Erin''s') and C like '%a\\'b' and D not like q% and \
                E between 1 and 02/01/2024 and F is null and G is not null and H != true and I <> \"J.K\" \
                order by STATE, LIMITS desc limit $1 offset 10 options (show_private, case_insensitive);";
    assert_eq!(
        reprint(text),
        "select STATE, count(RECORDNO), sum from SODOCUMENT docparid 'Sales Order' where \
         A in ('x', 'y', $3) and B not in ('Erin''s') and C like '%a''b' and D not like 'q%' and \
         E between 1 and 02/01/2024 and F is null and G is not null and H <> true and I <> \"J.K\" \
         order_by STATE asc, LIMITS desc limit $1 offset 10 options (case_insensitive, show_private)"
    );
}

#[test]
fn bare_literals_keep_words_that_start_no_clause() {
    assert_eq!(
        reprint("select A from B where C = over the limit and D = in order limit 5"),
        "select A from B where C = 'over the limit' and D = 'in order' limit 5"
    );
    assert_eq!(
        reprint("select A from B where C = O'Brien"),
        "select A from B where C = 'O''Brien'"
    );
    assert_eq!(
        reprint("select A from B where C = 'a'and D = 1"),
        "select A from B where C = 'a' and D = 1"
    );
}

#[test]
fn a_bare_word_is_a_field_where_the_schema_says_so() {
    let query =
        Query::parse_with("select A from B where C > D and E = F", &|name| name == "D").expect("query");
    assert_eq!(query.to_string(), "select A from B where C > \"D\" and E = 'F'");
}

#[test]
fn mistakes_are_located() {
    assert_eq!(complaint("pick A"), (1, 1, "\"select\"".into()));
    assert_eq!(complaint("select A from B\nwhere C ~ 1").0, 2);
    assert_eq!(complaint("select A from B\nwhere C ~ 1").1, 9);
    assert_eq!(complaint("select A from B where C = "), (1, 27, "a value".into()));
    assert_eq!(
        complaint("select A from B where [C = 1"),
        (1, 29, "\"and\", \"or\" or \"]\"".into())
    );
    assert_eq!(
        complaint("select A from B where C = 'x"),
        (1, 27, "a closing quote".into())
    );
    assert_eq!(complaint("select A B"), (1, 10, "\",\" or \"from\"".into()));
    assert_eq!(complaint("select é, from B").1, 11);
    assert_eq!(
        complaint("select A from B limit x"),
        (1, 23, "a number or a parameter".into())
    );
    assert!("select A from B where ".parse::<Query>().is_err());
}

#[test]
fn deep_nesting_is_refused_without_overflow() {
    let text = format!("select A from B where {}", "[".repeat(1_000_000));
    assert_eq!(complaint(&text).2, "fewer brackets");
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[A-Za-z_][A-Za-z0-9_.#]{0,12}",
        1 => ".{1,12}",
        1 => proptest::sample::select(vec!["select", "And", "limit", "sum", "desc", "order_by"]).prop_map(String::from),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let date = (1i16..=9999, 1i8..=12, 1i8..=28).prop_map(|(y, m, d)| jiff::civil::date(y, m, d));
    let time = (0i8..24, 0i8..60, 0i8..60).prop_map(|(h, m, s)| jiff::civil::time(h, m, s, 0));
    prop_oneof![
        ".{0,20}".prop_map(Value::Text),
        "[-+a-z0-9 /:$'\\\\\\[\\](),.]{0,20}".prop_map(Value::Text),
        "-?[0-9]{1,20}(\\.[0-9]{1,10})?".prop_map(|text| Value::number(&text).expect("a number")),
        any::<bool>().prop_map(Value::Boolean),
        date.clone().prop_map(Value::Date),
        (date, time).prop_map(|(d, t)| Value::DateTime(d.to_datetime(t))),
        (-10_000_000_000i64..100_000_000_000)
            .prop_map(|s| Value::Instant(jiff::Timestamp::from_second(s).expect("in range"))),
        any::<u32>().prop_map(Value::Param),
    ]
}

fn op() -> impl Strategy<Value = CompareOp> {
    proptest::sample::select(CompareOp::ALL.to_vec())
}

fn condition() -> impl Strategy<Value = Condition> {
    let leaf = prop_oneof![
        (name(), op(), value()).prop_map(|(field, op, value)| Condition::Compare { field, op, value }),
        (name(), op(), name()).prop_map(|(left, op, right)| Condition::CompareFields { left, op, right }),
        (name(), value(), value()).prop_map(|(field, low, high)| Condition::Between { field, low, high }),
        (name(), proptest::collection::vec(value(), 0..4), any::<bool>()).prop_map(
            |(field, values, negated)| Condition::In {
                field,
                values,
                negated
            }
        ),
        (name(), value(), any::<bool>()).prop_map(|(field, pattern, negated)| Condition::Like {
            field,
            pattern,
            negated
        }),
        (name(), any::<bool>()).prop_map(|(field, negated)| Condition::IsNull { field, negated }),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 2..4).prop_map(Condition::And),
            proptest::collection::vec(inner, 2..4).prop_map(Condition::Or),
        ]
    })
}

fn count() -> impl Strategy<Value = Count> {
    prop_oneof![
        any::<u64>().prop_map(Count::Number),
        any::<u32>().prop_map(Count::Param)
    ]
}

fn query() -> impl Strategy<Value = Query> {
    let function = proptest::sample::select(AggregateFunction::ALL.to_vec());
    let item = prop_oneof![
        name().prop_map(SelectItem::Field),
        (function, name()).prop_map(|(function, field)| SelectItem::Aggregate { function, field }),
    ];
    let key = (name(), any::<bool>()).prop_map(|(field, descending)| OrderKey { field, descending });
    (
        name(),
        proptest::option::of(".{0,12}"),
        proptest::collection::vec(item, 0..4),
        proptest::option::of(condition()),
        proptest::collection::vec(key, 0..3),
        proptest::option::of(count()),
        proptest::option::of(count()),
        any::<(bool, bool, bool)>(),
    )
        .prop_map(
            |(object, docparid, select, filter, order_by, limit, offset, flags)| Query {
                object,
                docparid,
                select,
                filter,
                order_by,
                limit,
                offset,
                case_insensitive: flags.0,
                show_private: flags.1,
                missing_as_null: flags.2,
            },
        )
}

/// What statements are made of, and what they are not.
const WORDS: [&str; 48] = [
    "select",
    "*",
    "from",
    "where",
    "and",
    "or",
    "not",
    "in",
    "like",
    "between",
    "is",
    "null",
    "order_by",
    "order by",
    "limit",
    "offset",
    "options",
    "docparid",
    "asc",
    "desc",
    "count(",
    "sum",
    ")",
    "(",
    "[",
    "]",
    ",",
    ";",
    "=",
    "<>",
    "<=",
    "!",
    "'",
    "''",
    "\\'",
    "\\",
    "\"",
    "$1",
    "$99999999999",
    "0",
    "-1.50",
    "10/22/2010",
    "10/22/2010 00:00:00",
    "2024-01-31T08:00:00Z",
    "A.B",
    "é",
    "\u{a0}",
    "\n",
];

#[test]
fn random_statements_never_panic_and_print_what_they_mean() {
    let mut random = fastrand::Rng::with_seed(5);
    let mut understood = 0;
    for _ in 0..100_000 {
        let mut text = String::from(["", "select a from b where ", "select "][random.usize(..3)]);
        for _ in 0..random.usize(1..12) {
            text.push_str(WORDS[random.usize(..WORDS.len())]);
            if random.bool() {
                text.push(' ');
            }
        }
        if let Ok(query) = text.parse::<Query>() {
            understood += 1;
            assert_eq!(query.to_string().parse::<Query>().as_ref(), Ok(&query), "{text}");
        }
    }
    assert!(understood > 100, "only {understood} statements were understood");
}

proptest! {
    #[test]
    fn value_to_text_to_value_is_the_identity(query in query()) {
        let text = query.to_string();
        let read = text.parse::<Query>();
        prop_assert_eq!(read.as_ref(), Ok(&query), "{}", text);
    }

    #[test]
    fn condition_to_text_to_condition_is_the_identity(condition in condition()) {
        let text = condition.to_string();
        let read = text.parse::<Condition>();
        prop_assert_eq!(read.as_ref(), Ok(&condition), "{}", text);
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in ".{0,80}") {
        let _ = text.parse::<Query>();
        let _ = format!("select A from B where {text}").parse::<Query>();
    }

    #[test]
    fn what_is_read_prints_as_something_that_reads_the_same(
        text in "select A from B where C (=|<|in|not in|like|between) [a-c0-9$'\\\\ \\[\\](),and/]{0,20}"
    ) {
        if let Ok(query) = text.parse::<Query>() {
            prop_assert_eq!(query.to_string().parse::<Query>(), Ok(query));
        }
    }
}
