//! Answers of an aggregate that is computed for one parameter after another (a correlated subquery, LATERAL): a question that
//! was asked is not asked again.

use super::groups::Groups;
use intacct::{CellReader, Query};
use pgrx::pg_sys;
use std::collections::HashMap;
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

/// The answers by what was asked, as long as they fit into `work_mem`.
#[derive(Default)]
pub struct Memory {
    answers: HashMap<String, Remembered>,
    bytes: usize,
    /// Questions that were asked.
    pub asked: u64,
    /// Questions that were answered from here.
    pub recalled: u64,
}

impl Memory {
    /// The question of queries whose parameters are bound: all of them have one condition.
    pub fn question(queries: &[Query]) -> String {
        let condition = queries.first().and_then(|query| query.filter.as_ref());
        condition.map(ToString::to_string).unwrap_or_default()
    }

    /// The answer to a question, if it has been asked.
    pub fn recall(&mut self, question: &str) -> Option<Remembered> {
        let answer = self.answers.get(question).cloned();
        match answer {
            Some(_) => self.recalled += 1,
            None => self.asked += 1,
        }
        answer
    }

    /// Keeps an answer, if there is room for it.
    pub fn keep(&mut self, question: String, answer: Remembered) {
        let rows = match &answer {
            Remembered::Groups(groups, _) => groups.memory_bytes(),
            Remembered::Count(_, values) => values.capacity() * size_of::<u64>(),
            Remembered::Nothing => 0,
        };
        let bytes = rows + question.capacity() + size_of::<(String, Remembered)>() * 2;
        // SAFETY: a setting of the backend, read on its main thread.
        let room = unsafe { pg_sys::work_mem }.max(64) as usize * 1024;
        if self.bytes + bytes <= room {
            self.bytes += bytes;
            self.answers.insert(question, answer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_differ_by_their_conditions() {
        let query = |text: &str| text.parse::<Query>().expect("a query");
        let question = |text: &str| Memory::question(&[query(text)]);
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
