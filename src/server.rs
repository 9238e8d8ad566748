//! The accept loop: HTTP/1.1, bounded in time, header size and connections, and a graceful stop.
//!
//! poem's own server also speaks HTTP/2 and finds out which by reading ahead, in which mode a
//! half-sent header is held for ever.

use std::{convert::Infallible, future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use poem::{
    Addr, Endpoint, Request,
    http::uri::Scheme,
    web::{LocalAddr, RemoteAddr},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tracing::{info, warn};

use crate::app::App;

/// What a connection may take.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// Connections at once; further ones wait in the system's backlog.
    pub connections: usize,
    /// The largest request head, in bytes; a larger one gets a 431.
    pub header_size: usize,
    /// For a whole request head, counted from the end of the request before: an idle connection ends with it too.
    pub header_time: Duration,
    /// For the requests in flight when the service stops.
    pub stop_time: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            header_size: 16 * 1024,
            header_time: Duration::from_secs(30),
            stop_time: Duration::from_secs(30),
        }
    }
}

/// After an accept that failed, such as for want of file descriptors.
const BACK_OFF: Duration = Duration::from_millis(100);

/// Serves `app` until `stop` is done, then finishes the requests in flight.
pub async fn serve(
    listener: TcpListener,
    app: App,
    limits: ConnectionLimits,
    stop: impl Future<Output = ()>,
) {
    let app = Arc::new(app);
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.header_time)
        .max_header_size(limits.header_size);
    let free = Arc::new(Semaphore::new(limits.connections));
    let connections = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let (stream, peer, slot) = tokio::select! {
            biased;
            () = &mut stop => break,
            accepted = accept(&listener, &free) => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    sleep(BACK_OFF).await;
                    continue;
                }
            },
        };
        let app = Arc::clone(&app);
        let local = stream.local_addr().ok();
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let app = Arc::clone(&app);
            async move {
                let request = Request::from((
                    request,
                    at(local),
                    RemoteAddr(at(Some(peer)).0),
                    Scheme::HTTP,
                ));
                Ok::<_, Infallible>(hyper::Response::from(app.get_response(request).await))
            }
        });
        let connection = connections.watch(http.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            let _slot = slot;
            // How a connection ends is the client's affair; its requests were logged.
            let _ = connection.await;
        });
    }
    drop(listener);
    info!(
        connections = connections.count(),
        "stopping: finishing the requests in flight"
    );
    if timeout(limits.stop_time, connections.shutdown())
        .await
        .is_err()
    {
        warn!("some requests did not finish in time");
    }
}

async fn accept(
    listener: &TcpListener,
    free: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let slot = Arc::clone(free)
        .acquire_owned()
        .await
        .map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    // An answer is one small write: waiting to fill a packet would only delay it.
    stream.set_nodelay(true)?;
    Ok((stream, peer, slot))
}

fn at(addr: Option<SocketAddr>) -> LocalAddr {
    LocalAddr(addr.map_or_else(|| Addr::custom("unknown", ""), Addr::SocketAddr))
}
