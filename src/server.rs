//! The accept loop: HTTP/1.1, with or without TLS, with limits of time, header size and connections, and a graceful shutdown.
//!
//! The server of poem does not fit: it detects HTTP/2 by reading ahead, and then has no timeout for a partial request head.

use std::{future::Future, io, net::IpAddr, pin::pin, sync::Arc, time::Duration};

use futures_util::FutureExt;
use rustix::io::Errno;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::unconstrained,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, info, warn};

mod connection;
mod limits;
mod listener;
mod stream;
mod tls;

pub use limits::ConnectionLimits;
pub use listener::Listener;
pub use tls::ReloadableTls;

use crate::http::App;
use connection::Connection;
use stream::Stream;

/// The pause after an accept that failed for a lasting reason, such as exhausted file descriptors.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// Serves the app until `stop` completes. Then finishes the requests in flight.
pub async fn serve(
    listener: Listener,
    app: App,
    limits: ConnectionLimits,
    stop: impl Future<Output = ()>,
) {
    let app = Arc::new(app);
    let permits = Arc::new(Semaphore::new(limits.connections as usize));
    let connections = TaskTracker::new();
    let shutdown = CancellationToken::new();
    let spawn = |(stream, peer, permit): (Stream, Option<IpAddr>, OwnedSemaphorePermit)| {
        let connection = Connection {
            app: Arc::clone(&app),
            tls: listener.tls.clone(),
            peer,
            limits,
            shutdown: shutdown.clone(),
        };
        connections.spawn(async move {
            connection.serve(stream).await;
            drop(permit);
        });
    };
    let mut stop = pin!(stop);
    loop {
        tokio::select! {
            biased;
            () = &mut stop => break,
            accepted = accept(&listener, &permits) => match accepted {
                Ok(accepted) => spawn(accepted),
                Err(error) if is_persistent(&error) => {
                    warn!(%error, "cannot accept connections");
                    sleep(ACCEPT_BACKOFF).await;
                }
                // Such an error concerns one connection (accept(2)). A client may cause it, so it must not delay other clients.
                Err(error) => debug!(%error, "cannot accept a connection"),
            },
        }
    }
    // The kernel has already established the connections in the backlog, so their requests are answered as well. Without
    // `unconstrained`, tokio would stop this loop early.
    while let Some(accepted) = unconstrained(accept(&listener, &permits)).now_or_never() {
        match accepted {
            Ok(accepted) => spawn(accepted),
            Err(error) if is_persistent(&error) => break,
            Err(error) => debug!(%error, "cannot accept a connection"),
        }
    }
    drop(listener);
    info!(
        connections = connections.len(),
        "stopping; finishing requests in flight"
    );
    shutdown.cancel();
    connections.close();
    let finished = timeout(limits.shutdown_timeout, connections.wait());
    if finished.await.is_err() {
        warn!("some requests did not finish before the timeout");
    }
}

/// Acquires a permit, then accepts a connection.
async fn accept(
    listener: &Listener,
    permits: &Arc<Semaphore>,
) -> io::Result<(Stream, Option<IpAddr>, OwnedSemaphorePermit)> {
    let permit = Arc::clone(permits)
        .acquire_owned()
        .await
        .map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, permit))
}

/// Returns whether the next accept fails too: descriptors or memory are exhausted, or the listening socket is broken.
fn is_persistent(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    let exhausted = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    let broken = [Errno::BADF, Errno::INVAL, Errno::NOTSOCK];
    errno.is_some_and(|errno| exhausted.contains(&errno) || broken.contains(&errno))
}

#[cfg(test)]
mod tests {
    use std::{
        io::Read,
        os::{
            fd::OwnedFd,
            unix::net::{UnixListener, UnixStream},
        },
    };

    use poem::{EndpointExt, endpoint::make_sync};
    use tokio::{net::TcpListener, sync::oneshot, task::spawn_blocking, time::Instant};

    use super::*;

    const CLIENTS: u32 = 50;

    /// If a Unix socket is used as a TCP socket, each accept fails after the kernel accepted a connection.
    #[tokio::test]
    async fn failed_accept_does_not_pause_accepts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let connect = |_| UnixStream::connect(&path).unwrap();
        let clients: Vec<_> = (0..CLIENTS).map(connect).collect();
        listener.set_nonblocking(true).unwrap();
        let listener = std::net::TcpListener::from(OwnedFd::from(listener));
        let listener = Listener::from(TcpListener::from_std(listener).unwrap());

        let app = make_sync(|_| "answer").map_to_response().boxed();
        let second = Duration::from_secs(1);
        let limits = ConnectionLimits {
            connections: 1,
            max_header_bytes: 8192,
            header_read_timeout: second,
            write_timeout: second,
            shutdown_timeout: second,
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let started = Instant::now();
        let service = tokio::spawn(serve(listener, app, limits, async {
            let _ = stopped.await;
        }));
        let read = move || {
            for mut client in clients {
                assert_eq!(client.read(&mut [0]).unwrap(), 0);
            }
        };
        spawn_blocking(read).await.unwrap();
        let elapsed = started.elapsed();
        stop.send(()).unwrap();
        service.await.unwrap();
        assert!(elapsed < ACCEPT_BACKOFF * (CLIENTS - 1), "{elapsed:?}");
    }
}
