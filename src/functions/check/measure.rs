//! How long requests take, and whether more at once gain anything. Runs on the I/O thread: nothing here may call
//! PostgreSQL.

use super::outcome::{Step, StepOutcome, StepResult};
use super::readable::{ReadableObject, counted};
use super::subject::Subject;
use crate::io::Emitter;
use futures_util::future::try_join_all;
use intacct::{Client, DataType, DialectKind, Error, ErrorKind, Page, PageRequest, Query, SelectItem};
use std::time::{Duration, Instant};

/// Rows of the page that is timed: the most that the gateway gives.
const PAGE_ROWS: u32 = 2000;
/// Columns of it: about as many as a report shows.
const PAGE_COLUMNS: usize = 10;
/// What the option takes.
const MOST_AT_ONCE: usize = 32;

/// Times a small request, a page, and as many pages at once as the server allows, and sends each to the backend.
pub async fn run(
    client: &Client,
    subject: &Subject,
    readable: &ReadableObject,
    emitter: &Emitter<StepResult>,
) {
    let kind = DialectKind::for_version(client.config().dtd_version);
    let object = &readable.object;
    let mut query = readable.key_query(kind);
    query.missing_as_null = true;

    let started = Instant::now();
    let outcome = match page(client, &query, kind, 1).await {
        Ok(_) => StepOutcome::fine(format!("a request for one row of {object}")),
        Err(error) => StepOutcome::failed(error.into()),
    };
    let reached = outcome.ok == Some(true);
    emitter
        .send(StepResult::timed(Step::RoundTrip, started, outcome))
        .await;
    if !reached {
        return;
    }

    // The columns are chosen before the clock starts.
    let widened = widen(client, &mut query, kind).await;
    let started = Instant::now();
    let read = match widened {
        Ok(()) => page(client, &query, kind, PAGE_ROWS).await,
        Err(error) => Err(error),
    };
    let outcome = match &read {
        Ok(read) => StepOutcome::fine(format!(
            "{} of {object} in {}",
            counted(read.rows() as u64, "row"),
            counted(query.select.len() as u64, "column")
        )),
        Err(error) => StepOutcome::failed(error.into()),
    };
    emitter
        .send(StepResult::timed(Step::Page, started, outcome))
        .await;
    if read.is_err() {
        return;
    }

    let started = Instant::now();
    let outcome = match at_once(client, &query, kind).await {
        Ok(trial) => trial.judged(subject),
        Err(error) => StepOutcome::failed(error.into()),
    };
    emitter
        .send(StepResult::timed(Step::Concurrency, started, outcome))
        .await;
}

async fn page(client: &Client, query: &Query, kind: DialectKind, size: u32) -> Result<Page, Error> {
    client
        .page(query, kind, &PageRequest { size, offset: 0 }, false)
        .await
}

/// Adds fields that `query` takes. `get_list` is timed with the key alone.
async fn widen(client: &Client, query: &mut Query, kind: DialectKind) -> Result<(), Error> {
    if kind != DialectKind::Query {
        return Ok(());
    }
    let definition = client.definition(&query.object, None).await?;
    let fields = definition
        .fields
        .iter()
        .filter(|field| !field.id.contains('.') && !matches!(field.data_type, DataType::Other(_)))
        .map(|field| SelectItem::Field(field.id.clone()));
    query.select = fields.take(PAGE_COLUMNS).collect();
    loop {
        match page(client, query, kind, 1).await {
            Ok(_) => return Ok(()),
            Err(error) => {
                let before = query.select.len();
                if let ErrorKind::UnknownFields(refused) = error.kind() {
                    query.select.retain(|item| {
                        !matches!(item, SelectItem::Field(id) if refused.iter().any(|name| name.eq_ignore_ascii_case(id)))
                    });
                }
                if query.select.is_empty() || query.select.len() == before {
                    return Err(error);
                }
            }
        }
    }
}

/// What several requests at once took.
#[derive(Debug, Clone, Copy)]
struct Trial {
    width: usize,
    one: Duration,
    all: Duration,
    throttled: bool,
}

/// Reads the page as often at once as the server allows, never more, and then once alone, unless the gateway refused.
async fn at_once(client: &Client, query: &Query, kind: DialectKind) -> Result<Trial, Error> {
    let width = client.config().max_concurrency.max(1);
    let refused = client.stats().rate_limited;
    let started = Instant::now();
    let together = try_join_all((0..width).map(|_| page(client, query, kind, PAGE_ROWS))).await;
    let all = started.elapsed();
    let throttled = match together {
        Ok(_) => client.stats().rate_limited > refused,
        // Refused again when it was repeated.
        Err(error) if *error.kind() == ErrorKind::RateLimited => true,
        Err(error) => return Err(error),
    };
    let started = Instant::now();
    if !throttled {
        page(client, query, kind, PAGE_ROWS).await?;
    }
    Ok(Trial {
        width,
        one: started.elapsed(),
        all,
        throttled,
    })
}

impl Trial {
    /// How many times the pages of one request the requests at once brought in the same time.
    fn gain(&self) -> f64 {
        self.width as f64 * self.one.as_secs_f64() / self.all.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// The number to set; none leaves it. More than was tried is only proposed where what was tried gained nearly all
    /// that it could.
    fn proposal(&self) -> Option<usize> {
        let better = match (self.throttled, self.width) {
            (true, width) => (width / 2).max(1),
            (false, 1) => 2,
            (false, width) if self.gain() >= 0.75 * width as f64 => (2 * width).min(MOST_AT_ONCE),
            (false, width) => width,
        };
        (better != self.width).then_some(better)
    }

    fn judged(&self, subject: &Subject) -> StepOutcome {
        let width = self.width;
        let set = |number: usize| {
            let action = if subject.concurrency_given { "SET" } else { "ADD" };
            format!(
                "ALTER SERVER {} OPTIONS ({action} max_concurrency '{number}')",
                subject.server
            )
        };
        let seen = match (self.throttled, width) {
            (true, _) => format!("the gateway refused some of {width} requests at once"),
            (false, 1) => "max_concurrency allows one request at a time".to_owned(),
            (false, _) => format!(
                "{width} requests at once brought {:.1} times what one brings",
                self.gain()
            ),
        };
        let hint = match self.proposal() {
            Some(less) if less < width => {
                format!("{} asks for less at once. Then check again.", set(less))
            }
            Some(more) => format!("If the contract allows as many: {}. Then check again.", set(more)),
            None if self.throttled => "Others use the same contract: try again when they rest.".to_owned(),
            None => format!("Leave max_concurrency at {width}: more would not make scans faster."),
        };
        StepOutcome::fine(seen).hint(hint)
    }
}

#[cfg(test)]
mod tests {
    use super::{Subject, Trial};
    use std::time::Duration;

    fn trial(width: usize, one: u64, all: u64, throttled: bool) -> Trial {
        Trial {
            width,
            one: Duration::from_millis(one),
            all: Duration::from_millis(all),
            throttled,
        }
    }

    #[test]
    fn more_is_proposed_where_what_was_tried_gained_and_less_where_it_was_refused() {
        for (made, proposed) in [
            (trial(2, 100, 110, false), Some(4)),
            (trial(2, 100, 190, false), None),
            (trial(4, 100, 120, false), Some(8)),
            (trial(4, 100, 200, false), None),
            (trial(32, 100, 100, false), None),
            (trial(20, 100, 100, false), Some(32)),
            (trial(1, 100, 100, false), Some(2)),
            (trial(4, 100, 900, true), Some(2)),
            (trial(1, 100, 900, true), None),
            (trial(2, 0, 0, false), None),
        ] {
            assert_eq!(made.proposal(), proposed, "{made:?}");
        }
    }

    #[test]
    fn the_statement_fits_what_the_server_has() {
        let mut subject = Subject {
            name: "acme".into(),
            server: "acme".into(),
            schema: "acme".into(),
            relations: None,
            page_size: 2000,
            show_private: false,
            concurrency_given: false,
        };
        let hint = |subject: &Subject| trial(2, 100, 100, false).judged(subject).hint;
        assert!(hint(&subject).contains("ALTER SERVER acme OPTIONS (ADD max_concurrency '4')"));
        subject.concurrency_given = true;
        assert!(hint(&subject).contains("(SET max_concurrency '4')"));
    }
}
