//! The methods of one path: the ones that are served, `OPTIONS`, and a 405 for all others.

use std::collections::HashMap;

use poem::{
    Endpoint, Request, Response, Result,
    endpoint::BoxEndpoint,
    http::{HeaderValue, Method, StatusCode, header::ALLOW},
};

use super::edge;

/// Dispatches on the method.
pub(super) struct Methods {
    served: HashMap<Method, BoxEndpoint<'static>>,
    allow: HeaderValue,
}

impl Methods {
    pub(super) fn new(served: HashMap<Method, BoxEndpoint<'static>>) -> Self {
        let mut names: Vec<_> = served.keys().map(Method::as_str).collect();
        names.sort_unstable();
        if served.contains_key(&Method::GET) {
            names.push("HEAD");
        }
        names.push("OPTIONS");
        let allow = HeaderValue::from_str(&names.join(", ")).expect("methods are tokens");
        Self { served, allow }
    }

    /// A page that is only read.
    pub(super) fn get(endpoint: BoxEndpoint<'static>) -> Self {
        Self::new(HashMap::from([(Method::GET, endpoint)]))
    }
}

impl Endpoint for Methods {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        let method = match *request.method() {
            // The server sends the head of the answer alone.
            Method::HEAD => &Method::GET,
            ref other => other,
        };
        if let Some(endpoint) = self.served.get(method) {
            return endpoint.call(request).await;
        }
        let mut response = if method == Method::OPTIONS {
            StatusCode::NO_CONTENT.into()
        } else {
            let detail = format!("Method \"{}\" not allowed.", request.method());
            edge::error(StatusCode::METHOD_NOT_ALLOWED, &detail)
        };
        response.headers_mut().insert(ALLOW, self.allow.clone());
        Ok(response)
    }
}
