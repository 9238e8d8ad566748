//! The report as a comment of a pull request.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use super::*;

/// Checks that a comment has the changes of the report, in the same order.
#[track_caller]
pub(crate) fn assert_same(comment: &Outcome, report: &Outcome) {
    assert_eq!((comment.code, &comment.error), (report.code, &report.error));
    let severities = ["Breaking", "Additive", "Documentation"];
    let expected = severities.map(|title| vec![title; report.under(title).len()]);
    let [changes, ..] = &tables(&comment.text)[..] else {
        assert!(expected.concat().is_empty(), "{}", comment.text);
        return;
    };
    let severities: Vec<_> = changes.iter().map(|[severity, ..]| severity).collect();
    assert_eq!(severities, expected.concat(), "{}", comment.text);
}

/// Returns the texts of the cells of each table, as GitHub shows them. A table of values has an empty fourth cell.
fn tables(comment: &str) -> Vec<Vec<[String; 4]>> {
    let mut tables = Vec::new();
    let (mut rows, mut cells, mut cell) = (Vec::new(), Vec::new(), String::new());
    for event in Parser::new_ext(comment, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::TableCell) => cell.clear(),
            Event::Text(text) | Event::Code(text) => cell += &text,
            Event::End(TagEnd::TableCell) => cells.push(cell.clone()),
            Event::End(TagEnd::TableHead) => cells.clear(),
            Event::End(TagEnd::TableRow) => {
                cells.resize(4, String::new());
                rows.push(std::mem::take(&mut cells).try_into().unwrap());
            }
            Event::End(TagEnd::Table) => tables.push(std::mem::take(&mut rows)),
            _ => {}
        }
    }
    tables
}

fn comment(prepare: impl FnOnce(&mut Value), change: impl FnOnce(&mut Value)) -> String {
    let (released, current) = documents(prepare, change);
    print("markdown", &released, &current).text
}

#[test]
fn identical_documents_have_one_line() {
    assert_eq!(
        comment(|_| {}, |_| {}),
        "### current: no changes since 1.4.0\n"
    );
}

#[test]
fn breaking_changes_are_first() {
    let comment = comment(
        |it| set(it, OBTAIN, "summary", json!("Obtain a token")),
        |it| {
            set(it, OBTAIN, "summary", json!("Log in"));
            set(it, REQUEST, "code", json!({"type": "string"}));
            list(it, TYPES, json!("PAT"));
        },
    );
    assert_eq!(
        comment,
        r#"### current: 1 breaking, 1 additive, 1 documentation

Clients of 1.4.0 may fail, but 1.4.0 has the same major version. Increase the major version.

| Severity | Operation | Change | Rule |
|---|---|---|---|
| Breaking | `POST /v1/auth/jwt/obtain/`<br>`POST /v1/auth/jwt/refresh/` | `Token.type`: `enum` changed | A client may get a response that it does not expect. |
| Additive | `POST /v1/auth/jwt/obtain/` | `ObtainRequest.code`: the field was added, and is optional | A client that ignores the new part works as before. |
| Documentation | `POST /v1/auth/jwt/obtain/` | `summary` changed | Only people read this text. |

| Value | Released | Current |
|---|---|---|
| `Token.type`: `enum` | `"JWT"` | `"JWT"` |
|  |  | `"PAT"` |
| `POST /v1/auth/jwt/obtain/`: `summary` | `Obtain a token` | `Log in` |
"#
    );
}

#[test]
fn changed_constraints_have_the_old_and_the_new_value() {
    let comment = comment(
        |it| {
            set(it, PASSWORD, "maxLength", json!(128));
            set(it, PASSWORD, "minLength", json!(1));
            set(it, PASSWORD, "pattern", json!("^.*$"));
        },
        |it| {
            set(it, PASSWORD, "maxLength", json!(64));
            remove(it, PASSWORD, "minLength");
            set(it, PASSWORD, "pattern", json!("^.+$"));
        },
    );
    assert_eq!(
        comment,
        r#"### current: 2 breaking, 1 additive, 0 documentation

Clients of 1.4.0 may fail, but 1.4.0 has the same major version. Increase the major version.

| Severity | Operation | Change | Rule |
|---|---|---|---|
| Breaking | `POST /v1/auth/jwt/obtain/` | `ObtainRequest.password`: `maxLength` changed | A request that was accepted may be rejected now. |
| Breaking | `POST /v1/auth/jwt/obtain/` | `ObtainRequest.password`: `pattern` changed | Messages that were valid may be invalid now. |
| Additive | `POST /v1/auth/jwt/obtain/` | `ObtainRequest.password`: `minLength` changed | Every request that was accepted still is. |

| Value | Released | Current |
|---|---|---|
| `ObtainRequest.password`: `maxLength` | `128` | `64` |
| `ObtainRequest.password`: `pattern` | `"^.*$"` | `"^.+$"` |
| `ObtainRequest.password`: `minLength` | `1` | absent |
"#
    );
}

#[test]
fn changed_table_of_a_description_shows_the_rows_that_differ() {
    let table = |lifetime: &str| {
        json!(format!(
            "Lifetimes of tokens:\n\n| token | lifetime |\n|---|---|\n| first | 1 hour |\n| `refreshed` | {lifetime} |\n\nAsk us."
        ))
    };
    let comment = comment(
        |it| set(it, OBTAIN, "description", table("1 hour")),
        |it| set(it, OBTAIN, "description", table("2 hours")),
    );
    assert_eq!(
        comment,
        r"### current: 0 breaking, 0 additive, 1 documentation

Clients of 1.4.0 work with 1.4.0.

| Severity | Operation | Change | Rule |
|---|---|---|---|
| Documentation | `POST /v1/auth/jwt/obtain/` | `description` changed | Only people read this text. |

| Value | Released | Current |
|---|---|---|
| `POST /v1/auth/jwt/obtain/`: `description` | <code>&#124; first &#124; 1 hour &#124;</code> | <code>&#124; first &#124; 1 hour &#124;</code> |
|  | <code>&#124; &#96;refreshed&#96; &#124; 1 hour &#124;</code> | <code>&#124; &#96;refreshed&#96; &#124; 2 hours &#124;</code> |
"
    );
}

/// Characters of Markdown in a document must not change the table.
#[test]
fn characters_of_markdown_are_escaped() {
    let pattern = r"^(\|`|<b>|\|)\\|$";
    let comment = comment(
        |it| {
            set(it, PASSWORD, "pattern", json!("^a$"));
            set(it, "/info", "description", json!("Tokens."));
        },
        |it| {
            set(it, PASSWORD, "pattern", json!(pattern));
            set(
                it,
                "/info",
                "description",
                json!("| a |\n|---|\n\n<!-- `\n"),
            );
            let media = take(it, BODY, "application/json");
            set(it, BODY, "*/`|\n*", media);
        },
    );
    assert_eq!(
        comment,
        r#"### current: 2 breaking, 1 additive, 1 documentation

Clients of 1.4.0 may fail, but 1.4.0 has the same major version. Increase the major version.

| Severity | Operation | Change | Rule |
|---|---|---|---|
| Breaking | `POST /v1/auth/jwt/obtain/` | `ObtainRequest.password`: `pattern` changed | Messages that were valid may be invalid now. |
| Breaking | `POST /v1/auth/jwt/obtain/` | `requestBody content`: application/json was removed | A client may use the removed part. |
| Additive | `POST /v1/auth/jwt/obtain/` | `requestBody content`: &#42;/&#96;&#124; &#42; was added | Every request that was accepted still is. |
| Documentation |  | `info`: `description` changed | Only people read this text. |

| Value | Released | Current |
|---|---|---|
| `ObtainRequest.password`: `pattern` | `"^a$"` | <code>"^(&#92;&#92;&#124;&#96;&#124;&#60;b&#62;&#124;&#92;&#92;&#124;)&#92;&#92;&#92;&#92;&#124;$"</code> |
| `info`: `description` | `Tokens.` | <code>&#124; a &#124;</code> |
|  |  | <code>&#124;---&#124;</code> |
|  |  | <code>&#60;!-- &#96;</code> |
"#
    );
    let [_, values] = &tables(&comment)[..] else {
        panic!("two tables: {comment}");
    };
    assert_eq!(values[0][2], json!(pattern).to_string());
}

/// A newline would end the table.
#[test]
fn newlines_in_a_document_are_removed() {
    let body = json!({"type": "string", "maxLength": 3});
    let comment = comment(
        |it| {
            set(
                it,
                OBTAIN,
                "description",
                json!("Log in.\r\nReturns a token."),
            );
            set(it, BODY, "a\nb", json!({ "schema": body }));
        },
        |it| {
            set(
                it,
                OBTAIN,
                "description",
                json!("Log in.\r\nSends a token."),
            );
            set(it, &format!("{BODY}/a\nb/schema"), "maxLength", json!(2));
        },
    );
    assert!(!comment.contains('\r'), "{comment}");
    let [changes, values] = &tables(&comment)[..] else {
        panic!("two tables: {comment}");
    };
    assert_eq!(
        changes[0][2],
        "requestBody content a b schema: maxLength changed"
    );
    assert_eq!(values[0][1..3], ["3", "2"]);
    assert_eq!(values[2][1..3], ["Returns a token.", "Sends a token."]);
}
