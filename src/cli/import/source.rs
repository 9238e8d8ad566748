//! Reads the accounts of an import from a file or a table, in batches.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
    thread,
};

use indicatif::ProgressBar;
use tokio::sync::mpsc;

use super::{
    dump,
    record::{FIELDS, FieldValue, Record, SourcePosition},
    stop::Stop,
    table,
};
use crate::{
    accounts::{self, DjangoTable},
    cli::{error::CliError, output::set_template},
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

impl Source {
    /// Starts to read the source. `bar` shows how much was read.
    pub(super) fn read(self, bar: ProgressBar) -> mpsc::Receiver<Batch> {
        let (sender, receiver) = mpsc::channel(2);
        match self {
            Self::Table { url, table } => {
                tokio::spawn(async move {
                    let last = read_table(&url, &table, &sender, &bar).await;
                    let _ = sender.send(last).await;
                });
            }
            file => {
                // A thread, because reading a file blocks. The thread ends at the end of the file.
                thread::spawn(move || {
                    let last = file.read_file(&sender, &bar);
                    let _ = sender.blocking_send(last);
                });
            }
        }
        receiver
    }

    /// Reads a file to its end. Returns the last batch.
    fn read_file(&self, sender: &mpsc::Sender<Batch>, bar: &ProgressBar) -> Batch {
        let (Self::Dump { path, .. } | Self::Csv(path)) = self else {
            return Ok(Vec::new());
        };
        // Opening a FIFO blocks until the FIFO has a writer.
        let (input, size) = open_file(path)?;
        if let Some(size) = size {
            set_size(bar, size);
        }
        let mut input = BufReader::with_capacity(64 * 1024, bar.wrap_read(input));
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
        match read {
            Ok(()) | Err(Stop::Canceled) => Ok(batch),
            Err(Stop::Invalid(error)) => {
                let error = error.in_context(&name(path));
                Err(error.state("nothing was changed"))
            }
        }
    }
}

/// Shows the part of the source that was read: bytes, or rows of a table.
fn set_size(bar: &ProgressBar, size: u64) {
    bar.set_length(size);
    set_template(bar, "{bar:40} {percent} %, {msg} accounts");
}

fn unread(problem: Problem) -> CliError {
    CliError::from(problem).in_context("cannot read the database of --from-database")
}

/// Reads a table to its end. Returns the last batch.
async fn read_table(
    url: &str,
    table: &str,
    sender: &mpsc::Sender<Batch>,
    bar: &ProgressBar,
) -> Batch {
    let source = DjangoTable::open(url, table).await.map_err(unread)?;
    let count = source.count().await.map_err(unread)?;
    if count == 0 {
        return Err(format!("the table {table} is empty").into());
    }
    set_size(bar, count);
    let columns = ["id"].into_iter().chain(FIELDS);
    let columns: Vec<_> = columns.filter(|name| source.has(name)).collect();
    let mut batch = Vec::new();
    let mut row = 0;
    let read = source.rows(&columns, |values| {
        row += 1;
        let mut record = Record::new(SourcePosition::Row(row));
        for (name, value) in columns.iter().zip(values) {
            let value = value.map_or(FieldValue::Null, FieldValue::text);
            record.fields.insert(*name, value);
        }
        batch.push(record);
        bar.inc(1);
        let full = (batch.len() == BATCH).then(|| std::mem::take(&mut batch));
        async move {
            match full {
                Some(batch) => sender.send(Ok(batch)).await.is_ok(),
                None => true,
            }
        }
    });
    match read.await {
        Ok(()) => Ok(batch),
        Err(error) => Err(unread(error).state("nothing was changed")),
    }
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
