//! A TCP or Unix connection. The HTTP server and the check whether the client has left share it.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_util::future::BoxFuture;
use rustix::net::{RecvFlags, Shutdown, recv, shutdown};
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::{TcpStream, UnixStream},
    time::sleep,
};

use crate::auth::DisconnectWatcher;

/// A connection. Clones refer to the same socket.
#[derive(Clone, Debug)]
pub(super) enum Stream {
    Tcp(Arc<TcpStream>),
    Unix(Arc<UnixStream>),
}

/// Evaluates an expression with the socket, whose methods have the same names for both types.
macro_rules! with_socket {
    ($stream:expr, $socket:ident => $value:expr) => {
        match $stream {
            Stream::Tcp($socket) => $value,
            Stream::Unix($socket) => $value,
        }
    };
}

impl Stream {
    /// Returns whether the kernel has unread input, even if tokio does not know yet.
    pub(super) fn has_pending_input(&self) -> bool {
        with_socket!(self, socket => recv(socket, &mut [0; 1], RecvFlags::PEEK))
            .is_ok_and(|(_, length)| length > 0)
    }

    /// Completes when the client resets the connection (RST).
    async fn reset(&self) {
        with_socket!(self, socket => drop(socket.ready(Interest::ERROR).await));
    }

    /// Completes when the client has closed its sending side (FIN). `Interest::PRIORITY` includes this state without unread input.
    async fn finished(&self) {
        with_socket!(self, socket => drop(socket.ready(Interest::PRIORITY).await));
    }
}

impl DisconnectWatcher for Stream {
    fn disconnected(&self, grace: Duration) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            tokio::select! {
                () = self.reset() => {}
                () = async { self.finished().await; sleep(grace).await } => {}
            }
        })
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let space = buffer.remaining();
        with_socket!(&*self, socket => loop {
            ready!(socket.poll_read_ready(cx))?;
            let mut read = Err(io::ErrorKind::WouldBlock.into());
            let _ = socket.try_io(Interest::READABLE, || {
                read = socket.try_read_buf(buffer);
                // A short read leaves no input. As after `WouldBlock`, tokio then waits for input before the next read.
                match read {
                    Ok(length) if length < space => Err(io::ErrorKind::WouldBlock.into()),
                    _ => Ok(()),
                }
            });
            match read {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return Poll::Ready(read.map(drop)),
            }
        })
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        with_socket!(&*self, socket => loop {
            ready!(socket.poll_write_ready(cx))?;
            match socket.try_write_vectored(slices) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        })
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = with_socket!(&*self, socket => shutdown(socket, Shutdown::Write));
        Poll::Ready(result.map_err(io::Error::from))
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
        time::timeout,
    };

    use super::*;

    const GRACE: Duration = Duration::from_millis(10);
    const SHORT: Duration = Duration::from_millis(100);
    const LONG: Duration = Duration::from_mins(1);

    async fn connect() -> (TcpStream, Stream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (client, accepted) = tokio::join!(client, listener.accept());
        let (server, _) = accepted.unwrap();
        (client.unwrap(), Stream::Tcp(Arc::new(server)))
    }

    async fn has_left(stream: &Stream) -> bool {
        timeout(SHORT, stream.disconnected(GRACE)).await.is_ok()
    }

    #[tokio::test]
    async fn client_that_finishes_or_resets_has_left() {
        for (unread, resets) in [(false, false), (true, false), (false, true), (true, true)] {
            let (mut client, stream) = connect().await;
            if unread {
                client.write_all(b"x").await.unwrap();
            }
            assert!(!has_left(&stream).await);
            if resets {
                client.set_zero_linger().unwrap();
                drop(client);
            } else {
                client.shutdown().await.unwrap();
            }
            timeout(LONG, stream.disconnected(GRACE)).await.unwrap();
        }
    }

    #[tokio::test]
    async fn unix_client_that_closes_has_left() {
        let (client, server) = UnixStream::pair().unwrap();
        let stream = Stream::Unix(Arc::new(server));
        assert!(!has_left(&stream).await);
        drop(client);
        timeout(LONG, stream.disconnected(GRACE)).await.unwrap();
    }

    #[tokio::test]
    async fn waiting_for_the_client_to_leave_leaves_its_input_readable() {
        let (mut client, mut stream) = connect().await;
        client.write_all(b"input").await.unwrap();
        assert!(!has_left(&stream).await);
        assert!(stream.has_pending_input());
        client.shutdown().await.unwrap();
        stream.clone().disconnected(GRACE).await;
        let mut input = String::new();
        stream.read_to_string(&mut input).await.unwrap();
        assert_eq!(input, "input");
        assert!(!stream.has_pending_input());
    }
}
