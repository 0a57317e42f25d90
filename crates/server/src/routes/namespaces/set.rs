//! `PUT /v1/namespaces/{name}`

use axum::extract::State;
use axum::http::StatusCode;
use stint_api::{NamespaceReply, NamespaceSettings};

use crate::extract::{Post, Segment};
use crate::reply::{Answer, Reply};
use crate::routes::App;

/// Replaces a namespace's settings.
///
/// What is absent goes back to its default. A retention of executions holds for what is submitted from then on, that of the
/// ledger at once.
#[utoipa::path(
    put,
    path = "/v1/namespaces/{name}",
    operation_id = "set_namespace",
    tag = "namespaces",
    request_body(content = NamespaceSettings, example = json!({"retention_ms": 86400000})),
    responses(
        (
            status = 200, description = "Every partition knows it.", body = NamespaceReply,
            example = json!({"namespace": {"name": "default", "retention_ms": 86400000, "ledger_retention_ms": 34560000000u64},
                "missing_partitions": []})
        ),
        (status = 202, description = "It is accepted, and reaches the missing partitions on its own.", body = NamespaceReply),
    )
)]
pub(crate) async fn set(
    State(app): State<App>,
    Segment(name): Segment,
    post: Post<NamespaceSettings>,
) -> Answer<NamespaceReply> {
    let reply = app.engine.set_namespace(&name, post.request).await?;
    let status = if reply.missing_partitions.is_empty() { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok(Reply(status, reply))
}
