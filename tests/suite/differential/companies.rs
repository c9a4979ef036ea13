//! Companies of which every reading has a value drawn at random: what holds under each reading alone must hold under any
//! number of them together.
//!
//! `SAGE_FUZZ_COMPANIES` sets how many, `SAGE_FUZZ_STATEMENTS` the statements of each, `SAGE_FUZZ_SEED` the seed of the first
//! company, so that one company with the seed that a difference prints replays it.

use std::collections::BTreeMap;
use std::fmt;

use fastrand::Rng;
use intacct_simulator::settings::Readings;
use postgres::Client;
use sage_intacct_fdw_tests::company::{Company, small};

use super::column::Table;
use super::pushed::Pushed;
use super::{SHOWN, TABLES, copy, import, keep, run, seed, statement, statements, versions};

/// Companies when nothing else is said.
const COMPANIES: u32 = 4;

/// Clocks of the gateway: the user's own, and zones that are far, change by an hour, by half of one, or not any more.
const ZONES: &[&str] = &[
    "",
    "",
    "America/Los_Angeles",
    "America/New_York",
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "Asia/Kolkata",
];

/// What a company is and how it is read.
#[derive(Debug, Clone)]
struct Drawn {
    /// Replays the company and its statements.
    seed: u64,
    /// Every reading of the simulator, and its clock.
    readings: BTreeMap<&'static str, &'static str>,
    /// Who reads.
    user: &'static str,
    /// Options of the server.
    server: BTreeMap<&'static str, &'static str>,
    /// The entity that the mapping names.
    mapped_entity: bool,
}

impl Drawn {
    /// Draws a value for everything, then settles what contradicts itself.
    fn new(seed: u64) -> Self {
        fn pick(rng: &mut Rng, of: &[&'static str]) -> &'static str {
            rng.choice(of).copied().expect("not empty")
        }
        let rng = &mut Rng::with_seed(seed);
        let mut readings: BTreeMap<_, _> = Readings::ALL
            .iter()
            .map(|(name, words)| (*name, pick(rng, words)))
            .collect();
        readings.insert("time_zone", pick(rng, ZONES));
        // Answers in other languages or with a clock of twelve hours are refused.
        let user = pick(rng, &["apiuser", "apiuser", "iso", "east"]);
        let mut server: BTreeMap<_, _> = ["show_private", "push_left_joins"]
            .into_iter()
            .map(|option| (option, pick(rng, &["off", "on"])))
            .collect();
        server.insert("ordering", pick(rng, &["proven", "proven", "binary"]));
        server.insert("page_size", pick(rng, &["37", "37", "9", "2000"]));
        let steady = match user {
            "east" => "+05:30",
            _ => "UTC",
        };
        if rng.bool() {
            server.insert(
                "time_zone",
                match readings["time_zone"] {
                    "" => steady,
                    zone => zone,
                },
            );
        }
        // Half of the companies are read at top level.
        let mapped_entity = match rng.u8(..4) {
            0 => true,
            1 => server.insert("location_id", "E100").is_some(),
            _ => false,
        };
        let mut drawn = Self {
            seed,
            readings,
            user,
            server,
            mapped_entity,
        };
        drawn.settle(rng.u8(..8) != 0);
        drawn
    }

    /// The one place that says which combinations contradict themselves, and what gives way: always the option, which tells
    /// how the gateway is, or what is to be asked of it; the readings stay as they were drawn. With one exception:
    ///
    /// - `dtd_3_0 'refused'` leaves nothing of most readings, so seven of eight such companies take 3.0.
    /// - Where 3.0 is refused, the server is of version 2.1. Such a company does not tell the user's preferences, so the user has
    ///   the ordinary ones and the server declares the zone.
    /// - `show_private` asks for what a gateway with `private_option 'refused'` refuses, with an error for each statement.
    /// - `ordering 'binary'` declares text in C order, and NULL above all values.
    /// - `push_left_joins` declares that a path keeps rows without a parent.
    /// - `missing_elements 'null'` is for a gateway that leaves elements out, and only for that: see [`prepare`].
    fn settle(&mut self, modern: bool) {
        if modern {
            self.readings.insert("dtd_3_0", "taken");
        }
        if self.is("dtd_3_0", "refused") {
            self.server.insert("dtd_version", "2.1");
            self.user = "apiuser";
            let zone = match self.readings["time_zone"] {
                "" => "UTC",
                zone => zone,
            };
            self.server.insert("time_zone", zone);
        }
        if self.is("private_option", "refused") {
            self.server.insert("show_private", "off");
        }
        if !(self.is("text_order", "binary") && self.is("nulls", "high")) {
            self.server.insert("ordering", "proven");
        }
        if !self.is("dotted_paths", "left") {
            self.server.insert("push_left_joins", "off");
        }
    }

    fn is(&self, reading: &str, word: &str) -> bool {
        self.readings[reading] == word
    }

    /// The tables of the company's version and the key of each.
    fn tables(&self) -> &'static [(&'static str, &'static str)] {
        match self.is("dtd_3_0", "refused") {
            true => versions::LISTED,
            false => TABLES,
        }
    }
}

impl fmt::Display for Drawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {}, user {}", self.seed, self.user)?;
        if self.mapped_entity {
            f.write_str(" at E100")?;
        }
        for (name, value) in &self.server {
            write!(f, ", {name} '{value}'")?;
        }
        f.write_str("\n  readings other than the default:")?;
        for (name, value) in &self.readings {
            let known = Readings::ALL.iter().find(|(known, _)| known == name);
            if known.map_or("", |(_, words)| words[0]) != *value {
                write!(f, " {name}={value}")?;
            }
        }
        Ok(())
    }
}

/// Makes the company, its foreign tables and their copies.
fn prepare(drawn: &Drawn) -> Company {
    let mut config = small();
    config.seed = drawn.seed;
    let company = Company::start_with("drawn", config);
    // What a list of 2.1 may hold by its schema is more than the simulator keeps. Where 3.0 is taken, IMPORT leaves out what the
    // company does not define; so 3.0 is refused only afterwards.
    let set = |late: bool| {
        for (key, value) in &drawn.readings {
            if (*key == "dtd_3_0") == late {
                company.gateway.set(key, value);
            }
        }
    };
    set(false);
    let mut client = company.connect();
    // Whole pages for the copies.
    for (option, value) in drawn.server.iter().filter(|(option, _)| **option != "page_size") {
        client
            .batch_execute(&format!("ALTER SERVER acme OPTIONS (ADD {option} '{value}')"))
            .unwrap_or_else(|error| panic!("{option}: {error:?}\n{drawn}"));
    }
    let entity = match drawn.mapped_entity {
        true => ", ADD location_id 'E100'",
        false => "",
    };
    client
        .batch_execute(&format!(
            "ALTER USER MAPPING FOR CURRENT_USER SERVER acme OPTIONS (SET user_id '{}'{entity})",
            drawn.user
        ))
        .expect("a mapping");
    import(&mut client, drawn.tables());
    set(true);
    // 2.1 has optional elements by its schema.
    if drawn.is("empty_elements", "omitted") && drawn.is("dtd_3_0", "taken") {
        for (table, _) in drawn.tables() {
            let way_out = format!(
                "ALTER FOREIGN TABLE {}.{table} OPTIONS (ADD missing_elements 'null')",
                run::FOREIGN
            );
            client.batch_execute(&way_out).expect("an option");
        }
    }
    copy(&mut client, drawn.tables());
    client
        .batch_execute(&format!(
            "ALTER SERVER acme OPTIONS (ADD page_size '{}')",
            drawn.server["page_size"]
        ))
        .expect("an option");
    company
}

/// Compares statements of one company: every second of them a join, where the version has any.
fn compare(drawn: &Drawn, differences: &mut Vec<String>) -> Pushed {
    let company = prepare(drawn);
    let mut client: Client = company.connect();
    let tables: Vec<_> = drawn
        .tables()
        .iter()
        .map(|(table, key)| Table::read(&mut client, run::LOCAL, table, key))
        .collect();
    let mut rng = Rng::with_seed(drawn.seed.rotate_left(32));
    let mut pushed = Pushed::default();
    for number in 0..statements() {
        let statement = match drawn.is("dtd_3_0", "refused") {
            true => statement::without_joins(&mut rng, &tables),
            false if number % 2 == 0 => statement::joining(&mut rng, &tables),
            false => statement::statement(&mut rng, &tables),
        };
        company.gateway.forget_requests();
        let checked = run::check(&mut client, &statement);
        let requests = company.gateway.tap.requests();
        pushed.count(&requests);
        if let Err(difference) = checked {
            let difference = format!("{drawn}\n  statement {number}: {difference}");
            keep("companies", drawn.seed, &difference, &requests);
            differences.push(difference);
            if differences.len() >= SHOWN {
                break;
            }
        }
    }
    pushed
}

#[test]
fn companies_with_random_readings() {
    let number = std::env::var("SAGE_FUZZ_COMPANIES")
        .map_or(COMPANIES, |text| text.parse().expect("a number of companies"));
    let mut next = seed();
    let mut differences = Vec::new();
    let mut pushed = Pushed::default();
    for company in 0..number {
        let drawn = Drawn::new(next);
        next = Rng::with_seed(next).u64(..);
        println!("company {company} of {number}: {drawn}");
        pushed += compare(&drawn, &mut differences);
        if differences.len() >= SHOWN {
            break;
        }
    }
    println!("{pushed:?} of {} statements", number * statements());
    assert!(
        differences.is_empty(),
        "differences (COMPANIES=1 SEED=… of a company replays it):\n{}",
        differences.join("\n\n")
    );
    // A comparison of local plans with local plans would find nothing.
    pushed.assert_some(number * statements());
}

#[test]
fn every_reading_is_drawn_and_none_contradicts_an_option() {
    let drawn: Vec<_> = (0..500).map(Drawn::new).collect();
    for (name, words) in Readings::ALL {
        for word in *words {
            assert!(drawn.iter().any(|drawn| drawn.is(name, word)), "{name} {word}");
        }
    }
    let with = |option: &str, value: &str| {
        let found: Vec<_> = drawn
            .iter()
            .filter(|drawn| drawn.server.get(option) == Some(&value))
            .collect();
        assert!(!found.is_empty(), "{option} {value}");
        found
    };
    assert!(
        with("show_private", "on")
            .iter()
            .all(|drawn| drawn.is("private_option", "taken"))
    );
    assert!(
        with("ordering", "binary")
            .iter()
            .all(|drawn| drawn.is("nulls", "high"))
    );
    assert!(
        with("push_left_joins", "on")
            .iter()
            .all(|drawn| drawn.is("dotted_paths", "left"))
    );
    assert!(
        with("dtd_version", "2.1")
            .iter()
            .all(|drawn| drawn.is("dtd_3_0", "refused"))
    );
    assert!(!with("location_id", "E100").is_empty());
}
