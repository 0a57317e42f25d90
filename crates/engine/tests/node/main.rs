//! A node over a store in memory: what is promised while the store works, and while it does not.

mod broken;
mod claims;
mod faults;
mod forwarding;
mod lanes;
mod reads;
mod support;
mod timers;
mod trimming;
mod walk;
