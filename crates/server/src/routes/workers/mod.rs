//! `/v1/workers`

pub(super) mod drain;
pub(super) mod list;
