//! The simulator as a program.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use intacct_simulator::{Config, Simulator, bench};

/// A strict stand-in for the Sage Intacct XML gateway.
#[derive(Debug, Parser)]
#[command(name = "intacct-simulator", version)]
struct Arguments {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: String,
    /// Serve https with a certificate made at start
    #[arg(long)]
    tls: bool,
    /// Where `--tls` writes ca.pem
    #[arg(long, default_value = ".")]
    tls_dir: PathBuf,
    /// Seed of the data
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// How many companies there are, of acme, globex, initech, umbrella
    #[arg(long, default_value_t = 2)]
    companies: usize,
    /// Rows of an object, `arinvoice=1000000`, or in one company only, `acme.arinvoice=1000000`; repeatable
    #[arg(long, value_name = "OBJECT=N")]
    rows: Vec<String>,
    /// Added to every request, milliseconds
    #[arg(long)]
    latency_ms: Option<u64>,
    /// Requests in process per company; 0: no limit
    #[arg(long)]
    concurrency: Option<usize>,
    /// Lifetime of a session after its last use, seconds
    #[arg(long)]
    session_ttl: Option<u64>,
    /// Any setting of docs/simulator.md; repeatable
    #[arg(long, value_name = "KEY=VALUE")]
    setting: Vec<String>,
    /// Read pages, print what they cost, and end
    #[arg(long)]
    self_bench: bool,
}

fn config(arguments: &Arguments) -> Result<Config, String> {
    let mut config = Config {
        listen: arguments.listen.clone(),
        tls_dir: arguments.tls.then(|| arguments.tls_dir.clone()),
        seed: arguments.seed,
        companies: arguments.companies,
        ..Config::default()
    };
    for pair in &arguments.rows {
        let (object, rows) = pair
            .split_once('=')
            .ok_or_else(|| format!("--rows {pair}: OBJECT=N is expected"))?;
        config = config.rows(
            object,
            rows.parse()
                .map_err(|_| format!("--rows {pair}: {rows} is not a number"))?,
        );
    }
    for pair in &arguments.setting {
        let (key, value) = pair
            .split_once('=')
            .ok_or_else(|| format!("--setting {pair}: KEY=VALUE is expected"))?;
        config = config.setting(key, value);
    }
    let knobs = [
        ("latency_ms", arguments.latency_ms.map(|v| v.to_string())),
        ("concurrency", arguments.concurrency.map(|v| v.to_string())),
        ("session_ttl", arguments.session_ttl.map(|v| v.to_string())),
    ];
    for (key, value) in knobs {
        if let Some(value) = value {
            config = config.setting(key, &value);
        }
    }
    Ok(config)
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match config(&arguments).and_then(Simulator::start) {
        Ok(simulator) if arguments.self_bench => match bench::run(simulator.gateway()) {
            Ok(report) => {
                print!("{report}");
                ExitCode::SUCCESS
            }
            Err(problem) => {
                eprintln!("intacct-simulator: {problem}");
                ExitCode::FAILURE
            }
        },
        Ok(simulator) => {
            println!("listening {}", simulator.url());
            let _ = std::io::stdout().flush();
            match simulator.serve_until_signal() {
                Ok(()) => ExitCode::SUCCESS,
                Err(problem) => {
                    eprintln!("intacct-simulator: {problem}");
                    ExitCode::FAILURE
                }
            }
        }
        Err(problem) => {
            eprintln!("intacct-simulator: {problem}");
            ExitCode::FAILURE
        }
    }
}
