//! Against the simulator: what is asked, and what is made of the answers.

use super::*;
use crate::import::request::Selection;
use crate::options::OptionValues;
use crate::options::spec::OptionLevel;
use intacct_simulator::Simulator;
use intacct_simulator::catalog::Catalog;
use std::sync::LazyLock;
use std::time::Duration;

/// One company for all tests: what they read does not change.
static GATEWAY: LazyLock<Simulator> = LazyLock::new(|| {
    let config = Catalog::builtin()
        .objects
        .iter()
        .fold(intacct_simulator::Config::default(), |config, object| {
            config.rows(&object.name, object.rows.min(5))
        });
    Simulator::start(config).expect("the simulator starts")
});

fn fetched(selection: Selection, options: &[(&str, &str)]) -> Fetched {
    let options = options
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let options = OptionValues::new(OptionLevel::Import, options.collect());
    let request = ImportRequest::read(selection, &options).expect("valid options");
    let mut config = intacct::Config::new("acme", "apiuser", "secret", "sender1", "senderpw");
    config.url = GATEWAY.url();
    config.request_timeout = Duration::from_secs(60);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let client = Client::new(config).expect("a client");
    runtime.block_on(fetch(client, request)).expect("an answer")
}

fn limit_to(names: &[&str]) -> Selection {
    Selection::LimitTo(names.iter().map(|&name| name.to_owned()).collect())
}

fn names(fetched: &Fetched) -> Vec<&str> {
    let objects = fetched.objects.iter();
    objects.map(|object| object.definition.name.as_str()).collect()
}

fn fields(object: &Described) -> Vec<&str> {
    object
        .definition
        .fields
        .iter()
        .map(|field| field.id.as_str())
        .collect()
}

/// How often a function was asked about these objects; each test asks about its own.
fn asked(function: &str, objects: &[&str]) -> usize {
    let entries = GATEWAY.log();
    let about = |object: &str| objects.iter().any(|name| name.eq_ignore_ascii_case(object));
    entries
        .iter()
        .filter(|entry| entry.functions.iter().any(|name| name == function) && about(&entry.object))
        .count()
}

#[test]
fn only_what_is_named_is_described_and_nothing_is_read_without_a_probe() {
    let objects = ["PROJECTTYPE", "EARNINGTYPE"];
    let fetched = fetched(limit_to(&["projecttype", "EARNINGTYPE"]), &[("probe", "off")]);
    assert_eq!(names(&fetched), objects);
    assert_eq!(asked("lookup", &objects), 2);
    assert_eq!(asked("query", &objects), 0);
    // No test names it.
    assert_eq!(asked("lookup", &["TAXDETAIL"]), 0);
}

#[test]
fn a_probe_drops_what_the_gateway_refuses() {
    let fetched = fetched(limit_to(&["arinvoice"]), &[]);
    let invoice = fetched.objects.first().expect("an object");
    assert!(fields(invoice).contains(&"INVOICENO"));
    for refused in ["INVOICENO", "DATECREATED", "DATEPOSTED", "DATEDUE"] {
        assert!(
            invoice.refused.iter().any(|name| name == refused),
            "{:?}",
            invoice.refused
        );
    }
    assert!(!invoice.refused.iter().any(|name| name == "RECORDID"));
    assert_eq!(
        asked("query", &["ARINVOICE"]),
        2,
        "once with all fields, once without the refused ones"
    );
}

#[test]
fn an_object_that_is_refused_costs_no_other() {
    let fetched = fetched(limit_to(&["costtype", "arterm", "airterm"]), &[]);
    assert_eq!(names(&fetched), ["ARTERM"]);
    let skipped = fetched.skipped.first().expect("one is refused");
    assert_eq!(skipped.object, "COSTTYPE");
    assert!(
        matches!(&skipped.reason, Reason::Refused(error) if *error.kind() == ErrorKind::Permission),
        "{skipped:?}"
    );
    let stranger = fetched.strangers.first().expect("one does not exist");
    assert_eq!(
        (stranger.name.as_str(), stranger.nearest.as_deref()),
        ("airterm", Some("ARTERM"))
    );
}

#[test]
fn the_companys_own_objects_and_fields_can_be_left_out() {
    let names_typed = limit_to(&["mca_attendee", "customer"]);
    let without = fetched(names_typed.clone(), &[("import_custom", "off"), ("probe", "off")]);
    assert_eq!(names(&without), ["CUSTOMER"]);
    assert!(matches!(
        without.skipped.first(),
        Some(Skipped { reason: Reason::Custom, object }) if object == "MCA_attendee"
    ));
    assert!(!fields(&without.objects[0]).contains(&"Region_Code"));
    let with = fetched(names_typed, &[("probe", "off")]);
    assert_eq!(names(&with), ["MCA_attendee", "CUSTOMER"]);
    assert!(fields(&with.objects[1]).contains(&"Region_Code"));
}

#[test]
fn fields_of_parents_come_on_request_and_a_parent_is_described_once() {
    let fetched = fetched(limit_to(&["apbillitem"]), &[("import_related", "on")]);
    let line = fetched.objects.first().expect("an object");
    let (relation, parent) = line
        .related
        .iter()
        .find(|(relation, _)| relation.path == "APBILL")
        .expect("lines belong to bills");
    assert_eq!(relation.object, "APBILL");
    assert!(parent.iter().any(|field| field.id == "VENDORID"));
    // Refused under a path as on the object itself.
    assert!(
        line.refused.iter().any(|name| name.starts_with("APBILL.")),
        "{:?}",
        line.refused
    );
    assert_eq!(asked("lookup", &["APBILL"]), 1);
}

#[test]
fn an_object_that_only_read_by_query_answers_is_read_so() {
    let public = fetched(limit_to(&["activitylog"]), &[]);
    assert_eq!(names(&public), ["ACTIVITYLOG"]);
    assert!(public.objects[0].by_query_string);
    // It cannot request private rows.
    let private = fetched(limit_to(&["activitylog"]), &[("import_private", "on")]);
    assert_eq!(names(&private), [""; 0]);
    assert_eq!(private.skipped.len(), 1);
}
