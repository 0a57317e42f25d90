//! `GET /v1/lanes/{name}`

use axum::extract::State;
use stint_api::Lane;

use crate::extract::Segment;
use crate::query::Namespace;
use crate::reply::{Answer, ok};
use crate::routes::App;

/// Shows a lane.
///
/// A lane that was never used has the defaults.
#[utoipa::path(
    get,
    path = "/v1/lanes/{name}",
    operation_id = "lane",
    tag = "lanes",
    params(Namespace),
    responses(
        (status = 200, description = "The lane.", body = Lane),
    )
)]
pub(crate) async fn get(
    State(app): State<App>,
    Segment(name): Segment,
    Namespace(namespace): Namespace,
) -> Answer<Lane> {
    ok(app.engine.lane(&namespace, &name).await)
}
