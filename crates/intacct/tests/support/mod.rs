//! A gateway that answers by a script, on a loopback port of the test's own runtime.
#![allow(dead_code, reason = "each test binary uses its part")]

use intacct::{Backoff, Client, Config, OrderKey, Page, Query};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What the gateway answers to one request.
pub struct Reply {
    pub status: u16,
    pub content_type: &'static str,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    /// Close the connection after this many bytes of the body.
    pub cut: Option<usize>,
    /// Answer after this time.
    pub latency: Duration,
    /// Never answer.
    pub stall: bool,
    /// Close the connection without a word.
    pub reset: bool,
}

impl Reply {
    pub fn xml(body: impl Into<String>) -> Self {
        Reply::status(200, "application/xml", body)
    }

    pub fn status(status: u16, content_type: &'static str, body: impl Into<String>) -> Self {
        let body = body.into().into_bytes();
        Reply {
            status,
            content_type,
            headers: Vec::new(),
            body,
            cut: None,
            latency: Duration::ZERO,
            stall: false,
            reset: false,
        }
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn cut(mut self, bytes: usize) -> Self {
        self.cut = Some(bytes);
        self
    }

    pub fn after(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    pub fn reset() -> Self {
        Reply {
            reset: true,
            ..Reply::xml("")
        }
    }

    pub fn stall() -> Self {
        Reply {
            stall: true,
            ..Reply::xml("")
        }
    }
}

/// A running gateway.
pub struct Gateway {
    pub url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

type Script = dyn FnMut(&str) -> Reply + Send;

impl Gateway {
    /// Starts one. The script sees the request document of everything but getAPISession, which is answered with a
    /// fresh session, unless `script_sign_in` is set.
    pub async fn start(script: impl FnMut(&str) -> Reply + Send + 'static) -> Gateway {
        let mut script = script;
        let mut sessions = 0;
        Gateway::start_raw(move |request| {
            if request.contains("<getAPISession") {
                sessions += 1;
                return Reply::xml(session(request, &format!("session-{sessions}"), ""));
            }
            script(request)
        })
        .await
    }

    /// Starts one whose script answers sign-ins as well.
    pub async fn start_raw(script: impl FnMut(&str) -> Reply + Send + 'static) -> Gateway {
        Gateway::listen(None, script).await
    }

    /// Starts one, with TLS if there is an acceptor.
    pub async fn listen(
        tls: Option<TlsAcceptor>,
        script: impl FnMut(&str) -> Reply + Send + 'static,
    ) -> Gateway {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
        let port = listener.local_addr().expect("bound").port();
        let host = if tls.is_some() {
            "https://localhost"
        } else {
            "http://127.0.0.1"
        };
        let url = format!("{host}:{port}/ia/xml/xmlgw.phtml");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let script: Arc<Mutex<Box<Script>>> = Arc::new(Mutex::new(Box::new(script)));
        let seen = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, script, seen) = (tls.clone(), Arc::clone(&script), Arc::clone(&seen));
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, script, seen).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, script, seen).await;
                            }
                        }
                    }
                });
            }
        });
        Gateway { url, requests }
    }

    pub fn config(&self) -> Config {
        let mut config = Config::new("acme", "apiuser", "user-secret", "sender1", "sender-secret");
        config.url = self.url.clone();
        config.request_timeout = Duration::from_secs(20);
        config
    }

    pub fn client(&self) -> Client {
        self.client_with(self.config())
    }

    pub fn client_with(&self, config: Config) -> Client {
        let backoff = Backoff {
            base: Duration::from_millis(2),
            max: Duration::from_millis(10),
        };
        Client::with_backoff(config, backoff).expect("a client")
    }

    /// The request documents so far.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("no panic").clone()
    }

    pub fn count(&self, part: &str) -> usize {
        self.requests()
            .iter()
            .filter(|request| request.contains(part))
            .count()
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    script: Arc<Mutex<Box<Script>>>,
    seen: Arc<Mutex<Vec<String>>>,
) {
    let mut buffer = Vec::new();
    let head_end = loop {
        if let Some(end) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
            break end + 4;
        }
        // Something other than HTTP, such as the first message of TLS, is not waited for.
        if stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 || !buffer[0].is_ascii_uppercase() {
            return;
        }
    };
    let head = String::from_utf8_lossy(&buffer[..head_end]).to_ascii_lowercase();
    let length: usize = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .and_then(|value| value.trim().parse().ok())
        .expect("a length");
    while buffer.len() < head_end + length {
        if stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let request = String::from_utf8(buffer[head_end..head_end + length].to_vec()).expect("UTF-8");
    seen.lock().expect("no panic").push(request.clone());
    let reply = (script.lock().expect("no panic"))(&request);
    if reply.reset {
        return;
    }
    if reply.stall {
        std::future::pending::<()>().await;
    }
    tokio::time::sleep(reply.latency).await;
    let mut answer = format!(
        "HTTP/1.1 {} Status\r\ncontent-type: {}\r\ncontent-length: {}\r\nconnection: close\r\n",
        reply.status,
        reply.content_type,
        reply.body.len()
    );
    for (name, value) in &reply.headers {
        answer.push_str(&format!("{name}: {value}\r\n"));
    }
    answer.push_str("\r\n");
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream
        .write_all(&reply.body[..reply.cut.unwrap_or(reply.body.len())])
        .await;
    let _ = stream.shutdown().await;
}

/// The text between the first `<tag>` and `</tag>`.
pub fn between<'a>(document: &'a str, start: &str, end: &str) -> &'a str {
    let from = document.find(start).map_or(document.len(), |at| at + start.len());
    let rest = &document[from..];
    &rest[..rest.find(end).unwrap_or(rest.len())]
}

fn envelope(request: &str, results: &[String]) -> String {
    let ids = request
        .split("<function controlid=\"")
        .skip(1)
        .map(|part| part.split('"').next().unwrap_or(""));
    let results: String = ids
        .zip(results)
        .map(|(id, result)| format!("<result><controlid>{id}</controlid>{result}</result>"))
        .collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<response><control><status>success</status></control><operation>\
         <authentication><status>success</status><sessiontimestamp>2024-01-01T00:00:00+00:00</sessiontimestamp>\
         <sessiontimeout>2024-01-01T06:00:00+00:00</sessiontimeout></authentication>{results}</operation></response>"
    )
}

/// A response in which every function succeeds with this data.
pub fn success(request: &str, data: &[&str]) -> String {
    let results: Vec<String> = data
        .iter()
        .map(|data| format!("<status>success</status>{data}"))
        .collect();
    envelope(request, &results)
}

/// A response in which the first function fails.
pub fn function_failure(request: &str, errorno: &str, text: &str) -> String {
    envelope(
        request,
        &[format!("<status>failure</status>{}", errors(errorno, text))],
    )
}

pub fn errors(errorno: &str, text: &str) -> String {
    format!(
        "<errormessage><error><errorno>{errorno}</errorno><description/><description2>{text}</description2>\
         <correction/></error></errormessage>"
    )
}

pub fn control_failure(errorno: &str, text: &str) -> String {
    format!(
        "<response><control><status>failure</status></control>{}</response>",
        errors(errorno, text)
    )
}

pub fn sign_in_failure(errorno: &str, text: &str) -> String {
    format!(
        "<response><control><status>success</status></control><operation><authentication><status>failure</status>\
         </authentication>{}</operation></response>",
        errors(errorno, text)
    )
}

/// The answer to getAPISession.
pub fn session(request: &str, id: &str, endpoint: &str) -> String {
    let api = format!(
        "<data><api><sessionid>{id}</sessionid><endpoint>{endpoint}</endpoint><locationid>E1</locationid></api></data>"
    );
    success(request, &[&api])
}

pub const FORMATTING: &str = "<data><userformatting><recordno>1</recordno><locale>en_US.UTF-8</locale>\
    <dateformat>/mdY</dateformat><gmtoffset>-08:00</gmtoffset><clock>24</clock></userformatting></data>";

/// Rows with RECORDNO and NAME out of `keys`, as the request's page asks: `RECORDNO > n`, `RECORDNO <= n`, the other
/// way round, page size and offset.
pub fn page_of(request: &str, keys: &[u64]) -> String {
    let bound = |op: &str| {
        between(
            request,
            &format!("<{op}><field>RECORDNO</field><value>"),
            "</value>",
        )
        .parse()
    };
    let after: u64 = bound("greaterthan").unwrap_or(0);
    let to = bound("lessthanorequalto").unwrap_or(u64::MAX);
    let size: usize = between(request, "<pagesize>", "<").parse().expect("a size");
    let offset: usize = between(request, "<offset>", "<").parse().unwrap_or(0);
    let mut matching: Vec<u64> = keys
        .iter()
        .copied()
        .filter(|key| *key > after && *key <= to)
        .collect();
    if request.contains("<field>RECORDNO</field><descending/>") {
        matching.reverse();
    }
    let rows: Vec<u64> = matching.iter().copied().skip(offset).take(size).collect();
    data_of(&rows, matching.len(), offset)
}

pub fn data_of(rows: &[u64], total: usize, offset: usize) -> String {
    let remaining = total.saturating_sub(offset + rows.len());
    let body: String = rows
        .iter()
        .map(|k| format!("<C><RECORDNO>{k}</RECORDNO><NAME>n{k}</NAME></C>"))
        .collect();
    format!(
        "<data listtype=\"C\" totalcount=\"{total}\" offset=\"{offset}\" count=\"{}\" numremaining=\"{remaining}\">\
         {body}</data>",
        rows.len()
    )
}

/// The request as a gateway takes it that ignores offsets.
pub fn without_offset(request: &str) -> String {
    request.replace("<offset>", "<other>")
}

/// A page as a gateway sends it that reports no counts.
pub fn uncounted(page: &str) -> String {
    format!("<data{}", &page[page.find('>').expect("a tag")..])
}

/// The RECORDNO of every row, which is the first column.
pub fn keys_of(page: &Page) -> Vec<u64> {
    let number = |row| std::str::from_utf8(page.cell(row, 0)?).ok()?.parse().ok();
    (0..page.rows()).map(|row| number(row).expect("a key")).collect()
}

pub fn query() -> Query {
    "select RECORDNO, NAME from CUSTOMER".parse().expect("a query")
}

pub fn key(field: &str) -> OrderKey {
    OrderKey {
        field: field.into(),
        descending: false,
    }
}
