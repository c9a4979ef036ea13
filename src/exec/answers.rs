//! Answers of a node that is run for one parameter after another (a correlated subquery, LATERAL, a nested loop): a question
//! that was asked is not asked again.

use crate::exec::spill::{Fields, Spilled, TempFile, put_number};
use pgrx::pg_sys;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

/// An answer that can be put into a record of the file, and read from there.
pub trait Stored: Clone {
    /// Appends it to a record; what is large may go to the file beside it.
    fn write(&self, file: &mut TempFile, record: &mut Vec<u8>);
    /// What was written.
    fn read(fields: &mut Fields<'_>) -> Self;
}

/// Answers by what was asked, within `work_mem`: when it is full, others go to a temporary file.
pub struct Answers<A> {
    answers: Vec<Entry<A>>,
    /// The places of questions in `answers`.
    places: HashMap<Rc<str>, usize>,
    bytes: usize,
    /// Those that had to make room.
    pub spilled: Spilled,
    /// What decides which answer goes.
    dice: u64,
    /// The question that was kept last.
    last: Option<String>,
    /// Questions that the gateway was asked.
    pub asked: u64,
    /// Questions that were answered from memory, from rows that were read whole too.
    pub recalled: u64,
    /// Calls that questions had cost when the rows were read whole.
    pub whole_after: Option<u64>,
}

/// An answer that is kept.
struct Entry<A> {
    question: Rc<str>,
    answer: A,
    bytes: usize,
}

impl<A> Answers<A> {
    /// None yet.
    ///
    /// # Safety
    /// Main thread, always; the current memory context must outlive the answers. [`Spilled::close`] is the last call.
    pub unsafe fn new() -> Answers<A> {
        Answers {
            answers: Vec::new(),
            places: HashMap::new(),
            bytes: 0,
            // SAFETY: passed on.
            spilled: unsafe { Spilled::new() },
            dice: 1,
            last: None,
            asked: 0,
            recalled: 0,
            whole_after: None,
        }
    }
}

impl<A: Stored> Answers<A> {
    /// What an entry takes beside the question's text and the answer's own memory.
    const ENTRY_BYTES: usize = 2 * (size_of::<Entry<A>>() + size_of::<(Rc<str>, usize)>());

    /// The answer to a question, if it is known.
    pub fn recall(&mut self, question: &str) -> Option<A> {
        let other = self.last.clone().filter(|_| crate::guc::lookup_fault() == 5);
        let question = other.as_deref().unwrap_or(question);
        let answer = self.known(question);
        self.recalled += u64::from(answer.is_some());
        answer
    }

    fn known(&mut self, question: &str) -> Option<A> {
        if let Some(place) = self.places.get(question) {
            return Some(self.answers[*place].answer.clone());
        }
        self.spilled.find(hash_of(question), |record| {
            let mut fields = Fields(record);
            let length = fields.number() as usize;
            (fields.bytes(length) == question.as_bytes()).then(|| A::read(&mut fields))
        })
    }

    /// Makes room for an answer of so many bytes; `false`: it is too large to be kept.
    pub fn make_room(&mut self, bytes: usize) -> bool {
        self.make_room_within(bytes, work_mem())
    }

    /// Keeps an answer of so many bytes, in the place of one to the same question.
    pub fn keep(&mut self, question: String, answer: A, bytes: usize) {
        self.keep_within(question, answer, bytes, work_mem());
    }

    /// Which answers go is left to chance: of keys that take turns, each would go just before it is wanted again, if the oldest
    /// one went.
    fn make_room_within(&mut self, bytes: usize, most: usize) -> bool {
        let all = most;
        let most = most - Spilled::bytes_of(most).min(most);
        while bytes <= most && self.bytes + bytes > most {
            // Any sequence that has no short period will do (xorshift).
            self.dice ^= self.dice << 13;
            self.dice ^= self.dice >> 7;
            self.dice ^= self.dice << 17;
            let entry = self.forget((self.dice % self.answers.len().max(1) as u64) as usize);
            self.spill(&entry.question, &entry.answer, all);
        }
        bytes <= most
    }

    fn keep_within(&mut self, question: String, answer: A, bytes: usize, most: usize) {
        if let Some(place) = self.places.get(question.as_str()) {
            self.forget(*place);
        }
        self.last = Some(question.clone());
        let bytes = bytes + question.len() + Self::ENTRY_BYTES;
        if !self.make_room_within(bytes, most) {
            self.spill(&question, &answer, most);
            return;
        }
        self.bytes += bytes;
        let question: Rc<str> = question.into();
        self.places.insert(question.clone(), self.answers.len());
        self.answers.push(Entry {
            question,
            answer,
            bytes,
        });
    }

    fn spill(&mut self, question: &str, answer: &A, memory: usize) {
        let mut record = Vec::new();
        put_number(&mut record, question.len() as u64);
        record.extend_from_slice(question.as_bytes());
        answer.write(&mut self.spilled.file, &mut record);
        self.spilled.put(hash_of(question), &record, memory);
    }

    fn forget(&mut self, place: usize) -> Entry<A> {
        let entry = self.answers.swap_remove(place);
        self.bytes -= entry.bytes;
        self.places.remove(&entry.question);
        if let Some(moved) = self.answers.get(place) {
            self.places.insert(moved.question.clone(), place);
        }
        entry
    }

    /// What EXPLAIN ANALYZE shows, where questions have cost so many calls; none where there was one question at most.
    pub fn text(&self, calls: u64) -> Option<String> {
        if self.asked + self.recalled < 2 {
            return None;
        }
        let calls = self.whole_after.unwrap_or(calls);
        let mut text = format!("{} calls, {} from memory", grouped(calls), grouped(self.recalled));
        if let Some(after) = self.whole_after {
            text += &format!(", read whole after {}", grouped(after));
        }
        Some(text)
    }
}

fn hash_of(question: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    question.hash(&mut hasher);
    hasher.finish()
}

/// Bytes that answers may take.
pub fn work_mem() -> usize {
    // SAFETY: a setting of the backend, read on its main thread.
    unsafe { pg_sys::work_mem }.max(64) as usize * 1024
}

/// A number with a comma before each three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3 + 1);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (number, text) in [(0, "0"), (999, "999"), (4211, "4,211"), (1_000_000, "1,000,000")] {
            assert_eq!(grouped(number), text);
        }
    }

    impl Stored for usize {
        fn write(&self, _: &mut TempFile, record: &mut Vec<u8>) {
            put_number(record, *self as u64);
        }

        fn read(fields: &mut Fields<'_>) -> usize {
            fields.number() as usize
        }
    }

    fn answers() -> Answers<usize> {
        // SAFETY: there is no server.
        unsafe { Answers::new() }
    }

    #[test]
    fn answers_that_make_room_are_found_again_and_take_no_more_than_they_may() {
        for most in [0, 100 * Answers::<usize>::ENTRY_BYTES, 64 << 20] {
            let mut answers = answers();
            let mut newest = HashMap::new();
            for (number, bytes) in (0..5000).map(|number| (number, number % 7 * 100)) {
                let question = format!("{}", number % 300);
                answers.keep_within(question.clone(), number, bytes, most);
                newest.insert(question, number);
                assert!(answers.bytes + Spilled::bytes_of(most).min(most) <= most);
                let sum: usize = answers.answers.iter().map(|entry| entry.bytes).sum();
                assert_eq!(
                    (sum, answers.places.len()),
                    (answers.bytes, answers.answers.len())
                );
                let asked = format!("{}", number * 7 % 450);
                assert_eq!(answers.known(&asked), newest.get(&asked).copied(), "{asked}");
            }
            let misplaced = |(place, entry): (usize, &Entry<usize>)| answers.places[&entry.question] != place;
            assert!(!answers.answers.iter().enumerate().any(misplaced));
            let kept = answers.answers.len();
            assert_eq!(answers.spilled.is_empty(), most > 1 << 20);
            answers.keep_within("large".into(), 7, most, most);
            assert_eq!(
                answers.answers.len(),
                kept,
                "what is too large drives nothing out"
            );
            assert_eq!(answers.known("large"), Some(7), "and is found");
        }
    }

    #[test]
    fn one_question_is_no_lookup() {
        let mut answers = answers();
        answers.asked = 1;
        assert_eq!(answers.text(1), None);
        answers.recalled = 4211;
        assert_eq!(answers.text(12).as_deref(), Some("12 calls, 4,211 from memory"));
        answers.whole_after = Some(12);
        let whole = "12 calls, 4,211 from memory, read whole after 12";
        assert_eq!(answers.text(62).as_deref(), Some(whole));
    }
}
