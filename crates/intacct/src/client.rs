//! The client: one company, one user, one session.

use crate::config::{Config, DtdVersion};
use crate::dialect::legacy::LegacyObject;
use crate::dialect::{DialectKind, PageRequest, RenderContext, get_list, render_function};
use crate::error::{Error, ErrorKind, classify};
use crate::formatting::{CellReader, GatewayZone, UserFormatting};
use crate::owned::KnownOwned;
use crate::query::{Count, Query};
use crate::requests::{AskedPage, Call, CallFunction, Requester, missing_element};
use crate::retry::Backoff;
use crate::schema::known::KnownObjects;
use crate::schema::{ObjectDefinition, ObjectName};
use crate::session::Session;
use crate::stats::RequestStats;
use crate::write::is_same;
use crate::xml::columns::Columns;
use crate::xml::escape::push_element;
use crate::xml::listing::ListColumns;
use crate::xml::response::{Answer, Extent, Level, RowColumns};
use crate::xml::rows::Page;
use crate::xml::tree::Element;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::Instant;

/// What may be told of a session; never its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionInfo {
    /// Host that serves the session.
    pub endpoint_host: String,
    /// When it ends unless it is used, where the gateway tells.
    pub expires: Option<jiff::Timestamp>,
    /// Company in whose name the gateway answered the sign-in; none where it names none.
    pub company: Option<String>,
    /// Entity signed in at; none is the top level.
    pub entity: Option<String>,
}

impl SessionInfo {
    fn of(session: &Session) -> Self {
        SessionInfo {
            endpoint_host: session.url.host_str().unwrap_or_default().to_owned(),
            expires: session.expires(),
            company: session.company.clone(),
            entity: session.entity.clone(),
        }
    }
}

/// The select list, prepared for the rows of a dialect.
enum SelectColumns {
    Fields(Columns),
    Listed(ListColumns),
}

impl SelectColumns {
    fn new(query: &Query, kind: DialectKind) -> Result<SelectColumns, Error> {
        Ok(match kind {
            DialectKind::Query | DialectKind::ReadByQuery => {
                SelectColumns::Fields(Columns::new(&query.select))
            }
            DialectKind::GetList => {
                SelectColumns::Listed(ListColumns::new(get_list::object(query)?, &query.select)?)
            }
        })
    }

    fn of_rows(&self) -> RowColumns<'_> {
        match self {
            SelectColumns::Fields(columns) => RowColumns::Fields(columns),
            SelectColumns::Listed(columns) => RowColumns::Listed(columns),
        }
    }
}

/// Fills in what a page does not tell itself; `offset` was asked for.
fn complete(page: &mut Page, offset: u64) {
    if !page.offset_told {
        page.offset = offset;
    }
    // What has been skipped, what came and what remains is all there is; behind the end nothing tells how far.
    if page.offset == 0 || page.rows() > 0 {
        let told = page.remaining.map(|remaining| {
            page.offset
                .saturating_add(page.rows() as u64)
                .saturating_add(remaining)
        });
        page.total_count = page.total_count.or(told);
    }
}

/// A company seen by a user. Cheap to clone; clones share the session and the limits.
///
/// Made to be used on one current-thread runtime with time and I/O enabled. Every future can be dropped at any await.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    requester: Requester,
    formatting: Mutex<Option<UserFormatting>>,
    objects: KnownObjects,
    owned: KnownOwned,
}

impl Client {
    /// Checks the configuration; contacts nobody.
    pub fn new(config: Config) -> Result<Client, Error> {
        Client::with_backoff(config, Backoff::default())
    }

    /// As [`Client::new`], with other waits between the tries of a request.
    pub fn with_backoff(config: Config, backoff: Backoff) -> Result<Client, Error> {
        let requester = Requester::new(config, backoff)?;
        Ok(Client {
            inner: Arc::new(Inner {
                requester,
                formatting: Mutex::new(None),
                objects: KnownObjects::default(),
                owned: KnownOwned::default(),
            }),
        })
    }

    /// What the client was made from.
    pub fn config(&self) -> &Config {
        &self.inner.requester.config
    }

    /// Opens a session unless one is alive; concurrent callers share one login.
    pub async fn sign_in(&self) -> Result<SessionInfo, Error> {
        Ok(SessionInfo::of(&*self.inner.requester.session().await?))
    }

    /// The live session, if any.
    pub fn session_info(&self) -> Option<SessionInfo> {
        self.inner
            .requester
            .session
            .live()
            .map(|session| SessionInfo::of(&session))
    }

    /// The earliest time that the gateway's clock can show now, by what its last answer in the live session showed. Contacts
    /// nobody.
    pub fn gateway_time(&self) -> Option<jiff::Timestamp> {
        let session = self.inner.requester.session.live()?;
        let (earliest, _) = session.clock()?.at(Instant::now());
        jiff::Timestamp::from_microsecond(earliest).ok()
    }

    /// The user's formatting preferences: asked once, then remembered.
    pub async fn formatting(&self) -> Result<UserFormatting, Error> {
        if let Some(known) = self.known_formatting() {
            return Ok(known);
        }
        const FUNCTION: &str = "readUserFormatting";
        let answer = match self.tree(FUNCTION, None, self.formatting_function()?).await {
            Ok(answer) => answer,
            Err(error) if self.lacks_metadata(&error) => return self.vouched_formatting(error),
            Err(error) => return Err(error),
        };
        self.take_formatting(answer)
    }

    /// Whether a failure means that a company of dtd version 2.1 does not take the functions of 3.0, by which metadata
    /// are asked for. What 2.1 knows of objects is then all that there is.
    pub fn lacks_metadata(&self, error: &Error) -> bool {
        self.config().dtd_version == DtdVersion::V2_1
            && matches!(
                error.kind(),
                ErrorKind::InvalidRequest
                    | ErrorKind::Refused
                    | ErrorKind::Permission
                    | ErrorKind::Unsupported
            )
    }

    /// Where preferences cannot be asked for, the option `time_zone` says that they are the usual ones.
    fn vouched_formatting(&self, error: Error) -> Result<UserFormatting, Error> {
        if self.config().time_zone.is_none() {
            return Err(error.with_hint(
                "The company does not tell the user's formatting preferences. Set the server's time_zone to the zone of \
                 the gateway's timestamps: it then also says that the user's locale is English, with dates as \
                 mm/dd/yyyy and a 24-hour clock.",
            ));
        }
        Ok(self.remember(UserFormatting {
            locale: "en_US".to_owned(),
            date_format: "/mdY".to_owned(),
            gmt_offset_seconds: 0,
            clock: 24,
        }))
    }

    fn remember(&self, formatting: UserFormatting) -> UserFormatting {
        let mut known = self
            .inner
            .formatting
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        known.insert(formatting).clone()
    }

    /// The user's formatting preferences, when already asked.
    pub fn known_formatting(&self) -> Option<UserFormatting> {
        self.inner
            .formatting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The clock that timestamps without an offset are readings of, as far as it is known by now.
    pub fn zone(&self) -> GatewayZone {
        GatewayZone::new(self.config().time_zone.as_ref(), self.known_formatting().as_ref())
    }

    /// As [`zone`](Self::zone), asked for where nothing has told it.
    ///
    /// # Errors
    /// What asking failed with.
    pub async fn told_zone(&self) -> Result<GatewayZone, Error> {
        if self.config().time_zone.is_none() {
            self.formatting().await?;
        }
        Ok(self.zone())
    }

    /// A query as the gateway is told it: points in time on its clock, bounds beyond its calendar decided. `None`: no
    /// row can match.
    pub(crate) async fn told(&self, query: &Query, kind: DialectKind) -> Result<Option<Query>, Error> {
        let zone = match query.has_instants() {
            true => self.told_zone().await?,
            false => self.zone(),
        };
        let mut told = query.at_wall_clock(&zone, kind);
        if let Some(told) = told.as_mut().filter(|told| told.show_private)
            && !kind.capabilities().show_private
        {
            if self
                .has_private_rows(&query.object, query.docparid.as_deref())
                .await?
            {
                let (object, function) = (&query.object, kind.function());
                let message =
                    format!("{function} cannot show rows of {object} that are private to an entity");
                return Err(Error::new(ErrorKind::Option, message)
                    .with_hint("Set the table option show_private to off to read it without them."));
            }
            told.show_private = false;
        }
        Ok(told)
    }

    /// Whether rows of an object may be private to an entity: only those that have a field for it.
    async fn has_private_rows(&self, object: &str, docparid: Option<&str>) -> Result<bool, Error> {
        let definition = self.definition(object, docparid).await?;
        Ok(definition.field("MEGAENTITYID").is_some())
    }

    /// One page of the answer; a page without rows, and nobody is asked, where the condition can be true of no row.
    /// Points in time of the condition are put on the gateway's clock: near a change of it, and where they have
    /// fractions of a second, more rows than asked for may come. With `need_formatting`, the preferences are asked in the same request when they are
    /// not known yet, and checked: unreadable ones are an error of kind [`ErrorKind::Formatting`].
    pub async fn page(
        &self,
        query: &Query,
        kind: DialectKind,
        page: &PageRequest,
        need_formatting: bool,
    ) -> Result<Page, Error> {
        let (page, _) = self.page_beside(query, kind, page, need_formatting, &[]).await?;
        Ok(page)
    }

    /// As [`page`](Self::page), with the first page of other queries in the same request, as long as their limit says. A failure
    /// of one of those is its answer.
    pub async fn page_beside(
        &self,
        query: &Query,
        kind: DialectKind,
        page: &PageRequest,
        need_formatting: bool,
        beside: &[Query],
    ) -> Result<(Page, Vec<Result<Page, Error>>), Error> {
        let config = self.config();
        let at = |error: Error| error.at(&config.company_id, Some(&query.object), kind.function(), "");
        if let Some(number) = query.unbound() {
            return Err(at(Error::new(
                ErrorKind::Internal,
                format!("parameter ${number} is not bound"),
            )));
        }
        let Some(query) = &self.told(query, kind).await? else {
            // No row can match, so there is nothing to ask.
            let none = || Page::without_rows(kind == DialectKind::GetList);
            return Ok((none(), beside.iter().map(|_| Ok(none())).collect()));
        };
        let dtd_version = match kind {
            DialectKind::GetList => config.dtd_version,
            DialectKind::Query | DialectKind::ReadByQuery => DtdVersion::V3_0,
        };
        if need_formatting && dtd_version == DtdVersion::V2_1 {
            // 2.1 has no function for it that could ride along.
            self.formatting().await?;
        }
        let context = RenderContext { zone: self.zone() };
        let body = render_function(kind, query, page, &context).map_err(at)?;
        let columns = SelectColumns::new(query, kind).map_err(at)?;
        let mut functions = vec![CallFunction {
            body,
            columns: Some(columns.of_rows()),
            page: Some(AskedPage {
                query,
                offset: page.offset,
                size: page.size.clamp(1, kind.capabilities().max_page),
            }),
            extent: Extent::of_page(page.size.clamp(1, kind.capabilities().max_page)),
            calls: 1,
        }];
        let mut others = Vec::with_capacity(beside.len());
        for query in beside {
            others.push(self.told(query, kind).await?.unwrap_or_else(|| query.clone()));
        }
        let beside = &others[..];
        let mut other_columns = Vec::new();
        for query in beside {
            other_columns.push(SelectColumns::new(query, kind).map_err(at)?);
        }
        for (query, columns) in beside.iter().zip(&other_columns) {
            let first_page = PageRequest {
                size: match query.limit {
                    Some(Count::Number(limit)) => u32::try_from(limit).unwrap_or(u32::MAX),
                    _ => kind.capabilities().max_page,
                },
                offset: 0,
            };
            functions.push(CallFunction {
                body: render_function(kind, query, &first_page, &context).map_err(at)?,
                columns: Some(columns.of_rows()),
                page: Some(AskedPage {
                    query,
                    offset: 0,
                    size: first_page.size.clamp(1, kind.capabilities().max_page),
                }),
                extent: Extent::of_page(first_page.size.clamp(1, kind.capabilities().max_page)),
                calls: 1,
            });
        }
        let ask_formatting = need_formatting && self.known_formatting().is_none();
        if ask_formatting {
            functions.push(CallFunction {
                body: self.formatting_function()?,
                columns: None,
                page: None,
                extent: Extent::Small,
                calls: 1,
            });
        }
        let call = Call {
            function: kind.function(),
            object: Some(&query.object),
            dtd_version,
            functions,
        };
        let (control_id, mut answers) = match self.inner.requester.call_named(&call).await {
            Ok((control_id, answers)) => (control_id, answers.into_iter()),
            Err(error) => return Err(self.explained(query, kind, error).await),
        };
        let Some(Answer::Rows(mut rows)) = answers.next() else {
            return Err(at(Error::new(ErrorKind::Internal, "the answer holds no rows")));
        };
        complete(&mut rows, page.offset);
        let others: Vec<Result<Page, Error>> = beside
            .iter()
            .zip(2..)
            .map(|(query, number)| {
                let answer = match answers.next() {
                    Some(Answer::Rows(mut page)) => {
                        complete(&mut page, 0);
                        Ok(page)
                    }
                    Some(Answer::Failure(errors) | Answer::Partial(errors)) => {
                        Err(classify::refusal(Level::Function, kind.function(), errors).0)
                    }
                    _ => Err(Error::new(ErrorKind::Internal, "the answer holds no rows")),
                };
                let id = format!("{control_id}-{number}");
                answer
                    .map_err(|error| error.at(&config.company_id, Some(&query.object), kind.function(), &id))
            })
            .collect();
        if ask_formatting {
            self.take_formatting(answers.next())?;
        }
        if need_formatting && let Some(formatting) = self.known_formatting() {
            formatting.check().map_err(at)?;
        }
        let pages = 1 + others.iter().flatten().count() as u64;
        self.inner.requester.counters.count(|stats| stats.pages += pages);
        Ok((rows, others))
    }

    /// The page that shows the one record that was just written, and the first of the columns `written` that does not
    /// hold what was written to it. A replica may lag behind: the question is repeated for a bounded time while it shows
    /// no record, or the record as it was before.
    pub async fn read_back(
        &self,
        query: &Query,
        kind: DialectKind,
        need_formatting: bool,
        written: &[(usize, String)],
    ) -> Result<(Page, Option<usize>), Error> {
        let page = PageRequest { size: 2, offset: 0 };
        let deadline = Instant::now() + self.inner.requester.config.request_timeout;
        let mut waits = self.inner.requester.waits_of_read_back();
        loop {
            let seen = self.page(query, kind, &page, need_formatting).await?;
            let reader = self.reader();
            let differs = written.iter().find(|(column, text)| {
                let cell = (seen.rows() == 1).then(|| seen.cell(0, *column)).flatten();
                let cell = cell.map(String::from_utf8_lossy);
                seen.rows() == 1 && !is_same(text, cell.as_deref(), reader.as_ref())
            });
            let differs = differs.map(|(column, _)| *column);
            let lags = seen.rows() == 0 || differs.is_some();
            let wait = waits.next().filter(|_| lags && Instant::now() < deadline);
            let Some(wait) = wait else {
                return Ok((seen, differs));
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// How cells are read, where the user's formatting is known.
    fn reader(&self) -> Option<CellReader> {
        let formatting = self.known_formatting()?;
        Some(CellReader::new(&formatting, self.config().time_zone.as_ref()))
    }

    /// The next page of a stored result of `readByQuery`, which was asked for in pages of this size.
    pub(crate) async fn read_more(&self, query: &Query, result_id: &str, size: u32) -> Result<Page, Error> {
        let mut body = String::from("<readMore>");
        push_element(&mut body, "resultId", result_id)
            .map_err(|_| Error::new(ErrorKind::Malformed, "the result id holds a control character"))?;
        body.push_str("</readMore>");
        let columns = Columns::new(&query.select);
        let functions = vec![CallFunction {
            body,
            columns: Some(RowColumns::Fields(&columns)),
            // A page that is asked for once more is the next one: whoever reads the result compares the counts.
            page: None,
            extent: Extent::of_page(size),
            calls: 1,
        }];
        let object = Some(query.object.as_str());
        let call = Call {
            function: "readMore",
            object,
            dtd_version: DtdVersion::V3_0,
            functions,
        };
        let Some(Answer::Rows(page)) = self.inner.requester.call(&call).await?.into_iter().next() else {
            return Err(self.place(
                Error::new(ErrorKind::Internal, "the answer holds no rows"),
                object,
                "readMore",
            ));
        };
        if let Some(error) = missing_element(&page, query) {
            return Err(self.place(error, object, "readMore"));
        }
        self.inner.requester.counters.count(|stats| stats.pages += 1);
        Ok(page)
    }

    /// Fields and relations of an object.
    pub async fn lookup(&self, object: &str, docparid: Option<&str>) -> Result<ObjectDefinition, Error> {
        let mut body = String::from("<lookup>");
        let mut written = push_element(&mut body, "object", object);
        if let Some(docparid) = docparid {
            written = written.and_then(|()| push_element(&mut body, "docparid", docparid));
        }
        body.push_str("</lookup>");
        written.map_err(|_| {
            Error::new(
                ErrorKind::UnknownObject,
                "the object's name holds a control character",
            )
            .of_object(object)
        })?;
        let data = self.data("lookup", Some(object), body).await?;
        ObjectDefinition::read(&data).map_err(|error| self.place(error, Some(object), "lookup"))
    }

    /// As [`lookup`](Self::lookup), as far as the version of the server shows the object. Where a company of dtd version
    /// 2.1 does not tell, it is what 2.1 is known to show.
    pub async fn lookup_shown(
        &self,
        object: &str,
        docparid: Option<&str>,
    ) -> Result<ObjectDefinition, Error> {
        let legacy = match self.config().dtd_version {
            DtdVersion::V2_1 => LegacyObject::find(object),
            DtdVersion::V3_0 => None,
        };
        match (self.lookup(object, docparid).await, legacy) {
            (Ok(mut definition), Some(legacy)) => {
                legacy.keep_shown(&mut definition);
                Ok(definition)
            }
            (Err(error), Some(legacy)) if self.lacks_metadata(&error) => Ok(legacy.definition()),
            (result, _) => result,
        }
    }

    /// Every object type of the company.
    pub async fn inspect_all(&self) -> Result<Vec<ObjectName>, Error> {
        let data = self
            .data("inspect", None, "<inspect><object>*</object></inspect>".into())
            .await?;
        Ok(ObjectName::read_all(&data))
    }

    /// Lets go of the session and of what was learnt under it.
    pub async fn forget_session(&self) {
        self.inner.requester.session.clear();
        self.inner.objects.forget();
        self.inner.owned.forget();
        *self
            .inner
            .formatting
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// What this client did so far.
    pub fn stats(&self) -> RequestStats {
        self.inner.requester.counters.snapshot()
    }

    pub(crate) fn requester(&self) -> &Requester {
        &self.inner.requester
    }

    pub(crate) fn known_objects(&self) -> &KnownObjects {
        &self.inner.objects
    }

    pub(crate) fn known_owned(&self) -> &KnownOwned {
        &self.inner.owned
    }

    pub(crate) fn place(&self, error: Error, object: Option<&str>, function: &str) -> Error {
        error.at(&self.config().company_id, object, function, "")
    }

    /// Calls one function of 3.0 whose answer is small.
    async fn tree(
        &self,
        function: &str,
        object: Option<&str>,
        body: String,
    ) -> Result<Option<Answer>, Error> {
        self.tree_of(DtdVersion::V3_0, function, object, body).await
    }

    async fn tree_of(
        &self,
        dtd_version: DtdVersion,
        function: &str,
        object: Option<&str>,
        body: String,
    ) -> Result<Option<Answer>, Error> {
        let functions = vec![CallFunction {
            body,
            columns: None,
            page: None,
            extent: Extent::of_tree(function),
            calls: 1,
        }];
        let call = Call {
            function,
            object,
            dtd_version,
            functions,
        };
        Ok(self.inner.requester.call(&call).await?.into_iter().next())
    }

    /// The data that a function of 2.1 answers.
    pub(crate) async fn legacy_data(
        &self,
        function: &str,
        object: &str,
        body: String,
    ) -> Result<Element, Error> {
        match self
            .tree_of(DtdVersion::V2_1, function, Some(object), body)
            .await?
        {
            Some(Answer::Tree(data)) => Ok(data.unwrap_or_default()),
            _ => Err(self.place(
                Error::new(ErrorKind::Malformed, "the answer holds no data"),
                Some(object),
                function,
            )),
        }
    }

    pub(crate) async fn data(
        &self,
        function: &str,
        object: Option<&str>,
        body: String,
    ) -> Result<Element, Error> {
        match self.tree(function, object, body).await? {
            Some(Answer::Tree(Some(data))) => Ok(data),
            _ => Err(self.place(
                Error::new(ErrorKind::Malformed, "the answer holds no data"),
                object,
                function,
            )),
        }
    }

    fn formatting_function(&self) -> Result<String, Error> {
        let mut body = String::from("<readUserFormatting>");
        push_element(&mut body, "userId", &self.config().user_id)
            .map_err(|_| Error::new(ErrorKind::SignInRefused, "the user id holds a control character"))?;
        body.push_str("</readUserFormatting>");
        Ok(body)
    }

    fn take_formatting(&self, answer: Option<Answer>) -> Result<UserFormatting, Error> {
        const FUNCTION: &str = "readUserFormatting";
        let formatting = match answer {
            Some(Answer::Tree(Some(data))) => UserFormatting::read(&data),
            Some(Answer::Failure(errors)) => Err(classify::refusal(Level::Function, FUNCTION, errors).0),
            _ => Err(Error::new(
                ErrorKind::Malformed,
                "the answer holds no formatting preferences",
            )),
        };
        let formatting = formatting.map_err(|error| self.place(error, None, FUNCTION))?;
        Ok(self.remember(formatting))
    }
}
