//! Writes the log to standard error.
//!
//! A service writes from one thread, so that a slow reader of the log never delays a request. If the queue of this thread is
//! full, the service drops lines and counts them. Other commands write without a queue, and block until the reader continues.
//!
//! `tracing-appender` was considered: it does not count lines that it fails to write, and if the queue is full at exit, it
//! prints to standard output, which blocks forever if both outputs are the same full pipe.

use std::{
    io::{self, Write},
    iter, mem,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use parking_lot::{Condvar, Mutex};
use prometheus_client::metrics::counter::Counter;
use tracing::error;

use crate::cli::error::CliError;

/// How many bytes may wait for the writer thread. A line has about 300 bytes.
const QUEUE_BYTES: usize = 256 * 1024;
/// How long the writer thread collects lines. If each line woke the thread, a refresh would take twice the processor time.
const COLLECT: Duration = Duration::from_millis(5);
/// The kernel writes at most this many bytes to a pipe as one piece (`PIPE_BUF` in `pipe(7)`).
const MAX_WRITE: usize = 4096;
/// The timeout of [`flush`] if the reader of the log is slow.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);
/// The pause after a failed write.
const PAUSE: Duration = Duration::from_millis(20);

/// The queue of a service. Other commands have no queue.
static QUEUE: OnceLock<LogQueue> = OnceLock::new();

/// Collects lines for the writer thread.
struct LogQueue {
    /// The number of bytes that may wait for the writer thread.
    capacity: usize,
    waiting: Mutex<Waiting>,
    changed: Condvar,
    lost: Counter,
    /// The number of lost lines that are reported in the log.
    reported: AtomicU64,
}

#[derive(Default)]
struct Waiting {
    lines: Vec<u8>,
    /// Whether the writer thread is writing lines that it took from the queue.
    is_writing: bool,
}

impl LogQueue {
    fn new(capacity: usize) -> Self {
        Self {
            capacity,
            waiting: Mutex::default(),
            changed: Condvar::new(),
            lost: Counter::default(),
            reported: AtomicU64::new(0),
        }
    }

    /// Queues a line. If the queue is full, counts the line as lost.
    fn push(&self, line: &[u8]) {
        let mut waiting = self.waiting.lock();
        let was_empty = waiting.lines.is_empty();
        if !was_empty && waiting.lines.len() + line.len() > self.capacity {
            self.lost.inc();
            return;
        }
        waiting.lines.extend_from_slice(line);
        if was_empty && !waiting.is_writing {
            self.changed.notify_all();
        }
    }

    /// Writes lines as they arrive. Lines that wait are written together, as many whole lines as fit into one write.
    fn write_lines(&self, output: &mut impl Write) {
        let mut lines = Vec::new();
        loop {
            self.wait_for_lines();
            thread::sleep(COLLECT);
            mem::swap(&mut self.waiting.lock().lines, &mut lines);
            for piece in pieces(&lines) {
                write_with_retries(piece, output);
            }
            lines.clear();
            // In a full queue, the report would be lost as well.
            if self.waiting.lock().lines.len() < self.capacity / 2 {
                self.report_lost_lines();
            }
        }
    }

    /// Blocks until there are lines to write.
    fn wait_for_lines(&self) {
        let mut waiting = self.waiting.lock();
        waiting.is_writing = false;
        self.changed.notify_all();
        self.changed
            .wait_while(&mut waiting, |waiting| waiting.lines.is_empty());
        waiting.is_writing = true;
    }

    /// Logs how many lines were lost since the last report. The event is an error, so that the usual filters do not hide it.
    fn report_lost_lines(&self) {
        let lost = self.lost.get();
        let unreported = lost.saturating_sub(self.reported.swap(lost, Ordering::AcqRel));
        if unreported > 0 {
            error!(
                lost = unreported,
                "log lines lost: the reader of the log is too slow"
            );
        }
    }

    /// Blocks until all lines are written. Returns false after the timeout.
    fn wait_until_written(&self, timeout: Duration) -> bool {
        let is_pending = |waiting: &mut Waiting| waiting.is_writing || !waiting.lines.is_empty();
        let mut waiting = self.waiting.lock();
        let result = self
            .changed
            .wait_while_for(&mut waiting, is_pending, timeout);
        !result.timed_out()
    }
}

/// Splits at line ends into pieces that the kernel writes whole. A line that is too long is a piece.
fn pieces(lines: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = lines;
    iter::from_fn(move || {
        let is_end = |byte: &u8| *byte == b'\n';
        let fits = &rest[..rest.len().min(MAX_WRITE)];
        let end = fits.iter().rposition(is_end);
        let end = end.or_else(|| rest.iter().position(is_end));
        let (piece, remaining) = rest.split_at(end.map_or(rest.len(), |end| end + 1));
        rest = remaining;
        (!piece.is_empty()).then_some(piece)
    })
}

/// Repeats writes that fail: a full disk, for example, may have space later.
fn write_with_retries(mut bytes: &[u8], output: &mut impl Write) {
    while !bytes.is_empty() {
        match output.write(bytes) {
            Ok(written @ 1..) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => thread::sleep(PAUSE),
        }
    }
}

/// Starts the writer thread, and returns the counter of lost lines.
///
/// # Errors
/// The system cannot start a thread.
pub(in crate::cli) fn start_writer_thread() -> Result<Counter, CliError> {
    let queue = QUEUE.get_or_init(|| LogQueue::new(QUEUE_BYTES));
    thread::Builder::new()
        .name("log".to_owned())
        .spawn(move || queue.write_lines(&mut io::stderr()))
        .map_err(|error| format!("cannot start the thread that writes the log: {error}"))?;
    Ok(queue.lost.clone())
}

/// Blocks until all lines are written, or until a timeout, so that a reader that hangs does not prevent the exit.
pub(in crate::cli) fn flush() {
    if let Some(queue) = QUEUE.get()
        && queue.wait_until_written(FLUSH_TIMEOUT)
    {
        queue.report_lost_lines();
        queue.wait_until_written(FLUSH_TIMEOUT);
    }
}

/// Flushes the log when the value is dropped, so also during a panic.
pub(in crate::cli) struct FlushOnDrop;

impl Drop for FlushOnDrop {
    fn drop(&mut self) {
        flush();
    }
}

/// Accepts the lines of the log.
pub(super) struct LineWriter;

impl Write for LineWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match QUEUE.get() {
            Some(queue) => queue.push(line),
            None => io::stderr().write_all(line)?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        mpsc::{self, Receiver, Sender},
    };

    use super::*;

    /// An output that hangs while the test holds the lock, and then sends each write to the test.
    struct LockedOutput {
        lock: Arc<Mutex<()>>,
        writes: Sender<String>,
    }

    impl Write for LockedOutput {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            drop(self.lock.lock());
            let _ = self.writes.send(String::from_utf8(bytes.to_vec()).unwrap());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A disk that rejects some writes, and then accepts at most three bytes per write.
    struct FullDisk {
        failures: usize,
        content: Vec<u8>,
    }

    impl Write for FullDisk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.failures > 0 {
                self.failures -= 1;
                return Err(io::ErrorKind::StorageFull.into());
            }
            let written = bytes.len().min(3);
            self.content.extend_from_slice(&bytes[..written]);
            Ok(written)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Starts a writer thread whose output hangs while `lock` is held.
    fn start(capacity: usize, lock: &Arc<Mutex<()>>) -> (Arc<LogQueue>, Receiver<String>) {
        let queue = Arc::new(LogQueue::new(capacity));
        let (writes, written) = mpsc::channel();
        let mut output = LockedOutput {
            lock: Arc::clone(lock),
            writes,
        };
        let shared = Arc::clone(&queue);
        thread::spawn(move || shared.write_lines(&mut output));
        (queue, written)
    }

    #[test]
    fn waiting_lines_are_written_together_and_whole() {
        let lock = Arc::default();
        let (queue, written) = start(QUEUE_BYTES, &lock);
        let line = format!("{}\n", "x".repeat(299));
        let hang = lock.lock();
        for _ in 0..100 {
            queue.push(line.as_bytes());
        }
        drop(hang);
        assert!(queue.wait_until_written(Duration::from_mins(1)));
        let writes: Vec<_> = written.try_iter().collect();
        assert!(writes.len() < 50, "{}", writes.len());
        assert_eq!(writes.concat(), line.repeat(100));
        for write in writes {
            assert!(write.len() <= MAX_WRITE && write.ends_with('\n'), "{write}");
        }
    }

    #[test]
    fn long_line_is_written() {
        let (queue, written) = start(10, &Arc::default());
        queue.push(&[b'x'; 3 * MAX_WRITE]);
        assert!(queue.wait_until_written(Duration::from_mins(1)));
        assert_eq!(written.recv().unwrap().len(), 3 * MAX_WRITE);
    }

    #[test]
    fn hanging_output_delays_no_line_and_lost_lines_are_counted() {
        let lock = Arc::default();
        let (queue, written) = start(100, &lock);
        let hang = lock.lock();
        for number in 0..10_000 {
            queue.push(format!("line {number:06}\n").as_bytes());
        }
        assert!(queue.lost.get() > 0);
        drop(hang);
        assert!(queue.wait_until_written(Duration::from_mins(1)));
        let text = written.try_iter().collect::<String>();
        assert!(text.lines().is_sorted());
        assert!(text.lines().all(|line| line.len() == 11));
        assert_eq!(text.lines().count() as u64 + queue.lost.get(), 10_000);
    }

    #[test]
    fn lost_lines_are_reported_once() {
        let queue = LogQueue::new(1);
        queue.push(b"one\n");
        queue.push(b"two\n");
        queue.report_lost_lines();
        assert_eq!(queue.reported.load(Ordering::Acquire), 1);
    }

    #[test]
    fn failed_write_is_repeated() {
        let mut disk = FullDisk {
            failures: 2,
            content: Vec::new(),
        };
        write_with_retries(b"one\ntwo\n", &mut disk);
        assert_eq!(disk.content, b"one\ntwo\n");
    }

    #[test]
    fn flush_times_out_if_the_output_hangs() {
        let queue = LogQueue::new(1);
        queue.push(b"one\n");
        assert!(!queue.wait_until_written(PAUSE));
    }
}
