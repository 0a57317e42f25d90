//! `POST /v1/executions`

use axum::extract::State;
use axum::http::StatusCode;
use stint_api::{SubmitReply, SubmitRequest};

use crate::extract::Post;
use crate::reply::{Answer, Reply};
use crate::routes::App;

pub(crate) async fn submit(State(app): State<App>, post: Post<SubmitRequest>) -> Answer<SubmitReply> {
    let reply = app.engine.submit(post.request, post.key).await?;
    let status = if reply.existed { StatusCode::OK } else { StatusCode::CREATED };
    Ok(Reply(status, reply))
}
