//! Writing: INSERT, UPDATE, DELETE, COPY and rows routed to partitions.
//!
//! Rows are turned into [`row::WriteRow`]s, buffered, and sent in batches (`state.rs`, `send.rs`). With `write_mode
//! 'on_commit'` they wait in a queue for the commit instead (`commit_queue.rs`). What the gateway has stored cannot be taken
//! back, so every error reports what is stored (`outcome.rs`), and so does a rollback (`xact_log.rs`). A cancel means something
//! else before and after a request has left (`interrupt.rs`).

mod callbacks;
mod commit_queue;
mod constants;
mod dry_run;
mod explain;
mod interrupt;
mod limit;
mod outcome;
mod plan;
mod read_back;
mod returning;
mod row;
mod send;
mod slot;
mod state;
mod target;
mod transaction;
mod watch;
mod xact_log;

pub use callbacks::{
    begin_foreign_insert, begin_foreign_modify, end_foreign_modify, exec_foreign_batch_insert,
    exec_foreign_delete, exec_foreign_insert, exec_foreign_truncate, exec_foreign_update,
    get_foreign_modify_batch_size,
};
pub use explain::explain_foreign_modify;
pub use plan::{add_foreign_update_targets, is_foreign_rel_updatable, plan_foreign_modify};
pub use target::TargetTable;
