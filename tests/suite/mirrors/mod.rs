//! Mirrors: what a refresh brings, what it costs, and what becomes of it when something breaks.

mod broken;
mod changes;
mod clock;
mod columns;
mod companies;
pub(crate) mod company;
mod deletes;
mod distributed;
mod events;
mod keys;
mod ledger;
mod ledger_rounds;
mod many;
mod ownership;
mod plan;
mod registry;
mod replica;
mod rounds;
mod source;
mod traps;
