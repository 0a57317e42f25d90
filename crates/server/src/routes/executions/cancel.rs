//! `POST /v1/executions/{id}/cancel`

use axum::extract::State;
use stint_api::{ActionReply, CancelRequest};

use crate::extract::{PostOrEmpty, Segment};
use crate::reply::{Answer, ok};
use crate::routes::{App, namespace_of};

pub(crate) async fn cancel(
    State(app): State<App>,
    Segment(id): Segment,
    PostOrEmpty(request): PostOrEmpty<CancelRequest>,
) -> Answer<ActionReply> {
    request.validate()?;
    let namespace = namespace_of(request.namespace.as_ref());
    ok(app.engine.cancel(&namespace, &id, request).await)
}
