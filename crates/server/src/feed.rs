//! Events as they happen, as server-sent events.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::response::sse::Event;
use futures_util::stream::{Stream, unfold};
use stint_api::ExecutionEvent;
use stint_engine::EventStream;
use tokio::time::timeout;
use tracing::{error, warn};

/// A comment is sent after this long without an event, so that nobody in between takes the connection for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

struct Feed {
    events: EventStream,
    ready: VecDeque<ExecutionEvent>,
}

/// The body of a reply that goes on until the execution has ended, the server drains, or the client is gone. A client
/// that hears no end comes back with the last id it has read.
pub(crate) fn feed(events: EventStream) -> impl Stream<Item = Result<Event, Infallible>> + Send {
    unfold(Feed { events, ready: VecDeque::new() }, |mut feed| async {
        let event = feed.next().await?;
        Some((Ok(event), feed))
    })
}

impl Feed {
    async fn next(&mut self) -> Option<Event> {
        while self.ready.is_empty() {
            match timeout(KEEP_ALIVE, self.events.next()).await {
                Ok(Ok(events)) => self.ready.extend(events?),
                Ok(Err(problem)) => {
                    warn!(%problem, "events can't be read; their reader has to come again");
                    return None;
                }
                Err(_) => return Some(Event::default().comment("")),
            }
        }
        let event = self.ready.pop_front()?;
        let data = serde_json::to_string(&event)
            .inspect_err(|cause| error!(%cause, "an event could not be written"))
            .ok()?;
        Some(Event::default().id(event.cursor).event(event.event).data(data))
    }
}
