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
    let checked = ["query ARINVOICE 1", "query ARINVOICE 2000"];
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
    // The keys are texts: rows are counted under them, and those with a blank at an edge.
    let texts = [
        "query ARINVOICE 1",
        "query ARINVOICE 1 + query ARINVOICE 1",
        "query ARINVOICE 2000",
    ];
    assert_eq!(asked(&company, &mut client, GROUPS), texts);
    assert_eq!(
        asked(
            &company,
            &mut client,
            "SELECT DISTINCT state, is_export FROM arinvoice"
        ),
        ["query ARINVOICE 1", "query ARINVOICE 1", "query ARINVOICE 2000"]
    );
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
            "query ARINVOICE 1 + query ARINVOICE 1",
            "query ARINVOICE 2000 + query CUSTOMER 2000"
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
    let page = "query ARINVOICE 2000";
    assert_eq!(
        asked,
        ["query ARINVOICE 1", "query ARINVOICE 1", page, page, page]
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
