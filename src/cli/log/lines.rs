//! Where the lines of the log go: to standard error, those of many requests at once.
//!
//! A call of the kernel for each would take a twentieth of a refresh. So a thread that answers requests collects their news, and writes
//! it when it has nothing else to do, or when it fills a page; no clock is asked. A warning, an error or an event of the audit trail is
//! written at once, behind what was collected before it. Whoever kills the service takes along what is collected by then.
//!
//! A log that takes nothing, as a pipe that nobody reads or a disk that is full, holds up no service for more than a second
//! ([`outlet`](super::outlet)): lines are kept for it, and those are lost, and counted, for which there is no room.

use std::{
    cell::Cell,
    io::{self, Write},
    mem,
    sync::{LazyLock, Mutex, MutexGuard, PoisonError, TryLockError},
};

use prometheus_client::metrics::counter::Counter;
use tracing::{Level, Metadata, error};
use tracing_subscriber::fmt::MakeWriter;

use super::outlet::{WHOLE, stderr};
use crate::auth::Audit;

/// For a log that takes nothing, so much is kept until it does again, and as much that was on its way to it. News fill half of it, so
/// that there is room for what is more.
const KEPT: usize = 16 * WHOLE;

/// The lines of all threads, in the order of their coming.
static LINES: LazyLock<Pages> = LazyLock::new(Pages::default);

thread_local! {
    /// Whether this thread tells of its rests. Of what another one leaves behind, nobody is sure to write it soon.
    static TELLS: Cell<bool> = const { Cell::new(false) };
}

/// To be called by a thread each time before it waits for something to do.
pub(in crate::cli) fn before_rest() {
    TELLS.set(true);
    if LINES.write(false, &mut stderr(false)) {
        tell_losses();
    }
}

/// Writes what waits, before the process ends.
pub(in crate::cli) fn write_out() {
    if LINES.write(true, &mut stderr(true)) {
        tell_losses();
    }
}

/// Lines that there was no room for, since the start.
pub(in crate::cli) fn lost() -> Counter {
    LINES.lost.clone()
}

/// An error, so that no filter of usual levels hides it.
fn tell_losses() {
    let lost = LINES.tell();
    if lost > 0 {
        error!(lost, "the log was too slow, and lines of it are lost");
    }
}

/// Lines that wait for others, to be written with them.
#[derive(Default)]
struct Pages {
    waiting: Mutex<Waiting>,
    /// What is being written, apart: lines are added meanwhile.
    page: Mutex<Vec<u8>>,
    lost: Counter,
}

#[derive(Default)]
struct Waiting {
    lines: Vec<u8>,
    /// Of those that are lost, how many somebody was told of.
    told: u64,
}

impl Pages {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, line: &[u8], waits: bool, log: &mut impl Write) {
        let mut waiting = self.waiting();
        if waiting.lines.len() + line.len() > WHOLE {
            drop(waiting);
            self.write(!waits, log);
            waiting = self.waiting();
        }
        let room = if waits { KEPT / 2 } else { KEPT };
        if waiting.lines.is_empty() || waiting.lines.len() + line.len() <= room {
            waiting.lines.extend_from_slice(line);
        } else {
            self.lost.inc();
        }
        drop(waiting);
        if !waits || line.len() > WHOLE {
            self.write(!waits, log);
        }
    }

    /// Writes all there is, and tells whether it did. Where `is_waited_for` is not so, it may also leave that to somebody who does so
    /// already, and who looks once more when it has.
    fn write(&self, is_waited_for: bool, log: &mut impl Write) -> bool {
        loop {
            let mut page = match self.page.try_lock() {
                Ok(page) => page,
                Err(TryLockError::Poisoned(page)) => page.into_inner(),
                Err(TryLockError::WouldBlock) if is_waited_for => {
                    self.page.lock().unwrap_or_else(PoisonError::into_inner)
                }
                Err(TryLockError::WouldBlock) => return false,
            };
            if page.is_empty() {
                mem::swap(&mut *page, &mut self.waiting().lines);
            }
            while !page.is_empty() {
                match log.write(&page[..whole(&page)]) {
                    Ok(written @ 1..) => drop(page.drain(..written)),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    // There is nobody to be told. What is left comes with the next.
                    Ok(0) | Err(_) => return false,
                }
            }
            drop(page);
            if self.waiting().lines.is_empty() {
                return true;
            }
        }
    }

    /// How many lines are lost of which nobody was told before.
    fn tell(&self) -> u64 {
        let mut waiting = self.waiting();
        let lost = self.lost.get();
        lost - mem::replace(&mut waiting.told, lost)
    }
}

/// How much of `lines` to write at once: as many as can be written whole, or one that is longer than that.
fn whole(lines: &[u8]) -> usize {
    if lines.len() <= WHOLE {
        return lines.len();
    }
    let is_end = |byte: &u8| *byte == b'\n';
    let last = lines[..WHOLE].iter().rposition(is_end);
    let end = last.or_else(|| lines.iter().position(is_end));
    end.map_or(lines.len(), |end| end + 1)
}

/// Takes the lines.
pub(super) struct Lines;

impl MakeWriter<'_> for Lines {
    type Writer = Line;

    fn make_writer(&self) -> Line {
        Line { waits: false }
    }

    fn make_writer_for(&self, event: &Metadata<'_>) -> Line {
        Line {
            waits: waits(*event.level(), event.target()),
        }
    }
}

/// Whether it is news, and not of the audit trail, which tells of what is done.
fn waits(level: Level, target: &str) -> bool {
    level >= Level::INFO && target != Audit::TARGET
}

/// Takes one line.
pub(super) struct Line {
    waits: bool,
}

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let waits = self.waits && TELLS.get();
        LINES.add(line, waits, &mut stderr(!waits));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was written at once, each time.
    #[derive(Default)]
    struct Calls(Vec<String>);

    impl Write for Calls {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.push(String::from_utf8_lossy(bytes).into_owned());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A disk that has room for so many bytes.
    #[derive(Default)]
    struct Disk {
        room: usize,
        held: Vec<u8>,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.room == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let some = bytes.len().min(self.room);
            self.room -= some;
            self.held.extend_from_slice(&bytes[..some]);
            Ok(some)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn news_waits_and_what_is_more_is_written_at_once_behind_it() {
        let (lines, mut log) = (Pages::default(), Calls::default());
        lines.add(b"one\n", true, &mut log);
        lines.add(b"two\n", true, &mut log);
        assert!(log.0.is_empty());
        lines.add(b"a fault\n", false, &mut log);
        assert_eq!(log.0, ["one\ntwo\na fault\n"]);
        lines.write(true, &mut log);
        assert_eq!(log.0.len(), 1);
    }

    #[test]
    fn a_page_of_lines_is_written_whole() {
        let (lines, mut log) = (Pages::default(), Calls::default());
        let line = format!("{}\n", "x".repeat(299));
        for _ in 0..100 {
            lines.add(line.as_bytes(), true, &mut log);
        }
        assert!(log.0.len() < 10);
        lines.write(true, &mut log);
        assert_eq!(log.0.concat(), line.repeat(100));
        for call in log.0 {
            assert!(call.len() <= WHOLE && call.ends_with('\n'), "{call}");
        }
    }

    #[test]
    fn a_line_longer_than_a_page_does_not_wait() {
        let (lines, mut log) = (Pages::default(), Calls::default());
        lines.add(&[b'x'; WHOLE + 1], true, &mut log);
        assert_eq!(log.0.len(), 1);
    }

    #[test]
    fn what_the_log_does_not_take_comes_when_it_does() {
        let (lines, mut disk) = (Pages::default(), Disk::default());
        disk.room = 3;
        lines.add(b"one\n", false, &mut disk);
        lines.add(b"two\n", false, &mut disk);
        disk.room = 100;
        lines.add(b"three\n", false, &mut disk);
        assert_eq!(disk.held, b"one\ntwo\nthree\n");
        assert_eq!(lines.tell(), 0);
    }

    #[test]
    fn what_is_lost_are_whole_lines_and_they_are_counted() {
        let (lines, mut disk) = (Pages::default(), Disk::default());
        disk.room = 3;
        for number in 0..10_000 {
            let line = format!("line {number:06}\n");
            lines.add(line.as_bytes(), number % 2 == 0, &mut disk);
            assert!(lines.waiting().lines.len() <= KEPT);
        }
        assert!(!lines.write(true, &mut disk));
        disk.room = usize::MAX;
        assert!(lines.write(true, &mut disk));
        let held = String::from_utf8(disk.held).unwrap();
        let is_whole = |line: &str| line.len() == 11 && line.starts_with("line ");
        assert!(held.lines().all(is_whole) && held.lines().is_sorted());
        // When there was no room for news any more, there was for others.
        let others = |line: &&str| line.ends_with(['1', '3', '5', '7', '9']);
        let count = held.lines().count();
        assert!(held.lines().filter(others).count() > count * 2 / 3);
        assert_eq!(count as u64 + lines.tell(), 10_000);
        assert_eq!(lines.tell(), 0);
    }

    #[test]
    fn lines_are_added_while_others_are_written() {
        let (lines, mut log) = (Pages::default(), Calls::default());
        let stalled = lines.page.lock().unwrap();
        for _ in 0..100_000 {
            lines.add(b"news\n", true, &mut log);
        }
        lines.write(false, &mut log);
        drop(stalled);
        assert!(log.0.is_empty());
        lines.write(true, &mut log);
        assert_eq!(log.0.concat().len() as u64 + lines.tell() * 5, 500_000);
        assert!(
            log.0
                .iter()
                .all(|call| call.len() <= WHOLE && call.ends_with('\n'))
        );
    }

    #[test]
    fn the_audit_trail_and_what_is_wrong_do_not_wait() {
        assert!(waits(Level::INFO, "signet::http::edge"));
        assert!(waits(Level::DEBUG, "signet::http::edge"));
        assert!(!waits(Level::INFO, Audit::TARGET));
        assert!(!waits(Level::WARN, "signet::http::edge"));
        assert!(!waits(Level::ERROR, "signet::http::edge"));
    }
}
