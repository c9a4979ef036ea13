//! Rows that entities own, in objects that a query reaches by a path: whether the path shows just the rows that a direct
//! query shows.
//!
//! Which rows of entities a direct query shows at top level differs by object and by user (fact 41). So a
//! request that reads through such a path carries small queries beside it, whose answers prove that its rows are those of
//! a join. There are two forms of the request, and what does not prove one of them proves nothing:
//!
//! - [`Hidden`](OwnedRows::Hidden) leaves out the rows with an owned parent (`PATH.MEGAENTITYID is null`). Proven when a direct
//!   query shows no owned row of the parent's object.
//! - [`Shown`](OwnedRows::Shown) keeps them. Proven when a direct query shows as many owned rows of each entity as one that asks
//!   for private rows too, and the path leads to rows of no other entity.
//!
//! The rows of a join, and those that are counted, are not rechecked. So where their conditions compare text, one more
//! small query asks for rows with a blank at an edge of it ([`with_blank_edges`](crate::query::text::with_blank_edges)): if
//! there are none, the gateway took no text for another.

use crate::client::{Client, KnownForm, OwnedRows};
use crate::error::{Error, ErrorKind};
use crate::query::text::with_blank_edges;
use crate::query::{AggregateFunction, Condition, Count, Query, SelectItem};
use crate::xml::page::Page;
use std::collections::{BTreeMap, BTreeSet};

/// The field that names the entity that owns a row.
const ENTITY: &str = "MEGAENTITYID";

/// Why the gateway's comparison of text is not relied on.
pub const TEXTS_IN_DOUBT: &str =
    "texts that its conditions compare may have blanks at their edges, which the gateway may disregard";

/// An object that a query reaches by a path, and whose rows entities may own.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct OwnedParent {
    /// The path that leads to it.
    pub path: String,
    /// The object.
    pub object: String,
    /// Its field that is unique and never null.
    pub row_key: String,
    /// Which form is tried first, until it is known which one holds.
    pub first: OwnedRows,
    /// Rows without it stay: they cannot be left out for its sake.
    pub optional: bool,
}

/// What of a query is in doubt until queries beside it have settled it.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Doubts {
    /// The queried object's field that is unique and never null.
    pub row_key: String,
    /// The parents whose rows entities may own.
    pub parents: Vec<OwnedParent>,
    /// The fields of text that its condition compares, and that the gateway may compare without regard to blanks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub texts: Vec<String>,
}

impl Doubts {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.parents.is_empty() && self.texts.is_empty()
    }

    /// The form of `query` that is tried first while nothing is known.
    pub fn first_form(&self, query: &Query) -> Query {
        let forms: Vec<OwnedRows> = self.parents.iter().map(|parent| parent.first).collect();
        formed(query, &self.parents, &forms)
    }

    /// The queries that travel with [`first_form`](Self::first_form) of `query`.
    pub fn first_evidence(&self, query: &Query) -> Vec<Query> {
        let forms: Vec<OwnedRows> = self.parents.iter().map(|parent| parent.first).collect();
        Evidence::new(self, &forms, query).queries
    }
}

/// What an attempt came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The rows are those that SQL wants.
    Proven,
    /// The rows are not to be used: another form is to be tried.
    Again,
    /// Neither form can be proven; why.
    Undecided(String),
}

/// Attempts to read through paths until the rows are proven to be those of a join.
pub struct Attempts<'a> {
    client: &'a Client,
    owned: &'a Doubts,
    forms: Vec<OwnedRows>,
    /// Attempts so far.
    made: usize,
}

impl<'a> Attempts<'a> {
    /// Begins with what this client knows.
    ///
    /// # Errors
    /// [`ErrorKind::Undecided`] when it is known that nothing can be proven.
    pub fn new(client: &'a Client, owned: &'a Doubts, show_private: bool) -> Result<Attempts<'a>, Error> {
        let mut forms = Vec::new();
        for parent in &owned.parents {
            let known = client.known_owned().of(&parent.object, show_private);
            forms.push(match known {
                Some(KnownForm::Undecided) => return Err(undecided(parent, "this was found a moment ago")),
                // Rows that stay without a parent cannot be left out.
                Some(KnownForm::Holds(OwnedRows::Hidden)) if parent.optional => {
                    return Err(undecided(
                        parent,
                        "rows of entities are hidden from a direct query",
                    ));
                }
                Some(KnownForm::Holds(form)) => form,
                None => parent.first,
            });
        }
        Ok(Attempts {
            client,
            owned,
            forms,
            made: 0,
        })
    }

    /// The query in the form that is tried.
    pub fn query(&self, query: &Query) -> Query {
        formed(query, &self.owned.parents, &self.forms)
    }

    /// The queries that must travel with `query`, which is in the form that is tried. Nothing where there is no doubt.
    pub fn evidence(&self, query: &Query) -> Evidence {
        Evidence::new(self.owned, &self.forms, query)
    }

    /// Draws the conclusion from what the evidence of the form that is tried came to.
    pub fn judge(&mut self, evidence: &Evidence, answers: &[Result<Page, Error>]) -> Verdict {
        let groups: Vec<Option<Groups>> = answers.iter().map(groups).collect();
        let mut verdict = Verdict::Proven;
        if let Some(texts) = evidence.texts
            && !answers.get(texts).is_some_and(is_empty)
        {
            return Verdict::Undecided(TEXTS_IN_DOUBT.to_owned());
        }
        for (index, parent) in self.owned.parents.iter().enumerate() {
            let holds = evidence.parents[index].judge(&groups);
            let known = self.client.known_owned();
            match holds {
                Ok(form) => known.note(&parent.object, evidence.show_private, KnownForm::Holds(form)),
                Err(_) => known.note(&parent.object, evidence.show_private, KnownForm::Undecided),
            }
            match holds {
                Ok(form) if form == self.forms[index] => {}
                Ok(OwnedRows::Hidden) if parent.optional => {
                    let why = "rows of entities are hidden from a direct query";
                    verdict = Verdict::Undecided(undecided(parent, why).to_string());
                }
                Ok(form) => {
                    self.forms[index] = form;
                    if verdict == Verdict::Proven {
                        verdict = Verdict::Again;
                    }
                }
                Err(why) => verdict = Verdict::Undecided(undecided(parent, why).to_string()),
            }
        }
        self.made += 1;
        // A form each that was found to be wrong, and those found instead: more means that rows come and go.
        if verdict == Verdict::Again && self.made > 2 {
            verdict = Verdict::Undecided("rows of entities came and went while they were counted".to_owned());
        }
        verdict
    }
}

fn undecided(parent: &OwnedParent, why: &str) -> Error {
    let message = format!(
        "it cannot be proven which rows of {} a join must show: {why}",
        parent.object
    );
    Error::new(ErrorKind::Undecided, message)
}

/// The query with its rows of owned parents left out where the form says so.
fn formed(query: &Query, parents: &[OwnedParent], forms: &[OwnedRows]) -> Query {
    let mut query = query.clone();
    for (parent, form) in parents.iter().zip(forms) {
        if *form == OwnedRows::Hidden {
            let shared = Condition::IsNull {
                field: format!("{}.{ENTITY}", parent.path),
                negated: false,
            };
            query.filter = Some(Condition::and(query.filter, shared));
        }
    }
    query
}

/// The queries that prove a form, and which of them is evidence for which parent.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// The queries, in the order of their answers. Each is answered by one page of groups.
    pub queries: Vec<Query>,
    parents: Vec<ParentEvidence>,
    /// The place of the query for rows with blanks at the edges of texts.
    texts: Option<usize>,
    show_private: bool,
}

/// Where the answers that concern a parent stand.
#[derive(Debug, Clone)]
struct ParentEvidence {
    /// Its owned rows, by entity, as the statement's own queries show them.
    direct: usize,
    /// The same where private rows are asked for, if that is another question and the form needs it.
    private: Option<usize>,
    /// The rows of the query by the entity that owns their parent, if the form keeps them.
    reached: Option<usize>,
}

impl Evidence {
    fn new(owned: &Doubts, forms: &[OwnedRows], query: &Query) -> Evidence {
        let mut evidence = Evidence {
            show_private: query.show_private,
            ..Evidence::default()
        };
        for (parent, form) in owned.parents.iter().zip(forms) {
            let direct = evidence.add(of_object(parent, query.show_private));
            let (mut private, mut reached) = (None, None);
            if *form == OwnedRows::Shown {
                private = (!query.show_private).then(|| evidence.add(of_object(parent, true)));
                reached = Some(evidence.add(by_path(owned, parent, query)));
            }
            evidence.parents.push(ParentEvidence {
                direct,
                private,
                reached,
            });
        }
        let texts = with_blank_edges(owned.texts.iter().map(String::as_str));
        if let (Some(edges), Some(field)) = (texts, owned.texts.first()) {
            let mut blank = query.clone();
            blank.select = vec![SelectItem::Field(field.clone())];
            blank.filter = Some(Condition::and(blank.filter, edges));
            blank.order_by = Vec::new();
            blank.limit = Some(Count::Number(1));
            blank.offset = None;
            evidence.texts = Some(evidence.add(blank));
        }
        evidence
    }

    /// The place of a query: two paths to one object ask it once.
    fn add(&mut self, query: Query) -> usize {
        let known = self.queries.iter().position(|known| *known == query);
        known.unwrap_or_else(|| {
            self.queries.push(query);
            self.queries.len() - 1
        })
    }
}

impl ParentEvidence {
    /// The form that holds, as far as the answers show.
    fn judge(&self, groups: &[Option<Groups>]) -> Result<OwnedRows, &'static str> {
        let answer = |index: usize| groups.get(index).and_then(Option::as_ref);
        let direct = answer(self.direct).ok_or("its rows by entity cannot be counted")?;
        let Some(reached) = self.reached else {
            return Ok(match direct.is_empty() {
                true => OwnedRows::Hidden,
                false => OwnedRows::Shown,
            });
        };
        let reached = answer(reached).ok_or("the rows that lead to it cannot be counted by entity")?;
        if reached.is_empty() {
            // No row leads to an owned one.
            return Ok(OwnedRows::Shown);
        }
        if direct.is_empty() {
            return Ok(OwnedRows::Hidden);
        }
        if let Some(private) = self.private {
            let private = answer(private).ok_or("its private rows cannot be counted")?;
            if private != direct {
                return Err("a direct query shows some of the rows of entities, and not all");
            }
        }
        let entities: BTreeSet<_> = direct.keys().collect();
        match reached.keys().all(|entity| entities.contains(entity)) {
            true => Ok(OwnedRows::Shown),
            false => Err("rows lead to an entity of which a direct query shows nothing"),
        }
    }
}

/// The owned rows of a parent, by entity.
fn of_object(parent: &OwnedParent, show_private: bool) -> Query {
    let mut query = Query::new(parent.object.clone());
    query.select = select(ENTITY.to_owned(), &parent.row_key);
    query.filter = Some(owned(ENTITY.to_owned()));
    query.show_private = show_private;
    query
}

/// The rows of a query whose parent is owned, by its entity.
fn by_path(parents: &Doubts, parent: &OwnedParent, query: &Query) -> Query {
    let entity = format!("{}.{ENTITY}", parent.path);
    let mut reached = query.clone();
    reached.select = select(entity.clone(), &parents.row_key);
    reached.filter = Some(Condition::and(reached.filter, owned(entity)));
    reached.order_by = Vec::new();
    reached.limit = None;
    reached.offset = None;
    reached
}

fn select(entity: String, row_key: &str) -> Vec<SelectItem> {
    vec![
        SelectItem::Field(entity),
        SelectItem::Aggregate {
            function: AggregateFunction::Count,
            field: row_key.to_owned(),
        },
    ]
}

fn owned(entity: String) -> Condition {
    Condition::IsNull {
        field: entity,
        negated: true,
    }
}

/// Whether an answer shows and announces no row.
fn is_empty(answer: &Result<Page, Error>) -> bool {
    answer.as_ref().is_ok_and(|page| {
        page.rows() == 0 && page.total_count.unwrap_or(0) == 0 && page.remaining.unwrap_or(0) == 0
    })
}

/// Entities, and the number of rows of each as the gateway wrote it.
type Groups = BTreeMap<Vec<u8>, Vec<u8>>;

/// The groups of an answer; `None`: it failed, or is not known to hold all.
fn groups(answer: &Result<Page, Error>) -> Option<Groups> {
    let page = answer.as_ref().ok()?;
    let rows = page.rows();
    let complete = match (page.remaining, page.total_count) {
        (Some(remaining), _) => remaining == 0,
        (None, Some(total)) => total <= rows as u64,
        (None, None) => false,
    };
    let mut groups = Groups::new();
    for row in 0..rows {
        let (entity, count) = (page.cell(row, 0)?, page.cell(row, 1)?);
        // Some gateways say of no rows that they are a group of none.
        if count == b"0" {
            continue;
        }
        if groups.insert(entity.to_vec(), count.to_vec()).is_some() {
            return None;
        }
    }
    complete.then_some(groups)
}

#[cfg(test)]
mod tests;
