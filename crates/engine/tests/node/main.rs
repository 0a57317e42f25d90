//! A node over a store in memory: what is promised while the store works, and while it does not.

mod broken;
mod faults;
mod support;
mod walk;
