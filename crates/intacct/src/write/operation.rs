//! Changes packed into functions, functions into operations.

use super::support::function;
use super::{Change, OnDuplicate, Verb, WriteOptions, rows_per_function};
use crate::error::Error;
use std::ops::Range;

/// Functions that are sent in one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Operation {
    /// The changes in it.
    pub rows: Range<usize>,
    pub functions: Vec<Unit>,
}

/// One function of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unit {
    pub name: &'static str,
    /// The changes that it writes; all of one target and verb.
    pub rows: Range<usize>,
    /// The same in every try: the gateway executes it once.
    pub control_id: String,
}

/// Cuts the changes into operations; their order stays.
///
/// Fails with the position of a change whose object cannot be written so.
pub(super) fn operations(
    changes: &[Change],
    options: &WriteOptions,
) -> Result<Vec<Operation>, (usize, Error)> {
    let limit = options.batch_size.max(1);
    let mut operations: Vec<Operation> = Vec::new();
    for (at, change) in changes.iter().enumerate() {
        let name = function(&change.target.object, change.verb).map_err(|error| (at, error))?;
        let per_function = match options.on_duplicate {
            OnDuplicate::Skip if change.verb == Verb::Create => 1,
            _ => rows_per_function(&change.target.object, change.verb),
        };
        let full = operations
            .last()
            .is_none_or(|operation| operation.rows.len() >= limit);
        if full {
            operations.push(Operation {
                rows: at..at,
                functions: Vec::new(),
            });
        }
        let Some(operation) = operations.last_mut() else {
            continue;
        };
        operation.rows.end = at + 1;
        let joins = |unit: &&mut Unit| {
            let before = &changes[unit.rows.start];
            unit.rows.len() < per_function && before.verb == change.verb && before.target == change.target
        };
        match operation.functions.last_mut().filter(joins) {
            Some(unit) => unit.rows.end = at + 1,
            None => operation.functions.push(Unit {
                name,
                rows: at..at + 1,
                control_id: uuid::Uuid::new_v4().to_string(),
            }),
        }
    }
    Ok(operations)
}

#[cfg(test)]
mod tests {
    use super::super::WriteTarget;
    use super::*;
    use std::sync::Arc;

    fn changes(count: usize, object: &str, verb: Verb) -> Vec<Change> {
        let target = Arc::new(WriteTarget::new(object));
        let change = Change {
            target,
            verb,
            key: None,
            cells: Vec::new(),
        };
        vec![change; count]
    }

    fn packed(changes: &[Change], options: WriteOptions) -> Vec<Vec<usize>> {
        let operations = operations(changes, &options).expect("writable");
        let sizes = |operation: &Operation| operation.functions.iter().map(|unit| unit.rows.len()).collect();
        operations.iter().map(sizes).collect()
    }

    fn batches(batch_size: usize) -> WriteOptions {
        WriteOptions {
            batch_size,
            ..WriteOptions::default()
        }
    }

    #[test]
    fn functions_and_operations_are_filled() {
        let customers = changes(230, "CUSTOMER", Verb::Create);
        assert_eq!(packed(&customers, batches(100)), [vec![100], vec![100], vec![30]]);
        assert_eq!(packed(&customers, batches(1000)), [vec![100, 100, 30]]);
        let copied = changes(10_000, "CUSTOMER", Verb::Create);
        let functions: usize = packed(&copied, batches(100)).iter().map(Vec::len).sum();
        assert_eq!(functions, 100);
        assert_eq!(
            packed(&changes(3, "ARINVOICE", Verb::Create), batches(2)),
            [vec![1, 1], vec![1]]
        );
        let skip = WriteOptions {
            on_duplicate: OnDuplicate::Skip,
            ..batches(100)
        };
        assert_eq!(packed(&changes(2, "CUSTOMER", Verb::Create), skip), [vec![1, 1]]);
    }

    #[test]
    fn a_queue_of_several_kinds_keeps_its_order() {
        let mut queue = changes(2, "CUSTOMER", Verb::Create);
        queue.extend(changes(1, "VENDOR", Verb::Create));
        queue.extend(changes(2, "CUSTOMER", Verb::Update));
        queue.extend(changes(1, "CUSTOMER", Verb::Create));
        assert_eq!(packed(&queue, batches(100)), [vec![2, 1, 2, 1]]);
        let ids: std::collections::HashSet<String> = operations(&queue, &batches(100))
            .expect("writable")
            .into_iter()
            .flat_map(|operation| operation.functions)
            .map(|unit| unit.control_id)
            .collect();
        assert_eq!(ids.len(), 4);
    }

    #[test]
    fn what_cannot_be_written_is_named() {
        let mut queue = changes(2, "CUSTOMER", Verb::Create);
        queue.extend(changes(1, "GLENTRY", Verb::Create));
        assert!(operations(&queue, &batches(100)).is_err_and(|(at, _)| at == 2));
    }
}
