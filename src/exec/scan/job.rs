//! What the I/O thread does for a scan: the parts one after another, each page by page.

use crate::io::{self, Emitter, Stream};
use crate::private::{ScanPart, ScanPrivate};
use intacct::{
    Attempts, Beside, Bound, Client, Condition, Count, DialectKind, Error, ErrorKind, Evidence, LastRow,
    Meter, Page, PageRequest, Paging, Query, ReadPlan, Seen, SelectItem, Verdict,
};

/// Pages that may wait for the backend, beside the one that it reads: enough to hide the round trip, and no more.
const QUEUED_PAGES: usize = 1;

/// A scan whose parameters are known.
#[derive(Clone)]
pub struct Job {
    /// Who is asked.
    pub client: Client,
    /// The plan, its query bound.
    pub plan: ScanPrivate,
    /// Rows of a page.
    pub page_size: u32,
    /// Rows of the first page.
    pub first_page: u32,
    /// Whether the pages behind it grow step by step.
    pub grows: bool,
    /// Rows to leave out first.
    pub skip: u64,
    /// Whether the statement may well have enough after the first page.
    pub no_prefetch: bool,
    /// Whether rows may come in no order.
    pub any_order: bool,
    /// Where to go on, if some of the rows are known.
    pub go_on: Option<GoOn>,
    /// Counts what is done.
    pub meter: Meter,
}

/// Where an earlier read of the same rows stopped.
#[derive(Clone)]
pub struct GoOn {
    /// The part of the scan.
    pub part: usize,
    /// Its last row; `None`: the part is still to be read.
    pub behind: Option<LastRow>,
    /// Rows that were read.
    pub seen: Seen,
}

/// A page, and which part of the scan it belongs to.
pub struct PartPage {
    /// The number of the part.
    pub part: usize,
    /// The page.
    pub page: Page,
}

/// Starts to ask how many rows a query has; no item comes if the gateway returns no total count.
///
/// # Errors
/// When the I/O thread cannot be had.
pub fn count(client: Client, dialect: DialectKind, query: Query, meter: Meter) -> Result<Stream<u64>, Error> {
    let query = part_query(&query, &ScanPart::Whole);
    io::stream(1, move |emitter| async move {
        let asked = async {
            let page = PageRequest { size: 1, offset: 0 };
            let page = client.page(&query, dialect, &page, false).await?;
            if let Some(rows) = page.total_count {
                emitter.send(rows).await;
            }
            Ok(())
        };
        meter.run(asked).await
    })
}

impl Job {
    /// Starts reading.
    ///
    /// # Errors
    /// When the I/O thread cannot be had.
    pub fn start(self) -> Result<Stream<PartPage>, Error> {
        io::stream(QUEUED_PAGES, move |emitter| async move {
            let meter = self.meter.clone();
            meter.run(self.read(emitter)).await
        })
    }

    async fn read(self, emitter: Emitter<PartPage>) -> Result<(), Error> {
        if self.plan.doubts.is_empty() {
            return self.read_query(&self.plan.query, None, &emitter).await;
        }
        let query = &self.plan.query;
        let mut attempts = Attempts::new(&self.client, &self.plan.doubts, query.show_private)?;
        while !self.attempt(&mut attempts, &emitter).await? {}
        Ok(())
    }

    /// Reads the rows in one form of the query; `false`: they are not those of the join, and another form is to be read.
    async fn attempt(&self, attempts: &mut Attempts<'_>, emitter: &Emitter<PartPage>) -> Result<bool, Error> {
        let query = attempts.query(&self.plan.query);
        let counted = part_query(&query, &ScanPart::Whole);
        let mut proof = Proof {
            evidence: attempts.evidence(&counted),
            attempts,
            verdict: None,
        };
        self.read_query(&query, Some(&mut proof), emitter).await?;
        match proof.verdict {
            Some(Verdict::Proven) => Ok(true),
            Some(Verdict::Again) => Ok(false),
            Some(Verdict::Undecided(why)) => Err(Error::new(ErrorKind::Undecided, why)),
            None => Err(Error::new(ErrorKind::Undecided, "the gateway returned no result")),
        }
    }

    /// Reads the rows of a query. Nothing of them is returned before what travels beside the first page is judged.
    async fn read_query(
        &self,
        query: &Query,
        mut proof: Option<&mut Proof<'_, '_>>,
        emitter: &Emitter<PartPage>,
    ) -> Result<(), Error> {
        let beside = proof
            .as_ref()
            .map(|proof| Beside::new(proof.evidence.queries.clone()));
        // A statement with a LIMIT may well have enough after the first page: the next is fetched when it is asked
        // for. Any other is likely to read to the end: the second page travels while the first is worked on, and
        // the first that is used up lets many more be asked for.
        let no_prefetch = self.no_prefetch;
        let moving = comes_up_again(&self.plan);
        let go_on = self.go_on.as_ref();
        let mut seen = go_on.map(|go_on| go_on.seen.clone()).unwrap_or_default();
        let mut skip = self.skip;
        let mut sent = 0;
        let first = go_on.map_or(0, |go_on| go_on.part);
        for (number, part) in self.plan.parts.iter().enumerate().skip(first) {
            let behind = go_on
                .filter(|_| number == first)
                .and_then(|go_on| go_on.behind.as_ref());
            let mut plan = self.read_plan(query, part);
            plan.query.offset = (skip > 0).then_some(Count::Number(skip));
            if !self.grows && sent > 0 {
                plan.first_page = self.page_size;
            }
            let mut wanted = true;
            let (mut total, mut shown) = (None, false);
            let read_seen = moving.then_some(&mut seen);
            intacct::read_part_behind(
                &self.client,
                &plan,
                behind,
                read_seen,
                beside.as_ref(),
                async |page| {
                    if let (Some(proof), Some(beside)) = (&mut proof, &beside)
                        && !proof.holds(beside)
                    {
                        wanted = false;
                        return false;
                    }
                    total = total.or(page.total_count);
                    if page.rows() == 0 && skip > 0 {
                        return true;
                    }
                    shown = true;
                    sent += 1;
                    let wait = no_prefetch || sent == 1 && page.remaining != Some(0);
                    let page = PartPage { part: number, page };
                    wanted = emitter.send(page).await && (!wait || emitter.asked_beyond(sent).await);
                    wanted
                },
            )
            .await?;
            if !wanted {
                break;
            }
            if skip > 0 {
                // What this part could not skip, the next one does.
                let total = match total {
                    Some(total) => total,
                    None if shown => skip,
                    // The gateway returns no total count: no more than were to be skipped.
                    None => {
                        plan.query.offset = None;
                        intacct::read(&self.client, &plan, async |_| true).await?.rows
                    }
                };
                skip = skip.saturating_sub(total);
            }
        }
        Ok(())
    }

    fn read_plan(&self, query: &Query, part: &ScanPart) -> ReadPlan {
        let query = part_query(query, part);
        let paging = if self.plan.keyset {
            Paging::Keyset {
                keys: query.order_by.clone(),
                any_order: self.any_order,
            }
        } else {
            Paging::Offset
        };
        ReadPlan {
            query,
            kind: self.plan.dialect,
            page_size: self.page_size,
            first_page: self.first_page,
            grows: self.grows,
            paging,
            assumed: self.plan.assumed.clone(),
            need_formatting: self.plan.need_formatting,
            ahead: match self.no_prefetch {
                true => 0,
                false => self.client.config().max_concurrency,
            },
        }
    }
}

/// What proves that the rows of a form of a query are those of the join.
struct Proof<'p, 'a> {
    attempts: &'p mut Attempts<'a>,
    evidence: Evidence,
    verdict: Option<Verdict>,
}

impl Proof<'_, '_> {
    /// Whether the rows can be used; asked when a page is there, and with the first what travelled beside it.
    fn holds(&mut self, beside: &Beside) -> bool {
        let verdict = match self.verdict.take() {
            Some(verdict) => verdict,
            None => self.attempts.judge(&self.evidence, &beside.answers()),
        };
        *self.verdict.insert(verdict) == Verdict::Proven
    }
}

/// Whether a row that changes meanwhile may come up again: not in the order of the row key alone.
pub fn comes_up_again(plan: &ScanPrivate) -> bool {
    plan.parts.len() > 1 || plan.query.order_by.len() > 1
}

/// The query of one part: its condition on the first key added, that key dropped from the order where it is null.
pub fn part_query(query: &Query, part: &ScanPart) -> Query {
    let mut query = query.clone();
    // The statement's LIMIT has sized the first page; the executor decides how many rows are enough.
    query.limit = None;
    query.offset = None;
    let condition = match part {
        ScanPart::Whole => return query,
        ScanPart::Null(field) => {
            query.order_by.retain(|key| key.field != *field);
            Condition::IsNull {
                field: field.clone(),
                negated: false,
            }
        }
        ScanPart::NotNull(field) => Condition::IsNull {
            field: field.clone(),
            negated: true,
        },
    };
    query.filter = Some(Condition::and(query.filter, condition));
    query
}

/// Binds the parameters; `None`: no row can match, and no request is needed.
pub fn bind(plan: &ScanPrivate, bindings: &[intacct::Binding]) -> Option<ScanPrivate> {
    let mut plan = plan.clone();
    plan.query.filter = match plan.query.filter {
        None => None,
        Some(filter) => match filter.bind(&mut |number| {
            let binding = bindings.get(number as usize - 1);
            binding
                .filter(|binding| plan.dialect.can_express_binding(binding))
                .cloned()
                .unwrap_or(intacct::Binding::NotRepresentable)
        }) {
            Bound::Always => None,
            Bound::Never => return None,
            Bound::When(filter) => Some(filter),
        },
    };
    Some(plan)
}

/// The field behind a column of the answer.
pub fn selected(query: &Query, index: u16) -> &str {
    query.select.get(usize::from(index)).map_or("", SelectItem::field)
}
