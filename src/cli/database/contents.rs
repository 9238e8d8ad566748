//! The contents of a database as a table and as JSON.

use serde_json::{Value, json};

use crate::{
    accounts::Contents,
    cli::{
        error::CliError,
        output::{OutputArgs, Table, print_json},
    },
};

/// Prints the number of rows and the digest of each table.
pub(super) fn print(contents: &Contents, output: OutputArgs) -> Result<(), CliError> {
    if output.json {
        return print_json(as_json(contents));
    }
    let mut table = Table::new(["TABLE", "ROWS", "DIGEST"]);
    for (name, rows) in &contents.0 {
        table.row([(*name).to_owned(), rows.count.to_string(), rows.digest()]);
    }
    table.print().map(drop)
}

/// Returns the rows and the digest of each table.
pub(super) fn as_json(contents: &Contents) -> Value {
    let tables = contents.0.iter().map(|(name, rows)| {
        let rows = json!({ "rows": rows.count, "digest": rows.digest() });
        ((*name).to_owned(), rows)
    });
    tables.collect()
}
