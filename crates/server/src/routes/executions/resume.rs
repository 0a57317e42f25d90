//! `POST /v1/executions/{id}/resume`

use axum::extract::State;
use stint_api::{ActionReply, ActionRequest};

use crate::extract::{PostOrEmpty, Segment};
use crate::reply::{Answer, ok};
use crate::routes::{App, namespace_of};

pub(crate) async fn resume(
    State(app): State<App>,
    Segment(id): Segment,
    PostOrEmpty(request): PostOrEmpty<ActionRequest>,
) -> Answer<ActionReply> {
    request.validate()?;
    ok(app.engine.resume(&namespace_of(request.namespace.as_ref()), &id).await)
}
