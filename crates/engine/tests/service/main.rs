//! The engine as its callers see it, over a store in memory and in virtual time.

mod bed;
mod lifecycle;
