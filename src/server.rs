//! The accept loop: HTTP/1.1, bounded in time, header size and connections, and a graceful stop.
//!
//! poem's own server also speaks HTTP/2 and finds out which by reading ahead, in which mode a
//! half-sent header is held for ever.

use std::{
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use futures_util::FutureExt;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use poem::{
    Addr, Endpoint, Request,
    http::uri::Scheme,
    web::{LocalAddr, RemoteAddr},
};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::unconstrained,
    time::{sleep, timeout},
};
use tokio_io_timeout::TimeoutStream;
use tracing::{info, warn};

mod stream;

use crate::{app::App, auth::Caller};
use stream::Stream;

/// What a connection may take.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// Connections at once; further ones wait in the system's backlog.
    pub connections: u32,
    /// The largest request head, in bytes; a larger one gets a 431.
    pub header_size: usize,
    /// For a whole request head, counted from the end of the request before: an idle connection ends with it too.
    pub header_time: Duration,
    /// For a client to take the next piece of an answer.
    pub write_time: Duration,
    /// For the requests in flight when the service stops.
    pub stop_time: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            header_size: 16 * 1024,
            header_time: Duration::from_secs(30),
            write_time: Duration::from_secs(30),
            stop_time: Duration::from_secs(30),
        }
    }
}

impl ConnectionLimits {
    /// For those who ask one thing now and then.
    #[must_use]
    pub fn few() -> Self {
        Self {
            connections: 64,
            stop_time: FLUSH + LINGER,
            ..Self::default()
        }
    }

    /// The same, with no more connections than this process may open files: some are left for the
    /// database and the log.
    #[must_use]
    pub fn within_file_limit(self) -> Self {
        const OTHER_FILES: u32 = 64;
        let wanted = u64::from(self.connections + OTHER_FILES);
        let files = rlimit::increase_nofile_limit(wanted).unwrap_or(1024);
        let free = u32::try_from(files)
            .unwrap_or(u32::MAX)
            .saturating_sub(OTHER_FILES);
        Self {
            connections: self.connections.min(free).max(1),
            ..self
        }
    }
}

/// After an accept that failed, such as for want of file descriptors.
const BACK_OFF: Duration = Duration::from_millis(100);
/// For an answer that is on its way when the service stops.
const FLUSH: Duration = Duration::from_secs(1);
/// For a client that is still sending when it has its answer: closing at once would destroy the answer.
const LINGER: Duration = Duration::from_secs(2);

/// Serves `app` until `stop` is done, then finishes the requests in flight.
pub async fn serve(
    listener: TcpListener,
    app: App,
    limits: ConnectionLimits,
    stop: impl Future<Output = ()>,
) {
    let app = Arc::new(app);
    let free = Arc::new(Semaphore::new(limits.connections as usize));
    let (stopping, stopped) = watch::channel(false);
    let mut stop = pin!(stop);
    let serve = |(stream, peer, slot): (TcpStream, _, _)| {
        let connection = Connection {
            app: Arc::clone(&app),
            local: stream.local_addr().ok(),
            peer,
            limits,
        };
        let stopped = stopped.clone();
        tokio::spawn(async move {
            connection.serve(stream, stopped).await;
            drop::<OwnedSemaphorePermit>(slot);
        });
    };
    loop {
        tokio::select! {
            biased;
            () = &mut stop => break,
            accepted = accept(&listener, &free) => match accepted {
                Ok(accepted) => serve(accepted),
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    sleep(BACK_OFF).await;
                }
            },
        }
    }
    // Who has connected already, as far as the system is concerned, is not hung up on.
    // All of them: tokio would let only so many through at a time.
    while let Some(Ok(accepted)) = unconstrained(accept(&listener, &free)).now_or_never() {
        serve(accepted);
    }
    drop(listener);
    let open = limits.connections as usize - free.available_permits();
    info!(
        connections = open,
        "stopping: finishing the requests in flight"
    );
    stopping.send_replace(true);
    // Every slot is free again when every connection has ended.
    let ended = timeout(limits.stop_time, free.acquire_many(limits.connections));
    if ended.await.is_err() {
        warn!("some requests did not finish in time");
    }
}

async fn accept(
    listener: &TcpListener,
    free: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let slot = Arc::clone(free)
        .acquire_owned()
        .await
        .map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    // An answer is one small write: waiting to fill a packet would only delay it.
    stream.set_nodelay(true)?;
    Ok((stream, peer, slot))
}

struct Connection {
    app: Arc<App>,
    local: Option<SocketAddr>,
    peer: SocketAddr,
    limits: ConnectionLimits,
}

impl Connection {
    /// Serves one connection to its end. How it ends is the client's affair; its requests are logged.
    async fn serve(self, stream: TcpStream, mut stopped: watch::Receiver<bool>) {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            // Who has finished sending may still read: hyper would hang up on it.
            .half_close(true)
            .header_read_timeout(self.limits.header_time)
            .max_header_size(self.limits.header_size);
        let stream = Stream(Arc::new(stream));
        let presence = Arc::new(stream.clone());
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(self.limits.write_time));
        let (begun, in_flight) = (AtomicBool::new(false), AtomicUsize::new(0));
        let service = service_fn(|request: hyper::Request<Incoming>| {
            let app = Arc::clone(&self.app);
            let local = LocalAddr(at(self.local));
            let remote = RemoteAddr(at(Some(self.peer)));
            let mut request = Request::from((request, local, remote, Scheme::HTTP));
            request.set_data(Caller::waiting(self.peer.ip(), presence.clone()));
            begun.store(true, Ordering::SeqCst);
            in_flight.fetch_add(1, Ordering::SeqCst);
            // In a task of its own, which goes on when the client does not wait for it: a query that is
            // cut in half costs its database connection, and a request without an end has no log line.
            let answer = tokio::spawn(async move { app.get_response(request).await });
            let in_flight = &in_flight;
            Box::pin(async move {
                let answer = answer.await;
                in_flight.fetch_sub(1, Ordering::SeqCst);
                answer.map(hyper::Response::from)
            })
        });
        let mut connection = http.serve_connection(TokioIo::new(Box::pin(stream)), service);
        let stops = tokio::select! {
            _ = poll_fn(|cx| connection.poll_without_shutdown(cx)) => false,
            _ = stopped.changed() => true,
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

fn at(addr: Option<SocketAddr>) -> Addr {
    addr.map_or_else(|| Addr::custom("unknown", ""), Addr::SocketAddr)
}
