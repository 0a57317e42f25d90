//! `PUT /v1/lanes/{name}`

use axum::extract::State;
use stint_api::{LaneReply, LaneSettings};

use super::changed;
use crate::extract::{Post, Segment};
use crate::reply::Answer;
use crate::routes::{App, namespace_of};

pub(crate) async fn set(
    State(app): State<App>,
    Segment(name): Segment,
    post: Post<LaneSettings>,
) -> Answer<LaneReply> {
    let settings = post.request;
    settings.validate()?;
    let namespace = namespace_of(settings.namespace.as_ref());
    changed(app.engine.set_lane(&namespace, &name, settings).await)
}
