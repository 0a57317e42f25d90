//! What a response means.

use serde::de::DeserializeOwned;
use stint_api::Problem;

use super::money;
use crate::transport::{Reply, Request, SendError};

/// What became of a request, as far as a response says.
pub(super) fn answer(request: &Request, status: u16, body: &[u8]) -> Result<Reply, SendError> {
    if (200..300).contains(&status) { reply(request, body) } else { Err(refusal(status, body)) }
}

/// Why a request was refused.
pub(super) fn refusal(status: u16, body: &[u8]) -> SendError {
    match serde_json::from_slice::<Problem>(body) {
        Ok(problem) => SendError::Refused(problem),
        // Something in between answered: a proxy that is up while the server is not.
        Err(_) if status >= 500 => SendError::Lost(format!("status {status} without a problem document")),
        Err(_) => SendError::Garbled(format!("status {status} without a problem document")),
    }
}

fn reply(request: &Request, body: &[u8]) -> Result<Reply, SendError> {
    Ok(match request {
        Request::Submit(_) => Reply::Submitted(read(body)?),
        Request::SubmitBatch(_) => Reply::Batch(read(body)?),
        Request::Execution(_) => Reply::Execution(read(body)?),
        Request::Result { .. } => Reply::Result(read(body)?),
        Request::Why(_) => Reply::Why(read(body)?),
        Request::Executions(_) => Reply::Executions(read(body)?),
        Request::Count(_) => Reply::Count(read(body)?),
        Request::Events(_) => Reply::Events(read(body)?),
        Request::Steps(..) => Reply::Steps(read(body)?),
        Request::Logs { .. } => Reply::Logs(read(body)?),
        Request::Cancel(..)
        | Request::Replay(..)
        | Request::SetPriority(..)
        | Request::Tag(..)
        | Request::Act(..) => Reply::Acted(read(body)?),
        Request::BeginBulk(_) => Reply::BulkBegun(read(body)?),
        Request::Bulk(_) | Request::StopBulk(_) => Reply::Bulk(read(body)?),
        Request::Bulks { .. } => Reply::Bulks(read(body)?),
        Request::Lanes { .. } => Reply::Lanes(read(body)?),
        Request::Lane(_) => Reply::Lane(read(body)?),
        Request::SetLane(..) | Request::ActOnLane(..) => Reply::LaneChanged(read(body)?),
        Request::Namespace(_) => Reply::Namespace(read(body)?),
        Request::SetNamespace(..) => Reply::NamespaceChanged(read(body)?),
        Request::Lease(_) => Reply::Leases(read(body)?),
        Request::Heartbeat(..) => Reply::Heartbeat(read(body)?),
        Request::Complete(..) | Request::Fail(..) | Request::Release(..) | Request::RecordStep { .. } => {
            Reply::Ended(read(body)?)
        }
        Request::BeginStep(..) => Reply::Step(read(body)?),
        Request::Money(money) => money::reply(money, body)?,
        Request::Log(..) => Reply::Logged(read(body)?),
        Request::Exchange(_) => Reply::Exchange(read(body)?),
        Request::Workers { .. } => Reply::Workers(read(body)?),
        Request::DrainWorker(..) => Reply::Worker(read(body)?),
        Request::Ready => Reply::Ready(read(body)?),
        Request::Doctor => Reply::Doctor(read(body)?),
        Request::Store { .. } => Reply::Store(read(body)?),
    })
}

pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, SendError> {
    serde_json::from_slice(body).map_err(|error| SendError::Garbled(error.to_string()))
}
