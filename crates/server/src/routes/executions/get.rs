//! `GET /v1/executions/{id}`

use axum::extract::State;
use stint_api::Execution;

use crate::extract::Segment;
use crate::query::Namespace;
use crate::reply::{Answer, ok};
use crate::routes::App;

pub(crate) async fn get(
    State(app): State<App>,
    Segment(id): Segment,
    Namespace(namespace): Namespace,
) -> Answer<Execution> {
    ok(app.engine.execution(&namespace, &id).await)
}
