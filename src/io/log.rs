//! Log lines of the I/O thread: they cross as data and are reported by the backend when it next wakes.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{LazyLock, Mutex, PoisonError};

/// Lines kept between two wakes of the backend; more are counted and dropped.
const CAPACITY: usize = 1000;

struct LogLines {
    sender: SyncSender<String>,
    receiver: Mutex<Receiver<String>>,
    dropped: AtomicU64,
}

static LINES: LazyLock<LogLines> = LazyLock::new(|| {
    let (sender, receiver) = sync_channel(CAPACITY);
    LogLines {
        sender,
        receiver: Mutex::new(receiver),
        dropped: AtomicU64::new(0),
    }
});

/// Whether log lines are wanted.
static WANTED: AtomicBool = AtomicBool::new(false);

/// Finds out whether lines are wanted: `log_min_messages` or `client_min_messages` asks for them. Main thread only.
pub(super) fn listen() {
    // SAFETY: main thread; only looks at settings.
    let wanted = unsafe { pgrx::pg_sys::message_level_is_interesting(pgrx::pg_sys::DEBUG1 as i32) };
    WANTED.store(wanted, Ordering::Relaxed);
}

/// Hands a line to the backend's log (level `debug1`). Callable from any thread; never blocks.
pub fn log_line(line: impl FnOnce() -> String) {
    if !WANTED.load(Ordering::Relaxed) {
        return;
    }
    if LINES.sender.try_send(line()).is_err() {
        LINES.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

/// Reports the lines that have arrived. Main thread only; may raise.
pub fn report() {
    loop {
        // The lock ends with this statement: reporting may raise, and must not unwind through a held lock.
        let line = LINES
            .receiver
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .try_recv();
        match line {
            Ok(line) => pgrx::debug1!("sage_intacct_fdw: {line}"),
            Err(_) => break,
        }
    }
    match LINES.dropped.swap(0, Ordering::Relaxed) {
        0 => {}
        dropped => pgrx::debug1!("sage_intacct_fdw: {dropped} log lines were dropped"),
    }
}
