//! The steps that contact the gateway. Runs on the I/O thread: nothing here may call PostgreSQL.

use super::outcome::{Step, StepOutcome, StepResult};
use super::readable::ReadableObject;
use super::subject::Subject;
use super::{deep, measure, next, observe};
use crate::io::Emitter;
use intacct::{Client, Config, ConnectStage, DialectKind, Error, ErrorKind, PageRequest, Readable};
use std::time::Instant;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

/// Objects that nearly every company has and nearly every user may read.
const COMMON_OBJECTS: [&str; 8] = [
    "CUSTOMER",
    "VENDOR",
    "GLACCOUNT",
    "ITEM",
    "ARINVOICE",
    "APBILL",
    "CONTACT",
    "LOCATION",
];
/// Refused objects that are named.
const NAMED: usize = 8;

/// Makes the steps one after another until one fails, and sends each to the backend.
pub async fn run(
    mut config: Config,
    subject: Subject,
    deep: bool,
    emitter: Emitter<StepResult>,
) -> Result<(), Error> {
    // A person waits: what fails twice is reported.
    config.max_retries = config.max_retries.min(1);
    let started = Instant::now();
    let client = match Client::new(config) {
        Ok(client) => client,
        // What is wrong with a configuration that the validator let pass: the certificates, as a rule.
        Err(error) => {
            let outcome = StepOutcome::failed(error.into());
            emitter.send(StepResult::timed(Step::Tls, started, outcome)).await;
            return Ok(());
        }
    };

    let started = Instant::now();
    let connected = connect(client.config()).await;
    let reached = connected.is_ok();
    let outcome = match connected {
        Ok(address) => StepOutcome::fine(address),
        Err(error) => StepOutcome::failed(error.into()),
    };
    emitter
        .send(StepResult::timed(Step::Connect, started, outcome))
        .await;
    if !reached || !sign_in(&client, &emitter).await {
        return Ok(());
    }

    let started = Instant::now();
    let mut may_read_nothing = false;
    let (object, outcome) = match readable_object(&client).await {
        Ok((object, detail)) => (Some(object), StepOutcome::fine(detail)),
        Err(error) => {
            may_read_nothing = intacct::concerns_one_object(&error);
            (None, StepOutcome::failed(error.into()))
        }
    };
    emitter
        .send(StepResult::timed(Step::Permission, started, outcome))
        .await;

    let started = Instant::now();
    let outcome = formatting(&client).await;
    emitter
        .send(StepResult::timed(Step::Formatting, started, outcome))
        .await;

    let started = Instant::now();
    let (outcome, elapsed) = match object {
        None if may_read_nothing => (next::nothing_readable(&subject), started.elapsed()),
        None => return Ok(()),
        Some(object) => {
            // First of all: the objects that can be read, and their sizes, decide which page is timed.
            let found = next::survey(&client, &subject, &object).await;
            let elapsed = started.elapsed();
            let measured = found.as_ref().ok().and_then(next::Found::to_measure);
            measure::run(&client, &subject, measured.unwrap_or(&object), &emitter).await;
            observe::run(&client, &subject.server, &emitter).await;
            if deep {
                deep::run(&client, &emitter).await;
            }
            let outcome = match found {
                Ok(found) => found.said(&subject),
                Err(error) => StepOutcome::failed(error.into()),
            };
            (outcome, elapsed)
        }
    };
    emitter
        .send(StepResult {
            step: Step::Next,
            outcome,
            elapsed: Some(elapsed),
        })
        .await;
    Ok(())
}

/// Resolves the host and opens a TCP connection, which is closed again; returns where it led.
async fn connect(config: &Config) -> Result<String, Error> {
    let failed = |stage, message: String| Error::new(ErrorKind::Connect(stage), message);
    let url = url::Url::parse(&config.url)
        .map_err(|error| failed(ConnectStage::Dns, format!("the URL does not parse: {error}")))?;
    // Behind a proxy, it is the proxy that this machine must reach.
    let proxy = config.proxy.as_ref().filter(|_| url.scheme() == "https");
    let through = proxy.map_or(String::new(), |_| {
        format!("{} through proxy ", url.host_str().unwrap_or_default())
    });
    let url = match proxy {
        Some(proxy) => url::Url::parse(proxy.address()).map_err(|error| {
            failed(
                ConnectStage::Dns,
                format!("the proxy's URL does not parse: {error}"),
            )
        })?,
        None => url,
    };
    let host = url.host_str().unwrap_or_default().to_owned();
    let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = url.port_or_known_default().unwrap_or(443);

    let resolved = match timeout(config.connect_timeout, lookup_host((bare.as_str(), port))).await {
        Ok(Ok(addresses)) => addresses.collect::<Vec<_>>(),
        Ok(Err(error)) => {
            let message = format!("the name of host \"{host}\" was not resolved: {error}");
            return Err(failed(ConnectStage::Dns, message));
        }
        Err(_) => {
            let message = format!("the name of host \"{host}\" was not resolved in time");
            return Err(failed(ConnectStage::Dns, message));
        }
    };
    match timeout(config.connect_timeout, TcpStream::connect(resolved.as_slice())).await {
        Ok(Ok(stream)) => {
            let address = stream.peer_addr().map(|address| address.to_string());
            Ok(format!("{through}{host} at {}", address.unwrap_or_default()))
        }
        Ok(Err(error)) => Err(failed(
            ConnectStage::Tcp,
            format!("no connection to {host}:{port}: {error}"),
        )),
        Err(_) => Err(failed(
            ConnectStage::Tcp,
            format!("no connection to {host}:{port} within connect_timeout"),
        )),
    }
}

/// Opens a session. One request answers for TLS, sender, user and session, so a failure shows which of them was
/// reached; the time is shown with the session.
async fn sign_in(client: &Client, emitter: &Emitter<StepResult>) -> bool {
    let config = client.config();
    let tls = if config.url.starts_with("http://") {
        "not used: plain HTTP to this machine"
    } else {
        "certificate accepted"
    };
    let at = match &config.location_id {
        Some(entity) => format!("company {}, entity {entity}", config.company_id),
        None => format!("company {}", config.company_id),
    };
    let started = Instant::now();
    let session = client.sign_in().await;
    let failed = session.as_ref().err().map(|error| step_of(error.kind()));
    // The sender's right in the company is checked together with the user: a refused user leaves it open. So does a
    // refusal of the whole request, which may come before the sender is checked.
    let sender = match (failed, &session) {
        (Some(Step::SignIn), Err(error)) if !error.sender_accepted() => {
            StepOutcome::open("undecided: the request was refused as a whole")
        }
        (Some(Step::SignIn), _) => StepOutcome::fine(format!("{} accepted", config.sender_id)),
        _ => StepOutcome::fine(format!(
            "{} accepted, authorized in company {}",
            config.sender_id, config.company_id
        )),
    };
    let passed = [
        (Step::Tls, StepOutcome::fine(tls)),
        (Step::Sender, sender),
        (
            Step::SignIn,
            StepOutcome::fine(format!("{} at {at}", config.user_id)),
        ),
    ];
    for (step, outcome) in passed {
        if failed == Some(step) {
            break;
        }
        emitter
            .send(StepResult {
                step,
                outcome,
                elapsed: None,
            })
            .await;
    }
    let result = match session {
        Ok(session) => {
            let expires = match session.expires {
                Some(expires) => format!(", expires {expires} unless used"),
                None => String::new(),
            };
            let outcome = StepOutcome::fine(format!("served by {}{expires}", session.endpoint_host));
            StepResult::timed(Step::Session, started, outcome)
        }
        Err(error) => {
            let step = step_of(error.kind());
            let hint = sign_in_hint(&error, config);
            let outcome = StepOutcome::failed(error.into());
            StepResult::timed(
                step,
                started,
                if hint.is_empty() {
                    outcome
                } else {
                    outcome.hint(hint)
                },
            )
        }
    };
    emitter.send(result).await;
    failed.is_none()
}

/// The gateway gives one answer to three mistakes, so the values are shown to be compared. Empty where the error's own
/// hint is as good.
fn sign_in_hint(error: &Error, config: &Config) -> String {
    if *error.kind() != ErrorKind::SignInRefused {
        return String::new();
    }
    let entity = match &config.location_id {
        Some(entity) => format!(", location_id \"{entity}\" (an entity that the user may enter)"),
        None => String::new(),
    };
    format!(
        "The gateway does not report which of them is wrong: company_id \"{}\", user_id \"{}\" (an active \
         web-services user of that company), the user's password{entity}.",
        config.company_id, config.user_id
    )
}

/// The step that a failure of the sign-in belongs to. What the gateway did not answer at all is laid at the first
/// step that needs an answer.
fn step_of(kind: &ErrorKind) -> Step {
    match kind {
        ErrorKind::Connect(_) => Step::Tls,
        ErrorKind::SignInRefused | ErrorKind::CompanyUnavailable | ErrorKind::Refused => Step::SignIn,
        ErrorKind::InvalidSession | ErrorKind::EndpointRefused => Step::Session,
        _ => Step::Sender,
    }
}

/// The first object that the user may read, and in words.
async fn readable_object(client: &Client) -> Result<(ReadableObject, String), Error> {
    let kind = DialectKind::for_version(client.config().dtd_version);
    let mut refused: Vec<String> = Vec::new();
    let mut first = None;
    let rarer = next::OBJECTS.into_iter().chain(next::OTHERS);
    for name in COMMON_OBJECTS.into_iter().chain(rarer) {
        if refused.iter().any(|other| other == name) {
            continue;
        }
        let object = ReadableObject::new(name, false);
        let page = PageRequest { size: 1, offset: 0 };
        match client.page(&object.key_query(kind), kind, &page, false).await {
            Ok(page) => return Ok(may_read(object, page.total_count, &refused)),
            Err(error) if intacct::concerns_one_object(&error) => {
                refused.push(name.to_owned());
                first.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    // A user may be there for what the company has made itself.
    if kind == DialectKind::Query {
        for name in next::own_objects(client).await? {
            match client.survey(&name, false).await? {
                Readable::Yes { rows, is_custom } => {
                    return Ok(may_read(ReadableObject::new(&name, is_custom), rows, &refused));
                }
                Readable::No(_) => refused.push(name),
            }
        }
    }
    Err(first.unwrap_or_else(|| Error::new(ErrorKind::Permission, "no object was requested")))
}

fn may_read(object: ReadableObject, rows: Option<u64>, refused: &[String]) -> (ReadableObject, String) {
    let object = ReadableObject { rows, ..object };
    let named = refused.iter().take(NAMED).map(String::as_str);
    let named = named.collect::<Vec<_>>().join(", ");
    let but = match refused.len() {
        0 => String::new(),
        1..=NAMED => format!("; refused: {named}"),
        all => format!("; refused: {named} and {} more", all - NAMED),
    };
    let detail = format!("may read {object}{but}");
    (object, detail)
}

/// The user's preferences, and what they make of timestamps.
async fn formatting(client: &Client) -> StepOutcome {
    let formatting = match client.formatting().await {
        Ok(formatting) => formatting,
        Err(error) => return StepOutcome::failed(error.into()),
    };
    if let Err(error) = formatting.check() {
        return StepOutcome::failed(error.into());
    }
    let zone = match &client.config().time_zone {
        Some(zone) => match (zone.iana_name(), zone.to_fixed_offset()) {
            (Some(name), _) => format!("{name} (option time_zone)"),
            (None, Ok(offset)) => format!("{offset} (option time_zone)"),
            (None, Err(_)) => "option time_zone".to_owned(),
        },
        None => {
            let seconds = formatting.gmt_offset_seconds;
            let sign = if seconds < 0 { '-' } else { '+' };
            let minutes = seconds.abs() / 60;
            format!("GMT{sign}{:02}:{:02} (the user's)", minutes / 60, minutes % 60)
        }
    };
    StepOutcome::fine(format!(
        "dates {}, {} h clock, locale {}, timestamps in {zone}",
        formatting.date_format, formatting.clock, formatting.locale
    ))
}
