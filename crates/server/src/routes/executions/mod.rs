//! `/v1/executions`

pub(super) mod cancel;
pub(super) mod count;
pub(super) mod events;
pub(super) mod get;
pub(super) mod list;
pub(super) mod logs;
pub(super) mod pause;
pub(super) mod priority;
pub(super) mod replay;
pub(super) mod result;
pub(super) mod resume;
pub(super) mod revoke;
pub(super) mod steps;
pub(super) mod submit;
pub(super) mod submit_batch;
pub(super) mod tag;
pub(super) mod why;
