//! The simulator's world without its HTTP server: a scripted gateway decides what reaches it, and when.
#![allow(dead_code, reason = "each test binary uses its part")]

use super::Reply;
use intacct_simulator::gateway::Gateway as World;
use std::sync::Arc;

/// A company with data behind a scripted gateway.
#[derive(Clone)]
pub struct Company(Arc<World>);

impl Company {
    /// A small one.
    pub fn new() -> Company {
        let mut config = intacct_simulator::Config::default();
        for (object, rows) in [
            ("customer", 40),
            ("arinvoice", 30),
            ("arinvoiceitem", 60),
            ("apbill", 20),
            ("apbillitem", 40),
            ("glbatch", 10),
            ("glentry", 40),
            ("gldetail", 20),
            ("task", 20),
            ("contact", 40),
        ] {
            config = config.rows(object, rows);
        }
        Company(Arc::new(World::create(&config).expect("a company")))
    }

    /// Executes a request document and answers as the gateway would.
    pub fn answer(&self, request: &str) -> Reply {
        let parsed = self.0.parse(request.as_bytes());
        let answer = self.0.execute(&parsed, None);
        let body = String::from_utf8(answer.body).expect("UTF-8");
        Reply::status(answer.status, "application/xml", body)
    }

    /// Changes a switch of the simulator.
    pub fn set(&self, key: &str, value: &str) {
        self.0.set([(key, value)]).expect("a setting");
    }

    /// Ends every session.
    pub fn expire_sessions(&self) {
        self.0.sessions.close_all();
    }

    /// Adds rows as a person would; answers their keys.
    pub fn insert(&self, object: &str, rows: &[serde_json::Value]) -> Vec<i64> {
        let changes = rows
            .iter()
            .map(|values| serde_json::json!({"insert": {"object": object, "values": values}}));
        let changes = changes
            .map(|change| serde_json::from_value(change).expect("a change"))
            .collect();
        let keys = self.0.change("acme", changes, false).expect("inserted");
        keys.concat()
    }

    /// The first column of what a query of the company's tables finds, as text.
    pub fn truth(&self, sql: &str) -> Vec<String> {
        let reader = self.0.companies["acme"].store.read().expect("a connection");
        let text =
            format!("SELECT CAST(first AS TEXT) FROM (SELECT COALESCE(x.a, '') AS first FROM ({sql}) AS x)");
        let mut statement = reader.prepare(&text).expect("a query");
        let rows = statement
            .query_map((), |row| row.get::<_, String>(0))
            .expect("rows");
        rows.map(|row| row.expect("text")).collect()
    }
}
