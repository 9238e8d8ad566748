//! The exchanges as a collection of [Bruno](https://docs.usebruno.com), in the YAML files of `OpenCollection`.

use serde_json::{Value, json};

use super::{
    Request,
    collection::{pretty, variable},
};
use crate::api::{
    Document, OperationDocs,
    examples::{Cause, Exchange},
    json::MEDIA_TYPE,
};

impl Document {
    /// Returns the paths and the texts of the files, with a folder for each operation.
    #[must_use]
    pub fn to_bruno(&self) -> Vec<(String, String)> {
        let info = &self.value()["info"];
        let collection = json!({
            "opencollection": "1.0.0",
            "info": { "name": info["title"], "version": info["version"] },
            "docs": info["description"],
        });
        let variables = self.variables().into_iter();
        let variables = variables.map(|(name, value)| json!({ "name": name, "value": value }));
        let environment = json!({ "name": "demo", "variables": variables.collect::<Vec<_>>() });
        let mut files = vec![
            ("opencollection.yml".to_owned(), yaml(&collection)),
            ("environments/demo.yml".to_owned(), yaml(&environment)),
        ];
        for (docs, seq) in self.docs().iter().zip(1..) {
            let folder = json!({
                "info": { "name": docs.id, "type": "folder", "seq": seq },
                "docs": self.operation(docs).1["description"],
            });
            files.push((format!("{}/folder.yml", docs.id), yaml(&folder)));
            for ((exchange, saved), seq) in docs.requests(is_sent).zip(1..) {
                let path = format!("{}/{}.yml", docs.id, exchange.name);
                let item = self.bruno_item(docs, exchange, &saved, seq);
                files.push((path, yaml(&item)));
            }
        }
        files
    }

    fn bruno_item(
        &self,
        docs: &OperationDocs,
        exchange: &Exchange,
        saved: &[&Exchange],
        seq: usize,
    ) -> Value {
        let saved = saved.iter();
        let saved = saved.map(|exchange| self.bruno_example(docs, exchange));
        let before = exchange.script_before("bru.setVar");
        let after = exchange.script_after(
            "res.getStatus()",
            "res.getHeader(\"content-type\")",
            "res.getBody()",
            "bru.setVar",
        );
        let before = before.map(|code| json!({ "type": "before-request", "code": code }));
        let scripts = before
            .into_iter()
            .chain([json!({ "type": "tests", "code": after })]);
        json!({
            "info": { "name": exchange.name, "type": "http", "seq": seq },
            "http": self.bruno_request(docs, exchange),
            "runtime": { "scripts": scripts.collect::<Vec<_>>() },
            "examples": saved.collect::<Vec<_>>(),
            "docs": exchange.summary,
        })
    }

    fn bruno_request(&self, docs: &OperationDocs, exchange: &Exchange) -> Value {
        let Request { media_type, body } = docs.request(exchange, variable);
        json!({
            "method": self.method(docs),
            "url": docs.url(),
            "headers": [{ "name": "Content-Type", "value": media_type }],
            "body": { "type": "text", "data": body.into_text() },
        })
    }

    fn bruno_example(&self, docs: &OperationDocs, exchange: &Exchange) -> Value {
        let headers = exchange.headers();
        let headers = headers.map(|(name, value)| json!({ "name": name, "value": value }));
        json!({
            "name": exchange.name,
            "description": exchange.summary,
            "request": self.bruno_request(docs, exchange),
            "response": {
                "status": exchange.status.as_u16(),
                "statusText": exchange.status.canonical_reason(),
                "headers": headers.collect::<Vec<_>>(),
                "body": { "type": "json", "data": pretty(&exchange.response) },
            },
        })
    }
}

/// Bruno sends a text as a JSON string if the text is not JSON.
fn is_sent(exchange: &Exchange) -> bool {
    let is_text =
        matches!(exchange.cause, Cause::Text { media_type, .. } if media_type == MEDIA_TYPE);
    exchange.cause != Cause::State && !is_text
}

fn yaml(value: &Value) -> String {
    serde_yaml::to_string(value).expect("a JSON value is YAML")
}
