//! `/v1/bulk`

pub(super) mod begin;
pub(super) mod get;
pub(super) mod list;
pub(super) mod stop;
