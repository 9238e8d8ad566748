//! Where the lines of the log go: to standard error, those of many requests at once.
//!
//! To write a line is a call of the kernel, which takes a twentieth of a refresh. A thread that answers requests has many of them
//! under way, and writes what they have to say when it has nothing else to do, and at the latest when that fills a page. What is
//! more than news is written at once, with all that came before it. Whoever kills the service takes that page along.

use std::{
    cell::Cell,
    io::{self, Write},
    sync::{Mutex, MutexGuard, PoisonError},
};

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

use crate::auth::Audit;

/// So much is written whole, whoever else writes to the same pipe (`PIPE_BUF` in `pipe(7)`).
const WHOLE: usize = 4096;

/// The lines of all threads, so that they stay in order.
static WAITING: Mutex<Waiting> = Mutex::new(Waiting(Vec::new()));

thread_local! {
    /// Whether this thread tells of its rests. Nobody would write what another one leaves behind.
    static TELLS: Cell<bool> = const { Cell::new(false) };
}

/// To be called by a thread each time before it waits for something to do.
pub(in crate::cli) fn before_rest() {
    TELLS.set(true);
    write_out();
}

/// Writes what waits: before the process ends, too.
pub(in crate::cli) fn write_out() {
    waiting().write(&mut io::stderr());
}

fn waiting() -> MutexGuard<'static, Waiting> {
    WAITING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lines that wait for others, to be written with them.
struct Waiting(Vec<u8>);

impl Waiting {
    fn add(&mut self, line: &[u8], waits: bool, log: &mut impl Write) {
        if self.0.len() + line.len() > WHOLE {
            self.write(log);
        }
        self.0.extend_from_slice(line);
        if !waits {
            self.write(log);
        }
    }

    fn write(&mut self, log: &mut impl Write) {
        // If the log cannot be written, there is nobody to be told.
        let _ = log.write_all(&self.0);
        self.0.clear();
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
        waiting().add(line, waits, &mut io::stderr());
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
    fn the_audit_trail_and_what_is_wrong_do_not_wait() {
        assert!(waits(Level::INFO, "signet::app::edge"));
        assert!(waits(Level::DEBUG, "signet::app::edge"));
        assert!(!waits(Level::INFO, Audit::TARGET));
        assert!(!waits(Level::WARN, "signet::app::edge"));
        assert!(!waits(Level::ERROR, "signet::app::edge"));
    }
}
