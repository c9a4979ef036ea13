//! Generated statements give the same answer on foreign tables and on local copies, whatever is pushed, and under
//! every reading of what the gateway's documentation leaves open.
//!
//! `SAGE_FUZZ_STATEMENTS` sets the number for each reading, `SAGE_FUZZ_SEED` replays a run, `SAGE_FUZZ_ONLY` makes all of
//! them `aggregates`, `joins`, `lookups`, `recalled` or `shapes`. Every difference is kept in a file of the folder that `SAGE_GOT` names.

mod aggregate;
mod column;
mod combined;
mod companies;
mod condition;
mod constructs;
mod join;
mod lookup;
mod pushed;
mod recalled;
mod run;
mod shapes;
mod statement;
mod truth;
mod versions;

use std::io::Write;
use std::time::Instant;

use column::Table;
use fastrand::Rng;
use postgres::Client;
use sage_intacct_fdw_tests::company::Company;

/// The tables: imported as foreign tables into one schema, copied into the other; and the key of each.
const TABLES: &[(&str, &str)] = &[
    ("customer", "recordno"),
    ("arinvoice", "recordno"),
    ("mca_attendee", "id"),
    ("glbatch", "recordno"),
    ("territory", "recordno"),
    ("arterm", "recordno"),
    ("arinvoiceitem", "recordno"),
    ("employee", "recordno"),
];

/// Statements for each reading when nothing else is said.
const STATEMENTS: u32 = 30;
/// The seed when nothing else is said: a failure in one run is then a failure in the next.
const SEED: u64 = 20_261_123;
/// A run whose seed drew little that a gateway can compute goes on until enough of each class was pushed, up to so many
/// times the statements: what is pushed is then lacking for another reason than the seed.
const LONGEST: u32 = 5;
/// Differences that are shown before the test gives up.
const SHOWN: usize = 3;

fn seed() -> u64 {
    match std::env::var("SAGE_FUZZ_SEED").as_deref() {
        Ok("") => fastrand::u64(..),
        Ok(text) => text.parse().expect("SAGE_FUZZ_SEED is a number"),
        Err(_) => SEED,
    }
}

fn statements() -> u32 {
    std::env::var("SAGE_FUZZ_STATEMENTS")
        .map_or(STATEMENTS, |text| text.parse().expect("a number of statements"))
}

/// A company under some readings, with foreign tables and copies.
fn prepare(name: &str, user: &str, readings: &[(&str, &str)], options: &str) -> Company {
    let company = Company::start(name);
    for (key, value) in readings {
        company.gateway.set(key, value);
    }
    let mut client = company.connect();
    if !options.is_empty() {
        let alter = format!("ALTER SERVER acme OPTIONS ({options})");
        client.batch_execute(&alter).expect("options");
    }
    client
        .batch_execute(&format!(
            "ALTER USER MAPPING FOR CURRENT_USER SERVER acme OPTIONS (SET user_id '{user}')"
        ))
        .expect("a user");
    import(&mut client, TABLES);
    if readings.contains(&("empty_elements", "omitted")) {
        for (table, _) in TABLES {
            let way_out = format!(
                "ALTER FOREIGN TABLE {}.{table} OPTIONS (ADD missing_elements 'null')",
                run::FOREIGN
            );
            client.batch_execute(&way_out).expect("an option");
        }
    }
    copy(&mut client, TABLES);
    // From here on several pages make a table.
    client
        .batch_execute("ALTER SERVER acme OPTIONS (ADD page_size '37')")
        .expect("an option");
    company
}

/// Lets the planner know how many groups half of the tables have: the gateway's groups are then asked for where they are few.
fn analyze(client: &mut Client) {
    for (table, _) in TABLES.iter().step_by(2) {
        let analyze = format!("ANALYZE {}.{table}", run::FOREIGN);
        client.batch_execute(&analyze).expect("analyzed");
    }
}

/// Makes the foreign tables.
fn import(client: &mut Client, tables: &[(&str, &str)]) {
    let names: Vec<_> = tables.iter().map(|(table, _)| *table).collect();
    client
        .batch_execute(&format!(
            "CREATE SCHEMA {f}; CREATE SCHEMA {l};
             IMPORT FOREIGN SCHEMA intacct LIMIT TO ({}) FROM SERVER acme INTO {f}",
            names.join(", "),
            f = run::FOREIGN,
            l = run::LOCAL,
        ))
        .expect("imported");
}

/// Makes the local copies: what is read when nothing is pushed.
fn copy(client: &mut Client, tables: &[(&str, &str)]) {
    client
        .batch_execute(
            "SET sage_intacct.push_where = off; SET sage_intacct.push_order = off; SET sage_intacct.push_limit = off;
             SET sage_intacct.push_aggregates = off; SET sage_intacct.push_joins = off;
             SET sage_intacct.push_lookups = off",
        )
        .expect("switches");
    for (table, _) in tables {
        client
            .batch_execute(&format!(
                "CREATE TABLE {l}.{table} AS SELECT * FROM {f}.{table}; ANALYZE {l}.{table}",
                f = run::FOREIGN,
                l = run::LOCAL,
            ))
            .expect("copied");
    }
}

/// The clock of most readings is declared to stand still, so that timestamps take part in all that is pushed.
fn differential(name: &str, user: &str, readings: &[(&str, &str)]) {
    let at_greenwich = user == "apiuser" && !readings.iter().any(|(key, _)| *key == "time_zone");
    let options = match at_greenwich && name != "as_documented" {
        true => "ADD time_zone 'UTC'",
        false => "",
    };
    differential_with(name, user, readings, options);
}

/// The tables, as their local copies have them.
fn tables(client: &mut Client) -> Vec<Table> {
    let read = |(table, key): &(&str, &str)| Table::read(client, run::LOCAL, table, key);
    TABLES.iter().map(read).collect()
}

/// As [`differential`], with options of the server: `ADD name 'value', …`.
fn differential_with(name: &str, user: &str, readings: &[(&str, &str)], options: &str) {
    let seed = seed();
    let company = prepare(name, user, readings, options);
    let mut client = company.connect();
    analyze(&mut client);
    let tables = tables(&mut client);
    // The name takes part: each reading sees other statements.
    let mut rng = Rng::with_seed(
        name.bytes()
            .fold(seed, |hash, byte| hash.rotate_left(5) ^ u64::from(byte)),
    );
    println!(
        "differential {name} {readings:?}: seed {seed}, {} statements",
        statements()
    );
    let began = Instant::now();
    let mut differences = Vec::new();
    let mut pushed = pushed::Pushed::default();
    let mut nodes = lookup::Nodes::default();
    let mut combined = combined::Plans::default();
    let is_run = |number: u32, pushed: &pushed::Pushed| {
        number < statements() || number < LONGEST * statements() && pushed.lacking(statements()).is_some()
    };
    let mut number = 0;
    while is_run(number, &pushed) {
        let statement = statement::statement(&mut rng, &tables);
        company.gateway.forget_requests();
        let checked = run::check(&mut client, &statement);
        let requests = company.gateway.tap.requests();
        pushed.count(&requests);
        match checked {
            Ok(plan) => {
                nodes.count(&statement, plan.as_deref());
                combined.count(&statement.sql, plan.as_deref());
            }
            Err(difference) => {
                let difference = format!("statement {number}: {difference}");
                keep(name, seed, &difference, &requests);
                differences.push(difference);
                if differences.len() == SHOWN {
                    break;
                }
            }
        }
        number += 1;
    }
    println!(
        "differential {name}: {number} statements in {:.0} s",
        began.elapsed().as_secs_f64()
    );
    assert!(
        differences.is_empty(),
        "differences under {readings:?}, user {user}, seed {seed} (SEED={seed} replays):\n{}",
        differences.join("\n\n")
    );
    // A comparison of local plans with local plans would find nothing.
    pushed.assert_plenty(statements());
    nodes.assert_plenty(&mut client);
    combined.assert_plenty(&mut client);
}

/// Keeps a difference in a file, with the requests of all runs of the statement: what a machine under load shows once
/// may not be seen again.
fn keep(name: &str, seed: u64, difference: &str, requests: &[String]) {
    let Ok(folder) = std::env::var("SAGE_GOT") else {
        return;
    };
    let file = std::path::Path::new(&folder).join(format!("differences-{name}-{seed}.txt"));
    let text = format!("{difference}\n\n{}\n\n", requests.join("\n"));
    let kept = std::fs::create_dir_all(&folder).and_then(|()| {
        let mut file = std::fs::File::options().append(true).create(true).open(&file)?;
        file.write_all(text.as_bytes())
    });
    match kept {
        Ok(()) => println!("kept in {}", file.display()),
        Err(error) => println!("cannot be kept in {}: {error}", file.display()),
    }
}

/// Makes a test of each reading: name, user, settings of the simulator.
macro_rules! readings {
    ($($name:ident: $user:literal $(, $key:literal = $value:literal)*;)+) => {
        $(
            #[test]
            fn $name() {
                differential(stringify!($name), $user, &[$(($key, $value)),*]);
            }
        )+
    };
}

readings! {
    as_documented: "apiuser";
    nulls_low: "apiuser", "nulls" = "low";
    nulls_last: "apiuser", "nulls" = "last";
    nulls_first: "apiuser", "nulls" = "first";
    negatives_with_nulls: "apiuser", "negatives" = "with_nulls";
    linguistic_text: "apiuser", "text_order" = "linguistic";
    trailing_blanks_ignored: "apiuser", "trailing_blanks" = "ignored";
    iso_dates: "apiuser", "date_format" = "iso";
    iso_user: "iso";
    user_in_the_east: "east";
    zone_with_daylight_saving: "apiuser", "time_zone" = "America/Los_Angeles";
    zone_with_daylight_saving_in_europe: "apiuser", "time_zone" = "Europe/Berlin";
    clock_shows_summer_time: "apiuser", "time_zone" = "America/New_York", "reported_offset" = "summer",
        "repeated_hour" = "second";
    clock_compares_readings: "apiuser", "time_zone" = "Europe/Berlin", "clock_order" = "readings";
    unset_booleans_read_false: "apiuser", "unset_booleans" = "false";
    empty_elements_omitted: "apiuser", "empty_elements" = "omitted";
    padded_numbers: "apiuser", "numbers" = "padded";
    stable_without_order: "apiuser", "unordered" = "stable";
    tags_as_requested: "apiuser", "tag_case" = "requested";
    tags_in_upper_case: "apiuser", "tag_case" = "upper";
    raw_control_characters: "apiuser", "control_characters" = "raw";
    null_groups_dropped: "apiuser", "null_groups" = "dropped";
    plain_aggregate_names: "apiuser", "aggregate_names" = "plain", "dotted_order" = "refused";
    counts_of_rows: "apiuser", "count" = "rows";
    aggregates_of_nothing_are_zero: "apiuser", "empty_aggregate" = "zero";
    aggregates_of_nothing_are_empty: "apiuser", "empty_aggregate" = "empty";
    inner_paths: "apiuser", "dotted_paths" = "inner", "hidden_parents" = "hidden";
    rows_of_entities_hidden: "apiuser", "owned_rows" = "hidden";
    rows_of_entities_shown: "apiuser", "owned_rows" = "shown", "dotted_paths" = "inner";
    one_entity_seen: "apiuser", "user_entities" = "one";
    one_entity_seen_by_paths_too: "apiuser", "owned_rows" = "shown", "user_entities" = "one", "hidden_parents" = "hidden";
    one_entity_seen_unless_private: "apiuser", "owned_rows" = "shown", "user_entities" = "one_unless_private";
    private_rows_refused: "apiuser", "private_option" = "refused";
    groups_fold_case: "apiuser", "text_groups" = "case";
    groups_fold_blanks: "apiuser", "text_groups" = "blanks", "trailing_blanks" = "ignored";
    all_otherwise: "east", "text_groups" = "case_and_blanks", "owned_rows" = "shown", "nulls" = "first", "negatives" = "with_nulls", "text_order" = "linguistic",
        "trailing_blanks" = "ignored", "unset_booleans" = "false", "numbers" = "padded", "tag_case" = "upper",
        "null_groups" = "dropped", "aggregate_names" = "plain", "empty_aggregate" = "empty";
}

#[test]
fn zone_with_daylight_saving_declared() {
    differential_with(
        "declared_zone",
        "apiuser",
        &[("time_zone", "America/Los_Angeles")],
        "ADD time_zone 'America/Los_Angeles'",
    );
}

#[test]
fn readings_compared_in_a_declared_zone() {
    differential_with(
        "declared_readings",
        "apiuser",
        &[("time_zone", "Europe/Berlin"), ("clock_order", "readings")],
        "ADD time_zone 'Europe/Berlin'",
    );
}

#[test]
fn zone_with_daylight_saving_in_europe_declared() {
    differential_with(
        "declared_in_europe",
        "apiuser",
        &[("time_zone", "Europe/Berlin")],
        "ADD time_zone 'Europe/Berlin'",
    );
}

/// What `ordering` assumes holds under the simulator's own readings.
#[test]
fn order_assumed() {
    differential_with("assumed_order", "apiuser", &[], "ADD ordering 'binary'");
}

#[test]
fn private_rows_shown() {
    differential_with("private_rows", "apiuser", &[], "ADD show_private 'true'");
}

#[test]
fn private_rows_of_one_entity_shown() {
    let readings = [("user_entities", "one")];
    differential_with("private_of_one", "apiuser", &readings, "ADD show_private 'true'");
}

#[test]
fn aggregates_unverified() {
    let readings = [("null_groups", "dropped")];
    differential_with(
        "unverified",
        "apiuser",
        &readings,
        "ADD verify_aggregates 'false'",
    );
}

#[test]
fn parents_assumed() {
    differential_with("left_joins", "apiuser", &[], "ADD push_left_joins 'true'");
}

/// The comparison finds what is wrong: with a lookup join, a memory or rows read whole that were broken on purpose, statements have
/// other answers.
#[test]
fn broken_lookup_joins_are_caught() {
    let company = prepare("broken_lookups", "apiuser", &[], "");
    let mut client = company.connect();
    let tables = tables(&mut client);
    let known = client.query("SHOW sage_intacct.lookup_fault", &[]);
    if known.is_err() {
        // Only a build with assertions can be broken.
        return;
    }
    for fault in 1..=6 {
        let mut rng = Rng::with_seed(SEED);
        let caught = (0..60).any(|_| {
            let mut statement = match fault {
                1..=4 => statement::lookup(&mut rng, &tables),
                _ => statement::recalled(&mut rng, &tables),
            };
            statement.settings += &format!("SET LOCAL sage_intacct.lookup_fault = {fault};");
            run::check(&mut client, &statement).is_err()
        });
        assert!(caught, "fault {fault} was not seen");
    }
}

/// The same of aggregates over the gateway's groups.
#[test]
fn broken_combinations_are_caught() {
    let company = prepare("broken_combined", "apiuser", &[], "");
    let mut client = company.connect();
    let tables = tables(&mut client);
    if client.query("SHOW sage_intacct.combine_fault", &[]).is_err() {
        // Only a build with assertions can be broken.
        return;
    }
    for fault in 1..=6 {
        let mut rng = Rng::with_seed(SEED);
        let caught = (0..200).any(|_| {
            let mut statement = statement::combining(&mut rng, &tables);
            statement.settings += &format!("SET LOCAL sage_intacct.combine_fault = {fault};");
            run::check(&mut client, &statement).is_err()
        });
        assert!(caught, "fault {fault} was not seen");
    }
}

/// The node is in the plans of statements that group, by the share that so many of them show whatever the seed.
#[test]
fn combined_groups_are_planned() {
    let company = prepare("planned_groups", "apiuser", &[], "");
    let mut client = company.connect();
    analyze(&mut client);
    let tables = tables(&mut client);
    let mut rng = Rng::with_seed(seed());
    let mut plans = combined::Plans::default();
    while !plans.are_enough() {
        let statement = statement::statement(&mut rng, &tables);
        if combined::Plans::is_aggregate(&statement.sql) {
            let plan =
                run::check(&mut client, &statement).unwrap_or_else(|difference| panic!("{difference}"));
            plans.count(&statement.sql, plan.as_deref());
        }
    }
    plans.assert_plenty(&mut client);
}

#[test]
fn copies_hold_what_the_company_holds() {
    let company = prepare("truth", "apiuser", &[], "");
    let mut client = company.connect();
    for (table, key) in TABLES {
        truth::compare(&company, &mut client, table, key);
    }
}

/// The gateway may take 'abc ' for 'abc'. SQL does not, and a row that the gateway leaves out is lost.
#[test]
fn values_with_trailing_blanks_are_neither_lost_nor_added() {
    let company = prepare("blanks", "apiuser", &[("trailing_blanks", "ignored")], "");
    let mut client = company.connect();
    let mut differences = Vec::new();
    let mut values = 0;
    for (table, key) in TABLES {
        let columns = Table::read(&mut client, run::LOCAL, table, key).columns;
        for column in columns.iter().filter(|column| column.kind == column::Kind::Text) {
            let name = &column.name;
            let sql = format!(
                "SELECT rtrim({name}) FROM {}.{table} WHERE {name} LIKE '% ' LIMIT 1",
                run::LOCAL
            );
            let Some(row) = client.query_opt(&sql, &[]).expect("a local table") else {
                continue;
            };
            values += 1;
            let value = column::quote(row.get(0));
            for condition in [
                format!("{name} = {value}"),
                format!("{name} <> {value}"),
                format!("NOT ({name} = {value})"),
                format!("{name} IN ({value}, 'x')"),
                format!("{name} NOT IN ({value}, 'x')"),
                format!("{name} LIKE {value}"),
                format!("{name} NOT LIKE {value}"),
                format!("{name} = {value} OR {key} < 0"),
                format!("{name} LIKE {value} || ' %'"),
                format!("{name} LIKE {value} || '_'"),
                format!("{name} LIKE '%' || {value} || ' '"),
                format!("{name} NOT LIKE '%' || {value}"),
                format!("{name} NOT LIKE {value} || '_'"),
                format!("{name} NOT LIKE {value} || '%'"),
                format!("{name} ILIKE {value} || ' %'"),
                format!("{name} NOT ILIKE {value}"),
                format!("{name} NOT ILIKE {value} || '%'"),
                format!("{name} ^@ ({value} || ' ')"),
                format!("starts_with({name}, {value})"),
                format!("NOT starts_with({name}, {value} || ' ')"),
                format!("{name} NOT LIKE ALL (ARRAY[{value}, 'x'])"),
                format!("{name} LIKE ANY (ARRAY[{value}, {value} || ' %'])"),
                format!("lower({name}) = lower({value})"),
                format!("lower({name}) LIKE lower({value} || ' %')"),
            ] {
                let statement = statement::Statement {
                    sql: format!("SELECT {key}, {name} FROM {table} WHERE {condition}"),
                    compare: statement::Compare::Unordered,
                    time_zone: "UTC",
                    settings: String::new(),
                };
                differences.extend(run::check(&mut client, &statement).err());
            }
        }
    }
    assert!(values > 0, "no value ends with a blank");
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}
