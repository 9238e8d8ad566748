//! Reads what `manage.py dumpdata` writes: a JSON list of objects, of which the users are some.
//!
//! One object is held at a time, and of a long text only its start, so that a dump of any size takes the
//! same memory.

use std::io::{self, ErrorKind, Read};

use struson::reader::{
    JsonReader, JsonReaderPosition, JsonStreamReader, JsonSyntaxError, LinePosition, ReaderError,
    ReaderSettings, SyntaxErrorKind, ValueType,
};

use super::record::{Cell, FIELDS, LONGEST, Place, Record, start};

mod python;

use python::Python;

/// How deep the values of a dump may be nested. Python stops at 1000 by default.
const DEEPEST: u32 = 10_000;

/// Why a dump was not read to its end.
pub(super) enum Stop {
    /// What is wrong, and where.
    Bad(String),
    /// Nobody takes what is read any more.
    Unwanted,
}

/// An object of the list.
struct Object {
    place: Place,
    model: String,
    id: Cell,
    fields: [Cell; FIELDS.len()],
}

/// Hands each user of a dump to `found`: the objects with a password, and an e-mail or a user name, whatever
/// their model is called, or those of `model`.
pub(super) fn read(
    input: impl Read,
    model: Option<&str>,
    mut found: impl FnMut(Record) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let settings = ReaderSettings {
        max_nesting_depth: Some(DEEPEST),
        ..ReaderSettings::default()
    };
    let mut json = JsonStreamReader::new_custom(Python::new(input), settings);
    let mut user_model = model.map(str::to_owned);
    let mut users: u64 = 0;
    if json.peek().map_err(bad)? != ValueType::Array {
        return Err(Stop::Bad(
            "line 1: it is not a list of objects, as `manage.py dumpdata --format json` writes it; nor is JSON lines"
                .to_owned(),
        ));
    }
    json.begin_array().map_err(bad)?;
    while json.has_next().map_err(bad)? {
        let object = object(&mut json)?;
        let [email, username, password, ..] =
            object.fields.each_ref().map(|cell| *cell != Cell::Missing);
        let is_known = user_model
            .as_deref()
            .is_some_and(|model| model.eq_ignore_ascii_case(&object.model));
        if !(is_known || password && (email || username)) {
            continue;
        }
        match &user_model {
            None => user_model = Some(object.model),
            Some(_) if is_known => {}
            // A model that was asked for, and this is another.
            Some(_) if model.is_some() => continue,
            Some(model) => {
                return Err(Stop::Bad(format!(
                    "{}: both {model} and {} look like users: say which with --model",
                    object.place, object.model
                )));
            }
        }
        users += 1;
        found(Record {
            place: object.place,
            id: object.id,
            fields: object.fields,
        })?;
    }
    json.end_array().map_err(bad)?;
    json.consume_trailing_whitespace().map_err(bad)?;
    if users == 0 {
        let which = model.map_or_else(String::new, |model| format!(" of the model {model}"));
        return Err(Stop::Bad(format!(
            "there is no user in it: no object{which} has an `email` (or a `username`) and a `password`"
        )));
    }
    Ok(())
}

fn object(json: &mut impl JsonReader) -> Result<Object, Stop> {
    let place = place(&json.current_position(false));
    if json.peek().map_err(bad)? != ValueType::Object {
        return Err(Stop::Bad(format!("{place}: this is not an object")));
    }
    let mut object = Object {
        place,
        model: String::new(),
        id: Cell::Missing,
        fields: Default::default(),
    };
    json.begin_object().map_err(bad)?;
    while json.has_next().map_err(bad)? {
        let name = json.next_name_owned().map_err(bad)?;
        match &*name {
            "model" => {
                if let Cell::Text(model) = cell(json)? {
                    object.model = model;
                }
            }
            "pk" => object.id = cell(json)?,
            "fields" if json.peek().map_err(bad)? == ValueType::Object => {
                fields(json, &mut object)?;
            }
            _ => skip(json, &object.model)?,
        }
    }
    json.end_object().map_err(bad)?;
    Ok(object)
}

fn fields(json: &mut impl JsonReader, object: &mut Object) -> Result<(), Stop> {
    json.begin_object().map_err(bad)?;
    while json.has_next().map_err(bad)? {
        let name = json.next_name().map_err(bad)?;
        match FIELDS.iter().position(|field| *field == name) {
            Some(index) => object.fields[index] = cell(json)?,
            None => skip(json, &object.model)?,
        }
    }
    json.end_object().map_err(bad)
}

/// Skips a value that no user needs.
fn skip(json: &mut impl JsonReader, model: &str) -> Result<(), Stop> {
    json.skip_value().map_err(|error| {
        let is_cut_off = matches!(
            &error,
            ReaderError::SyntaxError(JsonSyntaxError {
                kind: SyntaxErrorKind::IncompleteDocument,
                ..
            })
        );
        match bad(error) {
            Stop::Bad(error) if !is_cut_off => Stop::Bad(format!(
                "{error}. The import does not need this value of the model {}: dump only the users with `manage.py dumpdata APP.MODEL`",
                start(model)
            )),
            stop => stop,
        }
    })
}

fn cell(json: &mut impl JsonReader) -> Result<Cell, Stop> {
    Ok(match json.peek().map_err(bad)? {
        ValueType::Null => {
            json.next_null().map_err(bad)?;
            Cell::Null
        }
        ValueType::Boolean => Cell::Bool(json.next_bool().map_err(bad)?),
        ValueType::Number => Cell::Number(json.next_number_as_string().map_err(bad)?),
        ValueType::String => text(json)?,
        ValueType::Array | ValueType::Object => {
            json.skip_value().map_err(bad)?;
            Cell::Nested
        }
    })
}

fn text(json: &mut impl JsonReader) -> Result<Cell, Stop> {
    let place = place(&json.current_position(false));
    let failed = |error: io::Error| match error.downcast::<JsonSyntaxError>() {
        Ok(error) => bad(error.into()),
        Err(error) if error.to_string().contains("UTF-8") => Stop::Bad(format!(
            "{place}: this text is not UTF-8: save the dump as UTF-8"
        )),
        Err(error) => Stop::Bad(format!("{place}: this text cannot be read: {error}")),
    };
    let mut reader = json.next_string_reader().map_err(bad)?;
    let mut start = Vec::new();
    reader
        .by_ref()
        .take(LONGEST as u64)
        .read_to_end(&mut start)
        .map_err(failed)?;
    // To its end, whatever is kept of it.
    let rest = io::copy(&mut reader, &mut io::sink()).map_err(failed)?;
    Ok(match String::from_utf8(start) {
        Ok(text) if rest == 0 => Cell::Text(text),
        _ => Cell::TooLong,
    })
}

fn place(position: &JsonReaderPosition) -> Place {
    let LinePosition { line, column } = position
        .line_pos
        .unwrap_or(LinePosition { line: 0, column: 0 });
    Place::Character {
        line: line + 1,
        column: column + 1,
    }
}

fn bad(error: ReaderError) -> Stop {
    let (location, what) = match error {
        ReaderError::SyntaxError(JsonSyntaxError {
            kind: SyntaxErrorKind::IncompleteDocument,
            location,
        }) => (
            location,
            "it ends here, in the middle: it was cut off".to_owned(),
        ),
        ReaderError::SyntaxError(JsonSyntaxError {
            kind: SyntaxErrorKind::TrailingData,
            location,
        }) => (
            location,
            "something follows the list. Is it JSON lines? Dump with --format json".to_owned(),
        ),
        ReaderError::SyntaxError(JsonSyntaxError { kind, location }) => {
            (location, format!("it is not JSON here ({kind})"))
        }
        ReaderError::IoError { error, location } if error.kind() == ErrorKind::InvalidData => (
            location,
            "this text is not UTF-8: save the dump as UTF-8".to_owned(),
        ),
        ReaderError::IoError { error, location } => (location, error.to_string()),
        ReaderError::MaxNestingDepthExceeded { location, .. } => {
            (location, "it is nested too deeply".to_owned())
        }
        ReaderError::UnsupportedNumberValue { location, .. } => {
            (location, "this number is too large".to_owned())
        }
        other => return Stop::Bad(other.to_string()),
    };
    Stop::Bad(format!("{}: {what}", place(&location)))
}
