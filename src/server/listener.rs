//! Accepts TCP and Unix connections.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use tokio::net::{TcpListener, UnixListener};

use super::{stream::Stream, tls::ReloadableTls};

/// A listening socket.
pub struct Listener {
    socket: Socket,
    pub(super) tls: Option<Arc<ReloadableTls>>,
}

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
    /// Requires TLS of all clients if a certificate is given.
    #[must_use]
    pub fn with_tls(self, tls: Option<Arc<ReloadableTls>>) -> Self {
        Self { tls, ..self }
    }

    /// Returns the address for people: an address and port, or `unix:PATH`.
    #[must_use]
    pub fn display_addr(&self) -> String {
        match &self.socket {
            Socket::Tcp(listener) => listener
                .local_addr()
                .map_or_else(|_| "-".to_owned(), |addr| canonical(addr).to_string()),
            Socket::Unix(listener) => {
                let path = listener
                    .local_addr()
                    .ok()
                    .and_then(|addr| Some(addr.as_pathname()?.to_owned()));
                format!(
                    "unix:{}",
                    path.unwrap_or_else(|| PathBuf::from("-")).display()
                )
            }
        }
    }

    /// Returns the connection and the address of its client. Unix connections have no address.
    pub(super) async fn accept(&self) -> io::Result<(Stream, Option<IpAddr>)> {
        match &self.socket {
            Socket::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // A response is one small write, so waiting for a full packet only adds latency. If the socket rejects the
                // option, the connection works without it.
                let _ = stream.set_nodelay(true);
                Ok((Stream::Tcp(Arc::new(stream)), Some(peer.ip())))
            }
            Socket::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((Stream::Unix(Arc::new(stream)), None))
            }
        }
    }
}

/// Returns an IPv4-mapped address as IPv4. A socket that listens on `[::]` has such addresses for IPv4 connections.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => (ip, address.port()).into(),
        // The scope of the address must remain.
        IpAddr::V6(_) => address,
    }
}
