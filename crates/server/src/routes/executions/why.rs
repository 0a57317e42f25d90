//! `GET /v1/executions/{id}/why`

use axum::extract::State;
use stint_api::WhyReply;

use crate::extract::Segment;
use crate::query::Namespace;
use crate::reply::{Answer, ok};
use crate::routes::App;

pub(crate) async fn why(
    State(app): State<App>,
    Segment(id): Segment,
    Namespace(namespace): Namespace,
) -> Answer<WhyReply> {
    ok(app.engine.why(&namespace, &id).await)
}
