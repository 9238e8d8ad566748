//! Echo servers, which parse the body of a refresh and return a response of the same size. They do no other work.

use std::{error::Error, net::SocketAddr};

use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    header::{CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use poem::{Route, Server, handler, post, web::Json};
use serde::{Deserialize, Serialize};
use tokio::{net::TcpListener, runtime::Runtime};

/// The path of Signet's refresh operation.
const PATH: &str = "/v1/auth/jwt/refresh/";

#[derive(Deserialize)]
struct RefreshRequest {
    token: String,
}

/// Contains the token of the request, since that has the length of a new token.
#[derive(Serialize)]
struct RefreshResponse {
    r#type: &'static str,
    token: String,
    expires_in: i64,
}

fn respond(request: RefreshRequest) -> RefreshResponse {
    RefreshResponse {
        r#type: "JWT",
        token: request.token,
        expires_in: 3600,
    }
}

/// Runs the server until the process is killed.
pub(crate) fn serve(framework: &str, address: SocketAddr) -> Result<(), Box<dyn Error>> {
    let runtime = Runtime::new()?;
    match framework {
        "hyper" => runtime.block_on(serve_hyper(address)),
        "poem" => runtime.block_on(serve_poem(address)),
        _ => Err(format!("unknown framework {framework}: use hyper or poem").into()),
    }
}

async fn serve_poem(address: SocketAddr) -> Result<(), Box<dyn Error>> {
    let listener = poem::listener::TcpListener::bind(address);
    let routes = Route::new().at(PATH, post(poem_echo));
    Ok(Server::new(listener).run(routes).await?)
}

#[handler]
fn poem_echo(Json(request): Json<RefreshRequest>) -> Json<RefreshResponse> {
    Json(respond(request))
}

async fn serve_hyper(address: SocketAddr) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let service = service_fn(hyper_echo);
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn hyper_echo(
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Box<dyn Error + Send + Sync>> {
    let body = request.into_body().collect().await?.to_bytes();
    let (status, json) = match serde_json::from_slice::<RefreshRequest>(&body) {
        Ok(request) => (200, serde_json::to_vec(&respond(request))?),
        Err(_) => (400, Vec::new()),
    };
    let response = Response::builder().status(status);
    let response = response.header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response.body(Full::from(json))?)
}
