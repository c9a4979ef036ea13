//! The deep part of a check: every unconfirmed fact, as this company shows it. Runs on the I/O thread: nothing here may call
//! PostgreSQL.

use super::facts::{FACTS, Seen};
use super::look::Look;
use super::outcome::{Step, StepOutcome, StepResult};
use crate::io::Emitter;
use intacct::{Client, DtdVersion};
use std::time::Instant;

/// Looks at every fact and sends what was seen.
pub async fn run(client: &Client, emitter: &Emitter<StepResult>) {
    let is_legacy = client.config().dtd_version == DtdVersion::V2_1;
    let mut look = Look::new(client);
    for fact in FACTS {
        let started = Instant::now();
        let outcome = match fact.seen {
            Seen::Not(why) => StepOutcome::open(why),
            Seen::By(_) if is_legacy => StepOutcome::open("not checked with dtd_version 2.1"),
            Seen::By(observation) => match look.at(observation).await {
                Ok(Some(seen)) => StepOutcome::fine(seen),
                Ok(None) => StepOutcome::open("undecided: the company's rows do not show it"),
                Err(error) => {
                    let numbers: Vec<&str> = error
                        .gateway_errors()
                        .iter()
                        .map(|error| error.errorno.trim())
                        .filter(|number| !number.contains(' '))
                        .collect();
                    let state = crate::error::Report::from(&error).sqlstate();
                    StepOutcome::open(format!("undecided: {state} {}", numbers.join(" ")).trim_end())
                }
            },
        };
        emitter
            .send(StepResult::timed(Step::Fact(fact), started, outcome))
            .await;
    }
}
