//! Routes the requests of one path by method. `OPTIONS` is always handled; unknown methods get 405.

use std::collections::HashMap;

use poem::{
    Endpoint, Request, Response, Result,
    endpoint::BoxEndpoint,
    http::{HeaderValue, Method, StatusCode, header::ALLOW},
};

use super::response::error_response;

/// The handlers of one path by method.
pub(super) struct MethodRouter {
    handlers: HashMap<Method, BoxEndpoint<'static>>,
    allow: HeaderValue,
}

impl MethodRouter {
    pub(super) fn new(handlers: HashMap<Method, BoxEndpoint<'static>>) -> Self {
        let mut names: Vec<_> = handlers.keys().map(Method::as_str).collect();
        names.sort_unstable();
        if handlers.contains_key(&Method::GET) {
            names.push("HEAD");
        }
        names.push("OPTIONS");
        let allow = HeaderValue::from_str(&names.join(", ")).expect("methods are tokens");
        Self { handlers, allow }
    }

    /// Creates a router for `GET` and `HEAD`.
    pub(super) fn get(endpoint: BoxEndpoint<'static>) -> Self {
        Self::new(HashMap::from([(Method::GET, endpoint)]))
    }
}

impl Endpoint for MethodRouter {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        let method = match *request.method() {
            // The server removes the body of the response.
            Method::HEAD => &Method::GET,
            ref other => other,
        };
        if let Some(endpoint) = self.handlers.get(method) {
            return endpoint.call(request).await;
        }
        let mut response = if method == Method::OPTIONS {
            StatusCode::NO_CONTENT.into()
        } else {
            let detail = format!("Method \"{}\" not allowed.", request.method());
            error_response(StatusCode::METHOD_NOT_ALLOWED, &detail)
        };
        response.headers_mut().insert(ALLOW, self.allow.clone());
        Ok(response)
    }
}
