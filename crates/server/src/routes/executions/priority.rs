//! `POST /v1/executions/{id}/priority`

use axum::extract::State;
use stint_api::{ActionReply, PriorityRequest};

use crate::extract::{Post, Segment};
use crate::reply::{Answer, ok};
use crate::routes::{App, namespace_of};

pub(crate) async fn priority(
    State(app): State<App>,
    Segment(id): Segment,
    post: Post<PriorityRequest>,
) -> Answer<ActionReply> {
    let request = post.request;
    request.validate()?;
    let namespace = namespace_of(request.namespace.as_ref());
    ok(app.engine.set_priority(&namespace, &id, request).await)
}
