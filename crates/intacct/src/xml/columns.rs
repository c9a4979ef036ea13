//! Which element of a row is which item of the select list.

use crate::query::SelectItem;
use std::collections::HashMap;

/// Where an element's text goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// To this column.
    Column(usize),
    /// To this aggregate's column, unless its full name (`SUM.F`) comes as well.
    Fallback(usize),
    /// Several aggregates could be meant.
    Ambiguous,
}

/// The select list, prepared for reading rows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Columns {
    /// Element name expected for each column, upper case.
    names: Vec<Box<str>>,
    targets: HashMap<Box<str>, Target>,
    /// Columns that repeat an earlier one: `(column, earlier column)`.
    pub(crate) repeats: Vec<(usize, usize)>,
    /// Aggregates over a field that is selected as well: their plain name is the field's, so they cannot do without
    /// their full name.
    pub(crate) must_be_named: Vec<usize>,
}

impl Columns {
    pub(crate) fn new(select: &[SelectItem]) -> Self {
        let mut columns = Columns::default();
        for (index, item) in select.iter().enumerate() {
            let name = match item {
                SelectItem::Field(field) => field.to_ascii_uppercase(),
                SelectItem::Aggregate { function, field } => {
                    format!("{}.{}", function.name(), field).to_ascii_uppercase()
                }
            };
            let name: Box<str> = name.into();
            match columns.targets.get(&name) {
                Some(Target::Column(earlier)) => columns.repeats.push((index, *earlier)),
                _ => {
                    columns.targets.insert(name.clone(), Target::Column(index));
                }
            }
            columns.names.push(name);
        }
        for (index, item) in select.iter().enumerate() {
            let SelectItem::Aggregate { field, .. } = item else {
                continue;
            };
            if columns.repeats.iter().any(|(column, _)| *column == index) {
                continue;
            }
            let plain: Box<str> = field.to_ascii_uppercase().into();
            match columns.targets.get(&plain) {
                None => {
                    columns.targets.insert(plain, Target::Fallback(index));
                }
                Some(Target::Fallback(_) | Target::Ambiguous) => {
                    columns.targets.insert(plain, Target::Ambiguous);
                }
                Some(Target::Column(_)) => columns.must_be_named.push(index),
            }
        }
        columns
    }

    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    /// Columns that have an element of their own.
    pub(crate) fn elements(&self) -> usize {
        self.names.len() - self.repeats.len()
    }

    /// Whether the column shows the element of an earlier one.
    pub(crate) fn is_repeat(&self, column: usize) -> bool {
        self.repeats.iter().any(|(repeat, _)| *repeat == column)
    }

    /// Each element says its column by its name alone: there are no aggregates.
    pub(crate) fn is_plain(&self) -> bool {
        let by_name = |target: &Target| matches!(target, Target::Column(_));
        self.must_be_named.is_empty() && self.targets.values().all(by_name)
    }

    /// Whether the column is an aggregate that may also come under its plain name.
    pub(crate) fn has_fallback(&self, column: usize) -> bool {
        self.targets
            .values()
            .any(|target| *target == Target::Fallback(column))
    }

    /// Where the element `name` goes; `expected` is the column that usually comes now.
    #[inline]
    pub(crate) fn find(&self, name: &str, expected: usize) -> Option<Target> {
        if let Some(usual) = self.names.get(expected)
            && (**usual == *name || usual.eq_ignore_ascii_case(name))
        {
            return Some(self.usual(expected));
        }
        self.targets
            .get(name)
            .copied()
            .or_else(|| self.targets.get(name.to_ascii_uppercase().as_str()).copied())
    }

    /// The column itself, or the one that it repeats.
    #[inline]
    fn usual(&self, column: usize) -> Target {
        let earlier = self.repeats.iter().find(|(repeat, _)| *repeat == column);
        Target::Column(earlier.map_or(column, |(_, earlier)| *earlier))
    }
}
