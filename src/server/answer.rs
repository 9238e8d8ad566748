//! The work on an answer. It goes on when its client does not wait for it: a query that is cut in half costs its
//! database connection, and a request without an end has no log line.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::future::BoxFuture;
use poem::Response;
use tokio::runtime::Handle;

/// To begin each in a task of its own would see to that, too, and cost a refresh half a microsecond or more.
pub(super) struct ToItsEnd(Option<BoxFuture<'static, Response>>);

impl ToItsEnd {
    pub(super) fn new(work: impl Future<Output = Response> + Send + 'static) -> Self {
        Self(Some(Box::pin(work)))
    }
}

impl Future for ToItsEnd {
    type Output = Response;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response> {
        // Taken, and put back: what panics is not gone on with.
        let mut work = self.0.take().expect("nobody asks for an answer again");
        let answer = work.as_mut().poll(cx);
        if answer.is_pending() {
            self.0 = Some(work);
        }
        answer
    }
}

impl Drop for ToItsEnd {
    fn drop(&mut self) {
        // Without a runtime, the process is at its end.
        if let (Some(work), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(work);
        }
    }
}
