//! Servers that parse the body of a refresh, and answer one of the same size, with nothing in between: the limits of what a
//! refresh can be.

use std::{
    convert::Infallible,
    error::Error,
    hint,
    net::SocketAddr,
    time::{Duration, Instant},
};

use http_body_util::{BodyExt, Collected, Full};
use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use poem::{Endpoint, Route, Server, handler, post, web::Json};
use poem_openapi::{Object, OpenApi, OpenApiService, payload};
use serde::{Deserialize, Serialize};
use tokio::{net::TcpListener, runtime::Runtime};

/// The path of the operation that they stand in for.
const PATH: &str = "/v1/auth/jwt/refresh/";

#[derive(Deserialize, Object)]
struct Refresh {
    token: String,
}

#[derive(Serialize, Object)]
struct Grant {
    #[serde(rename = "type")]
    #[oai(rename = "type")]
    kind: String,
    token: String,
    expires_in: i64,
}

impl From<Refresh> for Grant {
    /// The token as it came: it is as long as a new one.
    fn from(refresh: Refresh) -> Self {
        Self {
            kind: "JWT".to_owned(),
            token: refresh.token,
            expires_in: 3600,
        }
    }
}

/// Serves one of them until it is killed. That on hyper is at work for so long with each request, besides.
pub(crate) fn serve(kind: &str, address: SocketAddr, work: Duration) -> Result<(), Box<dyn Error>> {
    let runtime = Runtime::new()?;
    match kind {
        "hyper" => runtime.block_on(on_hyper(address, work)),
        "poem" => runtime.block_on(on_poem(address, Route::new().at(PATH, post(echo)))),
        "poem-openapi" => {
            let api = OpenApiService::new(Api, "echo", "1");
            runtime.block_on(on_poem(address, Route::new().nest(PATH, api)))
        }
        _ => Err("the kinds are hyper, poem and poem-openapi".into()),
    }
}

async fn on_poem(address: SocketAddr, app: impl Endpoint + 'static) -> Result<(), Box<dyn Error>> {
    let listener = poem::listener::TcpListener::bind(address);
    Ok(Server::new(listener).run(app).await?)
}

#[handler]
fn echo(Json(refresh): Json<Refresh>) -> Json<Grant> {
    Json(refresh.into())
}

struct Api;

#[OpenApi]
impl Api {
    // Below the path that it is nested at, since its own paths have no slash at their end.
    #[oai(path = "/", method = "post")]
    #[expect(clippy::unused_async, reason = "poem-openapi wants it so")]
    async fn refresh(&self, body: payload::Json<Refresh>) -> payload::Json<Grant> {
        payload::Json(body.0.into())
    }
}

async fn on_hyper(address: SocketAddr, work: Duration) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let answer = service_fn(move |request| answer(request, work));
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
    }
}

async fn answer(
    request: Request<Incoming>,
    work: Duration,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request.into_body().collect().await.map(Collected::to_bytes);
    let refresh = body
        .ok()
        .and_then(|body| serde_json::from_slice::<Refresh>(&body).ok());
    let Some(text) = refresh.and_then(|refresh| serde_json::to_vec(&Grant::from(refresh)).ok())
    else {
        let mut refused = Response::default();
        *refused.status_mut() = StatusCode::BAD_REQUEST;
        return Ok(refused);
    };
    let started = Instant::now();
    while started.elapsed() < work {
        hint::spin_loop();
    }
    let mut response = Response::new(Full::from(text));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    Ok(response)
}
