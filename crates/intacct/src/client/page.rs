//! Pages of rows: a query is rendered, asked for with what travels beside it, and read.

use super::Client;
use crate::config::DtdVersion;
use crate::dialect::get_list::rows::ListColumns;
use crate::dialect::{DialectKind, PageRequest, RenderContext, get_list, render_function};
use crate::error::{Error, ErrorKind, Level, classify};
use crate::formatting::{CellReader, is_same};
use crate::query::{Count, Query};
use crate::requests::{AskedPage, Call, CallFunction, missing_element};
use crate::response::{Answer, Extent, RowColumns};
use crate::xml::columns::Columns;
use crate::xml::escape::push_element;
use crate::xml::page::Page;
use tokio::time::Instant;

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

/// Fills in the counts that a page does not report; `offset` is that of the request.
fn complete(page: &mut Page, offset: u64) {
    if !page.offset_reported {
        page.offset = offset;
    }
    // What has been skipped, what came and what remains is all there is; behind the end nothing shows how far.
    if page.offset == 0 || page.rows() > 0 {
        let counted = page.remaining.map(|remaining| {
            page.offset
                .saturating_add(page.rows() as u64)
                .saturating_add(remaining)
        });
        page.total_count = page.total_count.or(counted);
    }
}

impl Client {
    /// A query as it is sent: points in time on its clock, bounds beyond its calendar decided. `None`: no
    /// row can match.
    pub(crate) async fn as_sent(&self, query: &Query, kind: DialectKind) -> Result<Option<Query>, Error> {
        let zone = match query.has_instants() {
            true => self.gateway_zone().await?,
            false => self.zone(),
        };
        let mut sent = query.at_wall_clock(&zone, kind);
        if let Some(sent) = sent.as_mut().filter(|sent| sent.show_private)
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
            sent.show_private = false;
        }
        Ok(sent)
    }

    /// Whether rows of an object may be private to an entity: only those that have a field for it.
    pub(super) async fn has_private_rows(&self, object: &str, docparid: Option<&str>) -> Result<bool, Error> {
        let definition = self.definition(object, docparid).await?;
        Ok(definition.field("MEGAENTITYID").is_some())
    }

    /// One page of the answer; a page without rows, and no request, where the condition can be true of no row.
    /// Points in time of the condition are put on the gateway's clock: near a change of it, and where they have
    /// fractions of a second, more rows than asked for may come. With `need_formatting`, the preferences are requested
    /// beside it when they are not known yet.
    ///
    /// # Errors
    /// [`ErrorKind::Formatting`] when the preferences are needed and unreadable, [`ErrorKind::Unsupported`] for what the dialect
    /// cannot express, [`ErrorKind::Malformed`] for an answer that contradicts itself; what the gateway refuses.
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
    ///
    /// # Errors
    /// Those of [`page`](Self::page) for `query`.
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
        let Some(query) = &self.as_sent(query, kind).await? else {
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
        } else if need_formatting {
            self.recall_formatting().await?;
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
            others.push(self.as_sent(query, kind).await?.unwrap_or_else(|| query.clone()));
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
    ///
    /// # Errors
    /// What the gateway refuses, and what keeps its answer from arriving: see [`ErrorKind`](crate::ErrorKind).
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
    pub(super) fn reader(&self) -> Option<CellReader> {
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
            // A repeated request returns the next page: the reader of the result compares the counts.
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
}
