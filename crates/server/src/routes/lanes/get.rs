//! `GET /v1/lanes/{name}`

use axum::extract::State;
use stint_api::Lane;

use crate::extract::Segment;
use crate::query::Namespace;
use crate::reply::{Answer, ok};
use crate::routes::App;

pub(crate) async fn get(
    State(app): State<App>,
    Segment(name): Segment,
    Namespace(namespace): Namespace,
) -> Answer<Lane> {
    ok(app.engine.lane(&namespace, &name).await)
}
