//! `/v1/worker`

pub(super) mod exchange;
