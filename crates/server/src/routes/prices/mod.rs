//! `/v1/prices`

pub(super) mod get;
pub(super) mod set;
