//! Standard error, written so that it holds up no service: a pipe that nobody reads, say of a collector that hangs, takes nothing. A command
//! has nobody to answer, and waits as long as it takes: `signet user import` tells of each account, and a pager may be read tomorrow.

use std::{
    io::{self, ErrorKind, Write},
    os::fd::AsFd,
    sync::atomic::{AtomicBool, Ordering},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// A pipe that takes anything takes so much at once and keeps it together, whoever else writes to it (`PIPE_BUF` in `pipe(7)`).
pub(super) const WHOLE: usize = 4096;
/// In a service, what is more than news waits so long for a log that takes nothing: not longer, since a thread that waits answers nobody.
const PATIENCE: Timespec = Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};
const NONE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

/// Whether this is a service.
static ANSWERS: AtomicBool = AtomicBool::new(false);
/// Whether somebody waited in vain, and standard error took nothing since.
static STALLED: AtomicBool = AtomicBool::new(false);

/// Takes what its other end takes without waiting; of that, a page at a time.
pub(super) struct Outlet<'a, W> {
    to: W,
    /// How long to wait for the other end; none is for ever.
    patience: Option<Timespec>,
    stalled: &'a AtomicBool,
}

/// To be called by what has others to answer, before it does.
pub(in crate::cli) fn hold_up_nobody() {
    ANSWERS.store(true, Ordering::Relaxed);
}

/// Standard error; if it takes nothing, it `is_waited_for`: in a service for a moment, and by nobody after one who did so in vain.
pub(super) fn stderr(is_waited_for: bool) -> Outlet<'static, io::Stderr> {
    let patience = match (is_waited_for, ANSWERS.load(Ordering::Relaxed)) {
        (false, _) => Some(NONE),
        (true, true) => Some(PATIENCE),
        (true, false) => None,
    };
    Outlet {
        to: io::stderr(),
        patience,
        stalled: &STALLED,
    }
}

impl<W: Write + AsFd> Write for Outlet<'_, W> {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let patience = match self.patience {
            Some(_) if self.stalled.load(Ordering::Relaxed) => Some(NONE),
            patience => patience,
        };
        let takes = poll(
            &mut [PollFd::new(&self.to, PollFlags::OUT)],
            patience.as_ref(),
        )? > 0;
        // Who did not wait does not know.
        if takes || patience != Some(NONE) {
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
    use std::{
        io::{Read, pipe},
        thread,
    };

    use super::*;

    #[test]
    fn a_pipe_that_nobody_reads_holds_nobody_up() {
        let (mut reads, to) = pipe().unwrap();
        let stalled = AtomicBool::new(false);
        let mut outlet = Outlet {
            to,
            patience: Some(NONE),
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
        outlet.patience = Some(PATIENCE);
        assert!(outlet.write(&page).is_err());
        assert!(stalled.load(Ordering::Relaxed));

        // A command waits even then.
        outlet.patience = None;
        let written = thread::scope(|scope| {
            let writes = scope.spawn(|| outlet.write(&page));
            reads.read_exact(&mut vec![0; taken]).unwrap();
            writes.join().unwrap()
        });
        assert_eq!(written.unwrap(), WHOLE);
        assert!(!stalled.load(Ordering::Relaxed));
    }

    #[test]
    fn of_a_line_that_is_longer_than_a_page_a_page_is_taken() {
        let (_reads, to) = pipe().unwrap();
        let stalled = AtomicBool::new(false);
        let mut outlet = Outlet {
            to,
            patience: None,
            stalled: &stalled,
        };
        assert_eq!(outlet.write(&[b'x'; 3 * WHOLE]).unwrap(), WHOLE);
    }
}
