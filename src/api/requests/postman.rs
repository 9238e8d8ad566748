//! The exchanges as a collection of [Postman](https://schema.postman.com/collection/json/v2.1.0/draft-07/docs/index.html).

use serde_json::{Value, json};

use super::{
    Request,
    collection::{pretty, variable},
};
use crate::api::{
    Document, OperationDocs,
    examples::{Cause, Exchange},
};

const SCHEMA: &str = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json";

impl Document {
    /// Returns the collection of Postman, with a folder for each operation.
    #[must_use]
    pub fn to_postman(&self) -> String {
        let info = &self.value()["info"];
        let variables = self.variables().into_iter();
        let variables = variables.map(|(key, value)| json!({ "key": key, "value": value }));
        let folders = self.docs().iter().map(|docs| {
            let items = docs.requests(|exchange| exchange.cause != Cause::State);
            let items = items.map(|(exchange, saved)| self.item(docs, exchange, &saved));
            json!({
                "name": docs.id,
                "description": self.operation(docs).1["description"],
                "item": items.collect::<Vec<_>>(),
            })
        });
        let collection = json!({
            "info": {
                "name": info["title"],
                "description": info["description"],
                "version": info["version"],
                "schema": SCHEMA,
            },
            "variable": variables.collect::<Vec<_>>(),
            "item": folders.collect::<Vec<_>>(),
        });
        pretty(&collection) + "\n"
    }

    fn item(&self, docs: &OperationDocs, exchange: &Exchange, saved: &[&Exchange]) -> Value {
        let saved = saved.iter();
        let saved = saved.map(|exchange| self.saved_response(docs, exchange));
        let before = exchange.script_before("pm.variables.set");
        let after = exchange.script_after(
            "pm.response.code",
            "pm.response.headers.get(\"Content-Type\")",
            "pm.response.json()",
            "pm.collectionVariables.set",
        );
        let after = format!("const {{ expect, test }} = pm;\n{after}");
        let before = before.map(|script| event("prerequest", &script));
        let events = before.into_iter().chain([event("test", &after)]);
        json!({
            "name": exchange.name,
            "event": events.collect::<Vec<_>>(),
            "request": self.request(docs, exchange),
            "response": saved.collect::<Vec<_>>(),
        })
    }

    fn request(&self, docs: &OperationDocs, exchange: &Exchange) -> Value {
        let Request { media_type, body } = docs.request(exchange, variable);
        json!({
            "description": exchange.summary,
            "method": self.method(docs),
            "url": docs.url(),
            "header": [{ "key": "Content-Type", "value": media_type }],
            "body": { "mode": "raw", "raw": body.into_text() },
        })
    }

    fn saved_response(&self, docs: &OperationDocs, exchange: &Exchange) -> Value {
        let headers = exchange.headers();
        let headers = headers.map(|(key, value)| json!({ "key": key, "value": value }));
        json!({
            "name": exchange.name,
            "originalRequest": self.request(docs, exchange),
            "status": exchange.status.canonical_reason(),
            "code": exchange.status.as_u16(),
            "_postman_previewlanguage": "json",
            "header": headers.collect::<Vec<_>>(),
            "body": pretty(&exchange.response),
        })
    }
}

fn event(listen: &str, script: &str) -> Value {
    let lines: Vec<_> = script.lines().collect();
    json!({ "listen": listen, "script": { "type": "text/javascript", "exec": lines } })
}
