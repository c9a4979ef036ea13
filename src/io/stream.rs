//! A job on the I/O thread and the bounded queue of what it sends back.

use super::notifier::{Bell, Notifier};
use super::wait::{exhausted, wait, wait_or};
use super::{log, thread};
use std::future::Future;
use std::os::fd::RawFd;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{mpsc, watch};

/// What crosses from the I/O thread. A sender that vanishes without `End` or `Failed` is an error, never end of data.
enum Message<T> {
    Item(T),
    End,
    Failed(intacct::Error),
}

/// The I/O thread's end of a [`Stream`].
pub struct Emitter<T> {
    queue: mpsc::Sender<Message<T>>,
    bell: Bell,
    /// How many items the backend has asked for.
    asked: watch::Receiver<u64>,
}

impl<T> Emitter<T> {
    /// Sends one item, waiting while the queue is full. `false`: the backend no longer listens, stop working.
    pub async fn send(&self, item: T) -> bool {
        self.push(Message::Item(item)).await
    }

    /// Waits until the backend has asked for more than `sent` items: for jobs that must not work ahead, because each
    /// item costs a call that may never be needed. `false`: the backend no longer listens.
    pub async fn asked_beyond(&self, sent: u64) -> bool {
        let mut asked = self.asked.clone();
        asked.wait_for(|asked| *asked > sent).await.is_ok()
    }

    async fn push(&self, message: Message<T>) -> bool {
        let sent = self.queue.send(message).await.is_ok();
        self.bell.ring();
        sent
    }
}

impl<T> Drop for Emitter<T> {
    fn drop(&mut self) {
        // A job that dies must wake the backend too, so that it sees the closed queue.
        self.bell.ring();
    }
}

/// The backend's end: items in the order in which they were sent. Dropping it cancels the job.
pub struct Stream<T> {
    id: u64,
    // Declared before the notifier: the queue closes first.
    queue: mpsc::Receiver<Message<T>>,
    notifier: Notifier,
    asked: watch::Sender<u64>,
    /// The next item has been asked for.
    waiting: bool,
    finished: bool,
}

/// What a stream has at the moment.
#[derive(Debug)]
pub enum Ready<T> {
    /// The next item.
    Item(T),
    /// Nothing, and nothing will come.
    End,
    /// Nothing yet: the descriptor will become readable.
    NotYet,
}

/// Starts a job on the I/O thread; at most `capacity` items wait in the queue.
///
/// # Errors
/// [`intacct::ErrorKind::Resources`] when no thread or descriptor can be had.
pub fn stream<T, F>(
    capacity: usize,
    make: impl FnOnce(Emitter<T>) -> F + Send + 'static,
) -> Result<Stream<T>, intacct::Error>
where
    T: Send + 'static,
    F: Future<Output = Result<(), intacct::Error>> + 'static,
{
    log::listen();
    let notifier = Notifier::new().map_err(|error| exhausted(&error))?;
    let bell = notifier.bell();
    let (sender, queue) = mpsc::channel(capacity);
    let (asked, asked_receiver) = watch::channel(0);
    let emitter = Emitter {
        queue: sender.clone(),
        bell: bell.clone(),
        asked: asked_receiver.clone(),
    };
    let last = Emitter {
        queue: sender,
        bell,
        asked: asked_receiver,
    };
    let calls = crate::statement_calls::bound();
    let id = thread::start(Box::new(move || {
        Box::pin(async move {
            let outcome = calls.run(async move { make(emitter).await }).await;
            last.push(match outcome {
                Ok(()) => Message::End,
                Err(error) => Message::Failed(error),
            })
            .await;
        })
    }))
    .map_err(|error| exhausted(&error))?;
    Ok(Stream {
        id,
        queue,
        notifier,
        asked,
        waiting: false,
        finished: false,
    })
}

impl<T> Stream<T> {
    /// The next item, `None` at the end. Waits interruptibly.
    ///
    /// # Errors
    /// What the job failed with; after an error the stream is at its end.
    pub fn next(&mut self) -> Result<Option<T>, intacct::Error> {
        if self.finished {
            return Ok(None);
        }
        self.ask();
        let queue = &mut self.queue;
        let message = wait(&self.notifier, || poll(queue));
        match self.take(message)? {
            Ready::Item(item) => Ok(Some(item)),
            Ready::End | Ready::NotYet => Ok(None),
        }
    }

    /// The next item, or what `interrupts` ends the wait with: see [`wait_or`].
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub fn next_or<S>(
        &mut self,
        mut interrupts: impl FnMut() -> Option<S>,
    ) -> Result<Result<Option<T>, S>, intacct::Error> {
        if self.finished {
            return Ok(Ok(None));
        }
        self.ask();
        let queue = &mut self.queue;
        let ended = wait_or(&self.notifier, || poll(queue).map(Ok), || interrupts().map(Err));
        let message = match ended {
            Ok(message) => message,
            Err(stopped) => return Ok(Err(stopped)),
        };
        Ok(Ok(match self.take(message)? {
            Ready::Item(item) => Some(item),
            Ready::End | Ready::NotYet => None,
        }))
    }

    /// The next item if it is there, and asks for it if not: [`descriptor`](Self::descriptor) becomes readable when
    /// there is something to see. Does not wait, unless no descriptor is left for that.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub fn try_next(&mut self) -> Result<Ready<T>, intacct::Error> {
        if self.finished {
            return Ok(Ready::End);
        }
        if !self.notifier.has_own() {
            return Ok(self.next()?.map_or(Ready::End, Ready::Item));
        }
        self.ask();
        // Drained before the queue is checked: a ring after this line makes the descriptor readable again.
        self.notifier.drain();
        log::report();
        match poll(&mut self.queue) {
            Some(message) => self.take(message),
            None => Ok(Ready::NotYet),
        }
    }

    /// The descriptor to wait on, for a caller that waits elsewhere than [`next`](Self::next), after
    /// [`try_next`](Self::try_next) has found nothing.
    pub fn descriptor(&self) -> RawFd {
        self.notifier.raw()
    }

    /// Asks for the next item, once.
    pub fn ask(&mut self) {
        if !std::mem::replace(&mut self.waiting, true) {
            self.asked.send_modify(|asked| *asked += 1);
        }
    }

    fn take(&mut self, message: Message<T>) -> Result<Ready<T>, intacct::Error> {
        match message {
            Message::Item(item) => {
                self.waiting = false;
                Ok(Ready::Item(item))
            }
            Message::End => {
                self.finished = true;
                Ok(Ready::End)
            }
            Message::Failed(error) => {
                self.finished = true;
                Err(error)
            }
        }
    }
}

fn poll<T>(queue: &mut mpsc::Receiver<Message<T>>) -> Option<Message<T>> {
    match queue.try_recv() {
        Ok(message) => Some(message),
        Err(TryRecvError::Empty) => None,
        Err(TryRecvError::Disconnected) => Some(Message::Failed(vanished("its job died"))),
    }
}

impl<T> Drop for Stream<T> {
    fn drop(&mut self) {
        if !self.finished {
            thread::cancel(self.id);
        }
    }
}

pub(super) fn vanished(how: &str) -> intacct::Error {
    internal(&format!("the I/O thread returned no result: {how}"))
}

fn internal(message: &str) -> intacct::Error {
    intacct::Error::new(intacct::ErrorKind::Internal, message)
}
