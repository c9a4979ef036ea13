//! Aggregates as queries: no query holds two aggregates over one field, or one over a group key, since the gateway
//! may give an aggregate the field's own name.

use super::call::AggregateCall;
use crate::private::{AggregateOutput, FirstRow, Merge, QueryItem};
use intacct::{AggregateFunction, SelectItem};

/// The select lists of the queries.
pub struct Requests {
    keys: Vec<String>,
    row_key: String,
    /// Aggregates of each query, behind the keys.
    aggregates: Vec<Vec<(AggregateFunction, String)>>,
}

impl Requests {
    /// One query, which counts the rows of each group.
    pub fn new(keys: Vec<String>, row_key: &str) -> Requests {
        Requests {
            keys,
            row_key: row_key.to_owned(),
            aggregates: vec![vec![(AggregateFunction::Count, row_key.to_owned())]],
        }
    }

    /// Where the result of an aggregate will stand; `None` when it cannot be asked for.
    pub fn output(&mut self, call: &AggregateCall) -> Option<AggregateOutput> {
        Some(match call {
            // The caller has seen to it that no row has null in the field.
            AggregateCall::CountRows | AggregateCall::Count(_) => AggregateOutput::Rows,
            AggregateCall::Sum(field) => {
                AggregateOutput::Value(self.place(AggregateFunction::Sum, field)?, Merge::Add)
            }
            AggregateCall::Average(field) => {
                AggregateOutput::Average(self.place(AggregateFunction::Sum, field)?, None)
            }
            AggregateCall::Least(field) => {
                AggregateOutput::Value(self.place(AggregateFunction::Min, field)?, Merge::Least)
            }
            AggregateCall::Greatest(field) => {
                AggregateOutput::Value(self.place(AggregateFunction::Max, field)?, Merge::Greatest)
            }
        })
    }

    fn place(&mut self, function: AggregateFunction, field: &str) -> Option<QueryItem> {
        if self.keys.iter().any(|key| key.eq_ignore_ascii_case(field)) {
            return None;
        }
        let reads = |known: &(AggregateFunction, String)| known.1.eq_ignore_ascii_case(field);
        let same = |known: &(AggregateFunction, String)| known.0 == function && reads(known);
        let query = self
            .aggregates
            .iter()
            .position(|query| query.iter().any(same))
            .or_else(|| self.aggregates.iter().position(|query| !query.iter().any(reads)))
            .unwrap_or_else(|| {
                // Where it can, each query counts the rows of its groups: all must have seen the same ones.
                let counts = !self.row_key.eq_ignore_ascii_case(field);
                let count = counts.then(|| (AggregateFunction::Count, self.row_key.clone()));
                self.aggregates.push(count.into_iter().collect());
                self.aggregates.len() - 1
            });
        let items = &mut self.aggregates[query];
        let item = items.iter().position(same).unwrap_or_else(|| {
            items.push((function, field.to_owned()));
            items.len() - 1
        });
        Some(QueryItem {
            query: query as u16,
            item: (self.keys.len() + item) as u16,
        })
    }

    /// A query beyond the first that asks for one least or greatest value only.
    pub fn spared(&self) -> Option<FirstRow> {
        let alone = |(query, aggregates): (usize, &Vec<(AggregateFunction, String)>)| {
            let mut values = aggregates
                .iter()
                .filter(|(function, _)| *function != AggregateFunction::Count);
            let (Some((function, field)), None) = (values.next(), values.next()) else {
                return None;
            };
            let descending = match function {
                AggregateFunction::Min => false,
                AggregateFunction::Max => true,
                _ => return None,
            };
            Some(FirstRow {
                query: query as u16,
                field: field.clone(),
                descending,
            })
        };
        self.aggregates
            .iter()
            .enumerate()
            .skip(1)
            .filter_map(alone)
            .next_back()
    }

    /// The select list of each query.
    pub fn selects(self) -> Vec<Vec<SelectItem>> {
        self.aggregates
            .into_iter()
            .map(|aggregates| {
                let keys = self.keys.iter().cloned().map(SelectItem::Field);
                let aggregates = aggregates
                    .into_iter()
                    .map(|(function, field)| SelectItem::Aggregate { function, field });
                keys.chain(aggregates).collect()
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(requests: Requests) -> Vec<String> {
        let select = |items: Vec<SelectItem>| {
            let items: Vec<_> = items.iter().map(ToString::to_string).collect();
            items.join(", ")
        };
        requests.selects().into_iter().map(select).collect()
    }

    #[test]
    fn one_query_where_names_cannot_be_mistaken() {
        let mut requests = Requests::new(vec!["STATE".into()], "RECORDNO");
        let sum = requests.output(&AggregateCall::Sum("TOTALDUE".into()));
        assert_eq!(
            sum,
            Some(AggregateOutput::Value(
                QueryItem { query: 0, item: 2 },
                Merge::Add
            ))
        );
        assert_eq!(
            requests.output(&AggregateCall::Average("TOTALDUE".into())),
            Some(AggregateOutput::Average(QueryItem { query: 0, item: 2 }, None))
        );
        assert_eq!(
            requests.output(&AggregateCall::CountRows),
            Some(AggregateOutput::Rows)
        );
        assert_eq!(text(requests), ["STATE, count(RECORDNO), sum(TOTALDUE)"]);
    }

    #[test]
    fn two_aggregates_over_one_field_are_asked_apart() {
        let mut requests = Requests::new(vec!["STATE".into()], "RECORDNO");
        for call in [
            AggregateCall::Least("TOTALDUE".into()),
            AggregateCall::Greatest("TOTALDUE".into()),
            AggregateCall::Greatest("RECORDNO".into()),
        ] {
            assert!(requests.output(&call).is_some(), "{call:?}");
        }
        assert_eq!(
            text(requests),
            [
                "STATE, count(RECORDNO), min(TOTALDUE)",
                "STATE, count(RECORDNO), max(TOTALDUE)",
                "STATE, max(RECORDNO)",
            ]
        );
    }

    #[test]
    fn one_extreme_can_be_spared() {
        let mut requests = Requests::new(Vec::new(), "RECORDNO");
        for call in [
            AggregateCall::Greatest("TOTALDUE".into()),
            AggregateCall::Sum("TOTALDUE".into()),
            AggregateCall::Greatest("TERMVALUE".into()),
        ] {
            assert!(requests.output(&call).is_some(), "{call:?}");
        }
        assert_eq!(requests.spared(), None, "a sum cannot be read from a row");
        assert!(
            requests
                .output(&AggregateCall::Least("TERMVALUE".into()))
                .is_some()
        );
        assert_eq!(requests.spared(), None, "the second query has a sum beside it");
        assert!(
            requests
                .output(&AggregateCall::Least("TOTALDUE".into()))
                .is_some()
        );
        let spared = requests.spared().expect("a query of its own");
        assert_eq!(
            (spared.query, spared.field.as_str(), spared.descending),
            (2, "TOTALDUE", false)
        );
    }

    #[test]
    fn an_aggregate_over_a_group_key_is_not_asked_for() {
        let mut requests = Requests::new(vec!["totaldue".into()], "RECORDNO");
        assert_eq!(requests.output(&AggregateCall::Sum("TOTALDUE".into())), None);
    }
}
