//! Sessions, failures and retries against a scripted gateway.

mod support;

use intacct::{
    Client, ConnectStage, DialectKind, Error, ErrorKind, Event, Observer, Outcome, Page, PageRequest,
};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::*;

const FIRST: PageRequest = PageRequest { size: 10, offset: 0 };

async fn page(client: &Client) -> Result<Page, Error> {
    client.page(&query(), DialectKind::Query, &FIRST, false).await
}

type Make = Box<dyn Fn(&str) -> Reply + Send>;

/// A gateway that gives these replies to queries, then good pages.
async fn replying(replies: impl IntoIterator<Item = Make>) -> Gateway {
    let mut replies: VecDeque<_> = replies.into_iter().collect();
    Gateway::start(move |request| match replies.pop_front() {
        Some(reply) => reply(request),
        None => Reply::xml(success(request, &[&page_of(request, &[1, 2, 3])])),
    })
    .await
}

fn reply(f: impl Fn(&str) -> Reply + Send + 'static) -> Make {
    Box::new(f)
}

#[tokio::test]
async fn a_page_costs_a_sign_in_and_a_request_and_the_next_one_request() {
    let gateway = replying([]).await;
    let client = gateway.client();
    assert_eq!(page(&client).await.expect("a page").rows(), 3);
    assert_eq!(gateway.requests().len(), 2);
    page(&client).await.expect("a page");
    assert_eq!(gateway.requests().len(), 3);
    assert_eq!(gateway.count("<sessionid>session-1</sessionid>"), 2);
    let stats = client.stats();
    assert_eq!(
        (
            stats.requests,
            stats.sign_ins,
            stats.pages,
            stats.rows,
            stats.retries
        ),
        (3, 1, 2, 6, 0)
    );
    let info = client.session_info().expect("a session");
    assert_eq!(
        (info.endpoint_host.as_str(), info.entity.as_deref()),
        ("127.0.0.1", Some("E1"))
    );
    assert_eq!(
        info.expires,
        Some("2024-01-01T06:00:00Z".parse().expect("a timestamp"))
    );
}

#[tokio::test]
async fn the_formatting_rides_with_the_first_page() {
    let gateway = Gateway::start(|request| {
        let data = page_of(request, &[1]);
        match request.contains("readUserFormatting") {
            true => Reply::xml(success(request, &[&data, FORMATTING])),
            false => Reply::xml(success(request, &[&data])),
        }
    })
    .await;
    let client = gateway.client();
    for _ in 0..2 {
        client
            .page(&query(), DialectKind::Query, &FIRST, true)
            .await
            .expect("a page");
    }
    assert_eq!(gateway.count("readUserFormatting"), 1);
    assert_eq!(gateway.count("<userId>apiuser</userId>"), 1);
    assert_eq!(
        client.known_formatting().expect("known").gmt_offset_seconds,
        -8 * 3600
    );
    assert_eq!(gateway.requests().len(), 3);
}

#[tokio::test]
async fn a_format_that_cannot_be_read_is_refused() {
    let gateway = Gateway::start(|request| {
        let formatting = FORMATTING.replace("/mdY", ".dmY");
        Reply::xml(success(request, &[&page_of(request, &[1]), &formatting]))
    })
    .await;
    let client = gateway.client();
    for _ in 0..2 {
        let error = client
            .page(&query(), DialectKind::Query, &FIRST, true)
            .await
            .expect_err("refused");
        assert_eq!(error.kind(), &ErrorKind::Formatting);
        assert!(error.to_string().contains(".dmY"), "{error}");
    }
    assert_eq!(gateway.count("readUserFormatting"), 1);
}

#[tokio::test]
async fn callers_that_come_together_share_one_sign_in() {
    let gateway = replying([]).await;
    let client = gateway.client();
    let (a, b, c) = tokio::join!(page(&client), page(&client), client.sign_in());
    assert!(a.is_ok() && b.is_ok() && c.is_ok());
    assert_eq!(gateway.count("<getAPISession/>"), 1);
}

#[tokio::test]
async fn a_wrong_password_is_tried_once_for_all_who_wait() {
    let gateway =
        Gateway::start_raw(|_| Reply::xml(sign_in_failure("XL03000006", "Sign-in information is incorrect")))
            .await;
    let client = gateway.client();
    let (a, b) = tokio::join!(page(&client), page(&client));
    for error in [a.expect_err("refused"), b.expect_err("refused")] {
        assert_eq!(error.kind(), &ErrorKind::SignInRefused);
        assert_eq!(
            (error.company(), error.function()),
            (Some("acme"), Some("getAPISession"))
        );
    }
    assert_eq!(gateway.requests().len(), 1);
}

#[tokio::test]
async fn an_invalid_session_is_renewed_once() {
    let invalid = || reply(|_| Reply::xml(sign_in_failure("XL03000006", "Invalid session: it expired")));
    let gateway = replying([invalid()]).await;
    assert_eq!(page(&gateway.client()).await.expect("a page").rows(), 3);
    assert_eq!(gateway.count("<getAPISession/>"), 2);
    assert_eq!(gateway.count("<sessionid>session-2</sessionid>"), 1);

    let gateway = replying([invalid(), invalid()]).await;
    let error = page(&gateway.client()).await.expect_err("refused");
    assert_eq!(error.kind(), &ErrorKind::InvalidSession);
    assert_eq!(gateway.requests().len(), 4);
}

#[tokio::test]
async fn a_session_whose_user_is_refused_is_not_kept() {
    let gateway = replying([reply(|_| {
        Reply::xml(sign_in_failure("XL03000006", "Sign-in information is incorrect"))
    })])
    .await;
    let client = gateway.client();
    assert_eq!(
        page(&client).await.expect_err("refused").kind(),
        &ErrorKind::SignInRefused
    );
    assert_eq!(page(&client).await.expect("a page").rows(), 3);
    assert_eq!(gateway.count("<getAPISession/>"), 2);
}

#[tokio::test]
async fn a_session_that_is_about_to_end_is_renewed_before_it_is_used() {
    let gateway = Gateway::start(|request| {
        let answer = success(request, &[&page_of(request, &[1])]);
        Reply::xml(answer.replace("2024-01-01T06:00:00", "2024-01-01T00:00:00"))
    })
    .await;
    let client = gateway.client();
    page(&client).await.expect("a page");
    page(&client).await.expect("a page");
    assert_eq!(gateway.count("<getAPISession/>"), 2);
}

#[tokio::test]
async fn forgetting_signs_in_anew() {
    let gateway = replying([]).await;
    let client = gateway.client();
    client.sign_in().await.expect("a session");
    client.forget_session().await;
    assert_eq!(client.session_info(), None);
    client.sign_in().await.expect("a session");
    assert_eq!(gateway.count("<getAPISession/>"), 2);
}

#[tokio::test]
async fn passing_trouble_is_overcome() {
    let html = "<!DOCTYPE html><html><div class=\"cf-error-details\">";
    let good = |request: &str| success(request, &[&page_of(request, &[1, 2, 3])]);
    let trouble: Vec<(&str, Make)> = vec![
        (
            "429",
            reply(|_| Reply::status(429, "text/plain", "slow down").header("retry-after", "0")),
        ),
        (
            "429 with XML",
            reply(|_| Reply::status(429, "text/xml", control_failure("GW-0010", "limit"))),
        ),
        ("500", reply(|_| Reply::status(500, "text/plain", ""))),
        (
            "503 with XML",
            reply(|_| Reply::status(503, "text/xml", control_failure("GW-0002", "x"))),
        ),
        ("524", reply(move |_| Reply::status(524, "text/html", html))),
        ("HTML", reply(move |_| Reply::status(200, "text/html", html))),
        ("empty", reply(|_| Reply::xml(""))),
        (
            "cut connection",
            reply(move |request| Reply::xml(good(request)).cut(300)),
        ),
        (
            "cut document",
            reply(move |request| Reply::xml(&good(request)[..300])),
        ),
        (
            "rows missing",
            reply(move |request| Reply::xml(good(request).replace("count=\"3\"", "count=\"4\""))),
        ),
        (
            "rate limit in 200",
            reply(|r| Reply::xml(function_failure(r, "X", "API rate limit exceeded"))),
        ),
        (
            "off-line",
            reply(|r| Reply::xml(function_failure(r, "", "The Service is Temporarily Off-line"))),
        ),
        (
            "database",
            reply(|r| Reply::xml(function_failure(r, "DL02000001", "There was an error"))),
        ),
    ];
    for (name, reply) in trouble {
        let gateway = replying([reply]).await;
        let client = gateway.client();
        let page = page(&client)
            .await
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(page.rows(), 3, "{name}");
        assert_eq!(client.stats().retries, 1, "{name}");
    }
}

#[tokio::test]
async fn final_failures_are_reported_at_once_and_whole() {
    let cases: Vec<(ErrorKind, Make)> = vec![
        (
            ErrorKind::SenderRefused,
            reply(|_| {
                Reply::xml(control_failure(
                    "XL03000006",
                    "Incorrect Intacct XML Partner ID or password.",
                ))
            }),
        ),
        (
            ErrorKind::InvalidRequest,
            reply(|_| Reply::status(400, "text/xml", control_failure("GW-0011", "x"))),
        ),
        (
            ErrorKind::SenderNotAuthorized,
            reply(|_| {
                Reply::xml(sign_in_failure(
                    "XL03000006",
                    "Invalid Web Services Authorization",
                ))
            }),
        ),
        (
            ErrorKind::UnknownFields(vec!["A".into(), "B".into()]),
            reply(|r| {
                Reply::xml(function_failure(
                    r,
                    "XL03000006",
                    "The following fields cannot be queried: [ c: [A, B] ]",
                ))
            }),
        ),
        (
            ErrorKind::Permission,
            reply(|r| Reply::xml(function_failure(r, "PL04000005", "no &amp;quot;access&amp;quot;"))),
        ),
        (
            ErrorKind::UnknownObject,
            reply(|r| {
                Reply::xml(function_failure(
                    r,
                    "Query Failed",
                    "Object definition X not found",
                ))
            }),
        ),
        (
            ErrorKind::SignInRefused,
            reply(|_| Reply::status(401, "text/plain", "")),
        ),
        (
            ErrorKind::SignInRefused,
            reply(|_| {
                Reply::status(
                    401,
                    "text/html",
                    control_failure("XMLGW_JPP0002", "Sign-in information is incorrect"),
                )
            }),
        ),
        (
            ErrorKind::Malformed,
            reply(|_| Reply::status(404, "text/html", "")),
        ),
        (ErrorKind::Malformed, reply(|_| Reply::xml("<other/>"))),
        (
            ErrorKind::EndpointRefused,
            reply(|_| Reply::status(302, "text/html", "").header("location", "http://127.0.0.1:1/elsewhere")),
        ),
        (
            ErrorKind::Malformed,
            reply(|_| Reply::xml("x").header("content-encoding", "br")),
        ),
    ];
    for (kind, reply) in cases {
        let gateway = replying([reply]).await;
        let error = page(&gateway.client()).await.expect_err("a failure");
        assert_eq!(error.kind(), &kind);
        assert_eq!(
            (error.company(), error.object()),
            (Some("acme"), Some("CUSTOMER"))
        );
        assert_eq!(
            (error.function(), error.control_id().is_some()),
            (Some("query"), true)
        );
        assert_eq!(gateway.requests().len(), 2, "{kind:?} was tried again");
        assert!(
            !error.to_string().contains('\n') && error.to_string().starts_with(char::is_lowercase),
            "{error}"
        );
    }
}

#[tokio::test]
async fn trouble_that_does_not_pass_is_reported_after_the_last_try() {
    let gateway = Gateway::start(|_| Reply::status(503, "text/plain", "")).await;
    let mut config = gateway.config();
    config.max_retries = 3;
    let error = page(&gateway.client_with(config)).await.expect_err("a failure");
    assert_eq!(error.kind(), &ErrorKind::GatewayTimeout);
    assert_eq!(gateway.count("<query>"), 4);

    let gateway =
        Gateway::start(|r| Reply::xml(function_failure(r, "DL02000001", "There was an error"))).await;
    let error = page(&gateway.client()).await.expect_err("a failure");
    assert_eq!(error.kind(), &ErrorKind::Refused);
    assert_eq!(gateway.count("<query>"), 2);
}

#[tokio::test]
async fn a_request_ends_with_its_time() {
    let gateway = Gateway::start(|_| Reply::stall()).await;
    let mut config = gateway.config();
    config.request_timeout = Duration::from_millis(200);
    let error = page(&gateway.client_with(config)).await.expect_err("a failure");
    assert_eq!(error.kind(), &ErrorKind::RequestTimeout);
    assert!(error.hint().contains("request_timeout"));
}

#[tokio::test]
async fn a_body_beyond_the_cap_is_refused() {
    let gateway = replying([]).await;
    let mut config = gateway.config();
    config.caps.body_bytes = 1000;
    let client = gateway.client_with(config);
    client.sign_in().await.expect("a session");
    let many: Vec<u64> = (1..100).collect();
    let gateway_many = Gateway::start(move |r| Reply::xml(success(r, &[&page_of(r, &many)]))).await;
    let mut config = gateway_many.config();
    config.caps.body_bytes = 1000;
    let error = gateway_many
        .client_with(config)
        .page(
            &query(),
            DialectKind::Query,
            &PageRequest { size: 99, offset: 0 },
            false,
        )
        .await
        .expect_err("too large");
    assert_eq!(error.kind(), &ErrorKind::TooLarge);
}

#[tokio::test]
async fn credentials_do_not_leave_for_another_host() {
    let other = replying([]).await;
    let elsewhere = other.url.replace("127.0.0.1", "127.0.0.2");
    for endpoint in [
        elsewhere.as_str(),
        "https://api.intacct.com.evil.example/x",
        "https://api.intacct.com/",
    ] {
        let endpoint = endpoint.to_owned();
        let gateway = Gateway::start_raw(move |request| Reply::xml(session(request, "s", &endpoint))).await;
        let error = page(&gateway.client()).await.expect_err("refused");
        assert_eq!(error.kind(), &ErrorKind::EndpointRefused);
        assert_eq!(gateway.requests().len(), 1);
    }
    assert!(other.requests().is_empty());
}

#[tokio::test]
async fn the_session_is_used_at_the_endpoint_that_it_names() {
    let pod = replying([]).await;
    let endpoint = pod.url.clone();
    let front = Gateway::start_raw(move |request| Reply::xml(session(request, "s", &endpoint))).await;
    page(&front.client()).await.expect("a page");
    assert_eq!(
        (front.requests().len(), pod.count("<sessionid>s</sessionid>")),
        (1, 1)
    );
}

#[tokio::test]
async fn a_closed_port_is_a_failure_to_connect() {
    let gateway = replying([]).await;
    let mut config = gateway.config();
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    config.url = format!("http://{}/", free.local_addr().expect("bound"));
    drop(free);
    let error = page(&gateway.client_with(config))
        .await
        .expect_err("no connection");
    assert_eq!(error.kind(), &ErrorKind::Connect(ConnectStage::Tcp));
}

#[tokio::test]
async fn a_compressed_body_is_read() {
    use std::io::Write;
    let gateway = Gateway::start(|request| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder
            .write_all(success(request, &[&page_of(request, &[1, 2])]).as_bytes())
            .expect("in memory");
        let body = encoder.finish().expect("in memory");
        Reply {
            body,
            ..Reply::xml("").header("content-encoding", "gzip")
        }
    })
    .await;
    let page = page(&gateway.client()).await.expect("a page");
    assert_eq!(page.rows(), 2);
    assert!(page.decoded_bytes() > page.wire_bytes() && page.wire_bytes() > 0);
}

#[tokio::test]
async fn a_query_without_its_parameters_is_not_sent() {
    let gateway = replying([]).await;
    let query = "select A from B where C = $1".parse().expect("a query");
    let error = gateway
        .client()
        .page(&query, DialectKind::Query, &FIRST, false)
        .await
        .expect_err("refused");
    assert_eq!(error.kind(), &ErrorKind::Internal);
    assert!(gateway.requests().is_empty());
}

#[derive(Default)]
struct Log(Mutex<Vec<String>>);

impl Observer for Log {
    fn event(&self, event: &Event<'_>) {
        let outcome = match event.outcome {
            Outcome::Success => "success".to_owned(),
            Outcome::Retry(error) => format!("retry after {error}"),
            Outcome::Failure(error) => format!("failed with {error}"),
            _ => "another outcome".to_owned(),
        };
        let line = format!(
            "{} {:?} {} {}",
            event.function, event.object, event.attempt, outcome
        );
        self.0.lock().expect("no panic").push(format!("{line} {event:?}"));
    }
}

#[tokio::test]
async fn the_observer_hears_of_every_attempt_and_of_no_secret() {
    let echo = reply(|r| {
        Reply::xml(function_failure(
            r,
            "DL02000001",
            "user-secret sender-secret session-1",
        ))
    });
    let gateway = replying([echo]).await;
    let log = Arc::new(Log::default());
    let mut config = gateway.config();
    config.observer = Some(log.clone());
    let client = gateway.client_with(config);
    page(&client).await.expect("a page");
    let lines = log.0.lock().expect("no panic");
    let starts = [
        "getAPISession None 1 success",
        "query Some(\"CUSTOMER\") 1 retry",
        "query Some(\"CUSTOMER\") 2 success",
    ];
    assert_eq!(lines.len(), starts.len(), "{lines:#?}");
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(start), "{line}");
    }
    let everything = format!("{lines:?} {:?}", client.config());
    for secret in ["user-secret", "sender-secret", "session-1"] {
        assert!(!everything.contains(secret), "{secret} in {everything}");
    }
}

#[tokio::test]
async fn requests_in_flight_are_limited() {
    let gateway = Gateway::start(|_| Reply::stall()).await;
    let mut config = gateway.config();
    config.max_concurrency = 2;
    let client = gateway.client_with(config);
    client.sign_in().await.expect("a session");
    let pages = async { tokio::join!(page(&client), page(&client), page(&client)) };
    tokio::select! {
        _ = pages => panic!("nothing was answered"),
        () = async {
            while gateway.count("<query>") < 2 {
                tokio::task::yield_now().await;
            }
            // The third one, were it sent, would come in these turns.
            for _ in 0..1000 {
                tokio::task::yield_now().await;
            }
        } => {}
    }
    assert_eq!(gateway.count("<query>"), 2);
}

#[tokio::test]
async fn a_dropped_request_leaves_nothing_behind() {
    let gateway = replying([reply(|_| Reply::stall())]).await;
    let mut config = gateway.config();
    config.max_concurrency = 1;
    let client = gateway.client_with(config);
    let given_up = tokio::select! {
        _ = page(&client) => false,
        () = async { while gateway.count("<query>") == 0 { tokio::task::yield_now().await } } => true,
    };
    assert!(given_up);
    assert_eq!(page(&client).await.expect("a page").rows(), 3);
}

#[tokio::test]
async fn a_dropped_sign_in_leaves_the_turn_to_the_next() {
    let mut first = true;
    let gateway = Gateway::start_raw(move |request| match std::mem::take(&mut first) {
        true => Reply::stall(),
        false if request.contains("<getAPISession") => Reply::xml(session(request, "s", "")),
        false => Reply::xml(success(request, &[&page_of(request, &[1])])),
    })
    .await;
    let client = gateway.client();
    let given_up = tokio::select! {
        _ = client.sign_in() => false,
        () = async { while gateway.requests().is_empty() { tokio::task::yield_now().await } } => true,
    };
    assert!(given_up);
    assert_eq!(page(&client).await.expect("a page").rows(), 1);
}

#[tokio::test]
async fn metadata_is_read() {
    let gateway = Gateway::start(|request| {
        let data = match request.contains("<inspect>") {
            true => "<data><type typename=\"CUSTOMER\">Customer</type></data>",
            false if request.contains("<object>NONE</object>") => {
                return Reply::xml(function_failure(request, "Query Failed", "Object definition NONE not found"));
            }
            false => {
                "<data><Type Name=\"CUSTOMER\"><Fields><Field><ID>NAME</ID><DATATYPE>TEXT</DATATYPE></Field></Fields>\
                 </Type></data>"
            }
        };
        Reply::xml(success(request, &[data]))
    })
    .await;
    let client = gateway.client();
    assert_eq!(client.inspect_all().await.expect("objects")[0].label, "Customer");
    let object = client
        .lookup("CUSTOMER", Some("Sales Order"))
        .await
        .expect("a definition");
    assert_eq!(object.fields[0].id, "NAME");
    assert_eq!(gateway.count("<docparid>Sales Order</docparid>"), 1);
    let error = client.lookup("NONE", None).await.expect_err("unknown");
    assert_eq!(
        (error.kind(), error.object()),
        (&ErrorKind::UnknownObject, Some("NONE"))
    );
}

#[test]
fn futures_can_be_sent_to_another_thread() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    let config = intacct::Config::new("a", "b", "c", "d", "e");
    let client = Client::new(config).expect("a client");
    let query = query();
    drop(is_send(client.page(&query, DialectKind::Query, &FIRST, true)));
    drop(is_send(client.lookup("A", None)));
}

#[tokio::test]
async fn an_answer_to_another_request_is_refused_whatever_it_says() {
    let foreign = |status: &str| {
        format!(
            "<response><control><status>{status}</status><controlid>foreign</controlid></control></response>"
        )
    };
    let answer = |request: &str, control_id: &str| {
        let named = format!("<control><status>success</status><controlid>{control_id}</controlid>");
        success(request, &[&page_of(request, &[1, 2, 3])]).replacen(
            "<control><status>success</status>",
            &named,
            1,
        )
    };
    for make in [
        reply(move |request| Reply::xml(answer(request, "foreign"))),
        // A refusal of another request does not prove that this one was refused.
        reply(move |_| Reply::xml(foreign("failure"))),
        reply(move |_| Reply::status(400, "application/xml", foreign("failure"))),
    ] {
        let gateway = replying([make]).await;
        let error = page(&gateway.client())
            .await
            .expect_err("an answer to another request");
        assert_eq!(*error.kind(), ErrorKind::Malformed, "{error}");
        assert!(error.to_string().contains("answers another request"), "{error}");
    }
    // Its own is accepted, and so is none: the gateway leaves it out where it could not read the request.
    let own =
        reply(move |request| Reply::xml(answer(request, between(request, "<controlid>", "</controlid>"))));
    for make in [own, reply(move |request| Reply::xml(answer(request, "")))] {
        let gateway = replying([make]).await;
        page(&gateway.client()).await.expect("a page");
    }
}

/// A gateway that signs in in the name of a company.
async fn in_the_name_of(company: &'static str) -> Gateway {
    Gateway::start_raw(move |request| {
        if request.contains("<getAPISession") {
            let named = format!("<authentication><status>success</status><companyid>{company}</companyid>");
            let answer = session(request, "session-1", "");
            return Reply::xml(answer.replace("<authentication><status>success</status>", &named));
        }
        Reply::xml(success(request, &[&page_of(request, &[1, 2, 3])]))
    })
    .await
}

#[tokio::test]
async fn a_session_of_another_company_is_not_used() {
    let ends = async |answered: &'static str, company: &str, client_id: Option<&str>| {
        let gateway = in_the_name_of(answered).await;
        let mut config = gateway.config();
        config.company_id = company.to_owned();
        config.client_id = client_id.map(str::to_owned);
        let ended = page(&gateway.client_with(config)).await;
        (ended, gateway.count("<query>"))
    };
    for (answered, company, client_id) in [
        ("acme", "acme", None),
        ("ACME", "acme", None),
        ("", "acme", None),
        ("console", "console", Some("subsidiary")),
        ("subsidiary", "console", Some("subsidiary")),
        ("subsidiary", "console|subsidiary|E1", None),
    ] {
        let (ended, _) = ends(answered, company, client_id).await;
        assert!(ended.is_ok(), "{answered} {company} {client_id:?}: {ended:?}");
    }
    for (answered, company, client_id) in [
        ("acme-sandbox", "acme", None),
        ("acm", "acme", None),
        ("other", "console", Some("subsidiary")),
    ] {
        let (ended, queries) = ends(answered, company, client_id).await;
        let error = ended.expect_err("another company");
        assert_eq!(
            *error.kind(),
            ErrorKind::Malformed,
            "{answered} {company}: {error}"
        );
        assert!(
            error
                .to_string()
                .contains(&format!("in the name of company \"{answered}\"")),
            "{error}"
        );
        assert_eq!(queries, 0, "{answered} {company}");
    }
}
