//! `POST /v1/executions/{id}/replay`

use axum::extract::State;
use stint_api::{ActionReply, ReplayRequest};

use crate::extract::{PostOrEmpty, Segment};
use crate::reply::{Answer, ok};
use crate::routes::{App, namespace_of};

pub(crate) async fn replay(
    State(app): State<App>,
    Segment(id): Segment,
    PostOrEmpty(request): PostOrEmpty<ReplayRequest>,
) -> Answer<ActionReply> {
    request.validate()?;
    let namespace = namespace_of(request.namespace.as_ref());
    ok(app.engine.replay(&namespace, &id, request).await)
}
