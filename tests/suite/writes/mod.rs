//! Writes under random faults: nothing is doubled, and nothing is lost without a word.

pub mod common;
mod controls;
mod faults;
mod home;
mod interrupts;
mod log;
mod readback;
mod storm;
