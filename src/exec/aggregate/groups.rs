//! The groups of an answer: those that read equal are one, and they must add up.

use crate::catalog::ValueClass;
use crate::exec::key_part::KeyPart;
use crate::exec::spill::{Fields, put_number, read_page, write_page};
use crate::private::AggregatePrivate;
use intacct::{AggregateFunction, CellError, CellReader, Page, Query, SelectItem};
use std::collections::HashMap;

/// A cell's location: page and row.
type Spot = (u32, u32);

/// The groups, each with the rows that make it in the answer of each query.
#[derive(Default)]
pub struct Groups {
    pages: Vec<Vec<Page>>,
    /// For each group, for each query: the rows that read equal.
    members: Vec<Vec<Vec<Spot>>>,
    /// The query that was spared, and the page whose first row shows its value.
    first_row: Option<(usize, Page)>,
    /// Rows in which a field has a value, as far as they were asked for.
    values: Vec<u64>,
}

/// Why an answer is not what SQL asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// The groups do not add up to the rows.
    Sum {
        /// Rows of all groups.
        grouped: u64,
        /// Rows without groups.
        total: u64,
    },
    /// Rows were put into the group of another text.
    Folded {
        /// Rows that have the keys of the groups.
        matched: u64,
        /// Rows without groups.
        total: u64,
    },
    /// The answers of several queries, or pages, do not fit together.
    Moved,
}

/// Why groups cannot be had.
pub enum Failure {
    /// A cell does not parse: query, item and what it holds.
    Cell(usize, usize, CellError),
    /// The answer is not to be trusted.
    Doubt(Doubt),
}

impl Groups {
    /// Puts the pages of each query together; `total` is the page that shows the number of rows, where it is to be compared,
    /// `values` the numbers of rows in which fields have values.
    pub fn collect(
        plan: &AggregatePrivate,
        pages: Vec<Vec<Page>>,
        total: Option<Page>,
        values: Vec<u64>,
        reader: &CellReader,
    ) -> Result<Groups, Failure> {
        let rows = total.as_ref().and_then(|page| page.total_count);
        let spared = plan.first_row.as_ref().map(|first| usize::from(first.query));
        let spared = spared.filter(|query| pages.get(*query).is_some_and(Vec::is_empty));
        let mut groups = Groups {
            pages,
            members: Vec::new(),
            first_row: spared.zip(total),
            values,
        };
        let mut numbers: HashMap<Vec<KeyPart>, usize> = HashMap::new();
        for (query, pages) in groups.pages.iter().enumerate() {
            for (page_number, page) in pages.iter().enumerate() {
                for row in 0..page.rows() {
                    let key = key(plan, page, row, reader)
                        .map_err(|(item, error)| Failure::Cell(query, item, error))?;
                    let spot = (page_number as u32, row as u32);
                    let group = match numbers.get(&key) {
                        Some(group) => *group,
                        // The first query has returned all groups.
                        None if query > 0 => return Err(Failure::Doubt(Doubt::Moved)),
                        None => {
                            numbers.insert(key, groups.members.len());
                            groups.members.push(vec![Vec::new(); groups.pages.len()]);
                            groups.members.len() - 1
                        }
                    };
                    let spots = &mut groups.members[group][query];
                    // One page does not show a group twice; two pages might, if rows moved in between.
                    if spots.iter().any(|(page, _)| *page != spot.0) {
                        return Err(Failure::Doubt(Doubt::Moved));
                    }
                    spots.push(spot);
                }
            }
        }
        groups.check(plan, rows, reader)?;
        Ok(groups)
    }

    fn check(&self, plan: &AggregatePrivate, total: Option<u64>, reader: &CellReader) -> Result<(), Failure> {
        let mut grouped = 0u64;
        for group in 0..self.members.len() {
            let mut counted = None;
            for (query, spots) in self.members[group].iter().enumerate() {
                if self
                    .first_row
                    .as_ref()
                    .is_some_and(|(spared, _)| *spared == query)
                {
                    continue;
                }
                let is_part = plan.counts_values(query);
                if spots.is_empty() && !is_part {
                    return Err(Failure::Doubt(Doubt::Moved));
                }
                let Some(item) = count_item(&plan.queries[query]) else {
                    continue;
                };
                let rows = self
                    .rows_of(group, query, item, reader)
                    .map_err(|error| Failure::Cell(query, item, error))?;
                let known = *counted.get_or_insert(rows);
                if known < rows || known > rows && !is_part {
                    return Err(Failure::Doubt(Doubt::Moved));
                }
            }
            grouped = grouped.saturating_add(counted.unwrap_or(0));
        }
        if plan.keys.is_empty() && self.members.len() > 1 {
            return Err(Failure::Doubt(Doubt::Moved));
        }
        if self.values.iter().any(|values| *values > grouped) {
            return Err(Failure::Doubt(Doubt::Moved));
        }
        match total {
            Some(total) if total != grouped => Err(Failure::Doubt(Doubt::Sum { grouped, total })),
            None if plan.verify => Err(Failure::Doubt(Doubt::Moved)),
            _ => Ok(()),
        }
    }

    fn rows_of(
        &self,
        group: usize,
        query: usize,
        item: usize,
        reader: &CellReader,
    ) -> Result<u64, CellError> {
        let mut rows = 0u64;
        for cell in self.cells(group, query, item) {
            rows = rows.saturating_add(match cell {
                Some(cell) => u64::try_from(reader.integer(cell)?).unwrap_or(0),
                None => 0,
            });
        }
        Ok(rows)
    }

    /// Number of groups.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Bytes of memory that the groups hold.
    pub fn memory_bytes(&self) -> usize {
        let pages = self.pages.iter().flatten().map(Page::memory_bytes);
        let spots = self.members.iter().flatten();
        let spots = spots.map(|spots| size_of::<Vec<Spot>>() + spots.capacity() * size_of::<Spot>());
        pages.sum::<usize>() + spots.sum::<usize>()
    }

    /// Appends the groups to a record of a temporary file.
    pub fn write(&self, record: &mut Vec<u8>) {
        put_number(record, self.pages.len() as u64);
        for pages in &self.pages {
            put_number(record, pages.len() as u64);
            pages.iter().for_each(|page| write_page(page, record));
        }
        put_number(record, self.members.len() as u64);
        for spots in self.members.iter().flatten() {
            put_number(record, spots.len() as u64);
            for (page, row) in spots {
                put_number(record, (*page).into());
                put_number(record, (*row).into());
            }
        }
        put_number(record, u64::from(self.first_row.is_some()));
        if let Some((query, page)) = &self.first_row {
            put_number(record, *query as u64);
            write_page(page, record);
        }
        put_number(record, self.values.len() as u64);
        self.values.iter().for_each(|number| put_number(record, *number));
    }

    /// The groups that were written so.
    pub fn read(fields: &mut Fields<'_>) -> Groups {
        let queries = fields.number();
        let pages = (0..queries)
            .map(|_| (0..fields.number()).map(|_| read_page(fields)).collect())
            .collect();
        let members = (0..fields.number())
            .map(|_| {
                let spots = (0..queries).map(|_| {
                    let spots = 0..fields.number();
                    spots
                        .map(|_| (fields.number() as u32, fields.number() as u32))
                        .collect()
                });
                spots.collect()
            })
            .collect();
        let first_row = (fields.number() == 1).then(|| (fields.number() as usize, read_page(fields)));
        let values = (0..fields.number()).map(|_| fields.number()).collect();
        Groups {
            pages,
            members,
            first_row,
            values,
        }
    }

    /// The cells of a group in one item of a query.
    pub fn cells(&self, group: usize, query: usize, item: usize) -> impl Iterator<Item = Option<&[u8]>> {
        let spared = self.first_row.iter().filter(move |(spared, _)| *spared == query);
        self.members[group][query]
            .iter()
            .map(move |(page, row)| self.pages[query][*page as usize].cell(*row as usize, item))
            .chain(spared.map(|(_, page)| page.cell(0, 0)))
    }

    /// Rows of a group in which a field has a value, by the number of the question.
    ///
    /// # Errors
    /// A count that is none; [`collect`](Self::collect) has seen all of them.
    pub fn values(
        &self,
        plan: &AggregatePrivate,
        group: usize,
        number: u16,
        reader: &CellReader,
    ) -> Result<u64, CellError> {
        if plan.valued == 0 {
            return Ok(self.values.get(usize::from(number)).copied().unwrap_or(0));
        }
        let query = plan.queries.len() - usize::from(plan.valued) + usize::from(number);
        match plan.queries.get(query).and_then(count_item) {
            Some(item) => self.rows_of(group, query, item, reader),
            None => Ok(0),
        }
    }

    /// Rows of a group.
    ///
    /// # Errors
    /// A count that is none; [`collect`](Self::collect) has seen all of them.
    pub fn rows(&self, plan: &AggregatePrivate, group: usize, reader: &CellReader) -> Result<u64, CellError> {
        match plan.queries.first().and_then(count_item) {
            Some(item) => self.rows_of(group, 0, item, reader),
            None => Ok(0),
        }
    }
}

/// Where a query counts the rows.
fn count_item(query: &Query) -> Option<usize> {
    query.select.iter().position(|item| {
        matches!(
            item,
            SelectItem::Aggregate {
                function: AggregateFunction::Count,
                ..
            }
        )
    })
}

fn key(
    plan: &AggregatePrivate,
    page: &Page,
    row: usize,
    reader: &CellReader,
) -> Result<Vec<KeyPart>, (usize, CellError)> {
    let part = |(item, class): (usize, &ValueClass)| {
        let Some(cell) = page.cell(row, item) else {
            return Ok(KeyPart::Null);
        };
        KeyPart::of_cell(*class, cell, reader).map_err(|error| (item, error))
    };
    plan.keys.iter().enumerate().map(part).collect()
}

/// Whether a sum by a count is so large that PostgreSQL's quotient would depend on how many zeros the summands were
/// written with: beyond twelve digits it keeps fewer than eight behind the point.
pub fn quotient_is_coarse<'a>(sums: impl Iterator<Item = Option<&'a [u8]>>, rows: u64) -> bool {
    let sum: f64 = sums
        .flatten()
        .map(|sum| {
            let number = std::str::from_utf8(sum)
                .ok()
                .and_then(|sum| sum.parse::<f64>().ok());
            number.map_or(f64::INFINITY, f64::abs)
        })
        .sum();
    sum / rows.max(1) as f64 > 9e11
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_come_back_from_a_record() {
        let page = |rows: &[&str]| {
            let mut page = Page::default();
            rows.iter()
                .for_each(|cell| assert!(page.push_cells([Some(cell.as_bytes())])));
            page
        };
        let groups = Groups {
            pages: vec![
                vec![page(&["a", "b"]), page(&["c"])],
                vec![page(&["x", "y"])],
                Vec::new(),
            ],
            members: vec![
                vec![vec![(0, 0), (0, 1)], vec![(0, 1)], Vec::new()],
                vec![vec![(1, 0)], vec![(0, 0)], Vec::new()],
            ],
            first_row: Some((2, page(&["first"]))),
            values: vec![4, 0],
        };
        let mut record = Vec::new();
        groups.write(&mut record);
        let mut fields = Fields(&record);
        let read = Groups::read(&mut fields);
        assert!(fields.0.is_empty());
        assert_eq!((read.len(), &read.values), (2, &groups.values));
        for (group, query) in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)] {
            let cells = |groups: &Groups| {
                groups
                    .cells(group, query, 0)
                    .map(|cell| cell.map(<[u8]>::to_vec))
                    .collect::<Vec<_>>()
            };
            assert_eq!(cells(&read), cells(&groups), "{group} {query}");
        }
        record.clear();
        Groups::default().write(&mut record);
        assert_eq!(Groups::read(&mut Fields(&record)).len(), 0);
    }

    #[test]
    fn coarse_quotients_are_those_beyond_twelve_digits() {
        let coarse =
            |sums: &[&str], rows| quotient_is_coarse(sums.iter().map(|sum| Some(sum.as_bytes())), rows);
        assert!(!coarse(&["-12345678901.55"], 1));
        assert!(coarse(&["1234567890123"], 1));
        assert!(coarse(&["600000000000", "-600000000000"], 1));
        assert!(!coarse(&["1234567890123"], 10));
        assert!(coarse(&["1e20"], 3));
        assert!(!coarse(&["0.000"], 3));
        assert!(!coarse(&[], 0));
    }
}
