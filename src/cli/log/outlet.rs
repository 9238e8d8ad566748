//! Standard error, for who must not be held up by it: a pipe that nobody reads, say of a terminal that is stopped, takes nothing.

use std::{
    io::{self, ErrorKind, Write},
    os::fd::AsFd,
    sync::atomic::{AtomicBool, Ordering},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// A pipe that takes anything takes so much at once and keeps it together, whoever else writes to it (`PIPE_BUF` in `pipe(7)`).
pub(super) const WHOLE: usize = 4096;
/// What is more than news waits so long for a log that takes nothing: not longer, since a thread that waits answers nobody.
const PATIENCE: Timespec = Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};
const NONE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

/// Whether standard error took nothing when it was asked last.
static STALLED: AtomicBool = AtomicBool::new(false);

/// Takes what its other end takes without waiting; of that, a page at a time.
pub(super) struct Outlet<'a, W> {
    to: W,
    /// Whether to wait a moment.
    is_waited_for: bool,
    stalled: &'a AtomicBool,
}

/// Standard error; if it takes nothing, it `is_waited_for`, but by nobody after one who did so in vain.
pub(super) fn stderr(is_waited_for: bool) -> Outlet<'static, io::Stderr> {
    Outlet {
        to: io::stderr(),
        is_waited_for,
        stalled: &STALLED,
    }
}

impl<W: Write + AsFd> Write for Outlet<'_, W> {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let waits = self.is_waited_for && !self.stalled.load(Ordering::Relaxed);
        let patience = if waits { PATIENCE } else { NONE };
        let takes = poll(
            &mut [PollFd::new(&self.to, PollFlags::OUT)],
            Some(&patience),
        )? > 0;
        // Who did not wait does not know.
        if takes || waits {
            self.stalled.store(!takes, Ordering::Relaxed);
        }
        if takes {
            self.to.write(&lines[..lines.len().min(WHOLE)])
        } else {
            Err(ErrorKind::WouldBlock.into())
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, pipe};

    use super::*;

    #[test]
    fn a_pipe_that_nobody_reads_holds_nobody_up() {
        let (mut reads, to) = pipe().unwrap();
        let stalled = AtomicBool::new(false);
        let mut outlet = Outlet {
            to,
            is_waited_for: false,
            stalled: &stalled,
        };
        let page = [b'x'; WHOLE];
        let mut taken = 0;
        let full = loop {
            match outlet.write(&page) {
                Ok(written) => taken += written,
                Err(error) => break error,
            }
        };
        assert_eq!(full.kind(), ErrorKind::WouldBlock);
        assert!(taken >= WHOLE && !stalled.load(Ordering::Relaxed));

        // One waits, and then nobody.
        outlet.is_waited_for = true;
        assert!(outlet.write(&page).is_err());
        assert!(stalled.load(Ordering::Relaxed));

        reads.read_exact(&mut vec![0; taken]).unwrap();
        assert_eq!(outlet.write(&page).unwrap(), WHOLE);
        assert!(!stalled.load(Ordering::Relaxed));
    }

    #[test]
    fn of_a_line_that_is_longer_than_a_page_a_page_is_taken() {
        let (_reads, to) = pipe().unwrap();
        let stalled = AtomicBool::new(false);
        let mut outlet = Outlet {
            to,
            is_waited_for: true,
            stalled: &stalled,
        };
        assert_eq!(outlet.write(&[b'x'; 3 * WHOLE]).unwrap(), WHOLE);
    }
}
