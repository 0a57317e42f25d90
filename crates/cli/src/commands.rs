//! One file per command.

pub(crate) mod bench;
mod connection;
pub(crate) mod demo;
pub(crate) mod result;
pub(crate) mod serve;
pub(crate) mod show;
pub(crate) mod submit;
