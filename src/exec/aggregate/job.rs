//! What the I/O thread does for an aggregate: all groups of each query, and the number of rows that they must add up
//! to.

use crate::exec::cells::cell_reader;
use crate::private::AggregatePrivate;
use futures_util::future::try_join_all;
use intacct::query::text::without_blank_edges;
use intacct::{
    Attempts, Client, Condition, Confirmation, Count, Error, ErrorKind, ExpectedKeys, Meter, OrderKey, Page,
    PageRequest, Paging, Query, ReadPlan, ReceivedKeys, SelectItem, TEXTS_IN_DOUBT, Verdict,
};

/// Groups held at most; with more the rows themselves are read.
const MOST_GROUPS: u64 = 200_000;

/// Values of an `in`.
const LIST: u64 = 1000;

/// What the gateway answered.
pub struct GroupAnswer {
    /// The pages of each query; none when there are more groups than can be read. A query that was spared has no pages.
    pub groups: Option<Vec<Vec<Page>>>,
    /// A page that shows the number of rows without groups, where it was asked for.
    pub total: Option<Page>,
    /// That number, where the gateway does not return it and the rows were counted.
    counted: Option<u64>,
    /// The number of rows in which a field has a value, for each question about one.
    pub values: Vec<u64>,
    /// How many rows have the keys of the groups.
    pub confirmed: Confirmation,
    /// There are more groups, and asking for them was not worth its calls.
    pub too_dear: bool,
}

/// Calls that questions may have cost together, before reading all rows is cheaper.
#[derive(Clone)]
pub struct CallBound {
    /// What they have cost.
    pub meter: Meter,
    /// What they may.
    pub calls: u64,
}

impl GroupAnswer {
    /// The number of rows without groups, where the gateway returned it.
    pub fn total(&self) -> Option<u64> {
        let total = self.total.as_ref().and_then(|page| page.total_count);
        total.or(self.counted)
    }
}

/// Asks everything in one request; again, as long as the groups are not proven to be those of the join.
///
/// # Errors
/// What a request failed with.
pub async fn ask(
    client: Client,
    plan: AggregatePrivate,
    page_size: u32,
    bound: Option<CallBound>,
) -> Result<GroupAnswer, Error> {
    let bound = bound.as_ref();
    let Some(first) = plan.queries.first().filter(|_| !plan.doubts.is_empty()) else {
        return Ok(ask_all(&client, &plan, Vec::new(), page_size, bound).await?.0);
    };
    let mut attempts = Attempts::new(&client, &plan.doubts, first.show_private)?;
    loop {
        let mut formed = plan.clone();
        for query in formed.queries.iter_mut().chain(&mut formed.counts) {
            *query = attempts.query(query);
        }
        let evidence = attempts.evidence(&formed.queries[0]);
        let (answer, answers) = ask_all(&client, &formed, evidence.queries.clone(), page_size, bound).await?;
        match attempts.judge(&evidence, &answers) {
            Verdict::Proven => return Ok(answer),
            Verdict::Again => {}
            Verdict::Undecided(why) => return Err(Error::new(ErrorKind::Undecided, why)),
        }
    }
}

/// What [`ask_all`] returns: the answer, and those to the evidence.
type Answered = (GroupAnswer, Vec<Result<Page, Error>>);

/// Asks everything in one request: the first pages of all queries, the numbers of rows, and the `evidence`, whose answers are
/// returned beside. Keys that are texts known from before need no other request, unless there are other texts by now.
async fn ask_all(
    client: &Client,
    plan: &AggregatePrivate,
    evidence: Vec<Query>,
    page_size: u32,
    bound: Option<&CallBound>,
) -> Result<Answered, Error> {
    if let Some(rows) = whole(plan).filter(|_| plan.verify && !plan.only_count)
        && let Some(expected) = ExpectedKeys::of(client, &keys(plan), &rows, &plan.texts)
    {
        let mut among = plan.clone();
        for query in &mut among.queries {
            *query = expected.groups(query);
        }
        // All rows are counted, whatever their keys.
        let answered = ask_at_once(
            client,
            &among,
            Some(rows.clone()),
            evidence.clone(),
            page_size,
            bound,
        )
        .await?;
        if answered.0.too_dear {
            return Ok(answered);
        }
        if let Some(answered) = confirmed_at_once(client, plan, &expected, answered) {
            return Ok(answered);
        }
        ExpectedKeys::forget(client, &keys(plan), &rows);
    }
    let verification = plan.verify.then(|| verification(plan)).flatten();
    let (mut answer, evidence) = ask_at_once(client, plan, verification, evidence, page_size, bound).await?;
    if let (true, Some(whole), Some(pages)) = (
        plan.verify && !plan.only_count,
        whole(plan),
        answer.groups.as_ref().and_then(|groups| groups.first()),
    ) {
        let grouped = grouped(client, plan, pages);
        if !plan.texts.is_empty()
            && let Some(grouped) = grouped
        {
            answer.total = Some(settle_texts(client, plan, &whole, answer.total.take(), grouped).await?);
        }
        // Where they do not add up, something is wrong in any case.
        if let Some(grouped) = grouped.filter(|grouped| rows_of(answer.total.as_ref()) == Some(*grouped)) {
            answer.confirmed = confirm(client, plan, &whole, pages, grouped).await?;
        }
    }
    Ok((answer, evidence))
}

/// The answer, if its groups have all rows and only keys that were expected.
fn confirmed_at_once(
    client: &Client,
    plan: &AggregatePrivate,
    expected: &ExpectedKeys,
    (mut answer, evidence): Answered,
) -> Option<Answered> {
    let pages = answer.groups.as_ref()?.first()?;
    let grouped = grouped(client, plan, pages)?;
    let is_known = expected.cover(&received(client, plan, pages)?);
    if rows_of(answer.total.as_ref()) != Some(grouped) || !is_known {
        return None;
    }
    answer.confirmed = Confirmation::Rows(grouped);
    Some((answer, evidence))
}

/// Asks everything in one request; keys are not confirmed by it.
async fn ask_at_once(
    client: &Client,
    plan: &AggregatePrivate,
    verification: Option<Query>,
    evidence: Vec<Query>,
    page_size: u32,
    bound: Option<&CallBound>,
) -> Result<Answered, Error> {
    let limited = |query: &Query, rows: u32| Query {
        limit: Some(Count::Number(rows.into())),
        ..query.clone()
    };
    let spared = plan.first_row.as_ref().map(|first| usize::from(first.query));
    let asked: Vec<usize> = (0..plan.queries.len())
        .filter(|number| Some(*number) != spared)
        .collect();
    let first_size = if plan.only_count { 1 } else { page_size };
    let others = asked
        .iter()
        .skip(1)
        .map(|number| limited(&plan.queries[*number], page_size));
    let counts = plan.counts.iter().map(|query| limited(query, 1));
    let beside: Vec<Query> = others
        .chain(counts)
        .chain(verification.iter().map(|query| limited(query, 1)))
        .chain(evidence)
        .collect();
    let (first, answers) = client
        .page_beside(
            &plan.queries[0],
            plan.dialect,
            &PageRequest {
                size: first_size,
                offset: 0,
            },
            plan.need_formatting,
            &beside,
        )
        .await?;
    let mut answers = answers.into_iter();
    let mut firsts = vec![first];
    for answer in answers.by_ref().take(asked.len() - 1) {
        firsts.push(answer?);
    }
    let mut counts = Vec::with_capacity(plan.counts.len());
    for answer in answers.by_ref().take(plan.counts.len()) {
        counts.push(answer?);
    }
    let counted_page = match verification {
        Some(_) => answers.next().transpose()?,
        None => None,
    };
    let evidence = answers.collect();

    let values = try_join_all(plan.counts.iter().zip(&counts).map(|(query, page)| async move {
        match page.total_count {
            Some(rows) => Ok(rows),
            None => count(client, plan, query, page_size).await,
        }
    }))
    .await?;
    if plan.only_count {
        let total = firsts.pop();
        let counted = match total.as_ref().and_then(|page| page.total_count) {
            None => Some(count(client, plan, &plan.queries[0], page_size).await?),
            Some(_) => None,
        };
        let answer = GroupAnswer {
            groups: Some(Vec::new()),
            total,
            counted,
            values,
            confirmed: Confirmation::Unneeded,
            too_dear: false,
        };
        return Ok((answer, evidence));
    }
    let more: u64 = firsts
        .iter()
        .map(|first| calls_behind(plan, first, page_size))
        .sum();
    if more > 0
        && let Some(bound) = bound
        && bound.meter.stats().calls + more > bound.calls
    {
        let answer = GroupAnswer {
            groups: None,
            total: counted_page,
            counted: None,
            values,
            confirmed: Confirmation::Unneeded,
            too_dear: true,
        };
        return Ok((answer, evidence));
    }
    let rest = asked.iter().zip(firsts).map(|(number, first)| {
        let query = &plan.queries[*number];
        async move {
            Ok::<_, Error>((
                *number,
                groups(client, plan, query, Some(first), page_size).await?,
            ))
        }
    });
    let mut found: Vec<Option<Vec<Page>>> = vec![Some(Vec::new()); plan.queries.len()];
    for (number, pages) in try_join_all(rest).await? {
        found[number] = pages;
    }
    if let Some(first_row) = &plan.first_row
        && !shows_value(counted_page.as_ref())
    {
        let query = &plan.queries[usize::from(first_row.query)];
        found[usize::from(first_row.query)] = groups(client, plan, query, None, page_size).await?;
    }
    let groups: Option<Vec<Vec<Page>>> = found.into_iter().collect();
    let answer = GroupAnswer {
        groups,
        total: counted_page,
        counted: None,
        values,
        confirmed: Confirmation::Unneeded,
        too_dear: false,
    };
    Ok((answer, evidence))
}

/// Calls for the groups behind the first page, and for those by which all of them are confirmed.
fn calls_behind(plan: &AggregatePrivate, first: &Page, page_size: u32) -> u64 {
    let held = first.rows() as u64;
    let is_all = plan.verify && first.remaining == Some(0);
    match first.total_count {
        Some(groups) if held < groups && groups <= MOST_GROUPS && plan.pages && !is_all => {
            let lists = match plan.verify && plan.key_kinds.iter().any(|kind| kind.is_text()) {
                true => groups.div_ceil(LIST),
                false => 0,
            };
            (groups - held).div_ceil(page_size.max(1).into()) + lists
        }
        _ => 0,
    }
}

/// Whether the first row of the verification shows a value, or is none because no row matches: the query for the value is
/// not needed then.
fn shows_value(verification: Option<&Page>) -> bool {
    verification.is_some_and(|page| match page.rows() {
        0 => page.total_count == Some(0),
        _ => page.cell(0, 0).is_some(),
    })
}

fn rows_of(page: Option<&Page>) -> Option<u64> {
    page.and_then(|page| page.total_count)
}

/// The page that shows the number of rows without groups, when no text that the conditions compare has a blank at an edge in any
/// of them: `counted` does not count such rows. So what is as many as the rows of the groups settles both.
async fn settle_texts(
    client: &Client,
    plan: &AggregatePrivate,
    whole: &Query,
    counted: Option<Page>,
    grouped: u64,
) -> Result<Page, Error> {
    match counted {
        // Groups without a value may have been left out, and nothing counted: that would be as many as well.
        Some(page) if page.total_count == Some(grouped) && (grouped > 0 || plan.keys.is_empty()) => Ok(page),
        counted => {
            let request = PageRequest { size: 1, offset: 0 };
            let total = client.page(whole, plan.dialect, &request, false).await?;
            match total.total_count {
                // The groups add up, so the difference is due to blanks.
                Some(rows) if rows == grouped && rows_of(counted.as_ref()) != Some(rows) => {
                    Err(Error::new(ErrorKind::Undecided, TEXTS_IN_DOUBT))
                }
                _ => Ok(total),
            }
        }
    }
}

/// How many rows the groups of these pages have together; none when a cell cannot be read, which the backend reports.
fn grouped(client: &Client, plan: &AggregatePrivate, pages: &[Page]) -> Option<u64> {
    let reader = cell_reader(Some(client));
    let mut grouped = 0;
    for page in pages {
        for row in 0..page.rows() {
            let count = reader.integer(page.cell(row, plan.keys.len())?).ok()?;
            grouped += u64::try_from(count).unwrap_or(0);
        }
    }
    Some(grouped)
}

/// How many rows have the keys of these groups: that they add up does not show whether texts were taken for others.
async fn confirm(
    client: &Client,
    plan: &AggregatePrivate,
    rows: &Query,
    pages: &[Page],
    grouped: u64,
) -> Result<Confirmation, Error> {
    let Some(received) = received(client, plan, pages) else {
        // The backend reports which cell it is.
        return Ok(Confirmation::Unneeded);
    };
    let confirmed = received.count(client, rows, plan.dialect, grouped).await?;
    if confirmed == Confirmation::Rows(grouped) {
        received.remember(client, rows);
    }
    Ok(confirmed)
}

/// The keys of these groups; `None`: a cell cannot be read.
fn received(client: &Client, plan: &AggregatePrivate, pages: &[Page]) -> Option<ReceivedKeys> {
    let mut received = ReceivedKeys::new(keys(plan));
    let reader = cell_reader(Some(client));
    for page in pages {
        for row in 0..page.rows() {
            let cells = (0..plan.keys.len()).map(|column| page.cell(row, column));
            received.add(cells, &reader).ok()?;
        }
    }
    Some(received)
}

/// The group keys.
pub fn keys(plan: &AggregatePrivate) -> Vec<(String, intacct::GroupKeyKind)> {
    key_fields(plan).zip(plan.key_kinds.iter().copied()).collect()
}

/// The fields of the group keys.
fn key_fields(plan: &AggregatePrivate) -> impl Iterator<Item = String> {
    let items = plan.queries.first().map(|query| query.select.as_slice());
    let keys = items.unwrap_or_default().iter().take(plan.keys.len());
    keys.map(|item| item.field().to_owned())
}

/// The question whose number of rows is that of all groups together.
pub fn whole(plan: &AggregatePrivate) -> Option<Query> {
    let query = plan.queries.first()?;
    let row_key = query.select.iter().find_map(|item| match item {
        SelectItem::Aggregate {
            function: intacct::AggregateFunction::Count,
            field,
        } => Some(field.clone()),
        _ => None,
    })?;
    let mut whole = query.clone();
    whole.order_by = Vec::new();
    whole.select = vec![SelectItem::Field(row_key)];
    Some(whole)
}

/// The same without rows in which a text that the conditions compare has a blank at an edge, which the gateway may disregard; its
/// first row shows a least or greatest value, in its first column, where the plan wants one.
pub fn verification(plan: &AggregatePrivate) -> Option<Query> {
    let mut total = whole(plan)?;
    if let Some(without) = without_blank_edges(plan.texts.iter().map(String::as_str)) {
        total.filter = Some(Condition::and(total.filter, without));
    }
    let row_key = total.select[0].field().to_owned();
    if let Some(first) = &plan.first_row {
        total.order_by = vec![OrderKey {
            field: first.field.clone(),
            descending: first.descending,
        }];
    }
    let shown = plan.first_row.as_ref().map(|first| first.field.clone());
    let is_shown = shown
        .as_ref()
        .is_some_and(|field| field.eq_ignore_ascii_case(&row_key));
    if shown.is_some() && !is_shown {
        total.order_by.push(OrderKey {
            field: row_key.clone(),
            descending: false,
        });
    }
    let key = (!is_shown).then_some(row_key);
    total.select = shown.into_iter().chain(key).map(SelectItem::Field).collect();
    Some(total)
}

/// The number of rows of a query, each of which is read: for a gateway that does not return it.
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
        grows: true,
        paging: Paging::Offset,
        need_formatting: false,
        ahead: client.config().max_concurrency,
    };
    let read = intacct::read(client, &plan, async |_| true).await?;
    Ok(read.rows)
}

/// All groups, of which the first page may be there; none when they do not fit into what can be read, or moved while
/// they were read.
async fn groups(
    client: &Client,
    plan: &AggregatePrivate,
    query: &Query,
    mut first: Option<Page>,
    page_size: u32,
) -> Result<Option<Vec<Page>>, Error> {
    let mut pages: Vec<Page> = Vec::new();
    let mut offset = 0;
    loop {
        let request = PageRequest {
            size: page_size,
            offset,
        };
        let page = match first.take() {
            Some(page) => page,
            None => {
                client
                    .page(query, plan.dialect, &request, plan.need_formatting)
                    .await?
            }
        };
        let (held, total, remaining) = (page.rows() as u64, page.total_count, page.remaining);
        offset += held;
        let same = pages.first().is_none_or(|first| first.total_count == total);
        pages.push(page);
        match total {
            Some(total) if same && total <= MOST_GROUPS && offset <= total => {
                if offset == total {
                    return Ok(Some(pages));
                }
                // Some gateways count the rows here and not the groups: whether they are all there, adding up shows.
                if plan.verify && remaining == Some(0) && pages.len() == 1 {
                    return Ok(Some(pages));
                }
                if held == 0 || !plan.pages {
                    return Ok(None);
                }
            }
            // Some gateways count no rows as one group, and send none.
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
