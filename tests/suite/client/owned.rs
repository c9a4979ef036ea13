//! Joins to parents whose rows entities may own: the answer is the local one whatever a direct query and a path show of
//! them, and the evidence travels with the statement's own request.

use postgres::Client;
use sage_intacct_fdw_tests::company::{Company, small};
use sage_intacct_fdw_tests::tap::Answer;

const TABLES: &str = "arinvoiceitem, arinvoice, customer, territory, employee, arterm, apbillitem, apbill, vendor, glentry, \
    glbatch, gljournal, eexpenses, timesheet, project, mca_attendee, mca_session, sodocumententry, sodocument";

/// Joins in every shape, along documents, master data and both. Orders leave no choice.
const STATEMENTS: &[&str] = &[
    "SELECT count(*) FROM arinvoiceitem i JOIN arinvoice a ON a.recordno = i.recordkey",
    "SELECT i.recordno, a.recordid, a.megaentityid FROM arinvoiceitem i JOIN arinvoice a ON a.recordno = i.recordkey",
    "SELECT a.state, count(*), sum(i.amount), min(i.recordno) FROM arinvoiceitem i JOIN arinvoice a ON a.recordno = i.recordkey GROUP BY 1",
    "SELECT a.megaentityid, count(*) FROM arinvoiceitem i JOIN arinvoice a ON a.recordno = i.recordkey GROUP BY 1",
    "SELECT i.recordno, sum(i.amount) OVER (PARTITION BY a.recordid ORDER BY i.recordno)
       FROM arinvoiceitem i JOIN arinvoice a ON a.recordno = i.recordkey",
    "SELECT i.recordno FROM arinvoiceitem i JOIN arinvoice a ON a.recordno = i.recordkey WHERE a.totalentered > 5000 AND a.megaentityid IS NOT NULL",
    "SELECT i.recordno FROM arinvoiceitem i JOIN arinvoice a ON a.recordno = i.recordkey WHERE a.megaentityid IS NULL",
    "SELECT i.recordno, a.recordid FROM arinvoiceitem i JOIN arinvoice a ON a.recordno = i.recordkey ORDER BY i.recordno DESC LIMIT 5",
    "SELECT i.recordno, a.recordid FROM arinvoiceitem i JOIN arinvoice a ON a.recordno = i.recordkey ORDER BY i.entry_date DESC, i.recordno LIMIT 7",
    "SELECT i.recordno FROM arinvoiceitem i WHERE EXISTS (SELECT FROM arinvoice a WHERE a.recordno = i.recordkey AND a.totalentered > 100)",
    "SELECT count(*) FROM arinvoiceitem WHERE recordkey IN (SELECT recordno FROM arinvoice)",
    "SELECT i.recordno, c.name FROM arinvoiceitem i JOIN arinvoice a ON a.recordno = i.recordkey JOIN customer c ON c.customerid = a.customerid",
    "SELECT c.customerid, count(*) FROM arinvoiceitem i JOIN arinvoice a ON a.recordno = i.recordkey
       JOIN customer c ON c.customerid = a.customerid GROUP BY 1",
    "SELECT t.name, count(*), sum(i.amount) FROM arinvoiceitem i JOIN arinvoice a ON a.recordno = i.recordkey
       JOIN customer c ON c.customerid = a.customerid JOIN territory t ON t.territoryid = c.territoryid GROUP BY 1",
    "SELECT i.recordno, e.employeeid FROM arinvoiceitem i JOIN arinvoice a ON a.recordno = i.recordkey
       JOIN customer c ON c.customerid = a.customerid JOIN employee e ON e.employeeid = c.custrepid",
    "SELECT count(*) FROM customer c JOIN employee e ON e.employeeid = c.custrepid",
    "SELECT e.employeeid, max(c.recordno) FROM customer c JOIN employee e ON e.employeeid = c.custrepid GROUP BY 1",
    "SELECT count(*) FROM apbillitem i JOIN apbill b ON b.recordno = i.recordkey",
    "SELECT b.recordid, i.amount FROM apbillitem i JOIN apbill b ON b.recordno = i.recordkey WHERE b.recordno < 60",
    "SELECT v.vendorid, count(*) FROM apbillitem i JOIN apbill b ON b.recordno = i.recordkey JOIN vendor v ON v.vendorid = b.vendorid GROUP BY 1",
    "SELECT j.title, count(*), sum(e.amount) FROM glentry e JOIN glbatch b ON b.recordno = e.batchno
       JOIN gljournal j ON j.symbol = b.journal GROUP BY 1",
    "SELECT count(*) FROM glentry e JOIN glbatch b ON b.recordno = e.batchno",
    "SELECT DISTINCT b.state FROM glentry e JOIN glbatch b ON b.recordno = e.batchno",
    "SELECT e.recordno, b.batchno FROM glentry e JOIN glbatch b ON b.recordno = e.batchno ORDER BY e.recordno LIMIT 9",
    "SELECT x.recordno, e.employeeid FROM eexpenses x JOIN employee e ON e.employeeid = x.employeeid",
    "SELECT e.recordno, count(*) FROM timesheet t JOIN employee e ON e.recordno = t.employeekey GROUP BY 1",
    "SELECT count(*) FROM project p JOIN employee e ON e.recordno = p.managerkey",
    "SELECT s.name, count(*) FROM mca_attendee a JOIN mca_session s ON s.id = a.rsession GROUP BY 1",
    "SELECT d.docid, count(*) FROM sodocumententry e JOIN sodocument d ON d.recordno = e.dochdrno GROUP BY 1",
    "SELECT i.recordno, a.recordid FROM arinvoiceitem i LEFT JOIN arinvoice a ON a.recordno = i.recordkey",
    "SELECT a.state, count(*) FROM arinvoiceitem i LEFT JOIN arinvoice a ON a.recordno = i.recordkey GROUP BY 1",
    "SELECT c.recordno, e.employeeid FROM customer c LEFT JOIN employee e ON e.employeeid = c.custrepid",
    "SELECT a.recordno, c.name FROM arinvoice a LEFT JOIN customer c ON c.customerid = a.customerid",
    "SELECT a.recordno, c.name FROM arinvoice a JOIN customer c ON c.customerid = a.customerid WHERE c.customerid = 'C-00003'",
    "SELECT c.name, count(*) FROM arinvoice a JOIN customer c USING (customerid) WHERE a.customerid = 'C-00003' GROUP BY 1",
    "SELECT sum(i.amount) FROM arinvoiceitem i JOIN arinvoice a ON a.recordno = i.recordkey WHERE a.recordno = 5",
    "SELECT p.recordno, x.n FROM customer p, LATERAL (SELECT count(*) AS n FROM arinvoiceitem i
       JOIN arinvoice a ON a.recordno = i.recordkey WHERE i.customerdimkey = p.recordno) x WHERE p.recordno < 9",
];

/// A company of which every object that joins lead to has rows of both entities.
fn company(name: &str, options: &str) -> (Company, Client) {
    let config = small()
        .rows("ARINVOICEITEM", 300)
        .rows("APBILL", 80)
        .rows("APBILLITEM", 160)
        .rows("EMPLOYEE", 60)
        .rows("GLENTRY", 300)
        .rows("EEXPENSES", 60)
        .rows("TIMESHEET", 60)
        .rows("PROJECT", 60)
        .rows("SODOCUMENT", 60)
        .rows("SODOCUMENTENTRY", 120);
    let company = Company::start_with(name, config);
    company.import(TABLES);
    let mut client = company.connect();
    client
        .batch_execute(&format!(
            "ALTER SERVER acme OPTIONS (ADD page_size '97'{options})"
        ))
        .expect("options");
    (company, client)
}

/// The rows of a statement as text, sorted, unless it says how.
fn rows(client: &mut Client, sql: &str) -> Vec<String> {
    let order = if sql.contains("LIMIT") { "" } else { " ORDER BY 1" };
    let sql = format!("SELECT s::text FROM ({sql}) s{order}");
    let rows = client
        .query(&sql, &[])
        .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    rows.iter().map(|row| row.get(0)).collect()
}

fn local_rows(client: &mut Client, sql: &str) -> Vec<String> {
    let switch = |to: &str| {
        let set = |class: &&str| format!("SET sage_intacct.push_{class} = {to};");
        ["joins", "aggregates", "order", "limit"]
            .iter()
            .map(set)
            .collect::<String>()
    };
    client.batch_execute(&switch("off")).expect("switches");
    let rows = rows(client, sql);
    client.batch_execute(&switch("on")).expect("switches");
    rows
}

/// Compares what is pushed with what is read and joined here, under every combination of readings, in one session: what it
/// has found out under one of them must not count under the next.
fn compare_all(company: &Company, client: &mut Client, readings: &[(&str, &str, &str, &str)]) {
    for (owned_rows, user_entities, hidden_parents, dotted_paths) in readings {
        for (key, value) in [
            ("owned_rows", owned_rows),
            ("user_entities", user_entities),
            ("hidden_parents", hidden_parents),
            ("dotted_paths", dotted_paths),
        ] {
            company.gateway.set(key, value);
        }
        for statement in STATEMENTS {
            // The server may vouch for LEFT joins only where paths keep rows without a parent.
            if statement.contains("LEFT JOIN") && *dotted_paths == "inner" {
                continue;
            }
            let expected = local_rows(client, statement);
            let got = rows(client, statement);
            assert!(
                got == expected,
                "{owned_rows} {user_entities} {hidden_parents} {dotted_paths}: {statement}\n{} rows instead of {}",
                got.len(),
                expected.len()
            );
        }
    }
}

const ALL: &[(&str, &str, &str, &str)] = &[
    ("by_object", "all", "shown", "left"),
    ("hidden", "all", "shown", "left"),
    ("shown", "all", "hidden", "inner"),
    ("by_object", "one", "shown", "left"),
    ("by_object", "one_unless_private", "shown", "left"),
    ("by_object", "all", "hidden", "left"),
    ("shown", "one", "hidden", "left"),
    ("shown", "one", "shown", "inner"),
    ("hidden", "one", "hidden", "inner"),
    ("shown", "one_unless_private", "hidden", "left"),
    ("by_object", "all", "shown", "inner"),
];

#[test]
fn joins_answer_as_local_ones_whatever_is_shown_of_entities() {
    let (company, mut client) = company("owned", ", ADD push_left_joins 'on'");
    compare_all(&company, &mut client, ALL);
    company.gateway.set("private_option", "refused");
    compare_all(&company, &mut client, &ALL[..1]);
}

#[test]
fn joins_with_private_rows_answer_as_local_ones() {
    let (company, mut client) = company(
        "owned_private",
        ", ADD push_left_joins 'on', ADD show_private 'on'",
    );
    compare_all(&company, &mut client, &ALL[..6]);
}

#[test]
fn joins_at_an_entity_answer_as_local_ones() {
    let (company, mut client) = company("owned_entity", ", ADD location_id 'E100'");
    compare_all(&company, &mut client, &ALL[..1]);
}

/// The declared form is tried first, and proven all the same.
#[test]
fn what_a_table_declares_of_entities_is_not_believed() {
    let (company, mut client) = company("owned_declared", "");
    for declared in ["ADD entities 'shown'", "SET entities 'hidden'"] {
        for table in [
            "arinvoice",
            "customer",
            "apbill",
            "glbatch",
            "employee",
            "vendor",
            "sodocument",
        ] {
            client
                .batch_execute(&format!("ALTER FOREIGN TABLE {table} OPTIONS ({declared})"))
                .expect("an option");
        }
        compare_all(&company, &mut company.connect(), &ALL[..1]);
    }
}

/// By the truth: lines of invoices that entities own are there, those of customers that are hidden are not.
#[test]
fn rows_of_entities_are_joined_where_they_are_shown() {
    let (company, mut client) = company("owned_truth", "");
    let count = |sql: &str| company.gateway.truth(sql)[0]["n"].as_i64().expect("a number");
    let all = count("SELECT count(*) AS n FROM ARINVOICEITEM");
    let shared = count(
        "SELECT count(*) AS n FROM ARINVOICEITEM i JOIN ARINVOICE a ON a.RECORDNO = i.RECORDKEY
          WHERE a.MEGAENTITYID IS NULL",
    );
    assert!(shared < all);
    let joined = "SELECT count(*) FROM arinvoiceitem i JOIN arinvoice a ON a.recordno = i.recordkey";
    let number = |client: &mut Client, sql: &str| client.query_one(sql, &[]).expect("a row").get::<_, i64>(0);
    assert_eq!(number(&mut client, joined), all);
    let of_customers = count(
        "SELECT count(*) AS n FROM ARINVOICE a JOIN CUSTOMER c ON c.CUSTOMERID = a.CUSTOMERID WHERE c.MEGAENTITYID IS NULL",
    );
    let joined = "SELECT count(*) FROM arinvoice a JOIN customer c USING (customerid)";
    assert_eq!(number(&mut client, joined), of_customers);
}

/// Functions of each request so far.
fn functions(company: &Company) -> Vec<usize> {
    company
        .gateway
        .log()
        .iter()
        .map(|entry| entry.functions.len())
        .collect()
}

#[test]
fn evidence_takes_no_further_round_trip() {
    let (company, mut client) = company("owned_calls", "");
    client
        .batch_execute("SELECT whenmodified FROM customer LIMIT 1")
        .expect("signed in");
    let mut cost = |sql: &str| {
        company.gateway.log();
        client
            .batch_execute(sql)
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        functions(&company)
    };
    // Master data: one small query beside.
    let customers = "SELECT count(*) FROM arinvoice JOIN customer USING (customerid)";
    assert_eq!(cost(customers), [2]);
    // Documents: the first statement finds out that their rows are shown, the others know what to try.
    let lines = "SELECT count(*) FROM apbillitem i JOIN apbill b ON b.recordno = i.recordkey";
    assert_eq!(cost(lines), [2, 4]);
    assert_eq!(cost(lines), [4]);
    assert_eq!(
        cost("SELECT i.recordno FROM apbillitem i JOIN apbill b ON b.recordno = i.recordkey LIMIT 3"),
        [4]
    );
    // Only the first page carries it.
    let pages = cost("SELECT i.recordno FROM apbillitem i JOIN apbill b ON b.recordno = i.recordkey");
    assert_eq!(pages.iter().sum::<usize>(), pages.len() + 3, "{pages:?}");
    // Two hops: what each of them needs.
    let hops = "SELECT count(*) FROM arinvoiceitem i JOIN arinvoice a ON a.recordno = i.recordkey JOIN customer c ON c.customerid = a.customerid";
    assert_eq!(cost(hops), [3, 5]);
    assert_eq!(cost(hops), [5]);
    // A declaration saves the first attempt.
    let mut client = company.connect();
    client
        .batch_execute("ALTER FOREIGN TABLE glbatch OPTIONS (entities 'shown'); SELECT whenmodified FROM customer LIMIT 1")
        .expect("an option");
    company.gateway.log();
    client
        .batch_execute("SELECT count(*) FROM glentry e JOIN glbatch b ON b.recordno = e.batchno")
        .expect("rows");
    assert_eq!(functions(&company), [4]);
}

/// A user who sees some entities only: nothing is proven, the tables are read, and for a while nobody asks again.
#[test]
fn without_evidence_the_tables_are_read_one_by_one() {
    let (company, mut client) = company("owned_undecided", "");
    company.gateway.set("user_entities", "one");
    let lines = "SELECT count(*) FROM apbillitem i JOIN apbill b ON b.recordno = i.recordkey";
    client.batch_execute(lines).expect("rows");
    company.gateway.log();
    client.batch_execute(lines).expect("rows");
    assert!(functions(&company).iter().all(|functions| *functions == 1));
    let plan: Vec<String> = client
        .query(&format!("EXPLAIN (ANALYZE, COSTS OFF) {lines}"), &[])
        .expect("a plan")
        .iter()
        .map(|row| row.get(0))
        .collect();
    let plan = plan.join("\n");
    assert!(
        plan.contains("Intacct Local Plan: it cannot be proven which rows of APBILL a join must show"),
        "{plan}"
    );
}

/// What is refused beside the query is no failure of the statement.
#[test]
fn evidence_that_is_refused_leads_to_the_local_plan() {
    let (company, mut client) = company("owned_refused", "");
    let lines = "SELECT a.state, count(*) FROM arinvoiceitem i JOIN arinvoice a ON a.recordno = i.recordkey GROUP BY 1";
    let expected = local_rows(&mut client, lines);
    company.gateway.tap.rule(|xml| {
        if !xml.contains("<showprivate>") {
            return Answer::Pass;
        }
        Answer::Edit(Box::new(|body| {
            // The answer of the third function becomes a failure.
            let at = body.match_indices("<result>").nth(2).map_or(0, |(at, _)| at);
            let end = body[at..].find("</result>").map_or(body.len(), |end| at + end);
            let id = body[at..end]
                .split("<controlid>")
                .nth(1)
                .and_then(|rest| rest.split("</controlid>").next())
                .unwrap_or_default()
                .to_owned();
            format!(
                "{}<result><status>failure</status><function>query</function><controlid>{id}</controlid><errormessage><error>\
                 <errorno>DL02000001</errorno><description></description><description2>no</description2>\
                 <correction></correction></error></errormessage>{}",
                &body[..at],
                &body[end..]
            )
        }))
    });
    assert_eq!(rows(&mut client, lines), expected);
}
