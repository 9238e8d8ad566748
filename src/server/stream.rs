//! A connection that is read and written by the server, and meanwhile watched for its client's leaving.

use std::{
    io,
    os::fd::AsFd,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};
use rustix::net::{RecvFlags, Shutdown, recv, shutdown};
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::{TcpStream, UnixStream},
    sync::Semaphore,
    time::sleep,
};

use crate::auth::DisconnectWatcher;

/// How many connections are watched at once: each takes another file.
pub(super) const WATCHES: u32 = 256;
static WATCHED: Semaphore = Semaphore::const_new(WATCHES as usize);

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
    /// The same connection, to be waited for by itself.
    fn again(&self) -> io::Result<Self> {
        let descriptor = of!(self, it => it.as_fd().try_clone_to_owned())?;
        Ok(match self {
            Self::Tcp(_) => Self::Tcp(Arc::new(TcpStream::from_std(descriptor.into())?)),
            Self::Unix(_) => Self::Unix(Arc::new(UnixStream::from_std(descriptor.into())?)),
        })
    }

    /// Something to read, or the end.
    pub(super) async fn readable(&self) -> io::Result<()> {
        of!(self, it => it.readable().await)
    }

    /// Whether there is something to read now, though nobody was told of it yet.
    pub(super) fn has_sent(&self) -> bool {
        of!(self, it => recv(it, &mut [0; 1], RecvFlags::PEEK)).is_ok_and(|(_, sent)| sent > 0)
    }

    /// Completes when the client resets the connection. The server's own reads and writes go on meanwhile, since they wait for other
    /// events of the same registration; so this needs no further descriptor.
    async fn reset(&self) {
        of!(self, it => drop(it.ready(Interest::ERROR).await));
    }

    /// The end of what the client sends, whatever it sent before it that was not read yet.
    async fn ended(&self) -> io::Result<()> {
        of!(self, it => loop {
            if it.ready(Interest::READABLE).await?.is_read_closed() {
                return Ok(());
            }
            let peek = || match recv(it, &mut [0; 1], RecvFlags::PEEK) {
                // Of the end behind it we are told when it comes.
                Ok((_, 1..)) => Err(io::ErrorKind::WouldBlock.into()),
                peeked => Ok(peeked?.1),
            };
            match it.try_io(Interest::READABLE, peek) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                _ => return Ok(()),
            }
        })
    }
}

impl DisconnectWatcher for Stream {
    fn left(&self, grace: Duration) -> BoxFuture<'_, ()> {
        let finished = async move {
            // As many as there are files for; the others' turn comes.
            let permit = WATCHED.acquire().await;
            // By itself: to wait for more than what is there would take from the server what it waits for.
            match self.again() {
                Ok(watched) => drop(watched.ended().await),
                // One that cannot be watched, for want of a descriptor, is taken to be there.
                Err(_) => std::future::pending().await,
            }
            drop(permit);
            sleep(grace).await;
        };
        async move {
            tokio::select! {
                () = self.reset() => {}
                () = finished => {}
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
            let room = buffer.initialize_unfilled();
            let mut part = 0;
            let read = of!(&*self, it => it.try_io(Interest::READABLE, || {
                let (_, read) = recv(it, &mut *room, RecvFlags::empty())?;
                if (1..room.len()).contains(&read) {
                    // That was all there is: to wait for more without asking in vain saves each request a call, and half a microsecond.
                    part = read;
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                Ok(read)
            }));
            match read {
                Ok(read) => {
                    buffer.advance(read);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                    return Poll::Ready(Err(error));
                }
                Err(_) if part > 0 => {
                    buffer.advance(part);
                    return Poll::Ready(Ok(()));
                }
                Err(_) => {}
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
