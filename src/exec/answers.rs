//! Answers of a node that is run for one parameter after another (a correlated subquery, LATERAL, a nested loop): a question
//! that was asked is not asked again.

use pgrx::pg_sys;
use std::collections::HashMap;

/// Answers by what was asked, as long as they fit into `work_mem`.
pub struct Answers<A> {
    answers: HashMap<String, A>,
    bytes: usize,
    /// The question that was kept last.
    last: Option<String>,
    /// Questions that the gateway was asked.
    pub asked: u64,
    /// Questions that were answered from memory, from rows that were read whole too.
    pub recalled: u64,
    /// Calls that questions had cost when the rows were read whole.
    pub whole_after: Option<u64>,
}

impl<A> Default for Answers<A> {
    fn default() -> Answers<A> {
        Answers {
            answers: HashMap::new(),
            bytes: 0,
            last: None,
            asked: 0,
            recalled: 0,
            whole_after: None,
        }
    }
}

/// What an entry of the map takes beside the question's text and the answer's own memory.
const ENTRY_BYTES: usize = 2 * size_of::<(String, [usize; 8])>();

impl<A: Clone> Answers<A> {
    /// The answer to a question, if it is known.
    pub fn recall(&mut self, question: &str) -> Option<A> {
        let question = match (crate::guc::lookup_fault(), &self.last) {
            (5, Some(last)) => last,
            _ => question,
        };
        let answer = self.answers.get(question).cloned();
        self.recalled += u64::from(answer.is_some());
        answer
    }

    /// Bytes that further answers may take.
    pub fn room(&self) -> usize {
        // SAFETY: a setting of the backend, read on its main thread.
        let work_mem = unsafe { pg_sys::work_mem }.max(64) as usize * 1024;
        work_mem.saturating_sub(self.bytes)
    }

    /// Keeps an answer of so many bytes, if there is room for it.
    pub fn keep(&mut self, question: String, answer: A, bytes: usize) {
        let bytes = bytes + question.capacity() + ENTRY_BYTES;
        if self.answers.contains_key(&question) || bytes <= self.room() {
            self.bytes += bytes;
            self.last = Some(question.clone());
            self.answers.insert(question, answer);
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
