//! Where the lines of the log go: to standard error, those of many requests at once.
//!
//! To write a line is a call of the kernel, which takes a twentieth of a refresh. A thread that answers requests has many of them
//! under way, and writes what they have to say when it has nothing else to do, and at the latest when that fills a page: no clock
//! is asked. What is more than news is written at once, with all that came before it. Whoever kills the service takes that page along.

use std::{
    cell::Cell,
    io::{self, Write},
    sync::{Mutex, PoisonError, TryLockError},
};

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

use crate::auth::Audit;

/// So much is written whole, whoever else writes to the same pipe (`PIPE_BUF` in `pipe(7)`).
const WHOLE: usize = 4096;
/// Of a log that takes nothing, as on a disk that is full, no more than this is kept for when it does again.
const KEPT: usize = 16 * WHOLE;

/// The lines of all threads, in the order of their coming.
static WAITING: Mutex<Waiting> = Mutex::new(Waiting(Vec::new()));

thread_local! {
    /// Whether this thread tells of its rests. Of what another one leaves behind, nobody is sure to write it soon.
    static TELLS: Cell<bool> = const { Cell::new(false) };
}

/// To be called by a thread each time before it waits for something to do.
pub(in crate::cli) fn before_rest() {
    TELLS.set(true);
    // Whoever has it writes all there is, or adds to it and will come to rest in its turn. It may be held up by a log that takes
    // nothing, which is no reason for others to stand still.
    match WAITING.try_lock() {
        Ok(mut waiting) => waiting.write(&mut io::stderr()),
        Err(TryLockError::Poisoned(waiting)) => waiting.into_inner().write(&mut io::stderr()),
        Err(TryLockError::WouldBlock) => {}
    }
}

/// Writes what waits, before the process ends.
pub(in crate::cli) fn write_out() {
    let mut waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
    waiting.write(&mut io::stderr());
}

/// Lines that wait for others, to be written with them.
struct Waiting(Vec<u8>);

impl Waiting {
    fn add(&mut self, line: &[u8], waits: bool, log: &mut impl Write) {
        if self.0.len() + line.len() > WHOLE {
            self.write(log);
        }
        self.0.extend_from_slice(line);
        if !waits || self.0.len() >= WHOLE {
            self.write(log);
        }
    }

    fn write(&mut self, log: &mut impl Write) {
        while !self.0.is_empty() {
            match log.write(&self.0) {
                Ok(written @ 1..) => drop(self.0.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // There is nobody to be told. What is left comes with the next.
                Ok(0) | Err(_) => break,
            }
        }
        if self.0.len() > KEPT {
            self.0.clear();
        }
    }
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
        let mut waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.add(line, waits, &mut io::stderr());
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
        let (mut waiting, mut log) = (Waiting(Vec::new()), Calls::default());
        waiting.add(b"one\n", true, &mut log);
        waiting.add(b"two\n", true, &mut log);
        assert!(log.0.is_empty());
        waiting.add(b"a fault\n", false, &mut log);
        assert_eq!(log.0, ["one\ntwo\na fault\n"]);
        waiting.write(&mut log);
        assert_eq!(log.0.len(), 1);
    }

    #[test]
    fn a_page_of_lines_is_written_whole() {
        let (mut waiting, mut log) = (Waiting(Vec::new()), Calls::default());
        let line = format!("{}\n", "x".repeat(299));
        for _ in 0..100 {
            waiting.add(line.as_bytes(), true, &mut log);
        }
        assert!(log.0.len() < 10);
        waiting.write(&mut log);
        assert_eq!(log.0.concat(), line.repeat(100));
        for call in log.0 {
            assert!(call.len() <= WHOLE && call.ends_with('\n'), "{call}");
        }
    }

    #[test]
    fn a_line_longer_than_a_page_does_not_wait() {
        let (mut waiting, mut log) = (Waiting(Vec::new()), Calls::default());
        waiting.add(&[b'x'; WHOLE + 1], true, &mut log);
        assert_eq!(log.0.len(), 1);
    }

    #[test]
    fn what_the_log_does_not_take_comes_when_it_does_and_there_is_an_end_to_it() {
        let mut waiting = Waiting(Vec::new());
        let mut disk = Disk {
            room: 3,
            held: Vec::new(),
        };
        waiting.add(b"one\n", false, &mut disk);
        waiting.add(b"two\n", false, &mut disk);
        disk.room = 100;
        waiting.add(b"three\n", false, &mut disk);
        assert_eq!(disk.held, b"one\ntwo\nthree\n");

        disk.room = 0;
        for _ in 0..100_000 {
            waiting.add(b"one more line\n", true, &mut disk);
            assert!(waiting.0.len() <= KEPT + WHOLE);
        }
    }

    #[test]
    fn the_audit_trail_and_what_is_wrong_do_not_wait() {
        assert!(waits(Level::INFO, "signet::app::edge"));
        assert!(waits(Level::DEBUG, "signet::app::edge"));
        assert!(!waits(Level::INFO, Audit::TARGET));
        assert!(!waits(Level::WARN, "signet::app::edge"));
        assert!(!waits(Level::ERROR, "signet::app::edge"));
    }
}
