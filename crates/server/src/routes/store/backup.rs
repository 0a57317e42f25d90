//! `GET /v1/store/backup`

use std::convert::Infallible;

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream::{Stream, unfold};
use stint_engine::backup::Backup;

use crate::query::NoQuery;
use crate::reply::Refusal;
use crate::routes::App;

/// Copies everything that the store holds, while all goes on.
///
/// The reply is a stream in the format that docs/BACKUP.md describes. It is complete if it ends with the frame that says so:
/// a reply that breaks off is no backup.
#[utoipa::path(
    get,
    path = "/v1/store/backup",
    operation_id = "backup",
    tag = "store",
    responses((status = 200, description = "The backup.", body = Vec<u8>, content_type = "application/octet-stream"))
)]
pub(crate) async fn backup(State(app): State<App>, _: NoQuery) -> Result<Response, Refusal> {
    let backup = app.engine.backup()?;
    let mut response = Response::new(Body::from_stream(pieces(backup)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    Ok(response)
}

fn pieces(backup: Backup) -> impl Stream<Item = Result<Bytes, Infallible>> + Send {
    unfold(backup, async |mut backup| Some((Ok(backup.next().await?), backup)))
}
