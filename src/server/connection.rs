//! Serves one connection: TLS handshake, requests and close.

use std::{
    convert::Infallible,
    future::poll_fn,
    io,
    net::IpAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use futures_util::{FutureExt, future::BoxFuture};
use http_body_util::combinators::BoxBody;
use hyper::{
    body::{Bytes, Incoming},
    server::conn::http1::{self, Builder},
    service::Service,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use poem::{
    Endpoint, Request,
    http::uri::Scheme,
    web::{LocalAddr, RemoteAddr},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    time::timeout,
};
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::server::TlsStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::debug;

use super::{
    limits::{ConnectionLimits, LINGER_TIMEOUT, SHUTDOWN_GRACE},
    stream::Stream,
    tls::ReloadableTls,
};
use crate::{
    auth::ClientInfo,
    http::{App, InvalidHost},
};

/// A new connection.
pub(super) struct Connection {
    pub(super) app: Arc<App>,
    pub(super) tls: Option<Arc<ReloadableTls>>,
    /// The address of the client. Unix connections have no address.
    pub(super) peer: Option<IpAddr>,
    pub(super) limits: ConnectionLimits,
    pub(super) shutdown: CancellationToken,
}

/// hyper's connection over a stream with a write timeout, which hyper does not have.
type HttpConnection<'a, S> =
    http1::Connection<TokioIo<Pin<Box<TimeoutStream<S>>>>, &'a RequestHandler>;

impl Connection {
    /// Serves the connection until it is closed. Errors of the connection are not logged: clients cause them.
    pub(super) async fn serve(self, stream: Stream) {
        let client = stream.clone();
        let Some(tls) = &self.tls else {
            return self.serve_http(stream, client).await;
        };
        // The boxes save memory: connections without TLS have no space for TLS, and the handshake's space is freed after the handshake.
        if let Some(stream) = Box::pin(self.tls_handshake(tls, stream)).await {
            Box::pin(self.serve_http(stream, client)).await;
        }
    }

    async fn tls_handshake(
        &self,
        tls: &ReloadableTls,
        stream: Stream,
    ) -> Option<Box<TlsStream<Stream>>> {
        let handshake = timeout(self.limits.header_read_timeout, tls.accept(stream));
        let shutdown = async {
            self.shutdown.cancelled().await;
            tokio::time::sleep(SHUTDOWN_GRACE).await;
        };
        let result = tokio::select! {
            result = handshake => result,
            () = shutdown => return None,
        };
        match result {
            Ok(Ok(stream)) => return Some(Box::new(stream)),
            // Scanners and health checks that only connect cause such errors.
            Ok(Err(error)) => debug!(%error, "a TLS handshake failed"),
            Err(_) => debug!("a TLS handshake took too long"),
        }
        None
    }

    /// Serves requests until the client or the shutdown closes the connection.
    async fn serve_http(&self, stream: impl AsyncRead + AsyncWrite + Send + Unpin, client: Stream) {
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(self.limits.write_timeout));
        let handler = RequestHandler {
            app: Arc::clone(&self.app),
            peer: self.peer,
            client: Arc::new(client),
            has_served: AtomicBool::new(false),
            requests: TaskTracker::new(),
        };
        let mut http = Builder::new();
        http.timer(TokioTimer::new())
            // A client that has finished sending may still wait for the response.
            .half_close(true)
            .header_read_timeout(self.limits.header_read_timeout)
            .max_header_size(self.limits.max_header_bytes);
        let mut connection = http.serve_connection(TokioIo::new(Box::pin(stream)), &handler);
        tokio::select! {
            _ = poll_fn(|cx| connection.poll_without_shutdown(cx)) => {}
            () = self.shutdown.cancelled() => shut_down(&mut connection, &handler).await,
        }
        let mut stream = connection.into_parts().io.into_inner();
        if stream.shutdown().await.is_ok() {
            let mut sink = tokio::io::sink();
            let discard = tokio::io::copy(&mut stream, &mut sink);
            let _ = timeout(LINGER_TIMEOUT, discard).await;
        }
        // If the client has left, its requests may still be in flight.
        handler.requests.close();
        handler.requests.wait().await;
    }
}

/// Answers the request that the client has sent before the shutdown, if any. A client that has only just connected gets a moment to
/// send its first request.
async fn shut_down<S>(connection: &mut HttpConnection<'_, S>, handler: &RequestHandler)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let has_ended = poll_fn(|cx| {
        if connection.poll_without_shutdown(cx).is_ready() {
            return Poll::Ready(true);
        }
        let may_send = !handler.has_served.load(Ordering::Relaxed);
        if handler.requests.is_empty() && (may_send || handler.client.has_pending_input()) {
            return Poll::Pending;
        }
        Poll::Ready(false)
    });
    if timeout(SHUTDOWN_GRACE, has_ended).await == Ok(true) {
        return;
    }
    // hyper closes idle connections now, and other connections after their response.
    Pin::new(&mut *connection).graceful_shutdown();
    let mut ended = poll_fn(|cx| connection.poll_without_shutdown(cx));
    while timeout(SHUTDOWN_GRACE, &mut ended).await.is_err() && !handler.requests.is_empty() {}
}

/// Answers the requests of one connection.
struct RequestHandler {
    app: Arc<App>,
    peer: Option<IpAddr>,
    client: Arc<Stream>,
    /// Whether the client has sent a request.
    has_served: AtomicBool,
    /// Requests in flight.
    requests: TaskTracker,
}

impl Service<hyper::Request<Incoming>> for RequestHandler {
    type Response = hyper::Response<BoxBody<Bytes, io::Error>>;
    type Error = Infallible;
    type Future = RunToCompletion<Self::Response>;

    fn call(&self, request: hyper::Request<Incoming>) -> Self::Future {
        // Nothing reads the addresses and the scheme that poem has.
        let (local, remote) = (LocalAddr::default(), RemoteAddr::default());
        let mut request = Request::from((request, local, remote, Scheme::HTTP));
        let client = Arc::clone(&self.client);
        request.set_data(ClientInfo::watched(self.peer, client));
        if let Err(invalid) = InvalidHost::check(request.version(), request.headers()) {
            request.set_data(invalid);
        }
        self.has_served.store(true, Ordering::Relaxed);
        let app = Arc::clone(&self.app);
        let response = async move { app.get_response(request).await.into() };
        RunToCompletion(Some(self.requests.track_future(response).boxed()))
    }
}

/// A request that finishes in a task if the client disconnects: an interrupted query closes its database connection, and an
/// interrupted request has no log line. A task for each request would cost 5 % of a refresh.
struct RunToCompletion<T: Send + 'static>(Option<BoxFuture<'static, T>>);

impl<T: Send> Future for RunToCompletion<T> {
    type Output = Result<T, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(request) = &mut self.0 else {
            return Poll::Pending;
        };
        let response = ready!(request.poll_unpin(cx));
        self.0 = None;
        Poll::Ready(Ok(response))
    }
}

impl<T: Send> Drop for RunToCompletion<T> {
    fn drop(&mut self) {
        // A future that has panicked must not be polled again.
        if let Some(request) = self.0.take()
            && !std::thread::panicking()
        {
            tokio::spawn(request.map(drop));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use poem::{EndpointExt, endpoint::make};
    use tokio::{
        io::AsyncReadExt,
        net::UnixStream,
        sync::Notify,
        task::{JoinHandle, yield_now},
    };

    use super::*;

    const REQUEST: &str = "GET / HTTP/1.1\r\n\r\n";
    const LONG: Duration = Duration::from_mins(1);

    /// A client, and the task that serves its connection.
    struct TestClient {
        stream: UnixStream,
        shutdown: CancellationToken,
        connection: JoinHandle<()>,
    }

    impl TestClient {
        fn connect(app: App) -> Self {
            let (stream, server) = UnixStream::pair().unwrap();
            let shutdown = CancellationToken::new();
            let connection = Connection {
                app: Arc::new(app),
                tls: None,
                peer: None,
                limits: ConnectionLimits {
                    connections: 1,
                    max_header_bytes: 8192,
                    header_read_timeout: LONG,
                    write_timeout: LONG,
                    shutdown_timeout: LONG,
                },
                shutdown: shutdown.clone(),
            };
            let server = Stream::Unix(Arc::new(server));
            Self {
                stream,
                shutdown,
                connection: tokio::spawn(connection.serve(server)),
            }
        }

        async fn send(&mut self, bytes: &str) {
            self.stream.write_all(bytes.as_bytes()).await.unwrap();
        }

        /// Reads one response.
        async fn receive(&mut self) {
            let mut response = Vec::new();
            while !response.ends_with(b"answer") {
                assert!(self.stream.read_buf(&mut response).await.unwrap() > 0);
            }
        }

        /// Reads until the server closes the connection.
        async fn receive_all(&mut self) -> String {
            let mut rest = String::new();
            self.stream.read_to_string(&mut rest).await.unwrap();
            rest
        }
    }

    fn answer() -> App {
        make(async |_| "answer").map_to_response().boxed()
    }

    #[tokio::test]
    async fn request_before_the_shutdown_is_answered() {
        for _ in 0..100 {
            let mut client = TestClient::connect(answer());
            for _ in 0..2 {
                client.send(REQUEST).await;
                client.receive().await;
            }
            client.send(REQUEST).await;
            client.shutdown.cancel();
            client.receive().await;
            assert_eq!(client.receive_all().await, "");
            drop(client.stream);
            client.connection.await.unwrap();
        }
    }

    #[tokio::test]
    async fn first_request_is_answered_shortly_after_the_shutdown() {
        let mut client = TestClient::connect(answer());
        client.shutdown.cancel();
        yield_now().await;
        client.send(REQUEST).await;
        client.receive().await;
        assert_eq!(client.receive_all().await, "");
    }

    #[tokio::test]
    async fn shutdown_closes_idle_connection() {
        for sent in ["", "GET / HT"] {
            let mut client = TestClient::connect(answer());
            client.send(REQUEST).await;
            client.receive().await;
            client.send(sent).await;
            client.shutdown.cancel();
            assert_eq!(client.receive_all().await, "");
        }
    }

    #[tokio::test]
    async fn request_finishes_after_its_client_disconnects() {
        let (started, finish) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let app = {
            let (started, finish) = (Arc::clone(&started), Arc::clone(&finish));
            make(move |_| {
                let (started, finish) = (Arc::clone(&started), Arc::clone(&finish));
                async move {
                    started.notify_one();
                    finish.notified().await;
                    "answer"
                }
            })
        };
        let mut client = TestClient::connect(app.map_to_response().boxed());
        client.send(REQUEST).await;
        started.notified().await;
        drop(client.stream);
        client.shutdown.cancel();
        let ended = timeout(Duration::from_millis(50), &mut client.connection);
        assert!(ended.await.is_err());
        finish.notify_one();
        client.connection.await.unwrap();
    }
}
