//! Serves an account with the axum recipe.

use std::{env, io};

use axum::{Json, Router, routing::get};
use serde_json::{Value, json};
use tokio::net::TcpListener;

#[path = "../../generated/axum.rs"]
mod auth;

async fn account(claims: auth::Claims) -> Json<Value> {
    Json(json!({ "user_id": claims.user_id, "email": claims.email }))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let app = Router::new()
        .route("/account", get(account))
        .with_state(auth::load_keys()?);
    let port = env::var("PORT").map_err(io::Error::other)?;
    axum::serve(TcpListener::bind(format!("127.0.0.1:{port}")).await?, app).await
}
