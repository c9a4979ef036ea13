//! The I/O thread: started lazily at the first remote call, signals masked, one current-thread runtime.

use super::signals::Blocked;
use pgrx::pg_sys;
use std::cell::Cell;
use std::collections::HashMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{AbortHandle, JoinSet, LocalSet};

/// Makes the future of one job, on the I/O thread.
pub type Task = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()>>> + Send>;

enum Command {
    Start { id: u64, job: Task },
    Cancel { id: u64 },
    Stop,
}

/// Set to true when the thread's loop has ended.
type Ended = Arc<(Mutex<bool>, Condvar)>;

struct IoThread {
    pid: u32,
    commands: UnboundedSender<Command>,
    ended: Ended,
}

// Main-thread state only. The thread's own state is leaked on purpose: no destructor may run while a backend exits, nor
// touch the parent's thread after a fork.
thread_local! {
    static THREAD: Cell<Option<&'static IoThread>> = const { Cell::new(None) };
    static GENERATION: Cell<u64> = const { Cell::new(0) };
    static NEXT_ID: Cell<u64> = const { Cell::new(0) };
    static EXIT_HOOK_PID: Cell<u32> = const { Cell::new(0) };
}

/// How long a backend that exits waits for the thread.
const EXIT_PATIENCE: Duration = Duration::from_millis(100);

/// Counts the threads that this backend has had: what belongs to a runtime (connections) dies with its thread.
pub fn generation() -> u64 {
    // A failure to start shows at the next `start`, with its reason.
    let _ = running();
    GENERATION.get()
}

/// Starts a job and returns its id for [`cancel`].
pub fn start(job: Task) -> std::io::Result<u64> {
    let id = NEXT_ID.get() + 1;
    NEXT_ID.set(id);
    running()?
        .commands
        .send(Command::Start { id, job })
        .map_err(|_| std::io::Error::other("the I/O thread has just ended"))?;
    Ok(id)
}

/// Drops the job's future, wherever it is. Never blocks, never calls PostgreSQL.
pub fn cancel(id: u64) {
    if let Some(io) = THREAD.get() {
        let _ = io.commands.send(Command::Cancel { id });
    }
}

/// The live thread of this process, restarted after a fork or a panic.
fn running() -> std::io::Result<&'static IoThread> {
    let pid = std::process::id();
    if let Some(io) = THREAD
        .get()
        .filter(|io| io.pid == pid && !io.commands.is_closed())
    {
        return Ok(io);
    }
    let io: &'static IoThread = Box::leak(Box::new(spawn(pid)?));
    THREAD.set(Some(io));
    GENERATION.set(GENERATION.get() + 1);
    register_exit_hook(pid);
    Ok(io)
}

fn spawn(pid: u32) -> std::io::Result<IoThread> {
    let (commands, inbox) = unbounded_channel();
    let ended = Ended::default();
    let flag = ended.clone();
    let masked = Blocked::all()?;
    // Made here, so that a failure (descriptors, most likely) is reported.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(4)
        .thread_name("sage_intacct_dns")
        .build()?;
    std::thread::Builder::new()
        .name("sage_intacct_io".into())
        .spawn(move || {
            // A panic closes the inbox: every stream then reports it, and the next call starts a new thread.
            let _ = std::panic::catch_unwind(AssertUnwindSafe(|| serve(runtime, inbox)));
            *flag.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
            flag.1.notify_all();
        })?;
    drop(masked);
    Ok(IoThread { pid, commands, ended })
}

/// The thread's body. Helper threads of the runtime (DNS) are started from here and inherit the blocked signals.
fn serve(runtime: Runtime, mut inbox: UnboundedReceiver<Command>) {
    let local = LocalSet::new();
    local.block_on(&runtime, async move {
        let mut tasks = JoinSet::new();
        let mut ids: HashMap<u64, AbortHandle> = HashMap::new();
        loop {
            tokio::select! {
                command = inbox.recv() => match command {
                    Some(Command::Start { id, job }) => {
                        let task = tasks.spawn_local(async move { job().await; id });
                        ids.insert(id, task);
                    }
                    Some(Command::Cancel { id }) => {
                        if let Some(task) = ids.remove(&id) {
                            task.abort();
                        }
                    }
                    Some(Command::Stop) | None => break,
                },
                Some(done) = tasks.join_next() => match done {
                    Ok(id) => { ids.remove(&id); }
                    // Aborted, or panicked: its emitter is gone and the stream reports it.
                    Err(_) => ids.retain(|_, task| !task.is_finished()),
                },
            }
        }
    });
    runtime.shutdown_background();
}

/// FATAL does not unwind Rust: ask the thread to stop, wait a moment, go on in any case.
fn register_exit_hook(pid: u32) {
    if EXIT_HOOK_PID.get() == pid {
        return;
    }
    EXIT_HOOK_PID.set(pid);
    // SAFETY: main thread; the callback takes no argument and lives as long as the library.
    unsafe { pg_sys::before_shmem_exit(Some(stop_at_exit), pg_sys::Datum::from(0)) };
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn stop_at_exit(_code: i32, _argument: pg_sys::Datum) {
    if let Some(io) = THREAD.get()
        && io.commands.send(Command::Stop).is_ok()
    {
        let ended = io.ended.0.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = io
            .ended
            .1
            .wait_timeout_while(ended, EXIT_PATIENCE, |ended| !*ended);
    }
}
