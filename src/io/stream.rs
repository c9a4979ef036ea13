//! A job on the I/O thread and the bounded queue of what it sends back.

use super::notifier::{Bell, Notifier};
use super::{thread, wait::wait};
use std::future::Future;
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
    finished: bool,
}

/// Starts a job on the I/O thread; at most `capacity` items wait in the queue.
///
/// # Errors
/// [`intacct::ErrorKind::Internal`] when no thread or descriptor can be had.
pub fn stream<T, F>(
    capacity: usize,
    make: impl FnOnce(Emitter<T>) -> F + Send + 'static,
) -> Result<Stream<T>, intacct::Error>
where
    T: Send + 'static,
    F: Future<Output = Result<(), intacct::Error>> + 'static,
{
    let notifier =
        Notifier::new().map_err(|error| internal(&format!("no descriptor to wait on: {error}")))?;
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
    let id = thread::start(Box::new(move || {
        Box::pin(async move {
            let outcome = make(emitter).await;
            last.push(match outcome {
                Ok(()) => Message::End,
                Err(error) => Message::Failed(error),
            })
            .await;
        })
    }))
    .map_err(|error| internal(&format!("the I/O thread cannot be started: {error}")))?;
    Ok(Stream {
        id,
        queue,
        notifier,
        asked,
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
        self.asked.send_modify(|asked| *asked += 1);
        let queue = &mut self.queue;
        let message = wait(&self.notifier, || match queue.try_recv() {
            Ok(message) => Some(message),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Message::Failed(vanished("its job died"))),
        });
        match message {
            Message::Item(item) => Ok(Some(item)),
            Message::End => {
                self.finished = true;
                Ok(None)
            }
            Message::Failed(error) => {
                self.finished = true;
                Err(error)
            }
        }
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
    internal(&format!("the I/O thread gave no answer: {how}"))
}

fn internal(message: &str) -> intacct::Error {
    intacct::Error::new(intacct::ErrorKind::Internal, message)
}
