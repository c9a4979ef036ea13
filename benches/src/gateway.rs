//! The simulator as a process of its own, so that its work is not counted as ours.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

/// A running simulator; killed with the value.
pub struct Gateway {
    process: Child,
    url: String,
}

impl Gateway {
    /// Starts the binary that `SAGE_SIMULATOR` names.
    ///
    /// # Panics
    /// If it does not start or does not say where it listens.
    pub fn start(arguments: &[&str]) -> Gateway {
        let program = std::env::var("SAGE_SIMULATOR").expect("SAGE_SIMULATOR is set by `make bench`");
        let mut process = Command::new(program)
            .args(["--listen", "127.0.0.1:0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the simulator starts");
        let mut line = String::new();
        let output = process.stdout.take().expect("its output is piped");
        BufReader::new(output)
            .read_line(&mut line)
            .expect("the simulator says where it listens");
        let url = line
            .trim()
            .strip_prefix("listening ")
            .expect("a line `listening URL`")
            .to_owned();
        Gateway { process, url }
    }

    /// For the server option `url`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Changes a setting.
    ///
    /// # Panics
    /// If it is refused.
    pub fn set(&self, key: &str, value: &str) {
        self.control("POST", "settings", &format!("{{\"{key}\": \"{value}\"}}"));
    }

    /// Forgets the requests so far.
    ///
    /// # Panics
    /// If it does not answer.
    pub fn forget(&self) {
        self.control("POST", "log/clear", "");
    }

    /// The requests since [`Gateway::forget`], as JSON.
    ///
    /// # Panics
    /// If it does not answer.
    pub fn log(&self) -> String {
        self.control("GET", "log", "")
    }

    /// How many requests came since [`Gateway::forget`].
    ///
    /// # Panics
    /// If it does not answer.
    pub fn requests(&self) -> u64 {
        self.log().matches("\"controlids\"").count() as u64
    }

    /// Talks to the simulator's control interface; gives the body of the answer.
    ///
    /// # Panics
    /// If it does not answer.
    pub fn control(&self, method: &str, path: &str, body: &str) -> String {
        let address = self
            .url
            .trim_start_matches("http://")
            .split('/')
            .next()
            .expect("a host")
            .to_owned();
        let mut stream = TcpStream::connect(&address).expect("the simulator accepts");
        write!(
            stream,
            "{method} /_sim/{path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
        .expect("the request is sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the simulator answers");
        let (head, body) = answer.split_once("\r\n\r\n").expect("an HTTP answer");
        assert!(head.starts_with("HTTP/1.1 2"), "{method} {path}: {head}\n{body}");
        body.to_owned()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
