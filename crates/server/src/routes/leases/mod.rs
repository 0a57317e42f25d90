//! `/v1/leases`

pub(super) mod begin_step;
pub(super) mod charge;
pub(super) mod claim;
pub(super) mod complete;
pub(super) mod fail;
pub(super) mod heartbeat;
pub(super) mod hold;
pub(super) mod log;
pub(super) mod record_step;
pub(super) mod release;
pub(super) mod suspended;
