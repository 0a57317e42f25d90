//! Handlers of any type, behind one type.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;
use stint_api::Payload;

use super::{Context, Failure};

/// A handler, with input and output as they travel.
pub(super) type Handler =
    Arc<dyn Fn(Context, Payload) -> BoxFuture<'static, Result<Payload, Failure>> + Send + Sync>;

/// Handlers by kind.
pub(super) type Handlers = BTreeMap<String, Handler>;

/// A handler of typed input and output.
pub(super) fn typed<In, Out, Run, Running>(run: Run) -> Handler
where
    In: DeserializeOwned + Send + 'static,
    Out: Serialize + 'static,
    Run: Fn(Context, In) -> Running + Send + Sync + 'static,
    Running: Future<Output = Result<Out, Failure>> + Send + 'static,
{
    let run = Arc::new(run);
    Arc::new(move |context, payload| {
        let run = Arc::clone(&run);
        Box::pin(async move {
            // The same input will not fit better the next time.
            let input = payload
                .parse::<In>()
                .map_err(|error| Failure::new("invalid_input", error.to_string()).no_retry())?;
            drop(payload);
            let output = run(context, input).await?;
            Payload::json(&output)
                .map_err(|error| Failure::new("invalid_output", error.to_string()).no_retry())
        })
    })
}

/// A handler of payloads.
pub(super) fn raw<Run, Running>(run: Run) -> Handler
where
    Run: Fn(Context, Payload) -> Running + Send + Sync + 'static,
    Running: Future<Output = Result<Payload, Failure>> + Send + 'static,
{
    Arc::new(move |context, payload| Box::pin(run(context, payload)))
}
