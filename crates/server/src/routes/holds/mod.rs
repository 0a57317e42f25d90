//! `/v1/holds`

pub(super) mod charge;
pub(super) mod extend;
pub(super) mod release;
pub(super) mod settle;
