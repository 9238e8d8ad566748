//! Where the accounts of an import come from: a file that is read in a thread of its own, or a table.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use tokio::sync::{mpsc, oneshot};

use super::{
    Format, Import,
    dump::{self, Stop},
    record::{self, Cell, FIELDS, Place, Record},
    table,
};
use crate::{
    accounts::{self, DjangoTable},
    cli::error::CliError,
};

/// Records per message.
const BATCH: usize = accounts::Import::BATCH;

/// Some accounts, or why there are no more.
pub(super) type Batch = Result<Vec<Record>, CliError>;

/// Where the accounts come from, batch by batch, and how much there is of it.
pub(super) async fn open(
    import: &Import,
    progress: &Arc<AtomicU64>,
) -> Result<(mpsc::Receiver<Batch>, Option<u64>), CliError> {
    let (sender, receiver) = mpsc::channel(2);
    if let Some(url) = &import.from_database {
        let unread = |error| format!("the database of --from-database cannot be read: {error}");
        let table = DjangoTable::open(url, &import.table)
            .await
            .map_err(unread)?;
        let count = table.count().await.map_err(unread)?;
        if count == 0 {
            return Err(format!("the table {} is empty", import.table).into());
        }
        tokio::spawn(from_table(table, sender, Arc::clone(progress)));
        return Ok((receiver, Some(count)));
    }
    let path = import.file.clone().unwrap_or_default();
    let csv = match import.format {
        Some(format) => format == Format::Csv,
        None => path
            .extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("csv")),
    };
    let (model, progress) = (import.model.clone(), Arc::clone(progress));
    // Reading is not for the async threads; and nothing ends this one but the end of what it reads.
    let (opened, size) = oneshot::channel();
    thread::spawn(move || {
        // Opening a FIFO blocks until it has a writer.
        let (input, size) = match file(&path) {
            Ok((input, size)) => (input, Ok(size)),
            Err(failure) => {
                let _ = opened.send(Err(failure));
                return;
            }
        };
        if opened.send(size).is_err() {
            return;
        }
        let mut input = BufReader::with_capacity(64 * 1024, Counting { input, progress });
        let mut batch = Vec::new();
        let mut found = |record| {
            batch.push(record);
            if batch.len() < BATCH {
                return Ok(());
            }
            let batch = std::mem::take(&mut batch);
            sender.blocking_send(Ok(batch)).map_err(|_| Stop::Unwanted)
        };
        let read = sniff(&mut input, csv).and_then(|()| {
            if csv {
                table::read(input, &mut found)
            } else {
                dump::read(input, model.as_deref(), &mut found)
            }
        });
        let last = match read {
            Ok(()) => Ok(batch),
            Err(Stop::Bad(what)) => Err(CliError::from(format!(
                "{}: {what}. Nothing was changed",
                path.display()
            ))),
            Err(Stop::Unwanted) => return,
        };
        let _ = sender.blocking_send(last);
    });
    let size = size.await;
    let size = size.map_err(|_| "the file was not read: its thread has failed")?;
    Ok((receiver, size?))
}

async fn from_table(table: DjangoTable, sender: mpsc::Sender<Batch>, progress: Arc<AtomicU64>) {
    let wanted = [&["id"][..], &FIELDS].concat();
    let has: Vec<_> = wanted.iter().map(|name| table.has(name)).collect();
    let mut batch = Vec::new();
    let mut row = 0;
    let read = table.rows(&wanted, |values| {
        let mut cells = values
            .into_iter()
            .zip(&has)
            .map(|(value, has)| match value {
                None if !has => Cell::Missing,
                None => Cell::Null,
                Some(text) if text.len() > record::LONGEST => Cell::TooLong,
                Some(text) => Cell::Text(text),
            });
        row += 1;
        batch.push(Record {
            place: Place::Row(row),
            id: cells.next().unwrap_or_default(),
            fields: std::array::from_fn(|_| cells.next().unwrap_or_default()),
        });
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
        Err(error) => Err(CliError::from(format!(
            "the database of --from-database cannot be read: {error}. Nothing was changed"
        ))),
    };
    let _ = sender.send(last).await;
}

fn file(path: &Path) -> Result<(Box<dyn Read + Send>, Option<u64>), CliError> {
    if path == Path::new("-") {
        return Ok((Box::new(io::stdin()), None));
    }
    let failed = |error| format!("cannot read {}: {error}", path.display());
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if metadata.is_dir() {
        return Err(failed(io::ErrorKind::IsADirectory.into()).into());
    }
    Ok((Box::new(file), metadata.is_file().then_some(metadata.len())))
}

/// Tells what a file is that is neither JSON nor CSV in UTF-8.
fn sniff(input: &mut impl BufRead, csv: bool) -> Result<(), Stop> {
    let start = input
        .fill_buf()
        .map_err(|error| Stop::Bad(error.to_string()))?;
    let what = match start {
        [] => "it is empty",
        [0xef, 0xbb, 0xbf, ..] if !csv => {
            "it begins with a byte order mark: save it as UTF-8 without one"
        }
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
            "it is UTF-16: save it as UTF-8, or dump with --output instead of >"
        }
        [0x1f, 0x8b, ..] => "it is compressed: unpack it with gunzip",
        _ => return Ok(()),
    };
    Err(Stop::Bad(format!("line 1: {what}")))
}

/// Counts what was read.
struct Counting<R> {
    input: R,
    progress: Arc<AtomicU64>,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.progress.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}
