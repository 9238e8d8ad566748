//! Reads the output of `manage.py dumpdata`: a JSON list of objects. Some of the objects are users.
//!
//! Reads one object at a time, and only the start of a long text, so that the memory does not depend on the size of the dump. A
//! derived `Deserialize` would load each text of a user, however long.

use std::io::{self, ErrorKind, Read};

use struson::reader::{
    JsonReader, JsonReaderPosition, JsonStreamReader, JsonSyntaxError, LinePosition, ReaderError,
    ReaderSettings, SyntaxErrorKind, ValueType,
};

use super::{
    record::{FIELDS, FieldValue, MAX_TEXT, Record, SourcePosition, start},
    stop::Stop,
};

mod python;

use python::Python;

/// The deepest nesting of a value. Python stops at 1000 by default.
const MAX_DEPTH: u32 = 10_000;

/// Calls `found` with each user of a dump: the objects of `model`, or the objects with a password and an email or a user name.
pub(super) fn read(
    input: impl Read,
    model: Option<&str>,
    mut found: impl FnMut(Record) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let settings = ReaderSettings {
        max_nesting_depth: Some(MAX_DEPTH),
        ..ReaderSettings::default()
    };
    let mut json = JsonStreamReader::new_custom(Python::new(input), settings);
    let mut user_model = model.map(str::to_owned);
    let mut is_empty = true;
    if json.peek().map_err(invalid)? != ValueType::Array {
        return Err(Stop::with_hint(
            "line 1: the file is not a JSON list of objects".to_owned(),
            "dump with `manage.py dumpdata --format json`; JSON lines are not supported",
        ));
    }
    json.begin_array().map_err(invalid)?;
    while json.has_next().map_err(invalid)? {
        let (object_model, record) = object(&mut json)?;
        let is_known = user_model
            .as_deref()
            .is_some_and(|model| model.eq_ignore_ascii_case(&object_model));
        let has = |name| record.fields.contains_key(name);
        let is_user = has("password") && (has("email") || has("username"));
        if !is_known {
            match &user_model {
                _ if !is_user => continue,
                None => user_model = Some(object_model),
                // The dump has another model than the requested model.
                Some(_) if model.is_some() => continue,
                Some(model) => {
                    let message = format!(
                        "{}: both {model} and {object_model} look like users",
                        record.position
                    );
                    return Err(Stop::with_hint(message, "name the user model with --model"));
                }
            }
        }
        is_empty = false;
        found(record)?;
    }
    json.end_array().map_err(invalid)?;
    json.consume_trailing_whitespace().map_err(invalid)?;
    if is_empty {
        let which = model.map_or_else(String::new, |model| format!(" of the model {model}"));
        return Err(Stop::invalid(format!(
            "the file contains no user: no object{which} has an `email` (or a `username`) and a `password`"
        )));
    }
    Ok(())
}

/// Reads an object of the list. Returns its model and its fields.
fn object(json: &mut impl JsonReader) -> Result<(String, Record), Stop> {
    let position = position(&json.current_position(false));
    if json.peek().map_err(invalid)? != ValueType::Object {
        return Err(Stop::invalid(format!("{position}: not a JSON object")));
    }
    let mut model = String::new();
    let mut record = Record::new(position);
    json.begin_object().map_err(invalid)?;
    while json.has_next().map_err(invalid)? {
        match json.next_name_owned().map_err(invalid)?.as_str() {
            "model" => {
                if let FieldValue::Text(text) = value(json)? {
                    model = text;
                }
            }
            "pk" => {
                record.fields.insert("id", value(json)?);
            }
            "fields" if json.peek().map_err(invalid)? == ValueType::Object => {
                fields(json, &model, &mut record)?;
            }
            _ => skip(json, &model)?,
        }
    }
    json.end_object().map_err(invalid)?;
    Ok((model, record))
}

fn fields(json: &mut impl JsonReader, model: &str, record: &mut Record) -> Result<(), Stop> {
    json.begin_object().map_err(invalid)?;
    while json.has_next().map_err(invalid)? {
        let name = json.next_name_owned().map_err(invalid)?;
        match FIELDS.into_iter().find(|field| *field == name) {
            Some(field) => {
                record.fields.insert(field, value(json)?);
            }
            None => skip(json, model)?,
        }
    }
    json.end_object().map_err(invalid)
}

/// Skips a value that the import does not use.
fn skip(json: &mut impl JsonReader, model: &str) -> Result<(), Stop> {
    json.skip_value().map_err(|error| {
        let is_cut_off = matches!(
            &error,
            ReaderError::SyntaxError(JsonSyntaxError {
                kind: SyntaxErrorKind::IncompleteDocument,
                ..
            })
        );
        match invalid(error) {
            Stop::Invalid(error) if !is_cut_off => Stop::Invalid(
                error
                    .state(&format!("the value belongs to the model {}", start(model)))
                    .hint("dump only the users with `manage.py dumpdata APP.MODEL`: the import does not need other models"),
            ),
            stop => stop,
        }
    })
}

fn value(json: &mut impl JsonReader) -> Result<FieldValue, Stop> {
    Ok(match json.peek().map_err(invalid)? {
        ValueType::Null => {
            json.next_null().map_err(invalid)?;
            FieldValue::Null
        }
        ValueType::Boolean => FieldValue::Bool(json.next_bool().map_err(invalid)?),
        ValueType::Number => FieldValue::Number(json.next_number_as_string().map_err(invalid)?),
        ValueType::String => text(json)?,
        ValueType::Array | ValueType::Object => {
            json.skip_value().map_err(invalid)?;
            FieldValue::Nested
        }
    })
}

/// Reads a text. Stores only its start if the text is too long.
fn text(json: &mut impl JsonReader) -> Result<FieldValue, Stop> {
    let position = position(&json.current_position(false));
    let failed = |error: io::Error| match error.downcast::<JsonSyntaxError>() {
        Ok(error) => invalid(error.into()),
        Err(error) if error.to_string().contains("UTF-8") => not_utf8(&position),
        Err(error) => Stop::invalid(format!("{position}: cannot read this text: {error}")),
    };
    let mut reader = json.next_string_reader().map_err(invalid)?;
    let mut start = Vec::new();
    reader
        .by_ref()
        .take(MAX_TEXT as u64)
        .read_to_end(&mut start)
        .map_err(failed)?;
    let rest = io::copy(&mut reader, &mut io::sink()).map_err(failed)?;
    Ok(match String::from_utf8(start) {
        Ok(text) if rest == 0 => FieldValue::Text(text),
        _ => FieldValue::TooLong,
    })
}

fn position(position: &JsonReaderPosition) -> SourcePosition {
    let LinePosition { line, column } = position
        .line_pos
        .unwrap_or(LinePosition { line: 0, column: 0 });
    SourcePosition::Character {
        line: line + 1,
        column: column + 1,
    }
}

fn invalid(error: ReaderError) -> Stop {
    let (location, problem) = match error {
        ReaderError::SyntaxError(JsonSyntaxError { kind, location }) => {
            let problem = match kind {
                SyntaxErrorKind::IncompleteDocument => "unexpected end of the file",
                SyntaxErrorKind::TrailingCommaNotEnabled => "invalid JSON: trailing comma",
                SyntaxErrorKind::TrailingData => {
                    let message =
                        format!("{}: text after the end of the list", position(&location));
                    let hint = "dump with --format json; JSON lines are not supported";
                    return Stop::with_hint(message, hint);
                }
                _ => "invalid JSON",
            };
            (location, problem.to_owned())
        }
        ReaderError::IoError { error, location } if error.kind() == ErrorKind::InvalidData => {
            return not_utf8(&position(&location));
        }
        ReaderError::IoError { error, location } => (location, error.to_string()),
        ReaderError::MaxNestingDepthExceeded { location, .. } => {
            (location, "the value is nested too deeply".to_owned())
        }
        ReaderError::UnsupportedNumberValue { location, .. } => {
            (location, "the number is too large".to_owned())
        }
        other => return Stop::invalid(other.to_string()),
    };
    Stop::invalid(format!("{}: {problem}", position(&location)))
}

fn not_utf8(position: &SourcePosition) -> Stop {
    let message = format!("{position}: the text is not UTF-8");
    Stop::with_hint(message, "save the dump as UTF-8")
}
