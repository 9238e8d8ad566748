//! What connections come in by: TCP, or a Unix socket.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use poem::Addr;
use tokio::net::{TcpListener, UnixListener};

use super::{Tls, stream::Stream};

/// An open socket that lets connections in.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    pub(super) tls: Option<Arc<Tls>>,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self {
            socket: Socket::Tcp(listener),
            tls: None,
        }
    }
}

impl From<UnixListener> for Listener {
    fn from(listener: UnixListener) -> Self {
        Self {
            socket: Socket::Unix(listener),
            tls: None,
        }
    }
}

impl Listener {
    /// The same, over TLS alone, if there is any.
    #[must_use]
    pub fn over(self, tls: Option<Arc<Tls>>) -> Self {
        Self { tls, ..self }
    }

    /// Where it listens, for people: an address and port, or `unix:PATH`.
    #[must_use]
    pub fn place(&self) -> String {
        match &self.socket {
            Socket::Tcp(listener) => listener
                .local_addr()
                .map_or_else(|_| "-".to_owned(), |at| canonical(at).to_string()),
            Socket::Unix(listener) => {
                let path = listener
                    .local_addr()
                    .ok()
                    .and_then(|at| Some(at.as_pathname()?.to_owned()));
                format!(
                    "unix:{}",
                    path.unwrap_or_else(|| PathBuf::from("-")).display()
                )
            }
        }
    }

    pub(super) async fn accept(&self) -> io::Result<(Stream, Ends)> {
        match &self.socket {
            Socket::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // An answer is one small write: waiting to fill a packet would only delay it.
                // A socket that rejects the option is served without it.
                let _ = stream.set_nodelay(true);
                let ends = Ends {
                    peer: Some(canonical(peer)),
                    local: stream.local_addr().ok().map(canonical),
                };
                Ok((Stream::Tcp(Arc::new(stream)), ends))
            }
            Socket::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((Stream::Unix(Arc::new(stream)), Ends::default()))
            }
        }
    }
}

/// Where the two ends of a connection are. Those of a Unix socket are nowhere.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ends {
    peer: Option<SocketAddr>,
    local: Option<SocketAddr>,
}

impl Ends {
    pub(super) fn address(&self) -> Option<IpAddr> {
        self.peer.map(|peer| peer.ip())
    }

    pub(super) fn peer(&self) -> Addr {
        as_poem_has_it(self.peer)
    }

    pub(super) fn local(&self) -> Addr {
        as_poem_has_it(self.local)
    }
}

/// Returns an IPv4-mapped address as IPv4. A socket that listens on `[::]` has such addresses for IPv4 connections.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => (ip, address.port()).into(),
        // As it is, with its scope.
        IpAddr::V6(_) => address,
    }
}

fn as_poem_has_it(address: Option<SocketAddr>) -> Addr {
    address.map_or_else(|| Addr::custom("unix", ""), Addr::SocketAddr)
}
