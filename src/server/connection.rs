//! One connection, from its first byte to its last.

use std::{
    convert::Infallible,
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use hyper::{
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use poem::{
    Endpoint, Request,
    http::uri::Scheme,
    web::{LocalAddr, RemoteAddr},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    sync::watch,
    time::{sleep, timeout},
};
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::server::TlsStream;
use tracing::debug;

use super::{
    ConnectionLimits, Tls,
    answer::ToItsEnd,
    listener::Ends,
    rest::{Activity, Noted},
    stream::Stream,
};
use crate::{
    auth::ClientInfo,
    http::{App, InvalidHost},
};

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
        // Each apart: a connection without TLS has no room for it, nor one that rests for its handshake.
        if let Some(stream) = Box::pin(self.shake_hands(tls, stream, &mut stopped)).await {
            Box::pin(self.exchange(stream, presence, Scheme::HTTPS, stopped)).await;
        }
    }

    async fn shake_hands(
        &self,
        tls: &Tls,
        stream: Stream,
        stopped: &mut watch::Receiver<bool>,
    ) -> Option<Box<TlsStream<Stream>>> {
        let mut handshake = pin!(timeout(self.limits.header_time, tls.accept(stream)));
        let shaken = tokio::select! {
            shaken = &mut handshake => shaken,
            // Who has only just connected gets its first request answered.
            () = told(stopped) => timeout(FLUSH, handshake).await.ok()?,
        };
        match shaken {
            Ok(Ok(stream)) => return Some(Box::new(stream)),
            // Scanners, and health checks that only connect: no event for the usual log.
            Ok(Err(error)) => debug!(%error, "a TLS handshake failed"),
            Err(_) => debug!("a TLS handshake took too long"),
        }
        None
    }

    /// Requests and their answers, with rests between them, until one of both ends it.
    async fn exchange(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        presence: Stream,
        scheme: Scheme,
        mut stopped: watch::Receiver<bool>,
    ) {
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(self.limits.write_time));
        let mut stream = Box::pin(stream);
        let mut early = Bytes::new();
        loop {
            let talk = self.talk(stream, early, &presence, &scheme, &mut stopped);
            // Apart: hyper has its room as long as somebody talks.
            let rests;
            (stream, early, rests) = Box::pin(talk).await;
            if !rests || early.is_empty() && !self.wakes(&presence, &mut stopped).await {
                break;
            }
        }
        if stream.shutdown().await.is_ok() {
            let _ = timeout(LINGER, tokio::io::copy(&mut stream, &mut tokio::io::sink())).await;
        }
    }

    /// Whether the client goes on after a rest, before its time is over and before the service stops.
    async fn wakes(&self, presence: &Stream, stopped: &mut watch::Receiver<bool>) -> bool {
        let left = self.limits.header_time.saturating_sub(self.limits.rest);
        tokio::select! {
            biased;
            // A request that was there before the stop is answered.
            () = told(stopped) => presence.has_sent(),
            readable = timeout(left, presence.readable()) => readable.is_ok(),
        }
    }

    /// Requests and their answers until the connection rests, or ends: which of both is told, after what was read too early.
    async fn talk<S: AsyncRead + AsyncWrite + Send + Unpin>(
        &self,
        stream: S,
        early: Bytes,
        presence: &Stream,
        scheme: &Scheme,
        stopped: &mut watch::Receiver<bool>,
    ) -> (S, Bytes, bool) {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            // Who has finished sending may still read: hyper would hang up on it.
            .half_close(true)
            .header_read_timeout(self.limits.header_time)
            .max_header_size(self.limits.header_size);
        let watched = Arc::new(presence.clone());
        let activity = Activity::default();
        let service = service_fn(|request: hyper::Request<Incoming>| {
            let app = Arc::clone(&self.app);
            let local = LocalAddr(self.ends.local());
            let remote = RemoteAddr(self.ends.peer());
            let mut request = Request::from((request, local, remote, scheme.clone()));
            request.set_data(ClientInfo::waiting(self.ends.address(), watched.clone()));
            if let Err(invalid) = InvalidHost::check(request.version(), request.headers()) {
                request.set_data(invalid);
            }
            activity.begin();
            let answer = ToItsEnd::new(async move { app.get_response(request).await });
            let activity = &activity;
            Box::pin(async move {
                let answer = answer.await;
                activity.end();
                Ok::<_, Infallible>(hyper::Response::from(answer))
            })
        });
        let stream = Noted {
            stream,
            early,
            activity: &activity,
        };
        let mut connection = http.serve_connection(TokioIo::new(stream), service);
        let (mut rests, mut asked) = (false, 0);
        let stops = loop {
            tokio::select! {
                _ = poll_fn(|cx| connection.poll_without_shutdown(cx)) => break false,
                () = told(stopped) => break true,
                () = sleep(self.limits.rest), if !rests => {
                    rests = activity.asked() == asked && activity.is_resting();
                    asked = activity.asked();
                    if rests {
                        // It ends without a word, and at once: nobody has been told of an end.
                        Pin::new(&mut connection).graceful_shutdown();
                    }
                }
            }
        };
        // Who has only just connected has sent its first request, or is about to. One that has sent another is answered, too.
        let begun = poll_fn(|cx| match connection.poll_without_shutdown(cx) {
            Poll::Ready(_) => Poll::Ready(false),
            Poll::Pending if activity.in_flight() => Poll::Ready(true),
            Poll::Pending if activity.has_begun() && !presence.has_sent() => Poll::Ready(true),
            Poll::Pending => Poll::Pending,
        });
        if stops && timeout(FLUSH, begun).await.unwrap_or(true) {
            Pin::new(&mut connection).graceful_shutdown();
            let mut ended = poll_fn(|cx| connection.poll_without_shutdown(cx));
            // A request of which the head is not whole is not in flight.
            while timeout(FLUSH, &mut ended).await.is_err() && activity.in_flight() {}
        }
        let parts = connection.into_parts();
        // Copied: as it is, it holds all that there was to read into.
        let early = Bytes::copy_from_slice(&parts.read_buf);
        (parts.io.into_inner().stream, early, rests)
    }
}

/// Done when the service stops.
async fn told(stopped: &mut watch::Receiver<bool>) {
    // Whoever would tell is gone: that is the end, too.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

#[cfg(test)]
mod tests {
    use poem::{EndpointExt, endpoint::make_sync};
    use tokio::{io::AsyncReadExt, net::UnixStream, task::yield_now};

    use super::*;

    const REQUEST: &str = "GET / HTTP/1.1\r\n\r\n";
    const BRIEF: Duration = Duration::from_millis(50);

    /// A connection with both its ends, and what was read of it too early.
    struct Exchange {
        connection: Connection,
        client: UnixStream,
        stream: Stream,
        early: Bytes,
    }

    impl Exchange {
        fn of(answer: &'static str) -> Self {
            let long = Duration::from_mins(1);
            let limits = ConnectionLimits {
                connections: 1,
                header_size: 8192,
                header_time: BRIEF,
                rest: Duration::from_millis(1),
                write_time: long,
                stop_time: long,
            };
            let connection = Connection {
                app: Arc::new(make_sync(move |_| answer).map_to_response().boxed()),
                tls: None,
                ends: Ends::default(),
                limits,
            };
            let (client, stream) = UnixStream::pair().unwrap();
            Self {
                connection,
                client,
                stream: Stream::Unix(Arc::new(stream)),
                early: Bytes::new(),
            }
        }

        /// Whether it rests after this was sent. It ends with the time for the next head, if it does not.
        async fn rests_after(&mut self, sent: &str) -> bool {
            ask(&mut self.client, sent).await;
            let (_never, mut stopped) = watch::channel(false);
            let stream = self.stream.clone();
            let early = std::mem::take(&mut self.early);
            let talk =
                self.connection
                    .talk(stream, early, &self.stream, &Scheme::HTTP, &mut stopped);
            let (_, early, rests) = talk.await;
            self.early = early;
            rests
        }

        /// Whether it goes on after a rest.
        async fn wakes(&self, stops: bool) -> bool {
            let (_stop, mut stopped) = watch::channel(stops);
            self.connection.wakes(&self.stream, &mut stopped).await
        }
    }

    async fn ask(client: &mut UnixStream, request: &str) {
        client.write_all(request.as_bytes()).await.unwrap();
    }

    /// Reads as many answers.
    async fn take(client: &mut UnixStream, answers: usize) {
        let mut taken = Vec::new();
        while !taken.ends_with(b"answer")
            || taken.windows(8).filter(|it| it == b"HTTP/1.1").count() < answers
        {
            assert!(client.read_buf(&mut taken).await.unwrap() > 0);
        }
    }

    #[tokio::test]
    async fn a_connection_rests_when_all_is_answered() {
        let mut exchange = Exchange::of("answer");
        assert!(exchange.rests_after(REQUEST).await);
        take(&mut exchange.client, 1).await;
        assert!(exchange.rests_after(&REQUEST.repeat(2)).await);
        take(&mut exchange.client, 2).await;
        assert_eq!(exchange.early, "");
    }

    #[tokio::test]
    async fn what_came_too_early_is_answered_after_the_rest() {
        let mut exchange = Exchange::of("answer");
        let (first, second) = REQUEST.split_at(10);
        assert!(exchange.rests_after(&format!("{REQUEST}{first}")).await);
        assert_eq!(exchange.early, first);
        assert!(exchange.rests_after(second).await);
        take(&mut exchange.client, 2).await;
    }

    #[tokio::test]
    async fn nobody_rests_before_the_first_request_or_in_the_midst_of_one() {
        assert!(!Exchange::of("answer").rests_after("").await);
        let half = &REQUEST[..10];
        assert!(!Exchange::of("answer").rests_after(half).await);

        let mut exchange = Exchange::of("answer");
        assert!(exchange.rests_after(&format!("{REQUEST}{half}")).await);
        assert!(
            !exchange.rests_after("").await,
            "half a head is waited for once"
        );
    }

    #[tokio::test]
    async fn nobody_rests_who_has_not_taken_the_answer() {
        let mut exchange = Exchange::of("x".repeat(1 << 20).leak());
        // To take a piece of it has a time of its own.
        let rests = timeout(2 * BRIEF, exchange.rests_after(REQUEST)).await;
        assert!(rests.is_err(), "{rests:?}");
    }

    #[tokio::test]
    async fn a_rest_ends_with_what_the_client_sends_or_with_its_time() {
        let mut exchange = Exchange::of("answer");
        assert!(!exchange.wakes(false).await);
        ask(&mut exchange.client, REQUEST).await;
        assert!(exchange.wakes(false).await);
    }

    #[tokio::test]
    async fn a_stop_ends_a_rest_unless_a_request_has_arrived() {
        let mut exchange = Exchange::of("answer");
        assert!(!exchange.wakes(true).await);
        ask(&mut exchange.client, REQUEST).await;
        assert!(exchange.wakes(true).await);

        let Exchange { client, stream, .. } = &mut exchange;
        ask(client, REQUEST).await;
        client.shutdown().await.unwrap();
        tokio::io::copy(stream, &mut tokio::io::sink())
            .await
            .unwrap();
        assert!(!exchange.wakes(true).await, "there is only the end");
    }

    /// Whether the connection rests at that moment, or still waits as it has from its beginning.
    #[tokio::test]
    async fn no_request_that_came_before_the_stop_is_without_its_answer() {
        for rests in [true, false].repeat(50) {
            let Exchange {
                connection,
                mut client,
                stream,
                ..
            } = Exchange::of("answer");
            let (stop, stopped) = watch::channel(false);
            let presence = stream.clone();
            let held = match &presence {
                Stream::Unix(held) => Arc::downgrade(held),
                Stream::Tcp(_) => unreachable!(),
            };
            let served = tokio::spawn(async move {
                connection
                    .exchange(stream, presence, Scheme::HTTP, stopped)
                    .await;
            });
            for _ in 0..2 {
                ask(&mut client, REQUEST).await;
                take(&mut client, 1).await;
                // A request that may be under way watches it, too.
                while rests && held.strong_count() > 2 {
                    yield_now().await;
                }
            }
            ask(&mut client, REQUEST).await;
            stop.send_replace(true);
            take(&mut client, 1).await;
            drop(client);
            served.await.unwrap();
        }
    }

    /// Ten thousand are served at once, and most of them rest. hyper, and the handshake, have boxes of their own.
    #[tokio::test]
    async fn a_connection_has_no_room_for_what_it_does_now_and_then() {
        let Exchange { connection, .. } = Exchange::of("answer");
        let stream = Stream::Unix(Arc::new(UnixStream::pair().unwrap().0));
        let (_never, stopped) = watch::channel(false);
        assert!(size_of_val(&connection.serve(stream, stopped)) < 1536);
    }
}
