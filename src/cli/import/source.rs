//! Reads the accounts of an import from a file or a table, in batches.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use tokio::sync::{mpsc, oneshot};

use super::{
    dump,
    record::{FIELDS, FieldValue, Record, SourcePosition},
    stop::Stop,
    table,
};
use crate::{
    accounts::{self, DjangoTable},
    cli::error::CliError,
    problem::Problem,
};

/// The number of records per message.
const BATCH: usize = accounts::Import::BATCH;

/// The argument that means standard input.
const STDIN: &str = "-";

/// The source of the accounts.
pub(super) enum Source {
    /// The output of `manage.py dumpdata`.
    Dump {
        path: PathBuf,
        /// The model of the users.
        model: Option<String>,
    },
    Csv(PathBuf),
    /// A table of a database.
    Table {
        url: String,
        table: String,
    },
}

/// A batch of records, or why the source cannot be read to its end.
pub(super) type Batch = Result<Vec<Record>, CliError>;

/// The batches of a source.
pub(super) struct Batches {
    pub(super) receiver: mpsc::Receiver<Batch>,
    /// The size of the source, if known: in bytes, or in rows of a table.
    pub(super) size: Option<u64>,
    /// How much was read.
    pub(super) progress: Arc<AtomicU64>,
}

impl Source {
    /// Starts to read the source.
    pub(super) async fn open(self) -> Result<Batches, CliError> {
        let (sender, receiver) = mpsc::channel(2);
        let progress = Arc::new(AtomicU64::new(0));
        let size = match self {
            Self::Table { url, table } => {
                Some(open_table(&url, &table, sender, Arc::clone(&progress)).await?)
            }
            file => {
                // A thread, because reading a file blocks. The thread ends at the end of the file.
                let (opened, size) = oneshot::channel();
                let progress = Arc::clone(&progress);
                thread::spawn(move || file.read(opened, &sender, progress));
                size.await
                    .map_err(|_| "cannot read the file: its thread panicked")??
            }
        };
        Ok(Batches {
            receiver,
            size,
            progress,
        })
    }

    /// Reads a file to its end.
    fn read(
        &self,
        opened: oneshot::Sender<Result<Option<u64>, CliError>>,
        sender: &mpsc::Sender<Batch>,
        progress: Arc<AtomicU64>,
    ) {
        let (Self::Dump { path, .. } | Self::Csv(path)) = self else {
            return;
        };
        // Opening a FIFO blocks until the FIFO has a writer.
        let (input, size) = match open_file(path) {
            Ok((input, size)) => (input, Ok(size)),
            Err(error) => {
                let _ = opened.send(Err(error));
                return;
            }
        };
        if opened.send(size).is_err() {
            return;
        }
        let input = ProgressReader { input, progress };
        let mut input = BufReader::with_capacity(64 * 1024, input);
        let mut batch = Vec::new();
        let mut found = |record| {
            batch.push(record);
            if batch.len() < BATCH {
                return Ok(());
            }
            let batch = std::mem::take(&mut batch);
            sender.blocking_send(Ok(batch)).map_err(|_| Stop::Canceled)
        };
        let read = match self {
            Self::Dump { model, .. } => detect_format(&mut input, false)
                .and_then(|()| dump::read(input, model.as_deref(), &mut found)),
            _ => detect_format(&mut input, true).and_then(|()| table::read(input, &mut found)),
        };
        let last = match read {
            Ok(()) => Ok(batch),
            Err(Stop::Invalid(error)) => {
                let error = error.in_context(&name(path));
                Err(error.state("nothing was changed"))
            }
            Err(Stop::Canceled) => return,
        };
        let _ = sender.blocking_send(last);
    }
}

/// Starts to read a table. Returns the number of rows.
async fn open_table(
    url: &str,
    table: &str,
    sender: mpsc::Sender<Batch>,
    progress: Arc<AtomicU64>,
) -> Result<u64, CliError> {
    let source = DjangoTable::open(url, table).await.map_err(unread)?;
    let count = source.count().await.map_err(unread)?;
    if count == 0 {
        return Err(format!("the table {table} is empty").into());
    }
    tokio::spawn(read_table(source, sender, progress));
    Ok(count)
}

fn unread(problem: Problem) -> CliError {
    CliError::from(problem).in_context("cannot read the database of --from-database")
}

async fn read_table(table: DjangoTable, sender: mpsc::Sender<Batch>, progress: Arc<AtomicU64>) {
    let wanted = [&["id"][..], &FIELDS].concat();
    let columns: Vec<_> = wanted.iter().map(|name| (*name, table.has(name))).collect();
    let mut batch = Vec::new();
    let mut row = 0;
    let read = table.rows(&wanted, |values| {
        row += 1;
        let mut record = Record::new(SourcePosition::Row(row));
        for ((name, exists), value) in columns.iter().zip(values) {
            if let Some(field) = record.field_mut(name) {
                *field = match value {
                    None if !exists => FieldValue::Missing,
                    None => FieldValue::Null,
                    Some(text) => FieldValue::text(text),
                };
            }
        }
        batch.push(record);
        progress.store(row, Ordering::Relaxed);
        let full = (batch.len() == BATCH).then(|| std::mem::take(&mut batch));
        let sender = sender.clone();
        async move {
            match full {
                Some(batch) => sender.send(Ok(batch)).await.is_ok(),
                None => true,
            }
        }
    });
    let last = match read.await {
        Ok(()) => Ok(batch),
        Err(error) => Err(unread(error).state("nothing was changed")),
    };
    let _ = sender.send(last).await;
}

/// Names a file in messages.
fn name(path: &Path) -> String {
    if path == Path::new(STDIN) {
        return "standard input".to_owned();
    }
    path.display().to_string()
}

/// Opens a file or standard input. Returns the size of a regular file, too.
fn open_file(path: &Path) -> Result<(Box<dyn Read + Send>, Option<u64>), CliError> {
    if path == Path::new(STDIN) {
        return Ok((Box::new(io::stdin()), None));
    }
    let failed = |error| format!("cannot read {}: {error}", name(path));
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if metadata.is_dir() {
        return Err(failed(io::ErrorKind::IsADirectory.into()).into());
    }
    Ok((Box::new(file), metadata.is_file().then_some(metadata.len())))
}

/// Rejects files that are neither JSON nor CSV in UTF-8.
fn detect_format(input: &mut impl BufRead, is_csv: bool) -> Result<(), Stop> {
    let start = input
        .fill_buf()
        .map_err(|error| Stop::invalid(error.to_string()))?;
    let (problem, hint) = match start {
        [] => ("the file is empty", None),
        [0xef, 0xbb, 0xbf, ..] if !is_csv => (
            "the file begins with a byte order mark",
            Some("save the file as UTF-8 without a byte order mark"),
        ),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => (
            "the file is UTF-16",
            Some("save the file as UTF-8, or dump with --output instead of >"),
        ),
        [0x1f, 0x8b, ..] => (
            "the file is compressed",
            Some("decompress the file with gunzip"),
        ),
        _ => return Ok(()),
    };
    let error = CliError::from(format!("line 1: {problem}"));
    Err(Stop::Invalid(error.hint_option(hint)))
}

/// Counts the bytes that were read.
struct ProgressReader<R> {
    input: R,
    progress: Arc<AtomicU64>,
}

impl<R: Read> Read for ProgressReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.progress.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}
