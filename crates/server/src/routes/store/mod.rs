//! The store as a whole.

pub(super) mod backup;
pub(super) mod get;
