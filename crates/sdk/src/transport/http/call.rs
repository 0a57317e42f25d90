//! Where and how each request goes.

use std::borrow::Cow;

use reqwest::Method;
use serde::Serialize;
use stint_api::{ActionRequest, DEFAULT_NAMESPACE, LaneRequest};

use crate::transport::{Action, LaneAction, Page, Request, Target};

/// A request as HTTP has it.
pub(super) struct Call<'a> {
    pub(super) method: Method,
    /// Segments below the base; each is escaped.
    pub(super) path: Vec<&'a str>,
    /// What stands behind a `:` at the path's end.
    pub(super) verb: Option<&'static str>,
    pub(super) query: Vec<(Cow<'static, str>, String)>,
    pub(super) body: Option<Result<Vec<u8>, serde_json::Error>>,
}

impl<'a> Call<'a> {
    pub(super) fn post(path: Vec<&'a str>, body: &impl Serialize) -> Self {
        let body = Some(serde_json::to_vec(body));
        Self { method: Method::POST, path, verb: None, query: Vec::new(), body }
    }

    pub(super) fn verb(self, verb: &'static str) -> Self {
        Self { verb: Some(verb), ..self }
    }

    pub(super) fn get(path: Vec<&'a str>, namespace: &str) -> Self {
        let mut call = Self { method: Method::GET, path, verb: None, query: Vec::new(), body: None };
        if namespace != DEFAULT_NAMESPACE {
            call.ask("namespace", Some(namespace));
        }
        call
    }

    /// Adds a parameter to the query, if it has a value.
    pub(super) fn ask(&mut self, name: &'static str, value: Option<impl ToString>) {
        self.query.extend(value.map(|value| (Cow::Borrowed(name), value.to_string())));
    }

    pub(super) fn page(mut self, page: &Page) -> Self {
        self.ask("limit", page.limit);
        self.ask("cursor", page.cursor.as_deref());
        self
    }

    /// An execution's events as they happen.
    pub(super) fn follow(of: &'a Target) -> Self {
        Self::get(vec!["v1", "executions", &of.name, "events"], &of.namespace)
    }

    /// A copy of the store.
    pub(super) fn backup() -> Self {
        Self::get(vec!["v1", "store", "backup"], DEFAULT_NAMESPACE)
    }

    pub(super) fn of(request: &'a Request) -> Self {
        match request {
            Request::Submit(body) => Self::post(vec!["v1", "executions"], body),
            Request::SubmitBatch(body) => Self::post(vec!["v1", "executions", "batch"], body),
            Request::Execution(of) => Self::get(vec!["v1", "executions", &of.name], &of.namespace),
            Request::Result { of, wait_ms } => {
                let mut call = Self::get(vec!["v1", "executions", &of.name, "result"], &of.namespace);
                call.ask("wait_ms", Some(wait_ms));
                call
            }
            Request::Executions(request) => {
                let namespace = request.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
                let mut call = Self::get(vec!["v1", "executions"], namespace);
                call.query
                    .extend(request.filter.query().into_iter().map(|(name, value)| (name.into(), value)));
                call.page(&Page { limit: request.limit, cursor: request.cursor.clone() })
            }
            Request::Count(request) => {
                let namespace = request.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
                let mut call = Self::get(vec!["v1", "executions", "count"], namespace);
                call.query
                    .extend(request.filter.query().into_iter().map(|(name, value)| (name.into(), value)));
                call
            }
            Request::Events(of) => {
                let mut call = Self::follow(of);
                call.ask("follow", Some(false));
                call
            }
            Request::Steps(of, page) => {
                Self::get(vec!["v1", "executions", &of.name, "steps"], &of.namespace).page(page)
            }
            Request::Logs { of, attempt, page } => {
                let mut call = Self::get(vec!["v1", "executions", &of.name, "logs"], &of.namespace);
                call.ask("attempt", *attempt);
                call.page(page)
            }
            Request::Why(of) => Self::get(vec!["v1", "executions", &of.name, "why"], &of.namespace),
            Request::Cancel(id, body) => Self::post(vec!["v1", "executions", id, "cancel"], body),
            Request::Replay(id, body) => Self::post(vec!["v1", "executions", id, "replay"], body),
            Request::SetPriority(id, body) => Self::post(vec!["v1", "executions", id, "priority"], body),
            Request::Tag(id, body) => Self::post(vec!["v1", "executions", id, "tag"], body),
            Request::Act(action, id, body) => Self::post(vec!["v1", "executions", id, action.verb()], body),
            Request::BeginBulk(body) => Self::post(vec!["v1", "bulk"], body),
            Request::Bulk(of) => Self::get(vec!["v1", "bulk", &of.name], &of.namespace),
            Request::Bulks { namespace } => Self::get(vec!["v1", "bulk"], namespace),
            Request::StopBulk(Target { namespace, name }) => Self::post(
                vec!["v1", "bulk", name, "stop"],
                &ActionRequest { namespace: Some(namespace.clone()) },
            ),
            Request::Lanes { namespace, page } => Self::get(vec!["v1", "lanes"], namespace).page(page),
            Request::Lane(of) => Self::get(vec!["v1", "lanes", &of.name], &of.namespace),
            Request::SetLane(name, body) => {
                Self { method: Method::PUT, ..Self::post(vec!["v1", "lanes", name], body) }
            }
            Request::ActOnLane(action, Target { namespace, name }) => Self::post(
                vec!["v1", "lanes", name, action.verb()],
                &LaneRequest { namespace: Some(namespace.clone()) },
            ),
            Request::Namespace(name) => Self::get(vec!["v1", "namespaces", name], DEFAULT_NAMESPACE),
            Request::SetNamespace(name, body) => {
                Self { method: Method::PUT, ..Self::post(vec!["v1", "namespaces", name], body) }
            }
            Request::Lease(body) => Self::post(vec!["v1", "leases"], body),
            Request::Heartbeat(lease, body) => Self::post(vec!["v1", "leases", lease, "heartbeat"], body),
            Request::Complete(lease, body) => Self::post(vec!["v1", "leases", lease, "complete"], body),
            Request::Fail(lease, body) => Self::post(vec!["v1", "leases", lease, "fail"], body),
            Request::Release(lease, body) => Self::post(vec!["v1", "leases", lease, "release"], body),
            Request::BeginStep(lease, body) => Self::post(vec!["v1", "leases", lease, "steps"], body),
            Request::RecordStep { lease, key, request } => {
                Self::post(vec!["v1", "leases", lease, "steps", key, "result"], request)
            }
            Request::Money(money) => Self::of_money(money),
            Request::Log(lease, body) => Self::post(vec!["v1", "leases", lease, "logs"], body),
            Request::Exchange(body) => Self::post(vec!["v1", "worker", "exchange"], body),
            Request::Workers { namespace } => Self::get(vec!["v1", "workers"], namespace),
            Request::DrainWorker(id, body) => Self::post(vec!["v1", "workers", id, "drain"], body),
            Request::Ready => Self::get(vec!["readyz"], DEFAULT_NAMESPACE),
            Request::Doctor => Self::get(vec!["v1", "doctor"], DEFAULT_NAMESPACE),
            Request::Store { partition, records } => {
                let mut call = Self::get(vec!["v1", "store"], DEFAULT_NAMESPACE);
                call.ask("partition", *partition);
                call.ask("records", Some(records));
                call
            }
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
