//! Writes under random faults: nothing is doubled, and nothing is lost without a word.

mod faults;
