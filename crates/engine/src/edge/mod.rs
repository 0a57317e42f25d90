//! Requests of the API as commands, and outcomes as replies. Nothing here waits or decides.

pub(crate) mod budget;
pub(crate) mod bulk;
pub(crate) mod charge;
pub(crate) mod filter;
pub(crate) mod happened;
pub(crate) mod lease;
pub(crate) mod ledger;
pub(crate) mod page;
pub(crate) mod payload;
pub(crate) mod problem;
pub(crate) mod route;
pub(crate) mod submission;
pub(crate) mod view;
pub(crate) mod why;
