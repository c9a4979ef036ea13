//! A tap in the line between the extension and the simulator: it records every request, and may answer in the
//! simulator's place with anything that a broken or hostile gateway could send.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long the tests wait for something that must happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// What happens with a request.
pub enum Answer {
    /// The simulator answers.
    Pass,
    /// The simulator answers, and the text of its body is changed on the way.
    Edit(Box<dyn FnOnce(String) -> String>),
    /// The simulator's answer breaks off after so many bytes of its body.
    Cut(usize),
    /// This body, as XML with status 200.
    Body(Vec<u8>),
    /// These bytes, from the status line on; then the connection is closed.
    Raw(Vec<u8>),
    /// No answer, until the other side gives up.
    Stall,
    /// A head and the beginning of a body, then nothing, until the other side gives up.
    StallInBody,
    /// The simulator executes the request, and its answer is lost: the connection stays open without a word.
    Swallow,
    /// The connection is closed without an answer.
    Close,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Pass => "Pass",
            Self::Edit(_) => "Edit",
            Self::Cut(_) => "Cut",
            Self::Body(_) => "Body",
            Self::Raw(_) => "Raw",
            Self::Stall => "Stall",
            Self::StallInBody => "StallInBody",
            Self::Swallow => "Swallow",
            Self::Close => "Close",
        })
    }
}

/// The connection ends behind an answer of this kind, and its head says so: else the next request may be sent on it.
fn closing(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(line) = bytes.windows(2).position(|pair| pair == b"\r\n")
        && bytes.starts_with(b"HTTP/1.1 ")
    {
        bytes.splice(line + 2..line + 2, *b"Connection: close\r\n");
    }
    bytes
}

/// Decides what happens with a request, from its XML.
type Rule = dyn Fn(&str) -> Answer + Send + Sync;

#[derive(Default)]
struct State {
    /// Connections so far.
    connections: usize,
    requests: Vec<String>,
    rule: Option<Arc<Rule>>,
    /// Requests that got no answer and whose other side still waits.
    stalled: usize,
    closed: bool,
}

struct Shared {
    upstream: SocketAddr,
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The tap; it listens on a free port of the loopback interface until it is dropped.
pub struct Tap {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Tap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tap")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Tap {
    /// Starts a tap before `upstream`.
    pub fn start(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            upstream,
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if accepting.state().closed {
                    break;
                }
                accepting.state().connections += 1;
                let (Ok(stream), shared) = (stream, Arc::clone(&accepting)) else {
                    continue;
                };
                std::thread::spawn(move || {
                    // The other side may vanish at any moment: that is its right.
                    let _ = serve(stream, &shared);
                });
            }
        });
        Self { address, shared }
    }

    /// Host and port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The XML of every request since the start or the last [`Tap::forget`].
    pub fn requests(&self) -> Vec<String> {
        self.shared.state().requests.clone()
    }

    /// How many connections were opened so far.
    pub fn connections(&self) -> usize {
        self.shared.state().connections
    }

    /// Forgets the requests so far.
    pub fn forget(&self) {
        self.shared.state().requests.clear();
    }

    /// Decides from now on what happens with a request.
    pub fn rule(&self, rule: impl Fn(&str) -> Answer + Send + Sync + 'static) {
        self.shared.state().rule = Some(Arc::new(rule));
    }

    /// Every request goes through again.
    pub fn pass(&self) {
        self.shared.state().rule = None;
    }

    /// How many requests wait for an answer that does not come.
    pub fn stalled(&self) -> usize {
        self.shared.state().stalled
    }

    /// Waits until `count` requests wait for an answer that does not come.
    ///
    /// # Panics
    /// If that does not happen within a minute.
    pub fn wait_for_stalled(&self, count: usize) {
        self.wait_until(|state| state.stalled == count);
    }

    /// Waits until `count` requests have come since the start or the last [`Tap::forget`].
    ///
    /// # Panics
    /// If that does not happen within a minute.
    pub fn wait_for_requests(&self, count: usize) {
        self.wait_until(|state| state.requests.len() >= count);
    }

    fn wait_until(&self, condition: impl Fn(&State) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.shared.state();
        while !condition(&state) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "{} requests came, {} wait",
                state.requests.len(),
                state.stalled
            );
            state = self
                .shared
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Nobody listens any more; connections break. The address stays free.
    pub fn shut_down(&self) {
        self.shared.state().closed = true;
        self.shared.changed.notify_all();
        // Wakes the listener, which then sees the flag.
        drop(TcpStream::connect(self.address));
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.shut_down();
    }
}

struct Request {
    head: Vec<String>,
    body: Vec<u8>,
}

/// Reads a request or a response: its head lines without line ends, and its body.
fn read_message(reader: &mut impl BufRead) -> std::io::Result<Option<Request>> {
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        head.push(line.to_owned());
    }
    let mut body = Vec::new();
    if let Some(length) = header(&head, "content-length") {
        body.resize(length.parse().map_err(std::io::Error::other)?, 0);
        reader.read_exact(&mut body)?;
    } else if header(&head, "transfer-encoding").is_some() {
        loop {
            let mut size = String::new();
            reader.read_line(&mut size)?;
            let size = usize::from_str_radix(size.trim(), 16).map_err(std::io::Error::other)?;
            let start = body.len();
            // Each chunk, the last and empty one too, ends with a line end of its own.
            body.resize(start + size + 2, 0);
            reader.read_exact(&mut body[start..])?;
            body.truncate(start + size);
            if size == 0 {
                break;
            }
        }
    }
    Ok(Some(Request { head, body }))
}

fn header<'a>(head: &'a [String], name: &str) -> Option<&'a str> {
    head.iter().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

fn serve(stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_message(&mut reader)? {
        let xml = String::from_utf8_lossy(&request.body).into_owned();
        let rule = {
            let mut state = shared.state();
            if state.closed {
                return Ok(());
            }
            state.requests.push(xml.clone());
            shared.changed.notify_all();
            state.rule.clone()
        };
        match rule.map_or(Answer::Pass, |rule| rule(&xml)) {
            Answer::Pass => {
                let (head, body) = ask(&request, shared, false)?;
                respond(&mut writer, &head, &body, body.len())?;
            }
            Answer::Edit(edit) => {
                let (head, body) = ask(&request, shared, true)?;
                let body = edit(String::from_utf8_lossy(&body).into_owned()).into_bytes();
                respond(&mut writer, &head, &body, body.len())?;
            }
            Answer::Cut(at) => {
                let (head, body) = ask(&request, shared, true)?;
                return respond(&mut writer, &head, &body[..at.min(body.len())], body.len());
            }
            Answer::Body(body) => respond(&mut writer, &xml_head(), &body, body.len())?,
            Answer::Raw(bytes) => return writer.write_all(&closing(bytes)),
            Answer::Stall => return stall(&mut reader, shared),
            Answer::Swallow => {
                ask(&request, shared, false)?;
                return stall(&mut reader, shared);
            }
            Answer::StallInBody => {
                respond(
                    &mut writer,
                    &xml_head(),
                    b"<?xml version=\"1.0\"?><response><control>",
                    100_000,
                )?;
                return stall(&mut reader, shared);
            }
            Answer::Close => return Ok(()),
        }
    }
    Ok(())
}

fn xml_head() -> Vec<String> {
    vec![
        "HTTP/1.1 200 OK".to_owned(),
        "Content-Type: application/xml".to_owned(),
    ]
}

/// Puts the request to the simulator; with `plain` without compression.
fn ask(request: &Request, shared: &Shared, plain: bool) -> std::io::Result<(Vec<String>, Vec<u8>)> {
    let mut upstream = TcpStream::connect(shared.upstream)?;
    let mut head = String::new();
    for line in &request.head {
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        let drop = name == "connection" || plain && name == "accept-encoding";
        if !drop {
            head += &format!("{line}\r\n");
        }
    }
    head += "Connection: close\r\n\r\n";
    upstream.write_all(head.as_bytes())?;
    upstream.write_all(&request.body)?;
    let answer = read_message(&mut BufReader::new(upstream))?;
    let answer = answer.ok_or_else(|| std::io::Error::other("the simulator did not answer"))?;
    Ok((answer.head, answer.body))
}

fn respond(writer: &mut TcpStream, head: &[String], body: &[u8], length: usize) -> std::io::Result<()> {
    let mut bytes = Vec::with_capacity(body.len() + 512);
    for line in head {
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        if !matches!(
            name.as_str(),
            "connection" | "content-length" | "transfer-encoding"
        ) {
            bytes.extend_from_slice(line.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
    }
    bytes.extend_from_slice(format!("Content-Length: {length}\r\n\r\n").as_bytes());
    bytes.extend_from_slice(body);
    writer.write_all(&bytes)
}

/// Holds the connection open until the other side closes it.
fn stall(reader: &mut BufReader<TcpStream>, shared: &Shared) -> std::io::Result<()> {
    let count = |change: fn(usize) -> usize| {
        let mut state = shared.state();
        state.stalled = change(state.stalled);
        shared.changed.notify_all();
    };
    count(|n| n + 1);
    reader
        .get_ref()
        .set_read_timeout(Some(Duration::from_millis(50)))?;
    let mut byte = [0];
    loop {
        if shared.state().closed {
            break;
        }
        match reader.read(&mut byte) {
            // The time-out only lets the flag be looked at.
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                ) => {}
            _ => break,
        }
    }
    count(|n| n - 1);
    Ok(())
}
