//! `POST /v1/executions/{id}/replay`

use axum::extract::State;
use stint_api::{ActionReply, ReplayRequest};

use crate::extract::{KeyedPostOrEmpty, Segment};
use crate::reply::{Answer, ok};
use crate::routes::{App, namespace_of};

pub(crate) async fn replay(
    State(app): State<App>,
    Segment(id): Segment,
    post: KeyedPostOrEmpty<ReplayRequest>,
) -> Answer<ActionReply> {
    let KeyedPostOrEmpty { request, key } = post;
    request.validate()?;
    let namespace = namespace_of(request.namespace.as_ref());
    ok(app.engine.replay(&namespace, &id, request, key).await)
}
