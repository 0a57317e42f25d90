//! `/v1/namespaces`

pub(super) mod get;
pub(super) mod set;
