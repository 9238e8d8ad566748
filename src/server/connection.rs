//! One connection, from its first byte to its last.

use std::{
    convert::Infallible,
    future::poll_fn,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures_util::future::BoxFuture;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use poem::{
    Endpoint, Request, Response,
    http::uri::Scheme,
    web::{LocalAddr, RemoteAddr},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    runtime::Handle,
    sync::watch,
    time::timeout,
};
use tokio_io_timeout::TimeoutStream;
use tracing::debug;

use super::{ConnectionLimits, Tls, listener::Ends, stream::Stream};
use crate::{app::App, auth::Caller};

/// For an answer that is on its way when the service stops.
const FLUSH: Duration = Duration::from_secs(1);
/// For a client that is still sending when it has its answer: closing at once would destroy the answer.
const LINGER: Duration = Duration::from_secs(2);
/// The longest that a connection without a request in flight outlives the service: one that has only just shaken hands, and
/// sent half a head.
pub(super) const LAST_WORDS: Duration = FLUSH.saturating_mul(3).saturating_add(LINGER);

pub(super) struct Connection {
    pub(super) app: Arc<App>,
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) ends: Ends,
    pub(super) limits: ConnectionLimits,
}

impl Connection {
    /// Serves it to its end. How it ends is the client's affair; its requests are logged.
    pub(super) async fn serve(self, stream: Stream, mut stopped: watch::Receiver<bool>) {
        let presence = stream.clone();
        let Some(tls) = &self.tls else {
            return self.exchange(stream, presence, Scheme::HTTP, stopped).await;
        };
        let mut handshake = pin!(timeout(self.limits.header_time, tls.accept(stream)));
        let shaken = tokio::select! {
            shaken = &mut handshake => shaken,
            // Who has only just connected gets its first request answered.
            () = told(&mut stopped) => match timeout(FLUSH, handshake).await {
                Ok(shaken) => shaken,
                Err(_) => return,
            },
        };
        match shaken {
            Ok(Ok(stream)) => {
                let exchange = self.exchange(stream, presence, Scheme::HTTPS, stopped);
                // Apart: a connection without TLS need not have room for it.
                Box::pin(exchange).await;
            }
            // Scanners, and health checks that only connect: no event for the usual log.
            Ok(Err(error)) => debug!(%error, "a TLS handshake failed"),
            Err(_) => debug!("a TLS handshake took too long"),
        }
    }

    async fn exchange(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        presence: Stream,
        scheme: Scheme,
        mut stopped: watch::Receiver<bool>,
    ) {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            // Who has finished sending may still read: hyper would hang up on it.
            .half_close(true)
            .header_read_timeout(self.limits.header_time)
            .max_header_size(self.limits.header_size);
        let presence = Arc::new(presence);
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(self.limits.write_time));
        let (begun, in_flight) = (AtomicBool::new(false), AtomicUsize::new(0));
        let service = service_fn(|request: hyper::Request<Incoming>| {
            let app = Arc::clone(&self.app);
            let local = LocalAddr(self.ends.local());
            let remote = RemoteAddr(self.ends.peer());
            let mut request = Request::from((request, local, remote, scheme.clone()));
            request.set_data(Caller::waiting(self.ends.address(), presence.clone()));
            begun.store(true, Ordering::SeqCst);
            in_flight.fetch_add(1, Ordering::SeqCst);
            let answer = ToItsEnd::new(async move { app.get_response(request).await });
            let in_flight = &in_flight;
            Box::pin(async move {
                let answer = answer.await;
                in_flight.fetch_sub(1, Ordering::SeqCst);
                Ok::<_, Infallible>(hyper::Response::from(answer))
            })
        });
        let mut connection = http.serve_connection(TokioIo::new(Box::pin(stream)), service);
        let stops = tokio::select! {
            _ = poll_fn(|cx| connection.poll_without_shutdown(cx)) => false,
            () = told(&mut stopped) => true,
        };
        // Who has only just connected has sent its first request, or is about to.
        let begun = poll_fn(|cx| match connection.poll_without_shutdown(cx) {
            Poll::Pending if begun.load(Ordering::SeqCst) => Poll::Ready(true),
            Poll::Pending => Poll::Pending,
            Poll::Ready(_) => Poll::Ready(false),
        });
        if stops && timeout(FLUSH, begun).await.unwrap_or(true) {
            Pin::new(&mut connection).graceful_shutdown();
            let mut ended = poll_fn(|cx| connection.poll_without_shutdown(cx));
            // A request of which the head is not whole is not in flight.
            while timeout(FLUSH, &mut ended).await.is_err() && in_flight.load(Ordering::SeqCst) > 0
            {
            }
        }
        let mut stream = connection.into_parts().io.into_inner();
        if stream.shutdown().await.is_ok() {
            let _ = timeout(LINGER, tokio::io::copy(&mut stream, &mut tokio::io::sink())).await;
        }
    }
}

/// The work on an answer. It goes on when its client does not wait for it: a query that is cut in half costs its
/// database connection, and a request without an end has no log line.
///
/// To begin each in a task of its own would see to that, too, and cost a refresh half a microsecond or more.
struct ToItsEnd(Option<BoxFuture<'static, Response>>);

impl ToItsEnd {
    fn new(work: impl Future<Output = Response> + Send + 'static) -> Self {
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

/// Done when the service stops.
async fn told(stopped: &mut watch::Receiver<bool>) {
    // Whoever would tell is gone: that is the end, too.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}
