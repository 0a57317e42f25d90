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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::response::{IntoResponse, Sse};
    use http_body_util::BodyExt;
    use stint_api::{Payload, SubmitRequest};
    use stint_engine::{Engine, EngineConfig};
    use stint_store::memory::{MemoryConfig, MemoryStore, StoreClock};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_silent_stream_is_kept_alive() {
        let clock = StoreClock::Virtual(1_763_895_600_000);
        let store = MemoryStore::new(MemoryConfig { clock, ..MemoryConfig::default() });
        let engine = Engine::open(Arc::new(store), EngineConfig::default()).await.unwrap();
        let id = engine.submit(SubmitRequest::new("a", Payload::null()), None).await.unwrap().id;
        let events = engine.follow("default", &id, None).await.unwrap();
        let mut body = Sse::new(feed(events)).into_response().into_body();
        let mut heard = async || {
            let frame = body.frame().await?.unwrap().into_data().unwrap();
            Some(String::from_utf8(frame.to_vec()).unwrap())
        };
        assert!(heard().await.unwrap().contains("event: submitted\n"));
        let start = tokio::time::Instant::now();
        for count in 1..=3 {
            assert_eq!(heard().await.unwrap().trim_end(), ":");
            assert_eq!(start.elapsed().as_secs(), 15 * count);
        }
        engine.cancel("default", &id, stint_api::CancelRequest::default()).await.unwrap();
        assert!(heard().await.unwrap().contains("event: cancelled\n"));
        assert_eq!(heard().await, None);
    }
}
