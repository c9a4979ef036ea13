//! Logical requests: functions go out under a session, answers come back; failures are tried again.

mod agreement;
mod call;
mod clock;
mod failure;
mod run;

use crate::call_bound;
use crate::calls::is_exempt;
use crate::config::Config;
use crate::endpoint;
use crate::error::classify::{Retry, precedes_execution, refusal};
use crate::error::{Error, ErrorKind, Level};
use crate::formatting::UserFormatting;
use crate::limiter::Limiter;
use crate::mask::Mask;
use crate::observer::{Event, Outcome};
use crate::proxy::Proxy;
use crate::response::{Answer, Expected, Extent, Failure, Response, parse};
use crate::retry::{Backoff, Failed, Fate};
use crate::sealed_session::{self, Claim};
use crate::secret::Secret;
use crate::session::{Session, SessionSlot, ends_session};
use crate::share::SessionShare;
use crate::stats::Counters;
use crate::transport::{Received, Transport};
use crate::xml::envelope::{Authentication, Envelope, Function};
use crate::xml::parse_error::ParseError;
pub(crate) use agreement::{AskedPage, missing_element};
pub(crate) use call::{Call, CallFunction, Departed, SendGuard, Writing};
use clock::Clock;
use failure::{by_status, http_failure, looks_like_html, looks_like_response, passing, unreadable, web_page};
use reqwest::Url;
use run::Run;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout_at};

/// How often it is looked whether another process has signed in.
const LOOK_AGAIN: Duration = Duration::from_millis(4);

/// Sends requests for one user of one company.
pub(crate) struct Requester {
    pub config: Config,
    url: Url,
    transport: Transport,
    limiter: Limiter,
    pub session: SessionSlot,
    pub counters: Counters,
    /// What the gateway's clock is ahead of this machine's.
    clock: Clock,
    backoff: Backoff,
}

/// Sizes of one attempt, for the observer.
#[derive(Default)]
struct Sizes {
    rows: u64,
    sent_bytes: u64,
    wire_bytes: u64,
    decoded_bytes: u64,
}

impl Requester {
    pub(crate) fn new(config: Config, backoff: Backoff) -> Result<Self, Error> {
        let company = config.company_id.clone();
        let build = || {
            Ok(Requester {
                url: endpoint::configured(&config.url)?,
                transport: Transport::new(&config)?,
                limiter: Limiter::new(config.max_concurrency, config.limiter.clone()),
                session: SessionSlot::default(),
                counters: Counters::default(),
                clock: Clock::default(),
                backoff,
                config,
            })
        };
        build().map_err(|error: Error| error.at(&company, None, "getAPISession", ""))
    }

    /// Waits between looks at what was written, until a replica that lags behind shows it.
    pub(crate) fn waits_of_read_back(&self) -> impl Iterator<Item = Duration> {
        let Backoff { base, max } = self.backoff;
        (0..5).map(move |n| (base / 4).saturating_mul(1 << n).min(max))
    }

    /// The live session, or a new one.
    pub(crate) async fn session(&self) -> Result<Arc<Session>, Error> {
        self.session.get_or(self.open()).await
    }

    /// The session that another process has opened, or one that this one opens, for all.
    async fn open(&self) -> Result<Session, Error> {
        let Some(share) = self.config.share.as_deref() else {
            return self.sign_in().await;
        };
        let _claim = loop {
            if let Some(session) = self.take(share) {
                return Ok(session);
            }
            match Claim::of(share) {
                Some(claim) => break claim,
                None => tokio::time::sleep(LOOK_AGAIN).await,
            }
        };
        // It may have come just before the claim.
        if let Some(session) = self.take(share) {
            return Ok(session);
        }
        let session = self.sign_in().await?;
        if let Some(number) = sealed_session::leave(share, &self.config, &session, self.clock_offset()) {
            session.set_number(number);
        }
        Ok(session)
    }

    /// The user's preferences that another process has asked for in the present session, if it is shared.
    pub(crate) fn shared_formatting(&self) -> Option<UserFormatting> {
        let (share, number) = self.shared_session()?;
        sealed_session::take_formatting(share, &self.config, number)
    }

    /// Leaves the user's preferences for the processes that share the session.
    pub(crate) fn share_formatting(&self, formatting: &UserFormatting) {
        if let Some((share, number)) = self.shared_session() {
            sealed_session::leave_formatting(share, &self.config, number, formatting);
        }
    }

    fn shared_session(&self) -> Option<(&dyn SessionShare, u64)> {
        let number = self.session.live()?.number()?;
        Some((self.config.share.as_deref()?, number))
    }

    fn take(&self, share: &dyn SessionShare) -> Option<Session> {
        let (session, clock) = sealed_session::take(share, &self.config)?;
        if let Some(offset) = clock {
            self.clock.set(offset);
        }
        Some(session)
    }

    async fn sign_in(&self) -> Result<Session, Error> {
        let call = Call {
            function: "getAPISession",
            object: None,
            // Both versions have it: a company that takes only one is signed in to all the same.
            dtd_version: self.config.dtd_version,
            functions: vec![CallFunction {
                body: "<getAPISession/>".into(),
                columns: None,
                page: None,
                extent: Extent::Small,
                // Contracts count what is read and written in a session.
                calls: 0,
            }],
        };
        let mut run = Run::new(self.backoff, self.config.max_retries, self.config.request_timeout);
        let ended = timeout_at(run.deadline, async {
            loop {
                match self.try_sign_in(&call, &mut run).await {
                    Ok(session) => return Ok(session),
                    Err(failed) => self.pause(&mut run, failed).await?,
                }
            }
        });
        let ended = ended.await;
        self.end(run, &call, ended)
    }

    async fn try_sign_in(&self, call: &Call<'_>, run: &mut Run) -> Result<Session, Failed> {
        let config = &self.config;
        let login = Authentication::Login {
            user_id: &config.user_id,
            company_id: &config.company_id,
            password: config.password.expose(),
            client_id: config.client_id.as_deref().filter(|id| !id.is_empty()),
            location_id: config.location_id.as_deref().filter(|id| !id.is_empty()),
        };
        let response = self
            .exchange(call, &self.url, login, run, None)
            .await
            .map_err(|mut failed| {
                if failed.retry == Retry::SignIn {
                    failed.retry = Retry::Never;
                }
                failed
            })?;
        self.open_session(response, run.sent).map_err(Failed::finally)
    }

    /// What must not be repeated to anybody, with the id of a session.
    fn secrets(&self, session_id: &str) -> Mask {
        let config = &self.config;
        let proxy = config.proxy.as_ref().and_then(Proxy::password);
        Mask::new(
            [
                config.password.expose(),
                config.sender_password.expose(),
                session_id,
            ]
            .into_iter()
            .chain(proxy.map(Secret::expose)),
        )
    }

    /// Takes the session out of the answer to getAPISession.
    fn open_session(&self, mut response: Response, sent: Instant) -> Result<Session, Error> {
        let malformed =
            |what: &str| Error::new(ErrorKind::Malformed, format!("the answer to the sign-in {what}"));
        self.check_company(&response)?;
        if let Some(at) = response.session_timestamp {
            self.clock.compare(at);
        }
        let Some(Answer::Tree(Some(data))) = response.answers.pop() else {
            return Err(malformed("holds no data"));
        };
        let api = data.child("api").ok_or_else(|| malformed("names no session"))?;
        let id = api.text_of("sessionid");
        if id.is_empty() {
            return Err(malformed("names no session"));
        }
        let url = match api.text_of("endpoint") {
            "" => self.url.clone(),
            named => endpoint::for_session(&self.url, named, &self.secrets(id))?,
        };
        let entity = Some(api.text_of("locationid"))
            .filter(|id| !id.is_empty())
            .map(str::to_owned);
        let session = Session::new(
            Secret::new(id),
            url,
            response.company,
            entity.or_else(|| self.config.location_id.clone()),
        );
        session.used(response.session_timestamp, response.session_timeout, sent);
        self.counters.count(|stats| stats.sign_ins += 1);
        Ok(session)
    }

    /// The session must be one of the company that was asked for. A console's sign-in at a client company may be
    /// answered in the name of either.
    fn check_company(&self, response: &Response) -> Result<(), Error> {
        let Some(answered) = response.company.as_deref() else {
            return Ok(());
        };
        let config = &self.config;
        // `console|client|entity` is a spelling of company_id, too.
        let asked = config.company_id.split('|').chain(config.client_id.as_deref());
        if asked
            .into_iter()
            .any(|company| company.trim().eq_ignore_ascii_case(answered))
        {
            return Ok(());
        }
        let message = format!(
            "the gateway answers the sign-in at company \"{}\" in the name of company \"{}\"",
            config.company_id,
            answered.escape_debug()
        );
        Err(Error::new(ErrorKind::Malformed, message).with_hint(
            "Nothing is read or written there. Compare the server options url, company_id and client_id with the \
             company's own, and look for a proxy that answers in the gateway's place.",
        ))
    }

    /// What the gateway's clock is ahead of this machine's, in milliseconds, as far as sign-ins show it.
    pub(crate) fn clock_offset(&self) -> Option<i64> {
        self.clock.offset()
    }

    /// Sends a request under the session, until it is answered or fails for good. Only for functions that read: they
    /// are repeated after failures that do not show how far they came.
    pub(crate) async fn call(&self, call: &Call<'_>) -> Result<Vec<Answer>, Error> {
        self.call_named(call).await.map(|(_, answers)| answers)
    }

    /// As [`call`](Self::call), with the control id of the request: that of its function number n, from 1, is `ID-n`.
    pub(crate) async fn call_named(&self, call: &Call<'_>) -> Result<(String, Vec<Answer>), Error> {
        self.call_as(call, None).await
    }

    /// Sends a request that writes. It is repeated only while the gateway provably executed nothing of it. The answers
    /// hold refusals too; after an error, `writing.guard` knows whether the gateway may have executed it.
    pub(crate) async fn write(&self, call: &Call<'_>, writing: &Writing<'_>) -> Result<Vec<Answer>, Error> {
        let (_, answers) = self.call_as(call, Some(writing)).await?;
        Ok(answers)
    }

    async fn call_as(
        &self,
        call: &Call<'_>,
        writing: Option<&Writing<'_>>,
    ) -> Result<(String, Vec<Answer>), Error> {
        // Giving up a write before the gateway does makes doubt.
        let limit = match writing {
            Some(_) => self.config.write_timeout,
            None => self.config.request_timeout,
        };
        let mut run = Run::new(self.backoff, self.config.max_retries, limit);
        let ended = timeout_at(run.deadline, async {
            loop {
                match self.try_call(call, &mut run, writing).await {
                    Ok(answers) => return Ok((run.control_id.clone(), answers)),
                    Err(failed) => self.pause(&mut run, failed).await?,
                }
            }
        });
        let ended = ended.await;
        self.end(run, call, ended)
    }

    /// Waits for the next try, or gives up.
    async fn pause(&self, run: &mut Run, failed: Failed) -> Result<(), Error> {
        let retry = failed.retry;
        let wait = run.next_wait(failed)?;
        self.counters.count(|stats| stats.retries += 1);
        if retry == Retry::Slower {
            // Others shall not run into the same refusal meanwhile.
            self.limiter.hold(wait);
        }
        if let Some(observer) = &self.config.observer {
            observer.pause(wait);
        }
        tokio::time::sleep(wait).await;
        Ok(())
    }

    fn end<T>(
        &self,
        mut run: Run,
        call: &Call<'_>,
        ended: Result<Result<T, Error>, Elapsed>,
    ) -> Result<T, Error> {
        run.end(ended).map_err(|error| {
            self.counters.count(|stats| stats.failures += 1);
            error.at(
                &self.config.company_id,
                call.object,
                call.function,
                &run.control_id,
            )
        })
    }

    async fn try_call(
        &self,
        call: &Call<'_>,
        run: &mut Run,
        writing: Option<&Writing<'_>>,
    ) -> Result<Vec<Answer>, Failed> {
        let session = self
            .session()
            .await
            .map_err(|error| Failed::finally(error).not_run())?;
        let authentication = Authentication::Session(session.id.expose());
        match self
            .exchange(call, &session.url, authentication, run, writing)
            .await
        {
            Ok(response) => {
                session.used(response.session_timestamp, response.session_timeout, run.sent);
                if let (Some(share), Some(number), Some(life)) =
                    (&self.config.share, session.number(), session.life_left())
                {
                    share.used(number, life);
                }
                Ok(response.answers)
            }
            Err(failed) => {
                // A refusal of the user ends the session too: the next request shall not trip over it.
                if ends_session(&failed.error) {
                    if let (Some(share), Some(number)) = (&self.config.share, session.number()) {
                        share.forget(number);
                    }
                    self.session.drop_session(&session);
                }
                Err(failed)
            }
        }
    }

    /// One attempt: a document out, a response in, every function answered.
    async fn exchange(
        &self,
        call: &Call<'_>,
        url: &Url,
        authentication: Authentication<'_>,
        run: &mut Run,
        writing: Option<&Writing<'_>>,
    ) -> Result<Response, Failed> {
        run.number += 1;
        let control_id = run.control_id.as_str();
        let session_id = match &authentication {
            Authentication::Session(id) => *id,
            Authentication::Login { .. } => "",
        };
        let secrets = self.secrets(session_id);
        let ids: Vec<String> = match writing {
            Some(writing) => writing.ids.to_vec(),
            None => (1..=call.functions.len())
                .map(|n| format!("{control_id}-{n}"))
                .collect(),
        };
        let document = self
            .document(call, authentication, control_id, &ids, writing)
            .map_err(|error| Failed::finally(error).not_run())?;
        let joined = Instant::now();
        let _pass = self.limiter.enter().await;
        call_bound::spend(call.calls()).map_err(|error| Failed::finally(error).not_run())?;
        if let Some(limit) = &self.config.calls {
            let calls = writing.map_or(call.functions.len(), |writing| writing.records);
            limit
                .spend(calls as u64, is_exempt())
                .map_err(|error| Failed::finally(error).not_run())?;
        }
        let departure = match writing {
            Some(writing) => Some(
                writing
                    .guard
                    .depart(self.clock_offset())
                    .map_err(|error| Failed::finally(error).not_run())?,
            ),
            None => None,
        };
        run.sent = Instant::now();
        let mut attempt = Attempt {
            requester: self,
            call,
            run,
            queued: joined.elapsed(),
            start: Instant::now(),
            sizes: Sizes {
                sent_bytes: document.len() as u64,
                ..Sizes::default()
            },
            ended: false,
        };
        self.counters.count(|stats| {
            stats.requests += 1;
            stats.calls += call.calls();
        });
        let ended = match self.transport.post(url, document, &secrets).await {
            Ok(received) => self.read(
                call,
                received,
                control_id,
                &ids,
                &mut attempt.sizes,
                writing.is_some(),
            ),
            Err(failed) => Err(failed),
        };
        let ended = ended.and_then(|response| match passing(call.function, &response.answers) {
            Some(failed) if writing.is_none() && attempt.run.has_next(&failed) => Err(failed),
            _ => Ok(response),
        });
        let ended = ended.map(|mut response| {
            // Refusals of single functions are looked at later, and by others.
            for answer in &mut response.answers {
                if let Answer::Failure(errors) | Answer::Partial(errors) = answer {
                    errors.iter_mut().for_each(|error| error.mask(&secrets));
                }
            }
            response
        });
        let ended = ended.map_err(|mut failed| {
            failed.error = failed.error.without(&secrets).at(
                &self.config.company_id,
                call.object,
                call.function,
                control_id,
            );
            if let Some(departure) = departure {
                match failed.fate {
                    Fate::NotRun => departure.not_run(),
                    Fate::Unknown => failed.retry = Retry::Never,
                }
            }
            failed
        });
        attempt.end(&ended);
        ended
    }

    fn document(
        &self,
        call: &Call<'_>,
        authentication: Authentication<'_>,
        control_id: &str,
        ids: &[String],
        writing: Option<&Writing<'_>>,
    ) -> Result<String, Error> {
        let functions: Vec<Function<'_>> = call
            .functions
            .iter()
            .zip(ids)
            .map(|(function, id)| Function {
                control_id: id,
                body: &function.body,
            })
            .collect();
        let envelope = Envelope {
            sender_id: &self.config.sender_id,
            sender_password: self.config.sender_password.expose(),
            control_id,
            dtd_version: call.dtd_version,
            unique: writing.is_some(),
            transaction: writing.is_some_and(|writing| writing.transaction),
            authentication,
        };
        envelope.render(&functions).map_err(|_| {
            Error::new(
                ErrorKind::SignInRefused,
                "a credential holds a character that XML cannot carry",
            )
        })
    }

    /// Reads what came back; a response in which the first function failed is a failure, unless the caller looks at
    /// `each` function.
    fn read(
        &self,
        call: &Call<'_>,
        received: Received,
        control_id: &str,
        ids: &[String],
        sizes: &mut Sizes,
        each: bool,
    ) -> Result<Response, Failed> {
        sizes.wire_bytes = received.wire_bytes;
        sizes.decoded_bytes = received.body.len() as u64;
        let status = received.status.as_u16();
        if looks_like_html(&received.body) {
            return Err(web_page(status, received.retry_after));
        }
        if status >= 400 && !received.is_xml && !looks_like_response(&received.body) {
            return Err(http_failure(status, received.retry_after));
        }
        let expected: Vec<Expected<'_>> = call
            .functions
            .iter()
            .zip(ids)
            .map(|(function, id)| Expected {
                control_id: id,
                columns: function.columns,
                extent: function.extent,
            })
            .collect();
        let refused = |level, errors| {
            let (error, retry) = refusal(level, call.function, errors);
            // Control and authentication are settled before any function runs; trouble of the gateway may come later.
            let fate = match status == 429 || (status < 500 && precedes_execution(level, &error)) {
                true => Fate::NotRun,
                false => Fate::Unknown,
            };
            Err(by_status(
                status,
                Failed {
                    error,
                    retry,
                    retry_after: received.retry_after,
                    fate,
                },
            ))
        };
        let mut response = match parse(&received.body, control_id, &expected, &self.config.caps) {
            Ok(response) => response,
            Err(Failure::Gateway(level, errors)) => return refused(level, errors),
            Err(Failure::Document(error)) => {
                // An error status says more than a body that is broken.
                return Err(match (status, error) {
                    (400.., error) if !matches!(error, ParseError::Foreign(_)) => {
                        http_failure(status, received.retry_after)
                    }
                    (_, error) => unreadable(error),
                });
            }
        };
        if let Some(Answer::Failure(errors) | Answer::Partial(errors)) = response.answers.first_mut()
            && !each
        {
            return refused(Level::Function, std::mem::take(errors));
        }
        let mut bytes = Some((received.wire_bytes, received.body.len() as u64));
        for (answer, function) in response.answers.iter_mut().zip(&call.functions) {
            if let Answer::Rows(page) = answer {
                if let Some(asked) = function.page {
                    agreement::check(page, asked)?;
                }
                // Several pages of one response share its bytes: the first has them all.
                (page.wire_bytes, page.decoded_bytes) = bytes.take().unwrap_or_default();
                sizes.rows += page.rows() as u64;
            }
        }
        Ok(response)
    }
}

/// One attempt on its way. Dropped before its end, it reports that the request was abandoned.
struct Attempt<'a> {
    requester: &'a Requester,
    call: &'a Call<'a>,
    run: &'a Run,
    /// How long it waited for its turn.
    queued: Duration,
    start: Instant,
    sizes: Sizes,
    ended: bool,
}

impl Attempt<'_> {
    /// Draws the conclusions from how it ended, and counts it.
    fn end(&mut self, ended: &Result<Response, Failed>) {
        self.ended = true;
        let slower = matches!(ended, Err(failed) if failed.retry == Retry::Slower);
        match ended {
            Ok(_) => self.requester.limiter.went_well(),
            Err(_) if slower => self.requester.limiter.slow_down(self.start),
            Err(_) => {}
        }
        self.requester.counters.count(|stats| {
            stats.rows += self.sizes.rows;
            stats.wire_bytes += self.sizes.wire_bytes;
            stats.decoded_bytes += self.sizes.decoded_bytes;
            stats.rate_limited += u64::from(slower);
        });
        self.report(match ended {
            Ok(_) => Outcome::Success,
            Err(failed) if self.run.has_next(failed) => Outcome::Retry(&failed.error),
            Err(failed) => Outcome::Failure(&failed.error),
        });
    }

    fn report(&self, outcome: Outcome<'_>) {
        let Some(observer) = &self.requester.config.observer else {
            return;
        };
        observer.event(&Event {
            function: self.call.function,
            object: self.call.object,
            control_id: &self.run.control_id,
            calls: self.call.calls(),
            attempt: self.run.number,
            queued: self.queued,
            duration: self.start.elapsed(),
            rows: self.sizes.rows,
            sent_bytes: self.sizes.sent_bytes,
            wire_bytes: self.sizes.wire_bytes,
            decoded_bytes: self.sizes.decoded_bytes,
            outcome,
        });
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.report(Outcome::Abandoned);
        }
    }
}
