//! A connection that is read and written by the server, and meanwhile watched for its client's leaving.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_util::{FutureExt, future::BoxFuture};
use rustix::net::{RecvFlags, Shutdown, recv, shutdown};
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::{TcpStream, UnixStream},
};

use crate::auth::Presence;

/// One end of a connection, for the server and for whoever watches.
#[derive(Clone, Debug)]
pub(super) enum Stream {
    Tcp(Arc<TcpStream>),
    Unix(Arc<UnixStream>),
}

/// The same for either kind, which have the same methods.
macro_rules! of {
    ($stream:expr, $it:ident => $value:expr) => {
        match $stream {
            Stream::Tcp($it) => $value,
            Stream::Unix($it) => $value,
        }
    };
}

impl Stream {
    /// The end of what the client sends, unless there is something before it.
    async fn ended(&self) -> bool {
        of!(self, it => loop {
            if it.readable().await.is_err() {
                return true;
            }
            let peek = || Ok(recv(it, &mut [0; 1], RecvFlags::PEEK)?.1);
            match it.try_io(Interest::READABLE, peek) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                peeked => return !matches!(peeked, Ok(1..)),
            }
        })
    }
}

impl Presence for Stream {
    /// The end of what the client sends: it has gone, or has only finished. What it sent beyond its request hides it.
    fn left(&self) -> BoxFuture<'_, ()> {
        async {
            if !self.ended().await {
                std::future::pending::<()>().await;
            }
        }
        .boxed()
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(of!(&*self, it => it.poll_read_ready(cx)))?;
            match of!(&*self, it => it.try_read(buffer.initialize_unfilled())) {
                Ok(read) => {
                    buffer.advance(read);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
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
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(of!(&*self, it => it.poll_write_ready(cx)))?;
            match of!(&*self, it => it.try_write_vectored(parts)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = of!(&*self, it => shutdown(it, Shutdown::Write));
        Poll::Ready(shut.map_err(io::Error::from))
    }
}
