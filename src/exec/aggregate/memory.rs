//! What an aggregate keeps of the answers to one parameter after another.

use super::groups::Groups;
use crate::exec::answers::Stored;
use crate::exec::spill::{Fields, TempFile, put_number};
use intacct::Query;
use std::rc::Rc;

/// What the gateway answered.
#[derive(Clone)]
pub enum Remembered {
    /// Groups that add up.
    Groups(Rc<Groups>),
    /// A number of rows, and those in which fields have values.
    Count(u64, Vec<u64>),
    /// No row matches.
    Nothing,
}

impl Remembered {
    /// Bytes of memory beside the value itself.
    pub fn memory_bytes(&self) -> usize {
        match self {
            Remembered::Groups(groups) => groups.memory_bytes(),
            Remembered::Count(_, values) => values.capacity() * size_of::<u64>(),
            Remembered::Nothing => 0,
        }
    }
}

impl Stored for Remembered {
    fn write(&self, _: &mut TempFile, record: &mut Vec<u8>) {
        match self {
            Remembered::Nothing => put_number(record, 0),
            Remembered::Count(rows, values) => {
                for number in [1, *rows, values.len() as u64] {
                    put_number(record, number);
                }
                values.iter().for_each(|number| put_number(record, *number));
            }
            Remembered::Groups(groups) => {
                put_number(record, 2);
                groups.write(record);
            }
        }
    }

    fn read(fields: &mut Fields<'_>) -> Remembered {
        match fields.number() {
            0 => Remembered::Nothing,
            1 => {
                let rows = fields.number();
                let values = (0..fields.number()).map(|_| fields.number()).collect();
                Remembered::Count(rows, values)
            }
            _ => Remembered::Groups(Rc::new(Groups::read(fields))),
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

    #[test]
    fn answers_come_back_from_a_record() {
        // SAFETY: there is no server.
        let mut file = unsafe { TempFile::new() };
        for answer in [
            Remembered::Nothing,
            Remembered::Count(0, Vec::new()),
            Remembered::Count(7, vec![1, 2, 3]),
        ] {
            let mut record = Vec::new();
            answer.write(&mut file, &mut record);
            let read = Remembered::read(&mut Fields(&record));
            let counts = |answer: &Remembered| match answer {
                Remembered::Count(rows, values) => Some((*rows, values.clone())),
                _ => None,
            };
            assert_eq!(counts(&read), counts(&answer));
        }
    }
}
