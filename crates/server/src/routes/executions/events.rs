//! `GET /v1/executions/{id}/events`

use axum::extract::State;
use axum::http::header::{ACCEPT, HeaderName};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response, Sse};
use stint_api::{EventsReply, Problem};

use crate::extract::Segment;
use crate::feed::feed;
use crate::page::Follow;
use crate::reply::{Refusal, Reply};
use crate::routes::App;

const LAST_EVENT_ID: &str = "last-event-id";

/// Some proxies collect a body before they pass it on, unless they are told not to.
const UNBUFFERED: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));

/// Tells what happens to an execution, as it happens.
///
/// Server-sent events: first those that are kept (the submission and the last hundred), then each as soon as it is
/// committed. `id` is a cursor, `event` the name, `data` the event as JSON. The header `Last-Event-ID` goes on behind a
/// cursor. The stream ends behind the event that ends the execution, and when the server shuts down; without an event
/// for 15 s there is a comment. With `follow=false`, or if only JSON is accepted, the events that are kept come as JSON.
#[utoipa::path(
    get,
    path = "/v1/executions/{id}/events",
    operation_id = "events",
    tag = "executions",
    params(
        Follow,
        ("Last-Event-ID" = Option<String>, Header, description = "The cursor of the last event that was read.")
    ),
    responses(
        (
            status = 200, description = "The events.",
            content((String = "text/event-stream"), (EventsReply = "application/json"))
        ),
        (status = 204, description = "The execution has ended, and all its events were read: do not come again."),
    )
)]
pub(crate) async fn events(
    State(app): State<App>,
    Segment(id): Segment,
    Follow { namespace, follow }: Follow,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    if !follow || wants_json(&headers) {
        let kept: EventsReply = app.engine.events(&namespace, &id).await?;
        return Ok(Reply(StatusCode::OK, kept).into_response());
    }
    let after = last_event_id(&headers)?;
    let stream = app.engine.follow(&namespace, &id, after).await?;
    if stream.is_over() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    Ok(([UNBUFFERED], Sse::new(feed(stream))).into_response())
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(id) = headers.get(LAST_EVENT_ID) else { return Ok(None) };
    let id = id.to_str().map_err(|_| Problem::invalid("Last-Event-ID", "the header is not text"))?;
    // A browser that has read no event yet has no id to give.
    Ok(Some(id).filter(|id| !id.is_empty()))
}

/// Whether JSON is accepted, and a stream is not named.
fn wants_json(headers: &HeaderMap) -> bool {
    let accepted = |kind: &str| {
        let lists = headers.get_all(ACCEPT).iter().filter_map(|list| list.to_str().ok());
        let kinds = lists.flat_map(|list| list.split(',')).filter_map(|range| range.split(';').next());
        let mut kinds = kinds.map(str::trim);
        kinds.any(|accepted| accepted.eq_ignore_ascii_case(kind))
    };
    accepted("application/json") && !accepted("text/event-stream")
}
