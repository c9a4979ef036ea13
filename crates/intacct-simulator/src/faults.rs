//! Scripted faults: what goes wrong, for which requests, how often.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

/// Which requests a fault hits; absent parts match everything.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Match {
    /// Function name.
    pub function: Option<String>,
    /// Object name, in any case.
    pub object: Option<String>,
    /// Company id.
    pub company: Option<String>,
    /// User id.
    pub user: Option<String>,
    /// Only from the nth matching request on, counted from 1.
    pub nth: Option<u64>,
}

/// What happens.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// Nothing is executed; after the time the connection is closed without an answer.
    Stall {
        /// Milliseconds.
        ms: u64,
    },
    /// The answer comes later.
    Delay {
        /// Milliseconds.
        ms: u64,
    },
    /// Not executed; this HTTP status.
    Status {
        /// HTTP status code.
        code: u16,
        /// Body.
        #[serde(default)]
        body: String,
        /// Content type; default `text/html`.
        #[serde(default)]
        content_type: Option<String>,
        /// `Retry-After`, seconds.
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// Connection closed before execution.
    Reset,
    /// Connection closed after execution.
    ResetAfterExecution,
    /// The answer breaks off after so many bytes.
    Truncate {
        /// Bytes of the body that are sent.
        bytes: usize,
    },
    /// Not executed; status 200 with this body.
    Body {
        /// Body.
        text: String,
        /// Content type; default `application/xml`.
        #[serde(default)]
        content_type: Option<String>,
    },
    /// Executed; status 200 and an empty body.
    Empty,
    /// The content network's time-out page, status 524; the request *is* executed.
    Html524,
    /// Executed; this status and body in the place of the answer.
    StatusAfterExecution {
        /// HTTP status code.
        code: u16,
        /// Body.
        #[serde(default)]
        body: String,
        /// XML where it says so; default `text/html`.
        #[serde(default)]
        content_type: Option<String>,
    },
    /// Executed twice, as by a proxy that sends the request again; the second answer comes.
    Replayed,
    /// The connection is closed at once, and the request is executed so much later.
    Late {
        /// Milliseconds.
        ms: u64,
    },
    /// A `query` is answered as by a replica that lags behind: it knows no such row.
    Lagging,
    /// Not executed; a rate-limit failure inside of status 200.
    #[serde(rename = "rate_limit_in_200")]
    RateLimitIn200,
    /// The session that the request uses is expired first.
    ExpireSession,
    /// Every function of the request fails with this.
    FunctionError {
        /// Error number.
        errorno: String,
        /// Text.
        #[serde(default)]
        description2: String,
    },
    /// A well-formed answer of that size.
    Oversized {
        /// Mebibytes.
        mb: usize,
    },
    /// Random bytes that claim to be XML.
    Garbage,
    /// The answer trickles.
    Dripfeed {
        /// Bytes a second.
        bytes_per_sec: u64,
    },
    /// An answer with a DTD whose entities multiply.
    EntityBomb,
    /// An answer of 200,000 nested elements.
    DeepNesting,
}

impl Action {
    /// Short name, for the log.
    pub fn name(&self) -> String {
        let value = serde_json::to_value(self).unwrap_or_default();
        match &value {
            serde_json::Value::String(s) => s.clone(),
            serde_json::Value::Object(o) => o.keys().next().cloned().unwrap_or_default(),
            _ => String::new(),
        }
    }
}

/// One line of the script.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Which requests.
    #[serde(default, rename = "match")]
    pub matches: Match,
    /// How many requests it hits; 0: all.
    #[serde(default = "once")]
    pub times: u64,
    /// What happens.
    pub action: Action,
}

fn once() -> u64 {
    1
}

/// What a request looks like to the script.
#[derive(Debug)]
pub struct Seen<'a> {
    /// Company id, where known.
    pub company: &'a str,
    /// User id, where known.
    pub user: &'a str,
    /// Function name and object of each call.
    pub calls: Vec<(&'a str, &'a str)>,
}

#[derive(Debug)]
struct Armed {
    fault: Fault,
    seen: u64,
    fired: u64,
}

/// The script.
#[derive(Debug, Default)]
pub struct Faults {
    inner: Mutex<Vec<Armed>>,
}

impl Faults {
    fn lock(&self) -> MutexGuard<'_, Vec<Armed>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds lines at the end of the script.
    pub fn add(&self, faults: impl IntoIterator<Item = Fault>) {
        self.lock().extend(faults.into_iter().map(|fault| Armed {
            fault,
            seen: 0,
            fired: 0,
        }));
    }

    /// Empties the script.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// How often each line fired, in script order.
    pub fn fired(&self) -> Vec<(Fault, u64)> {
        self.lock().iter().map(|a| (a.fault.clone(), a.fired)).collect()
    }

    /// The action for a request: that of the first line that matches and is not used up.
    pub fn next(&self, seen: &Seen<'_>) -> Option<Action> {
        let mut hit = None;
        for armed in self.lock().iter_mut() {
            if !matches(&armed.fault.matches, seen) {
                continue;
            }
            armed.seen += 1;
            let due = armed.fault.matches.nth.is_none_or(|n| armed.seen >= n);
            if hit.is_none() && due && (armed.fault.times == 0 || armed.fired < armed.fault.times) {
                armed.fired += 1;
                hit = Some(armed.fault.action.clone());
            }
        }
        hit
    }
}

fn matches(wanted: &Match, seen: &Seen<'_>) -> bool {
    let is = |want: &Option<String>, have: &str| want.as_ref().is_none_or(|w| w == have);
    is(&wanted.company, seen.company)
        && is(&wanted.user, seen.user)
        && (wanted.function.is_none() && wanted.object.is_none()
            || seen.calls.iter().any(|(function, object)| {
                is(&wanted.function, function)
                    && wanted
                        .object
                        .as_ref()
                        .is_none_or(|o| o.eq_ignore_ascii_case(object))
            }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fire_in_order_and_run_out() {
        let faults = Faults::default();
        let script = r#"[{"match":{"function":"query","object":"customer","nth":2},"action":"reset"},
                         {"times":0,"match":{"company":"globex"},"action":{"delay":{"ms":5}}}]"#;
        faults.add(serde_json::from_str::<Vec<Fault>>(script).unwrap());
        let seen = |company, object| Seen {
            company,
            user: "u",
            calls: vec![("query", object)],
        };
        assert!(faults.next(&seen("acme", "CUSTOMER")).is_none());
        assert!(matches!(
            faults.next(&seen("acme", "CUSTOMER")),
            Some(Action::Reset)
        ));
        assert!(faults.next(&seen("acme", "CUSTOMER")).is_none());
        for _ in 0..3 {
            assert!(matches!(
                faults.next(&seen("globex", "ITEM")),
                Some(Action::Delay { ms: 5 })
            ));
        }
        assert_eq!(faults.fired().iter().map(|f| f.1).collect::<Vec<_>>(), [1, 3]);
    }
}
