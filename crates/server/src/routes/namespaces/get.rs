//! `GET /v1/namespaces/{name}`

use axum::extract::State;
use stint_api::Namespace;

use crate::extract::Segment;
use crate::query::NoQuery;
use crate::reply::{Answer, ok};
use crate::routes::App;

/// Shows a namespace.
///
/// A namespace that was never used has the defaults.
#[utoipa::path(
    get,
    path = "/v1/namespaces/{name}",
    operation_id = "namespace",
    tag = "namespaces",
    responses(
        (
            status = 200, description = "The namespace.", body = Namespace,
            example = json!({"name": "default", "retention_ms": 604800000, "ledger_retention_ms": 34560000000u64})
        ),
    )
)]
pub(crate) async fn get(State(app): State<App>, Segment(name): Segment, _: NoQuery) -> Answer<Namespace> {
    ok(app.engine.namespace(&name).await)
}
