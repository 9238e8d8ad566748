//! Renders the OpenAPI document as a page for reviewers.

use std::{collections::BTreeSet, fmt::Write};

use serde_json::{Map, Value};

use super::{Document, json::MEDIA_TYPE};

impl Document {
    /// Returns the contract in Markdown, with one chapter for each operation.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let document = self.value();
        let info = &document["info"];
        let operations: Vec<_> = entries(&document["paths"])
            .flat_map(|(path, methods)| {
                entries(methods).map(move |(method, it)| Operation {
                    document,
                    path,
                    method,
                    it,
                })
            })
            .collect();
        let more = &document["externalDocs"];
        let mut page = format!(
            "# {} {}\n\n{}\n\n{}: `{}`\n",
            text(&info["title"]),
            text(&info["version"]),
            text(&info["description"]),
            text(&more["description"]),
            text(&more["url"]),
        );
        for tag in document["tags"].as_array().into_iter().flatten() {
            let tagged: Vec<_> = operations
                .iter()
                .filter(|operation| operation.has(tag))
                .collect();
            page += &overview(tag, &tagged);
            for operation in tagged {
                page += &operation.chapter();
            }
        }
        page
    }
}

/// Renders a table of the operations of a tag, with the statuses of success and of the request examples.
fn overview(tag: &Value, operations: &[&Operation<'_>]) -> String {
    let prefix = common_prefix(operations);
    let rows = operations.iter().map(|operation| {
        [
            permission(&[operation]).0.to_owned(),
            format!("`{}`", operation.path),
            format!("`{}`", operation.method.to_uppercase()),
            "`json`".to_owned(),
            codes(operation.succeeding().chain(operation.exemplified())),
        ]
    });
    format!(
        "\n## {} - `{prefix}`\n\n{}\n\n{}",
        text(&tag["name"]),
        text(&tag["description"]),
        table(
            [
                "Permission level",
                "URL",
                "Method",
                "Format",
                "HTTP Status Code"
            ],
            rows,
        )
    )
}

/// An operation and its document.
struct Operation<'a> {
    document: &'a Value,
    path: &'a str,
    method: &'a str,
    it: &'a Value,
}

impl<'a> Operation<'a> {
    fn has(&self, tag: &Value) -> bool {
        self.it["tags"]
            .as_array()
            .is_some_and(|tags| tags.contains(&tag["name"]))
    }

    fn responses(&self) -> impl Iterator<Item = (&'a str, &'a Value)> {
        entries(&self.it["responses"])
    }

    /// Returns the statuses of success. The example of a refresh has no request, because its token has expired.
    fn succeeding(&self) -> impl Iterator<Item = &'a str> {
        let statuses = self.responses().map(|(status, _)| status);
        statuses.filter(|status| status.starts_with('2'))
    }

    /// Returns the statuses of the request examples.
    fn exemplified(&self) -> impl Iterator<Item = &'a str> {
        let requests = &media_type(&self.it["requestBody"])["examples"];
        self.responses()
            .filter(|(_, response)| {
                entries(&media_type(response)["examples"])
                    .any(|(name, _)| !requests[name].is_null())
            })
            .map(|(status, _)| status)
    }

    fn chapter(&self) -> String {
        let heading = self
            .path
            .trim_end_matches('/')
            .rsplit('/')
            .next()
            .unwrap_or_default();
        let method = self.method.to_uppercase();
        let (who, needed) = permission(&[self]);
        let request = media_type(&self.it["requestBody"]);
        let (success, response) = self
            .responses()
            .find(|(status, _)| status.starts_with('2'))
            .unwrap_or(("", &Value::Null));
        let sections = [
            format!(
                "\n### {}\n**Permission required**: {needed}\n",
                heading.to_uppercase()
            ),
            text(&self.it["description"]).to_owned() + "\n",
            table(
                [
                    "Permission level",
                    "URL",
                    "Method",
                    "Format",
                    "HTTP Status Code",
                ],
                [[
                    who.to_owned(),
                    format!("`{}`", self.path),
                    format!("`{method}`"),
                    "`json`".to_owned(),
                    codes(self.responses().map(|(status, _)| status)),
                ]],
            ),
            "#### Headers\n".to_owned(),
            table(
                ["Field", "Content"],
                [["Content-Type".to_owned(), MEDIA_TYPE.to_owned()]],
            ),
            "#### Request Content\n".to_owned(),
            table(
                ["Field", "Type", "Required", "Detail"],
                self.fields(&request["schema"]),
            ),
            "#### Response Content\n".to_owned(),
            table(
                ["Field", "Type", "Detail"],
                self.fields(&media_type(response)["schema"])
                    .map(|[name, kind, _, detail]| [name, kind, detail]),
            ),
            "#### Example\n".to_owned(),
            format!(
                "**Event**: {who} `{method}` to `{}`  \n**Header Content**:\n```\nContent-Type: {MEDIA_TYPE}\n```\n\
                 **Body Content**:\n{}**HTTP Status Code**: `{success}`  \n**Response Content**:\n{}",
                self.path,
                code(first_example(request)),
                code(first_example(media_type(response))),
            ),
            "#### Response Headers\n".to_owned(),
            table(
                ["Field", "HTTP Status Code", "Detail"],
                self.response_headers(),
            ),
            "#### Validations\n".to_owned(),
        ];
        sections.join("\n") + &self.validations()
    }

    fn fields(&self, schema: &'a Value) -> impl Iterator<Item = [String; 4]> + use<'a> {
        let schema = text(&schema["$ref"])
            .strip_prefix('#')
            .and_then(|pointer| self.document.pointer(pointer))
            .unwrap_or(schema);
        let required = schema["required"].as_array();
        entries(&schema["properties"]).map(move |(name, field)| {
            let needed = required.is_some_and(|names| names.iter().any(|needed| needed == name));
            let kind = match (text(&field["type"]), text(&field["format"])) {
                (_, "email") => "Email field",
                ("integer", _) => "Integer",
                ("array", _) => "List",
                ("string", _) => "String",
                (other, _) => panic!("{name} has a type without a description: {other}"),
            };
            let needed = if needed { "Yes" } else { "No" };
            [
                format!("`{name}`"),
                kind.to_owned(),
                needed.to_owned(),
                text(&field["description"]).to_owned(),
            ]
        })
    }

    /// Returns the headers with their statuses.
    fn response_headers(&self) -> Vec<[String; 3]> {
        let mut headers: Vec<(&str, &Value, Vec<&str>)> = Vec::new();
        for (status, response) in self.responses() {
            for (name, header) in entries(&response["headers"]) {
                match headers.iter_mut().find(|(known, ..)| *known == name) {
                    Some((.., statuses)) => statuses.push(status),
                    None => headers.push((name, header, vec![status])),
                }
            }
        }
        let row = |(name, header, statuses): (&str, &Value, Vec<&str>)| {
            let detail = text(&header["description"]).to_owned();
            [format!("`{name}`"), codes(statuses.into_iter()), detail]
        };
        headers.into_iter().map(row).collect()
    }

    /// Renders all messages of all error examples.
    fn validations(&self) -> String {
        let mut page = String::new();
        for (status, response) in self
            .responses()
            .filter(|(status, _)| !status.starts_with('2'))
        {
            let rows = entries(&media_type(response)["examples"]).flat_map(|(_, example)| {
                entries(&example["value"]).flat_map(move |(field, content)| {
                    let messages = content
                        .as_array()
                        .map_or(std::slice::from_ref(content), Vec::as_slice);
                    messages.iter().map(move |message| {
                        [
                            format!("`{field}`"),
                            text(message).to_owned(),
                            text(&example["summary"]).to_owned(),
                        ]
                    })
                })
            });
            let _ = write!(
                page,
                "\n**HTTP Status Code**: `{status}`  \n{}\n\n{}",
                text(&response["description"]),
                table(["Field", "Content", "Detail"], rows)
            );
        }
        page
    }
}

/// Returns who may call these operations, and the required permission.
fn permission(operations: &[&Operation<'_>]) -> (&'static str, &'static str) {
    let open = |operation: &&Operation<'_>| {
        let own = &operation.it["security"];
        let security = if own.is_null() {
            &operation.document["security"]
        } else {
            own
        };
        security.as_array().is_none_or(Vec::is_empty)
    };
    assert!(
        operations.iter().all(open),
        "an operation requires a permission without a description"
    );
    ("Anonymous", "None")
}

fn common_prefix(operations: &[&Operation<'_>]) -> String {
    let first = operations.first().map_or("/", |operation| operation.path);
    let shared = first
        .char_indices()
        .filter(|(_, c)| *c == '/')
        .map(|(at, _)| &first[..=at])
        .rfind(|prefix| {
            operations
                .iter()
                .all(|operation| operation.path.starts_with(prefix) && operation.path != *prefix)
        });
    shared.unwrap_or("/").to_owned()
}

fn table<const N: usize>(head: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let mut table = line(&head.map(str::to_owned));
    table += "|";
    table += &"---|".repeat(N);
    table += "\n";
    for row in rows {
        table += &line(&row.map(|cell| cell.replace('|', "\\|").replace('\n', " ")));
    }
    table
}

fn codes<'a>(statuses: impl Iterator<Item = &'a str>) -> String {
    let statuses: BTreeSet<_> = statuses.collect();
    let statuses: Vec<_> = statuses
        .into_iter()
        .map(|status| format!("`{status}`"))
        .collect();
    statuses.join(", ")
}

fn code(value: &Value) -> String {
    format!("```\n{value:#}\n```\n")
}

fn media_type(message: &Value) -> &Value {
    &message["content"][MEDIA_TYPE]
}

fn first_example(media_type: &Value) -> &Value {
    entries(&media_type["examples"])
        .next()
        .map_or(&Value::Null, |(_, example)| &example["value"])
}

fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value
        .as_object()
        .into_iter()
        .flat_map(Map::iter)
        .map(|(name, value)| (name.as_str(), value))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
