//! What an aggregate keeps of the answers to one parameter after another.

use super::groups::Groups;
use intacct::{CellReader, Query};
use std::rc::Rc;

/// What the gateway answered.
#[derive(Clone)]
pub enum Remembered {
    /// Groups that add up.
    Groups(Rc<Groups>, CellReader),
    /// A number of rows, and those in which fields have values.
    Count(u64, Vec<u64>),
    /// No row matches.
    Nothing,
}

impl Remembered {
    /// Bytes of memory beside the value itself.
    pub fn memory_bytes(&self) -> usize {
        match self {
            Remembered::Groups(groups, _) => groups.memory_bytes(),
            Remembered::Count(_, values) => values.capacity() * size_of::<u64>(),
            Remembered::Nothing => 0,
        }
    }
}

/// The question of queries whose parameters are bound: all of them have one condition.
pub fn question(queries: &[Query]) -> String {
    let condition = queries.first().and_then(|query| query.filter.as_ref());
    condition.map(ToString::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_differ_by_their_conditions() {
        let query = |text: &str| text.parse::<Query>().expect("a query");
        let question = |text: &str| question(&[query(text)]);
        let one = question("select count(RECORDNO) from T where A = 'x'");
        assert_eq!(
            one,
            question("select sum(B), count(RECORDNO) from T where A = 'x'")
        );
        assert_ne!(one, question("select count(RECORDNO) from T where A = 'X'"));
        assert_ne!(one, question("select count(RECORDNO) from T where A = 5"));
        assert_eq!(question("select count(RECORDNO) from T"), "");
    }
}
