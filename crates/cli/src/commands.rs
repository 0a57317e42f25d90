//! One file per command.

mod act;
pub(crate) mod bench;
pub(crate) mod cancel;
pub(crate) mod completions;
pub(crate) mod connection;
pub(crate) mod demo;
pub(crate) mod dev;
pub(crate) mod lane;
mod outcome;
pub(crate) mod pause;
pub(crate) mod priority;
pub(crate) mod replay;
pub(crate) mod result;
pub(crate) mod resume;
pub(crate) mod revoke;
pub(crate) mod run;
pub(crate) mod serve;
pub(crate) mod show;
mod submission;
pub(crate) mod submit;
pub(crate) mod why;
pub(crate) mod work;
pub(crate) mod worker;
