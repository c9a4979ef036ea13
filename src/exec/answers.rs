//! Answers of a node that is run for one parameter after another (a correlated subquery, LATERAL, a nested loop): a question
//! that was asked is not asked again.

use pgrx::pg_sys;
use std::collections::HashMap;
use std::rc::Rc;

/// Answers by what was asked, within `work_mem`: when it is full, others make room.
pub struct Answers<A> {
    answers: Vec<Entry<A>>,
    /// The places of questions in `answers`.
    places: HashMap<Rc<str>, usize>,
    bytes: usize,
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

impl<A> Default for Answers<A> {
    fn default() -> Answers<A> {
        Answers {
            answers: Vec::new(),
            places: HashMap::new(),
            bytes: 0,
            dice: 1,
            last: None,
            asked: 0,
            recalled: 0,
            whole_after: None,
        }
    }
}

impl<A: Clone> Answers<A> {
    /// What an entry takes beside the question's text and the answer's own memory.
    const ENTRY_BYTES: usize = 2 * (size_of::<Entry<A>>() + size_of::<(Rc<str>, usize)>());

    /// The answer to a question, if it is known.
    pub fn recall(&mut self, question: &str) -> Option<A> {
        let question = match (crate::guc::lookup_fault(), &self.last) {
            (5, Some(last)) => last,
            _ => question,
        };
        let answer = self
            .places
            .get(question)
            .map(|place| self.answers[*place].answer.clone());
        self.recalled += u64::from(answer.is_some());
        answer
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
        while bytes <= most && self.bytes + bytes > most {
            // Any sequence that has no short period will do (xorshift).
            self.dice ^= self.dice << 13;
            self.dice ^= self.dice >> 7;
            self.dice ^= self.dice << 17;
            self.forget((self.dice % self.answers.len().max(1) as u64) as usize);
        }
        bytes <= most
    }

    fn keep_within(&mut self, question: String, answer: A, bytes: usize, most: usize) {
        if let Some(place) = self.places.get(question.as_str()) {
            self.forget(*place);
        }
        let bytes = bytes + question.len() + Self::ENTRY_BYTES;
        if self.make_room_within(bytes, most) {
            self.bytes += bytes;
            self.last = Some(question.clone());
            let question: Rc<str> = question.into();
            self.places.insert(question.clone(), self.answers.len());
            self.answers.push(Entry {
                question,
                answer,
                bytes,
            });
        }
    }

    fn forget(&mut self, place: usize) {
        let entry = self.answers.swap_remove(place);
        self.bytes -= entry.bytes;
        self.places.remove(&entry.question);
        if let Some(moved) = self.answers.get(place) {
            self.places.insert(moved.question.clone(), place);
        }
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

/// Bytes that answers may take.
fn work_mem() -> usize {
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

    #[test]
    fn answers_make_room_for_others_and_take_no_more_than_they_may() {
        let most = 100 * Answers::<usize>::ENTRY_BYTES;
        let mut answers = Answers::<usize>::default();
        for (number, bytes) in (0..5000).map(|number| (number, number % 7 * 100)) {
            answers.keep_within(format!("{}", number % 300), number, bytes, most);
            assert!(answers.bytes <= most);
            let sum: usize = answers.answers.iter().map(|entry| entry.bytes).sum();
            assert_eq!(
                (sum, answers.places.len()),
                (answers.bytes, answers.answers.len())
            );
            let last = answers.places[format!("{}", number % 300).as_str()];
            assert_eq!(answers.answers[last].answer, number);
        }
        let misplaced = |(place, entry): (usize, &Entry<usize>)| answers.places[&entry.question] != place;
        assert!(!answers.answers.iter().enumerate().any(misplaced));
        let kept = answers.answers.len();
        assert!((20..100).contains(&kept), "{kept}");
        answers.keep_within("large".into(), 0, most, most);
        assert_eq!(
            answers.answers.len(),
            kept,
            "what is too large drives nothing out"
        );
    }

    #[test]
    fn keys_that_take_turns_are_not_all_lost() {
        let most = 60 * (Answers::<u32>::ENTRY_BYTES + 2);
        let mut answers = Answers::<u32>::default();
        let mut found = 0;
        for number in 0..3000 {
            let question = format!("{}", 10 + number % 80);
            match answers.places.contains_key(question.as_str()) {
                true => found += 1,
                false => answers.keep_within(question, 0, 0, most),
            }
        }
        assert!(found > 600, "{found}");
    }

    #[test]
    fn one_question_is_no_lookup() {
        let mut answers = Answers::<u8> {
            asked: 1,
            ..Answers::default()
        };
        assert_eq!(answers.text(1), None);
        answers.recalled = 4211;
        assert_eq!(answers.text(12).as_deref(), Some("12 calls, 4,211 from memory"));
        answers.whole_after = Some(12);
        let whole = "12 calls, 4,211 from memory, read whole after 12";
        assert_eq!(answers.text(62).as_deref(), Some(whole));
    }
}
