//! Writing: INSERT, UPDATE, DELETE, COPY and rows routed to partitions.
//!
//! Rows are turned into [`row::Row`]s, buffered, and handed over in batches (`state.rs`, `send.rs`). With `write_mode
//! 'on_commit'` they wait in a queue for the commit instead (`queue.rs`). What the gateway has stored cannot be taken
//! back, so every error says what is stored (`outcome.rs`), and so does a rollback (`ledger.rs`). A cancel means something
//! else before and after a request has left (`interrupt.rs`).

mod constants;
mod dry_run;
mod exec;
mod explain;
mod interrupt;
mod ledger;
mod limit;
mod outcome;
mod plan;
mod private;
mod queue;
mod returning;
mod row;
mod send;
mod state;
mod target;
mod transaction;
mod watch;

pub use exec::{
    begin_foreign_insert, begin_foreign_modify, end_foreign_modify, exec_foreign_batch_insert,
    exec_foreign_delete, exec_foreign_insert, exec_foreign_truncate, exec_foreign_update,
    get_foreign_modify_batch_size,
};
pub use explain::explain_foreign_modify;
pub use plan::{
    add_foreign_update_targets, brings_updated_rows, is_foreign_rel_updatable, needs_whole_row,
    plan_foreign_modify,
};
pub use target::Target;
