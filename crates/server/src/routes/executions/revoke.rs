//! `POST /v1/executions/{id}/revoke`

use axum::extract::State;
use stint_api::{ActionReply, ActionRequest};

use crate::extract::{PostOrEmpty, Segment};
use crate::reply::{Answer, ok};
use crate::routes::{App, namespace_of};

pub(crate) async fn revoke(
    State(app): State<App>,
    Segment(id): Segment,
    PostOrEmpty(request): PostOrEmpty<ActionRequest>,
) -> Answer<ActionReply> {
    request.validate()?;
    ok(app.engine.revoke(&namespace_of(request.namespace.as_ref()), &id).await)
}
