//! What the I/O thread does for an aggregate: all groups of each query, and the number of rows that they must add up
//! to.

use crate::exec::state::cell_reader;
use crate::plan::private::AggregatePrivate;
use futures_util::future::{try_join, try_join_all};
use intacct::{
    Attempts, Beside, Client, Confirmation, Error, ErrorKind, Page, PageRequest, Paging, Query, ReadPlan,
    ReceivedKeys, SelectItem, Verdict,
};

/// Groups held at most; with more the rows themselves are read.
const MOST_GROUPS: u64 = 200_000;

/// What the gateway answered.
pub struct Answer {
    /// The pages of each query; none when there are more groups than can be read.
    pub groups: Option<Vec<Vec<Page>>>,
    /// A page that tells the number of rows without groups, where it was asked for.
    pub total: Option<Page>,
    /// That number, where the gateway does not tell it and the rows were counted.
    counted: Option<u64>,
    /// How many rows have the keys of the groups.
    pub confirmed: Confirmation,
}

impl Answer {
    /// The number of rows without groups, where the gateway told it.
    pub fn total(&self) -> Option<u64> {
        let told = self.total.as_ref().and_then(|page| page.total_count);
        told.or(self.counted)
    }
}

/// Asks everything at the same time; again, as long as the groups are not proven to be those of the join.
///
/// # Errors
/// What a request failed with.
pub async fn ask(client: Client, plan: AggregatePrivate, page_size: u32) -> Result<Answer, Error> {
    let queries = &plan.queries;
    let Some(first) = queries.first().filter(|_| !plan.owned.parents.is_empty()) else {
        return ask_queries(&client, &plan, queries, None, page_size).await;
    };
    let mut attempts = Attempts::new(&client, &plan.owned, first.show_private)?;
    loop {
        let formed: Vec<Query> = queries.iter().map(|query| attempts.query(query)).collect();
        let evidence = attempts.evidence(&formed[0]);
        let beside = Beside::new(evidence.queries.clone());
        let answer = ask_queries(&client, &plan, &formed, Some(&beside), page_size).await?;
        match attempts.judge(&evidence, &beside.answers()) {
            Verdict::Proven => return Ok(answer),
            Verdict::Again => {}
            Verdict::Undecided(why) => return Err(Error::new(ErrorKind::Undecided, why)),
        }
    }
}

/// Asks everything at the same time, what is `beside` with the first query.
async fn ask_queries(
    client: &Client,
    plan: &AggregatePrivate,
    queries: &[Query],
    beside: Option<&Beside>,
    page_size: u32,
) -> Result<Answer, Error> {
    let verification = queries
        .first()
        .and_then(|query| plan.verify.then(|| total_query(query)));
    let total = async {
        match &verification {
            Some(Some(query)) => rows(client, plan, query, None).await.map(Some),
            _ => Ok(None),
        }
    };
    if plan.only_count {
        let total = rows(client, plan, &queries[0], beside).await?;
        let counted = match total.total_count {
            None => Some(count(client, plan, &queries[0], page_size).await?),
            Some(_) => None,
        };
        return Ok(Answer {
            groups: Some(Vec::new()),
            total: Some(total),
            counted,
            confirmed: Confirmation::Unneeded,
        });
    }
    let groups = try_join_all(queries.iter().enumerate().map(|(number, query)| {
        let beside = beside.filter(|_| number == 0);
        groups(client, plan, query, beside, page_size)
    }));
    let (groups, total) = try_join(groups, total).await?;
    let groups: Option<Vec<Vec<Page>>> = groups.into_iter().collect();
    let told = total.as_ref().and_then(|page: &Page| page.total_count);
    let confirmed = match (&verification, groups.as_ref().and_then(|groups| groups.first())) {
        (Some(Some(rows)), Some(pages)) => confirm(client, plan, rows, pages, told).await?,
        _ => Confirmation::Unneeded,
    };
    Ok(Answer {
        groups,
        total,
        counted: None,
        confirmed,
    })
}

/// How many rows have the keys of these groups: that they add up does not tell whether texts were taken for others.
async fn confirm(
    client: &Client,
    plan: &AggregatePrivate,
    rows: &Query,
    pages: &[Page],
    total: Option<u64>,
) -> Result<Confirmation, Error> {
    let fields = key_fields(plan);
    let mut received = ReceivedKeys::new(fields.zip(plan.key_kinds.iter().copied()).collect());
    let reader = cell_reader(Some(client));
    let mut grouped = 0;
    for page in pages {
        for row in 0..page.rows() {
            let cells = (0..plan.keys.len()).map(|column| page.cell(row, column));
            let count = page.cell(row, plan.keys.len()).map(|cell| reader.integer(cell));
            match (received.add(cells, &reader), count) {
                (Ok(()), Some(Ok(count))) => grouped += u64::try_from(count).unwrap_or(0),
                // The backend says which cell it is.
                _ => return Ok(Confirmation::Unneeded),
            }
        }
    }
    if total != Some(grouped) {
        // Something is wrong in any case.
        return Ok(Confirmation::Unneeded);
    }
    received.count(client, rows, plan.dialect).await
}

/// The fields of the group keys.
fn key_fields(plan: &AggregatePrivate) -> impl Iterator<Item = String> {
    let items = plan.queries.first().map(|query| query.select.as_slice());
    let keys = items.unwrap_or_default().iter().take(plan.keys.len());
    keys.map(|item| item.field().to_owned())
}

/// The query whose number of rows is that of all groups together.
pub fn total_query(query: &Query) -> Option<Query> {
    let row_key = query.select.iter().find_map(|item| match item {
        SelectItem::Aggregate {
            function: intacct::AggregateFunction::Count,
            field,
        } => Some(field.clone()),
        _ => None,
    })?;
    let mut total = query.clone();
    total.select = vec![SelectItem::Field(row_key)];
    total.order_by = Vec::new();
    Some(total)
}

/// The first page, of one row, which tells how many rows a query has.
async fn rows(
    client: &Client,
    plan: &AggregatePrivate,
    query: &Query,
    beside: Option<&Beside>,
) -> Result<Page, Error> {
    let request = PageRequest { size: 1, offset: 0 };
    page(client, plan, query, &request, beside, false).await
}

/// A page, what is `beside` it in the same request unless that has been sent.
async fn page(
    client: &Client,
    plan: &AggregatePrivate,
    query: &Query,
    request: &PageRequest,
    beside: Option<&Beside>,
    need_formatting: bool,
) -> Result<Page, Error> {
    let others = beside.map_or(&[][..], Beside::take_queries);
    let (page, answers) = client
        .page_beside(query, plan.dialect, request, need_formatting, others)
        .await?;
    if let Some(beside) = beside.filter(|_| !others.is_empty()) {
        beside.answer(answers);
    }
    Ok(page)
}

/// The number of rows of a query, each of which is read: for a gateway that does not tell it.
async fn count(
    client: &Client,
    plan: &AggregatePrivate,
    query: &Query,
    page_size: u32,
) -> Result<u64, Error> {
    let plan = ReadPlan {
        assumed: Vec::new(),
        query: query.clone(),
        kind: plan.dialect,
        page_size,
        first_page: page_size,
        paging: Paging::Offset,
        need_formatting: false,
        ahead: client.config().max_concurrency,
    };
    let read = intacct::read(client, &plan, async |_| true).await?;
    Ok(read.rows)
}

/// All groups; none when they do not fit into what can be read, or moved while they were read.
async fn groups(
    client: &Client,
    plan: &AggregatePrivate,
    query: &Query,
    beside: Option<&Beside>,
    page_size: u32,
) -> Result<Option<Vec<Page>>, Error> {
    let mut pages: Vec<Page> = Vec::new();
    let mut offset = 0;
    loop {
        let request = PageRequest {
            size: page_size,
            offset,
        };
        let page = page(client, plan, query, &request, beside, plan.need_formatting).await?;
        let (held, total, remaining) = (page.rows() as u64, page.total_count, page.remaining);
        offset += held;
        let same = pages.first().is_none_or(|first| first.total_count == total);
        pages.push(page);
        match total {
            Some(total) if same && total <= MOST_GROUPS && offset <= total => {
                if offset == total {
                    return Ok(Some(pages));
                }
                // Some gateways count the rows here and not the groups: whether they are all there, adding up tells.
                if plan.verify && remaining == Some(0) && pages.len() == 1 {
                    return Ok(Some(pages));
                }
                if held == 0 || !plan.pages {
                    return Ok(None);
                }
            }
            // Some gateways say that no rows are one group, and send none.
            _ if offset == 0 && plan.keys.is_empty() => return Ok(Some(pages)),
            _ => return Ok(None),
        }
    }
}

/// Whether a failure may be due to how the gateway groups, so that reading the rows is worth trying.
pub fn may_read_rows(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::UnknownFields(_)
            | ErrorKind::Refused
            | ErrorKind::InvalidRequest
            | ErrorKind::Malformed
            | ErrorKind::TooLarge
            | ErrorKind::Moved
            | ErrorKind::Unsupported
    )
}
