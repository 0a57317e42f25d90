//! Where and how each request goes.

use reqwest::Method;
use serde::Serialize;
use stint_api::LaneRequest;

use crate::transport::{Action, LaneAction, Request, Target};

/// A request as HTTP has it.
pub(super) struct Call<'a> {
    pub(super) method: Method,
    /// Segments below the base; each is escaped.
    pub(super) path: Vec<&'a str>,
    pub(super) query: Vec<(&'static str, String)>,
    pub(super) body: Option<Result<Vec<u8>, serde_json::Error>>,
}

impl<'a> Call<'a> {
    fn post(path: Vec<&'a str>, body: &impl Serialize) -> Self {
        Self { method: Method::POST, path, query: Vec::new(), body: Some(serde_json::to_vec(body)) }
    }

    fn get(path: Vec<&'a str>, namespace: &str) -> Self {
        let query =
            if namespace == "default" { Vec::new() } else { vec![("namespace", namespace.to_owned())] };
        Self { method: Method::GET, path, query, body: None }
    }

    pub(super) fn of(request: &'a Request) -> Self {
        match request {
            Request::Submit(body) => Self::post(vec!["v1", "executions"], body),
            Request::SubmitBatch(body) => Self::post(vec!["v1", "executions", "batch"], body),
            Request::Execution(of) => Self::get(vec!["v1", "executions", &of.name], &of.namespace),
            Request::Result { of, wait_ms } => {
                let mut call = Self::get(vec!["v1", "executions", &of.name, "result"], &of.namespace);
                call.query.push(("wait_ms", wait_ms.to_string()));
                call
            }
            Request::Why(of) => Self::get(vec!["v1", "executions", &of.name, "why"], &of.namespace),
            Request::Cancel(id, body) => Self::post(vec!["v1", "executions", id, "cancel"], body),
            Request::Replay(id, body) => Self::post(vec!["v1", "executions", id, "replay"], body),
            Request::SetPriority(id, body) => Self::post(vec!["v1", "executions", id, "priority"], body),
            Request::Act(action, id, body) => Self::post(vec!["v1", "executions", id, action.verb()], body),
            Request::Lane(of) => Self::get(vec!["v1", "lanes", &of.name], &of.namespace),
            Request::SetLane(name, body) => {
                Self { method: Method::PUT, ..Self::post(vec!["v1", "lanes", name], body) }
            }
            Request::ActOnLane(action, Target { namespace, name }) => Self::post(
                vec!["v1", "lanes", name, action.verb()],
                &LaneRequest { namespace: Some(namespace.clone()) },
            ),
            Request::Lease(body) => Self::post(vec!["v1", "leases"], body),
            Request::Heartbeat(lease, body) => Self::post(vec!["v1", "leases", lease, "heartbeat"], body),
            Request::Complete(lease, body) => Self::post(vec!["v1", "leases", lease, "complete"], body),
            Request::Fail(lease, body) => Self::post(vec!["v1", "leases", lease, "fail"], body),
            Request::Release(lease, body) => Self::post(vec!["v1", "leases", lease, "release"], body),
            Request::BeginStep(lease, body) => Self::post(vec!["v1", "leases", lease, "steps"], body),
            Request::RecordStep { lease, key, request } => {
                Self::post(vec!["v1", "leases", lease, "steps", key, "result"], request)
            }
            Request::Exchange(body) => Self::post(vec!["v1", "worker", "exchange"], body),
            Request::Workers { namespace } => Self::get(vec!["v1", "workers"], namespace),
            Request::Ready => Self::get(vec!["readyz"], "default"),
        }
    }
}

impl Action {
    fn verb(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Revoke => "revoke",
        }
    }
}

impl LaneAction {
    fn verb(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Drain => "drain",
        }
    }
}
