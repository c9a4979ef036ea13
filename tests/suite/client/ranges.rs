//! A gateway that tells no counts: its pages cannot be counted ahead, so parts of the keys are read side by side,
//! unless the statement relies on the order.

use sage_intacct_fdw_tests::company::Company;
use sage_intacct_fdw_tests::tap::Answer;

/// Takes the counts out of the answer.
fn without_counts(body: String) -> String {
    let Some(start) = body.find("<data ") else {
        return body;
    };
    let end = start + body[start..].find('>').expect("the end of a tag");
    format!("{}<data{}", &body[..start], &body[end..])
}

/// A company with customers that come in pages of 5.
struct Uncounted {
    company: Company,
    client: postgres::Client,
}

impl Uncounted {
    fn start(name: &str) -> Self {
        let company = Company::start(name);
        company.import("customer");
        let mut client = company.connect();
        client
            .batch_execute("ALTER SERVER acme OPTIONS (ADD page_size '5', ADD max_concurrency '4')")
            .expect("options");
        company
            .gateway
            .tap
            .rule(|_| Answer::Edit(Box::new(without_counts)));
        Self { company, client }
    }

    /// The keys in the order in which they come, and the requests for parts.
    fn keys(&mut self, sql: &str) -> (Vec<i64>, usize) {
        self.company.gateway.tap.forget();
        let rows = self.client.query(sql, &[]).expect(sql);
        let requests = self.company.gateway.tap.requests();
        let parts = requests
            .iter()
            .filter(|xml| xml.contains("<lessthanorequalto><field>RECORDNO</field>"));
        (rows.iter().map(|row| row.get(0)).collect(), parts.count())
    }
}

#[test]
fn parts_of_the_keys_are_read_side_by_side_and_every_row_comes_once() {
    let mut uncounted = Uncounted::start("ranges_parts");
    let rows = uncounted.company.rows("CUSTOMER");
    for sql in [
        "SELECT recordno FROM customer",
        "SELECT (row->>'RECORDNO')::bigint FROM sage_intacct.query('acme', 'select RECORDNO from CUSTOMER') row",
    ] {
        let (mut keys, parts) = uncounted.keys(sql);
        assert!(parts > 0, "{sql}");
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(i64::try_from(keys.len()).expect("few rows"), rows, "{sql}");
    }
}

#[test]
fn an_order_that_the_statement_relies_on_is_kept() {
    let mut uncounted = Uncounted::start("ranges_order");
    let rows = uncounted.company.rows("CUSTOMER");
    uncounted
        .client
        .batch_execute(
            "CREATE TEMP TABLE known AS SELECT recordno FROM customer;
             ALTER TABLE known ADD PRIMARY KEY (recordno);
             SET enable_hashjoin = off; SET enable_nestloop = off; SET enable_sort = off; SET sage_intacct.push_lookups = off",
        )
        .expect("settings");
    for sql in [
        "SELECT recordno FROM customer ORDER BY recordno",
        // A merge join in the order of the key.
        "SELECT recordno FROM customer JOIN known USING (recordno)",
        "SELECT recordno FROM customer GROUP BY recordno HAVING count(name) > 0",
    ] {
        let (keys, parts) = uncounted.keys(sql);
        assert!(keys.is_sorted(), "{sql}: {keys:?}");
        assert_eq!(i64::try_from(keys.len()).expect("few rows"), rows, "{sql}");
        assert_eq!(parts, 0, "{sql}");
    }
}
