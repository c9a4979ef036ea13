//! What a simulator is started with.

use std::collections::HashMap;
use std::path::PathBuf;

/// Start options; [`Default`] is the documented default scale on a free loopback port.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address to listen on.
    pub listen: String,
    /// Directory for `ca.pem`: serve https with a certificate made at start.
    pub tls_dir: Option<PathBuf>,
    /// Seed of the data.
    pub seed: u64,
    /// How many companies there are: acme, globex, initech, umbrella.
    pub companies: usize,
    /// Rows by object name (`ARINVOICE`), for every company.
    pub rows: HashMap<String, u64>,
    /// Rows by object name in one company only: (company, object).
    pub company_rows: HashMap<(String, String), u64>,
    /// Settings, by key.
    pub settings: Vec<(String, String)>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:0".into(),
            tls_dir: None,
            seed: 42,
            companies: 2,
            rows: HashMap::new(),
            company_rows: HashMap::new(),
            settings: Vec::new(),
        }
    }
}

impl Config {
    /// Sets the number of rows of an object, `customer` or, for one company, `acme.customer`.
    #[must_use]
    pub fn rows(mut self, object: &str, rows: u64) -> Self {
        match object.split_once('.') {
            Some((company, object)) => {
                self.company_rows
                    .insert((company.into(), object.to_uppercase()), rows);
            }
            None => {
                self.rows.insert(object.to_uppercase(), rows);
            }
        }
        self
    }

    /// Adds a setting.
    #[must_use]
    pub fn setting(mut self, key: &str, value: &str) -> Self {
        self.settings.push((key.into(), value.into()));
        self
    }

    /// Rows of one company.
    pub fn rows_of(&self, company: &str) -> HashMap<String, u64> {
        let mut rows = self.rows.clone();
        let own = self.company_rows.iter().filter(|((c, _), _)| c == company);
        rows.extend(own.map(|((_, object), n)| (object.clone(), *n)));
        rows
    }
}
