//! Aggregates and joins that the gateway computes: how many requests they cost, and what happens when its answer cannot
//! be trusted.

use postgres::Client;
use regex::Regex;
use sage_intacct_fdw_tests::company::Company;
use sage_intacct_fdw_tests::tap::Answer;

use super::budget::requests;

const GROUPS: &str = "SELECT region_code, count(*), trim_scale(sum(totaldue))::text FROM arinvoice
    GROUP BY region_code ORDER BY region_code";
const JOINED: &str =
    "SELECT i.recordno, c.name FROM arinvoice i JOIN customer c USING (customerid) ORDER BY i.recordno";

/// A company with tables, whose client has signed in and knows the user's formatting.
fn prepare(name: &str) -> (Company, Client) {
    let company = Company::start(name);
    company.import("arinvoice, customer, territory");
    let mut client = company.connect();
    client
        .query("SELECT totaldue FROM arinvoice LIMIT 1", &[])
        .expect("rows");
    requests(&company);
    (company, client)
}

/// What a statement asks; requests that travel at the same time in any order.
fn asked(company: &Company, client: &mut Client, sql: &str) -> Vec<String> {
    client
        .query(sql, &[])
        .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    let mut asked = requests(company);
    asked.sort();
    asked
}

fn text(client: &mut Client, sql: &str) -> Vec<String> {
    let rows = client.query(&format!("SELECT s::text FROM ({sql}) s"), &[]);
    rows.unwrap_or_else(|error| panic!("{sql}: {error:?}"))
        .iter()
        .map(|row| row.get(0))
        .collect()
}

#[test]
fn aggregates_cost_a_request_and_one_that_checks_them() {
    let (company, mut client) = prepare("budget_aggregates");
    let one = ["query ARINVOICE 1"];
    let checked = ["query ARINVOICE 2000 + query ARINVOICE 1"];
    assert_eq!(
        asked(&company, &mut client, "SELECT count(*) FROM arinvoice"),
        one
    );
    assert_eq!(
        asked(&company, &mut client, "SELECT count(whenpaid) FROM arinvoice"),
        one
    );
    assert_eq!(
        asked(&company, &mut client, "SELECT max(totaldue) FROM arinvoice"),
        one
    );
    // The keys are texts: rows without a blank at an edge are counted under them.
    let texts = ["query ARINVOICE 1", "query ARINVOICE 2000 + query ARINVOICE 1"];
    assert_eq!(asked(&company, &mut client, GROUPS), texts);
    // Values of a table that is known to fit a page are listed from its rows.
    let values = "SELECT DISTINCT state, is_export FROM arinvoice";
    let rows = ["query ARINVOICE 2000"];
    assert_eq!(asked(&company, &mut client, values), rows);
    let numbers = "SELECT page_count FROM arinvoice GROUP BY page_count ORDER BY page_count LIMIT 1000";
    assert_eq!(asked(&company, &mut client, numbers), rows);
    // Nothing of it is known after a change of its options.
    let forget = "ALTER SERVER acme OPTIONS (ADD fdw_startup_cost '100'); ALTER SERVER acme OPTIONS (DROP fdw_startup_cost)";
    client.batch_execute(forget).expect("options");
    assert_eq!(asked(&company, &mut client, values), texts);
    client.batch_execute(forget).expect("options");
    assert_eq!(
        asked(
            &company,
            &mut client,
            "SELECT DISTINCT whencreated, is_export FROM arinvoice"
        ),
        checked
    );
    let territories = "SELECT t.name, sum(i.totaldue) FROM arinvoice i JOIN customer c USING (customerid)
        JOIN territory t USING (territoryid) GROUP BY t.name";
    // What is shown of the customers of entities is counted beside the groups.
    assert_eq!(
        asked(&company, &mut client, territories),
        [
            "query ARINVOICE 1",
            "query ARINVOICE 2000 + query ARINVOICE 1 + query CUSTOMER 2000"
        ]
    );
    client
        .batch_execute("ALTER SERVER acme OPTIONS (ADD verify_aggregates 'off')")
        .expect("an option");
    let whole = "SELECT state, sum(totaldue) FROM arinvoice WHERE state IS NOT NULL GROUP BY state";
    assert_eq!(asked(&company, &mut client, whole), ["query ARINVOICE 2000"]);
}

#[test]
fn groups_that_do_not_add_up_are_asked_once_more_and_then_computed_here() {
    let (company, mut client) = prepare("groups_dropped");
    let kept = text(&mut client, GROUPS);
    assert!(
        kept.last().is_some_and(|group| group.starts_with("(,")),
        "{kept:?}"
    );
    company.gateway.set("null_groups", "dropped");
    requests(&company);
    assert_eq!(text(&mut client, GROUPS), kept);
    let mut asked = requests(&company);
    asked.sort();
    let checked = "query ARINVOICE 2000 + query ARINVOICE 1";
    assert_eq!(asked, ["query ARINVOICE 2000", checked, checked]);
}

/// What NULL there is, and wherever the gateway sorts it: one round trip where the first row shows the extreme, else two.
#[test]
fn aggregates_travel_together() {
    let (company, mut client) = prepare("aggregates_together");
    let group = "query ARINVOICE 2000";
    let one = "query ARINVOICE 1";
    // A least value of its own, a sum and a count of its values, a greatest value, and the number of rows.
    let statements = [
        (
            "SELECT min(whenpaid), max(whenpaid), round(avg(totaldue), 6) FROM arinvoice",
            2,
        ),
        (
            "SELECT round(avg(totaldue), 6), max(whenpaid), min(whenpaid), min(totaldue) FROM arinvoice",
            3,
        ),
        (
            "SELECT count(*), count(whenpaid), count(totaldue) FROM arinvoice",
            0,
        ),
        (
            "SELECT count(whenpaid), round(avg(totaldue), 6), trim_scale(sum(totalentered)) FROM arinvoice WHERE recordno > 40",
            1,
        ),
        (
            "SELECT count(whenpaid), round(avg(totaldue), 6), min(whendue), max(whendue) FROM arinvoice WHERE recordno < 0",
            2,
        ),
    ];
    client
        .batch_execute("SET sage_intacct.push_aggregates = off")
        .expect("a setting");
    let expected: Vec<_> = statements.map(|(sql, _)| text(&mut client, sql)).into();
    client
        .batch_execute("RESET sage_intacct.push_aggregates")
        .expect("a setting");
    let mut trips = Vec::new();
    for nulls in ["high", "low", "last", "first"] {
        company.gateway.set("nulls", nulls);
        requests(&company);
        for ((sql, groups), expected) in statements.iter().zip(&expected) {
            assert_eq!(text(&mut client, sql), *expected, "{nulls}: {sql}");
            let asked = requests(&company);
            let functions = |request: &String, size: &str| {
                request.split(" + ").filter(|function| *function == size).count()
            };
            assert_eq!(
                asked
                    .iter()
                    .map(|request| functions(request, group))
                    .sum::<usize>(),
                groups - usize::from(*groups > 1) + (asked.len() - 1),
                "{nulls}: {sql}: {asked:?}"
            );
            assert!(functions(&asked[0], one) >= 1, "{nulls}: {sql}: {asked:?}");
            trips.push(asked.len());
        }
    }
    assert!(trips.contains(&1) && trips.contains(&2), "{trips:?}");
    company.gateway.set("nulls", "high");
    requests(&company);
    text(&mut client, statements[0].0);
    assert_eq!(
        requests(&company),
        ["query ARINVOICE 2000 + query ARINVOICE 1 + query ARINVOICE 1"]
    );
}

/// An inner side that does not depend on the outer rows is asked once, though nothing keeps its rows.
#[test]
fn an_aggregate_that_is_run_again_keeps_its_answer() {
    let (company, mut client) = prepare("aggregates_again");
    client
        .batch_execute(
            "CREATE TABLE numbers AS SELECT generate_series(1, 40) AS n;
             SET enable_material = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_memoize = off",
        )
        .expect("a table and settings");
    for (aggregate, functions) in [
        ("SELECT count(*) AS x FROM arinvoice", 1),
        ("SELECT count(whenpaid) AS x FROM arinvoice WHERE recordno < 0", 1),
        ("SELECT sum(recordno) AS x FROM arinvoice WHERE recordno < 0", 3),
        ("SELECT max(recordno) - sum(totaldue) AS x FROM arinvoice", 2),
        ("SELECT page_count AS x FROM arinvoice GROUP BY 1", 1),
    ] {
        let sql = format!(
            "SELECT count(*), trim_scale(sum(x::numeric)) FROM numbers LEFT JOIN ({aggregate} OFFSET 0) a ON n + coalesce(x, 0) <> 7"
        );
        let got = text(&mut client, &sql);
        let asked = requests(&company);
        assert_eq!(asked.len(), 1, "{sql}: {asked:?}");
        assert_eq!(asked[0].split(" + ").count(), functions, "{sql}: {asked:?}");
        client
            .batch_execute("SET sage_intacct.push_aggregates = off")
            .expect("a setting");
        assert_eq!(got, text(&mut client, &sql), "{sql}");
        client
            .batch_execute("RESET sage_intacct.push_aggregates")
            .expect("a setting");
        requests(&company);
    }
}

/// Each function of a request may fail by itself, and the message says which.
#[test]
fn a_function_that_fails_beside_others_is_named() {
    let (company, mut client) = prepare("function_beside");
    client
        .batch_execute("ALTER SERVER acme OPTIONS (ADD max_retries '2')")
        .expect("an option");
    let sql = "SELECT count(*), trim_scale(sum(totaldue)) FROM arinvoice WHERE recordno > 7";
    let expected = text(&mut client, sql);
    requests(&company);
    // The verification is the second function.
    let fail_second = |errorno: &'static str, text: &'static str, times: usize| {
        let left = std::sync::atomic::AtomicUsize::new(times);
        let result = Regex::new(r"(?s)<result>.*?</result>").expect("a pattern");
        move |xml: &str| {
            let fails = xml.matches("<function").count() == 2
                && left
                    .fetch_update(
                        std::sync::atomic::Ordering::SeqCst,
                        std::sync::atomic::Ordering::SeqCst,
                        |left| left.checked_sub(1),
                    )
                    .is_ok();
            if !fails {
                return Answer::Pass;
            }
            let result = result.clone();
            Answer::Edit(Box::new(move |body| {
                let second = result.find_iter(&body).nth(1).expect("two results").range();
                let id = Regex::new("<controlid>([^<]*)</controlid>")
                    .expect("a pattern")
                    .captures(&body[second.clone()])
                    .expect("its control id")[1]
                    .to_owned();
                let failure = format!(
                    "<result><status>failure</status><function>query</function><controlid>{id}</controlid><errormessage><error>\
                     <errorno>{errorno}</errorno><description/><description2>{text}</description2><correction/></error>\
                     </errormessage></result>"
                );
                format!("{}{failure}{}", &body[..second.start], &body[second.end..])
            }))
        }
    };
    // Trouble that passes: the whole request is one round trip, and is sent again.
    company
        .gateway
        .tap
        .rule(fail_second("GW-0010", "Too many operations: rate limit", 1));
    assert_eq!(text(&mut client, sql), expected);
    let both = "query ARINVOICE 2000 + query ARINVOICE 1";
    assert_eq!(requests(&company), [both, both]);
    // A refusal for good: the rows are read, and the warning names the function's control id.
    company.gateway.tap.rule(fail_second(
        "DL02000001",
        "There was an error processing the request",
        9,
    ));
    assert_eq!(text(&mut client, sql), expected);
    let asked = requests(&company);
    assert_eq!(
        asked.last().map(String::as_str),
        Some("query ARINVOICE 2000"),
        "{asked:?}"
    );
}

#[test]
fn joins_cost_one_request() {
    let (company, mut client) = prepare("budget_joins");
    assert_eq!(
        asked(&company, &mut client, JOINED),
        ["query ARINVOICE 2000 + query CUSTOMER 2000"]
    );
}

#[test]
fn at_an_entity_tables_are_read_one_by_one() {
    let (company, mut client) = prepare("entity_joins");
    let pushed = text(&mut client, JOINED);
    client
        .batch_execute("SET sage_intacct.push_joins = off")
        .expect("a setting");
    assert_eq!(text(&mut client, JOINED), pushed);
    client
        .batch_execute(
            "ALTER USER MAPPING FOR CURRENT_USER SERVER acme OPTIONS (ADD location_id 'E100');
             RESET sage_intacct.push_joins",
        )
        .expect("an option");
    requests(&company);
    let rows = client.query(JOINED, &[]).expect("rows").len();
    let asked = requests(&company);
    assert!(
        asked.iter().any(|request| request.contains("query CUSTOMER")),
        "{asked:?}"
    );
    client
        .batch_execute("SET sage_intacct.push_joins = off")
        .expect("a setting");
    assert_eq!(client.query(JOINED, &[]).expect("rows").len(), rows);
}

/// What gateways may say otherwise, and what they may leave out, does not change an answer.
#[test]
fn every_form_of_an_answer_is_understood() {
    let (company, mut client) = prepare("forms_of_answers");
    let statements = [
        "SELECT count(*) FROM arinvoice",
        "SELECT count(whenpaid) FROM arinvoice WHERE totaldue > 10",
        GROUPS,
        "SELECT trim_scale(sum(totaldue)), max(whendue), count(*) FROM arinvoice",
        "SELECT DISTINCT state, is_export FROM arinvoice ORDER BY 1, 2",
        "SELECT EXISTS (SELECT FROM arinvoice WHERE recordno < 0)",
        JOINED,
        "SELECT recordno FROM arinvoice ORDER BY recordno LIMIT 5 OFFSET 40",
        "SELECT recordno FROM arinvoice ORDER BY totaldue NULLS FIRST, recordno LIMIT 5 OFFSET 40",
        "SELECT recordno FROM customer ORDER BY creditlimit NULLS FIRST, recordno LIMIT 9 OFFSET 3",
    ];
    let expected: Vec<_> = statements.map(|sql| text(&mut client, sql)).into();
    let forms: [(&str, &str, &str); 6] = [
        ("no totalcount", r#" totalcount="\d+""#, ""),
        (
            "no counts at all",
            r#" (totalcount|numremaining|offset|count)="\d+""#,
            "",
        ),
        // As the documentation shows a sum.
        ("plain names", r"<(/?)(?:COUNT|SUM|MIN|MAX)[.]", "<$1"),
        ("lower case", r"<(/?)COUNT[.]RECORDNO>", "<${1}count.recordno>"),
        ("rows of one name", r"<(/?)(?:ARINVOICE|CUSTOMER)>", "<${1}row>"),
        (
            "rows counted instead of groups",
            r#"totalcount="\d+"( offset="0" count="\d+" numremaining="0"><\w+>(?:<[^R][^>]*>[^<]*</[^>]*>)*<COUNT)"#,
            r#"totalcount="281"$1"#,
        ),
    ];
    for (form, pattern, replacement) in forms {
        let pattern = Regex::new(pattern).expect("a pattern");
        company.gateway.tap.rule(move |xml| {
            let pattern = pattern.clone();
            match xml.contains("<query>") {
                true => Answer::Edit(Box::new(move |body| {
                    pattern.replace_all(&body, replacement).into_owned()
                })),
                false => Answer::Pass,
            }
        });
        for (sql, expected) in statements.iter().zip(&expected) {
            assert_eq!(&text(&mut client, sql), expected, "{form}: {sql}");
        }
    }
}
