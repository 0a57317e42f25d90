//! `POST /v1/lanes/{name}/drain`

use axum::extract::State;
use stint_api::{LaneReply, LaneRequest};

use super::changed;
use crate::extract::{PostOrEmpty, Segment};
use crate::reply::Answer;
use crate::routes::{App, namespace_of};

pub(crate) async fn drain(
    State(app): State<App>,
    Segment(name): Segment,
    PostOrEmpty(request): PostOrEmpty<LaneRequest>,
) -> Answer<LaneReply> {
    request.validate()?;
    changed(app.engine.drain_lane(&namespace_of(request.namespace.as_ref()), &name).await)
}
