//! Response bodies, including those that misbehave.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::{Response, StatusCode, header};
use tokio::sync::mpsc;

/// Any response body; an error aborts the connection.
pub type Body = UnsyncBoxBody<Bytes, io::Error>;

/// A body that is sent at once.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|e: Infallible| match e {})
        .boxed_unsync()
}

/// A response with a body.
pub fn reply(status: u16, content_type: &str, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(full(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Ok(value) = content_type.parse() {
        response.headers_mut().insert(header::CONTENT_TYPE, value);
    }
    response
}

/// A body that stops after `keep` bytes of what its length promises.
pub fn truncated(bytes: &[u8], keep: usize) -> Body {
    let (send, body) = channel();
    let part = Bytes::copy_from_slice(&bytes[..keep.min(bytes.len())]);
    tokio::spawn(async move {
        let _ = send.send(Ok(Frame::data(part))).await;
        // Let the part leave before the connection breaks.
        tokio::time::sleep(Duration::from_millis(20)).await;
        let _ = send.send(Err(io::ErrorKind::ConnectionReset.into())).await;
    });
    body
}

/// A body that trickles.
pub fn dripping(bytes: Bytes, per_second: u64) -> Body {
    let (send, body) = channel();
    tokio::spawn(async move {
        let step = (per_second / 20).max(1) as usize;
        let pause = Duration::from_secs_f64(step as f64 / per_second.max(1) as f64);
        for chunk in bytes.chunks(step) {
            if send
                .send(Ok(Frame::data(Bytes::copy_from_slice(chunk))))
                .await
                .is_err()
            {
                return;
            }
            tokio::time::sleep(pause).await;
        }
    });
    body
}

/// A body made of `start`, `filler` repeated, and `end`.
pub fn repeated(start: Bytes, filler: Bytes, times: usize, end: Bytes) -> Body {
    let (send, body) = channel();
    tokio::spawn(async move {
        let pieces = std::iter::once(start)
            .chain(std::iter::repeat_n(filler, times))
            .chain([end]);
        for piece in pieces {
            if send.send(Ok(Frame::data(piece))).await.is_err() {
                return;
            }
        }
    });
    body
}

type Sender = mpsc::Sender<Result<Frame<Bytes>, io::Error>>;

fn channel() -> (Sender, Body) {
    let (send, mut receive) = mpsc::channel(4);
    let stream = futures_stream(move |context| receive.poll_recv(context));
    (send, StreamBody::new(stream).boxed_unsync())
}

/// A stream from a polling function.
fn futures_stream<T, F>(poll: F) -> impl futures_core::Stream<Item = T> + Send
where
    T: Send,
    F: FnMut(&mut std::task::Context<'_>) -> std::task::Poll<Option<T>> + Send + Unpin,
{
    struct Poll<F>(F);
    impl<T, F> futures_core::Stream for Poll<F>
    where
        F: FnMut(&mut std::task::Context<'_>) -> std::task::Poll<Option<T>> + Unpin,
    {
        type Item = T;
        fn poll_next(
            mut self: std::pin::Pin<&mut Self>,
            context: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<T>> {
            (self.0)(context)
        }
    }
    Poll(poll)
}
