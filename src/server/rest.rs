//! When a connection rests: its client has its answers, has asked for nothing more, and may not for a long time.
//!
//! hyper keeps 16 KiB for a connection, to read into and to write from. One that rests needs neither: hyper is ended, and begun anew
//! with the next request. What has to be known for that, hyper does not tell, and is noted here.

use std::{
    io,
    pin::Pin,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    task::{Context, Poll, ready},
};

use hyper::body::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What goes on on a connection.
#[derive(Debug, Default)]
pub(super) struct Activity {
    /// Requests so far.
    asked: AtomicUsize,
    /// Those of them that have their answer, or at least its head.
    answered: AtomicUsize,
    /// Whether something was read since a request began or was answered: part of the next one.
    half_read: AtomicBool,
    /// Whether the client has not yet taken all that was to be written.
    half_written: AtomicBool,
}

impl Activity {
    pub(super) fn begin(&self) {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.half_read.store(false, Ordering::Relaxed);
    }

    pub(super) fn end(&self) {
        self.answered.fetch_add(1, Ordering::Relaxed);
        self.half_read.store(false, Ordering::Relaxed);
    }

    pub(super) fn has_begun(&self) -> bool {
        self.asked() > 0
    }

    pub(super) fn in_flight(&self) -> bool {
        self.asked() > self.answered.load(Ordering::Relaxed)
    }

    /// Requests so far.
    pub(super) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    /// Whether there is nothing to be done but to wait for another request. Who has not asked anything yet is about to.
    pub(super) fn is_resting(&self) -> bool {
        let half_done = [&self.half_read, &self.half_written];
        self.has_begun()
            && !self.in_flight()
            && !half_done.iter().any(|half| half.load(Ordering::Relaxed))
    }
}

/// A stream that notes what goes on on it. First it gives what was read of it before.
pub(super) struct Noted<'a, S> {
    pub(super) stream: S,
    pub(super) early: Bytes,
    pub(super) activity: &'a Activity,
}

impl<S: AsyncRead + Unpin> AsyncRead for Noted<'_, S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if self.early.is_empty() {
            ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        } else {
            let some = self.early.len().min(buffer.remaining());
            buffer.put_slice(&self.early[..some]);
            self.early.advance(some);
        }
        if buffer.filled().len() > before {
            self.activity.half_read.store(true, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S> Noted<'_, S> {
    fn written<T>(&self, done: Poll<T>) -> Poll<T> {
        let half_written = &self.activity.half_written;
        half_written.store(done.is_pending(), Ordering::Relaxed);
        done
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Noted<'_, S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.written(done)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.written(done)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.stream).poll_flush(cx);
        self.written(done)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
