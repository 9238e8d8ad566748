//! The accept loop: HTTP/1.1, perhaps over TLS, bounded in time, header size and connections, and a graceful stop.
//!
//! poem's own server also speaks HTTP/2 and finds out which by reading ahead, in which mode a
//! half-sent header is held for ever.

use std::{future::Future, io, pin::pin, sync::Arc, time::Duration};

use futures_util::FutureExt;
use rustix::io::Errno;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::unconstrained,
    time::{sleep, timeout},
};
use tracing::{debug, info, warn};

mod answer;
mod connection;
mod listener;
mod rest;
mod stream;
mod tls;

pub use listener::Listener;
pub use tls::{Tls, TlsError};

use crate::http::App;
use connection::Connection;
use listener::Ends;
use stream::Stream;

/// What a connection may take.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// Connections at once; further ones wait in the system's backlog.
    pub connections: u32,
    /// The largest request head, in bytes; a larger one gets a 431.
    pub header_size: usize,
    /// For a TLS handshake, and for a whole request head, counted from the end of the request before, or from its own first byte
    /// when the connection rested meanwhile. An idle connection ends with it too, or up
    /// to `rest` later.
    pub header_time: Duration,
    /// A connection on which nobody has asked anything for this long gives back what it holds, but for the connection itself.
    pub rest: Duration,
    /// For a client to take the next piece of an answer.
    pub write_time: Duration,
    /// For the requests in flight when the service stops.
    pub stop_time: Duration,
}

impl ConnectionLimits {
    /// A second: a client that goes on at once does not notice, and ten thousand that do not take a tenth of the memory.
    pub const REST: Duration = Duration::from_secs(1);

    /// The same, for those who ask one thing now and then.
    #[must_use]
    pub fn for_few(self) -> Self {
        Self {
            connections: 64,
            stop_time: connection::LAST_WORDS,
            ..self
        }
    }

    /// The same, with no more connections than this process may open files: some are left for the
    /// database, the log, and those who are watched.
    #[must_use]
    pub fn within_file_limit(self) -> Self {
        const OTHER_FILES: u32 = 64 + stream::WATCHES;
        let wanted = u64::from(self.connections) + u64::from(OTHER_FILES);
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

/// After an accept that failed for a reason that lasts, such as exhausted file descriptors.
const BACK_OFF: Duration = Duration::from_millis(100);

/// Serves `app` until `stop` is done, then finishes the requests in flight.
pub async fn serve(
    listener: Listener,
    app: App,
    limits: ConnectionLimits,
    stop: impl Future<Output = ()>,
) {
    let app = Arc::new(app);
    let free = Arc::new(Semaphore::new(limits.connections as usize));
    let (stopping, stopped) = watch::channel(false);
    let mut stop = pin!(stop);
    let serve = |(stream, ends, slot): (Stream, Ends, _)| {
        let connection = Connection {
            app: Arc::clone(&app),
            tls: listener.tls.clone(),
            ends,
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
                Err(error) if is_persistent(&error) => {
                    warn!(%error, "cannot accept connections");
                    sleep(BACK_OFF).await;
                }
                // Such an error concerns one connection (accept(2)): the client may cause it, so it must not delay other clients.
                Err(error) => debug!(%error, "cannot accept a connection"),
            },
        }
    }
    // Who has connected already, as far as the system is concerned, is not hung up on.
    // All of them: tokio would let only so many through at a time.
    while let Some(accepted) = unconstrained(accept(&listener, &free)).now_or_never() {
        match accepted {
            Ok(accepted) => serve(accepted),
            Err(error) if is_persistent(&error) => break,
            Err(error) => debug!(%error, "cannot accept a connection"),
        }
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
    listener: &Listener,
    free: &Arc<Semaphore>,
) -> io::Result<(Stream, Ends, OwnedSemaphorePermit)> {
    let slot = Arc::clone(free)
        .acquire_owned()
        .await
        .map_err(io::Error::other)?;
    let (stream, ends) = listener.accept().await?;
    Ok((stream, ends, slot))
}

/// Whether the next accept fails too: descriptors or memory are exhausted, or the listening socket is broken.
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

    /// On a Unix socket that is treated as a TCP socket, each accept fails after it took a connection.
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
            header_size: 8192,
            header_time: second,
            rest: second,
            write_time: second,
            stop_time: second,
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
        let taken = started.elapsed();
        stop.send(()).unwrap();
        service.await.unwrap();
        assert!(taken < BACK_OFF * (CLIENTS - 1), "{taken:?}");
    }
}
