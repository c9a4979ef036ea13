//! The files in `monitoring/`: what they ask is answered, and what they name is there.

use super::{Watched, texts};
use postgres::{Client, SimpleQueryMessage};
use regex::Regex;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

fn read(name: &str) -> String {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../monitoring")).join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn yaml(name: &str) -> Value {
    serde_yaml_ng::from_str(&read(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name]
        .as_str()
        .unwrap_or_else(|| panic!("{name} of {value}"))
}

fn list<'a>(value: &'a Value, name: &str) -> &'a Vec<Value> {
    value[name]
        .as_array()
        .unwrap_or_else(|| panic!("{name} of {value}"))
}

fn names(value: &Value, name: &str) -> Vec<String> {
    let names = list(value, name)
        .iter()
        .map(|name| name.as_str().expect("a name").to_owned());
    names.collect()
}

/// Rows by column, as an exporter gets them.
fn rows(client: &mut Client, sql: &str) -> Vec<Vec<(String, Option<String>)>> {
    let answer = client
        .simple_query(sql)
        .unwrap_or_else(|error| panic!("{error:?}\n{sql}"));
    let rows = answer.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(
            (0..row.len())
                .map(|at| {
                    (
                        row.columns()[at].name().to_owned(),
                        row.get(at).map(str::to_owned),
                    )
                })
                .collect(),
        ),
        _ => None,
    });
    rows.collect()
}

/// Name and labels of everything in the view.
fn of_view(client: &mut Client) -> BTreeSet<(String, String)> {
    rows(client, "SELECT name, labels FROM sage_intacct.metrics")
        .into_iter()
        .map(|row| {
            let [name, labels] = [0, 1].map(|at| row[at].1.clone().expect("a value"));
            (name, canonical(&serde_json::from_str(&labels).expect("JSON")))
        })
        .collect()
}

/// Labels that exporters and Prometheus set themselves.
const TAKEN: &[&str] = &[
    "job", "instance", "server", "datname", "database", "target", "host", "user", "driver", "le", "quantile",
];

#[test]
fn the_exporters_collector_brings_every_metric() {
    let watched = Watched::start("exported");
    let [mut client, ..] = watched.connect();
    let expected = of_view(&mut client);
    let collector = yaml("sage_intacct.collector.yml");
    let queries = list(&collector, "queries");
    let mut found = BTreeSet::new();
    for metric in list(&collector, "metrics") {
        let name = text(metric, "metric_name");
        assert_eq!(
            text(metric, "type"),
            if name.ends_with("_total") {
                "counter"
            } else {
                "gauge"
            },
            "{name}"
        );
        let sql = match metric["query_ref"].as_str() {
            Some(query) => text(
                queries
                    .iter()
                    .find(|known| known["query_name"] == query)
                    .unwrap_or_else(|| panic!("{query}")),
                "query",
            ),
            None => text(metric, "query"),
        };
        let (labels, values) = (names(metric, "key_labels"), names(metric, "values"));
        assert_eq!(values.len(), 1, "{name}");
        for label in &labels {
            assert!(!TAKEN.contains(&label.as_str()), "{name}: {label}");
        }
        let answer = rows(&mut client, sql);
        assert!(!answer.is_empty(), "{name}: {sql}");
        for row in answer {
            let cell = |column: &str| {
                let cell = row.iter().find(|(known, _)| known == column);
                let cell = cell.unwrap_or_else(|| panic!("{name}: {column} in {row:?}"));
                cell.1
                    .clone()
                    .unwrap_or_else(|| panic!("{name}: {column} is NULL"))
            };
            let value: f64 = cell(&values[0])
                .parse()
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            let labels: serde_json::Map<_, _> = labels
                .iter()
                .map(|label| (label.clone(), Value::String(cell(label))))
                // A label without a value is none.
                .filter(|(_, value)| value != "")
                .collect();
            assert!(value.is_nan() || value >= 0.0, "{name}: {value}");
            found.insert((name.to_owned(), canonical(&Value::Object(labels))));
        }
    }
    assert_eq!(found, expected);
    let exporter = yaml("sql_exporter.yml");
    assert_eq!(
        names(&exporter["target"], "collectors"),
        [text(&collector, "collector_name")]
    );
    assert_eq!(
        names(&exporter, "collector_files"),
        ["sage_intacct.collector.yml"]
    );
}

fn canonical(labels: &Value) -> String {
    let labels = labels.as_object().expect("an object");
    let mut pairs: Vec<String> = labels
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.sort();
    pairs.join(",")
}

#[test]
fn alerts_name_metrics_and_labels_that_there_are() {
    let watched = Watched::start("alerted");
    let [mut client, ..] = watched.connect();
    let metrics: BTreeSet<String> = of_view(&mut client).into_iter().map(|(name, _)| name).collect();
    let labels = |client: &mut Client, metric: &str| -> Vec<String> {
        texts(
            client,
            &format!(
                "SELECT DISTINCT jsonb_object_keys(labels) FROM sage_intacct.metrics WHERE name = '{metric}'"
            ),
        )
    };
    let (metric, matcher, shown) = (
        Regex::new(r"sage_intacct_\w+").expect("a pattern"),
        Regex::new(r#"(sage_intacct_\w+)\{(\w+)=~?"([^"]*)"\}"#).expect("a pattern"),
        Regex::new(r"\$labels\.(\w+)").expect("a pattern"),
    );
    let mut used = BTreeSet::new();
    for group in list(&yaml("alerts.yml"), "groups") {
        for rule in list(group, "rules") {
            let (alert, expression) = (text(rule, "alert"), text(rule, "expr"));
            let in_use: Vec<&str> = metric.find_iter(expression).map(|found| found.as_str()).collect();
            assert!(!in_use.is_empty(), "{alert}");
            for name in &in_use {
                assert!(metrics.contains(*name), "{alert}: {name}");
                let counter = name.ends_with("_total");
                let asks_for_growth = expression.contains("increase(") || expression.contains("absent(");
                assert_eq!(counter, asks_for_growth, "{alert}: {expression}");
                used.insert((*name).to_owned());
            }
            for found in matcher.captures_iter(expression) {
                assert!(
                    labels(&mut client, &found[1]).contains(&found[2].to_owned()),
                    "{alert}: {}",
                    &found[0]
                );
            }
            let said = rule["annotations"].to_string();
            for found in shown.captures_iter(&said) {
                assert!(
                    labels(&mut client, in_use[0]).contains(&found[1].to_owned()),
                    "{alert}: {}",
                    &found[0]
                );
            }
            assert!(
                !text(&rule["annotations"], "summary").is_empty()
                    && !text(&rule["labels"], "severity").is_empty()
            );
        }
    }
    // What the rules are for.
    for name in [
        "mirror_lag_seconds",
        "mirror_failing",
        "writes",
        "throttled_total",
        "requests_total",
        "mirror_gone_columns",
    ] {
        assert!(
            used.contains(&format!("sage_intacct_{name}")),
            "no rule for {name}"
        );
    }
    let outcome = "SELECT count(*)::text FROM sage_intacct.metrics WHERE labels ->> 'outcome' = 'in doubt'";
    assert_eq!(texts(&mut client, outcome), ["1"]);
}

#[test]
fn every_panel_of_the_dashboard_is_answered() {
    let watched = Watched::start("panels");
    let [mut client, ..] = watched.connect();
    let dashboard: Value = serde_json::from_str(&read("dashboard.json")).expect("JSON");
    let panels = list(&dashboard, "panels");
    assert!(panels.len() > 8);
    for panel in panels {
        let title = text(panel, "title");
        for target in list(panel, "targets") {
            let sql = text(target, "rawSql");
            let answer = rows(&mut client, sql);
            // Nothing runs while the test looks.
            assert_eq!(answer.is_empty(), title == "Running now", "{title}");
            if target["format"] == "time_series" {
                let columns: Vec<&str> = answer[0].iter().map(|(name, _)| name.as_str()).collect();
                assert_eq!(columns, ["time", "metric", "value"], "{title}");
            }
        }
    }
}
