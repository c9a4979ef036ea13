//! Counters never become less, whatever becomes of the server.

use super::{run, texts, until};
use crate::client::preloaded::Shared;
use postgres::Client;
use sage_intacct_fdw_tests::cluster;
use std::path::PathBuf;

const REQUESTS: &str = "SELECT value FROM sage_intacct.metrics WHERE name = 'sage_intacct_requests_total'";
const SINCE: &str = "SELECT since::text FROM sage_intacct.metrics WHERE name = 'sage_intacct_requests_total'";

fn requests(client: &mut Client) -> f64 {
    client.query_one(REQUESTS, &[]).expect("a metric").get(0)
}

fn data_directory(client: &mut Client) -> PathBuf {
    PathBuf::from(&texts(client, "SELECT current_setting('data_directory')")[0])
}

/// Stops or starts the cluster with the library preloaded.
fn control(data: &PathBuf, arguments: &[&str]) {
    let log = data.with_file_name("server.log");
    let done = cluster::server_program("pg_ctl")
        .args(arguments)
        .arg("-D")
        .arg(data)
        .arg("-l")
        .arg(log)
        .args(["-w", "-s"])
        // What the server inherits must not keep the test waiting for its end.
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()
        .expect("pg_ctl runs");
    assert!(done.success(), "pg_ctl {arguments:?}");
}

#[test]
fn a_restart_or_a_crash_takes_nothing_away() {
    let shared = Shared::start("kept", "");
    let mut client = shared.connect();
    let data = data_directory(&mut client);
    run(&mut client, "SELECT count(*) FROM customer");
    let shown = requests(&mut client);
    assert!(shown > 1.0, "{shown}");
    let since = texts(&mut client, SINCE);
    // What is counted after it was last shown is kept when its backend ends.
    shared.gateway.tap.forget();
    run(&mut client, "SELECT count(*) FROM customer");
    let more = shared.gateway.tap.requests().len() as f64;
    assert!(more > 0.0);
    control(&data, &["restart", "-m", "fast"]);
    let mut client = shared.connect();
    assert_eq!(requests(&mut client), shown + more);
    assert_eq!(texts(&mut client, SINCE), since);
    let stats = "SELECT requests::text FROM sage_intacct.request_stats() WHERE scope = 'all backends'";
    assert_eq!(texts(&mut client, stats), [(shown + more).to_string()]);

    // A backend dies, and takes the shared memory with it.
    run(&mut client, "SELECT count(*) FROM customer");
    let shown = requests(&mut client);
    let mut victim = shared.connect();
    run(&mut victim, "CHECKPOINT");
    cluster::kill(cluster::backend(&mut victim));
    until(|| client.simple_query("SELECT").is_err());
    let mut client = shared.connect();
    assert_eq!(requests(&mut client), shown);

    // The whole server dies.
    run(&mut client, "CHECKPOINT");
    control(&data, &["restart", "-m", "immediate"]);
    let mut client = shared.connect();
    assert_eq!(requests(&mut client), shown);

    // The file is torn, was changed, or is another cluster's: counting begins anew.
    let port = format!("-p {}", texts(&mut client, "SELECT current_setting('port')")[0]);
    let file = data.join("sage_intacct/counters");
    let text = std::fs::read_to_string(&file).expect("it is there");
    let other = text.replace(
        &format!("\"directory\":\"{}/sage_intacct\"", data.display()),
        "\"directory\":\"/copy\"",
    );
    assert_ne!(other, text);
    let (_, json) = other.split_once(' ').expect("a checksum");
    let sum = crc32(json.trim_end().as_bytes());
    for damaged in [
        text[..text.len() / 2].to_owned(),
        text.replace("\"requests\":", "\"requests\":1"),
        format!("{sum:08x} {json}"),
    ] {
        control(&data, &["stop", "-m", "fast"]);
        std::fs::write(&file, &damaged).expect("it can be written");
        control(&data, &["start", "-o", &port]);
        client = shared.connect();
        assert_eq!(requests(&mut client), 0.0, "{damaged}");
        assert_eq!(texts(&mut client, SINCE), ["-"]);
    }
    run(&mut client, "SELECT count(*) FROM customer");
    assert!(requests(&mut client) > 0.0);
    assert_ne!(texts(&mut client, SINCE), since);
}

/// The checksum in the file's first word.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |sum: u32, _| {
        if sum & 1 == 1 {
            sum >> 1 ^ 0xedb8_8320
        } else {
            sum >> 1
        }
    };
    !bytes
        .iter()
        .fold(!0, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), step))
}
