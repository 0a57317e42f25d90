//! Top-ups: limits raised for once.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod bed;
mod tree;
mod world;

use stint_core::Millis;
use stint_core::model::*;
use tree::{Tree, windowed};

const HOUR: Millis = 3_600_000;

#[test]
fn a_top_up_of_a_rolling_window_pays_what_was_spent_in_any_of_its_steps() {
    let mut tree = Tree::with("acme", windowed(WindowKind::Rolling { every_ms: HOUR }, 100));
    tree.charge("acme", 60);
    tree.bed.pass(10 * 60_000);
    tree.charge("acme", 70);
    tree.bed.pass(10 * 60_000);
    assert!(tree.view("acme").breached);
    tree.top_up("t", 50, None);
    let view = tree.view("acme");
    assert!(!view.breached, "what was beyond the limit is paid");
    let topped = (view.windows[0].topped.clone(), view.windows[0].top_ups[0].left.clone());
    assert_eq!(topped, (world::usd(30), world::usd(20)));
    assert!(tree.hold(1, 21).is_err());
    assert!(tree.hold(1, 20).is_ok(), "what is left of it is free");
    // The oldest step goes with what was paid of it.
    tree.bed.pass(45 * 60_000);
    assert_eq!(tree.used("acme"), 70);
    assert!(tree.hold(2, 51).is_err());
    assert!(tree.hold(2, 50).is_ok());
    assert_eq!(tree.reconcile(true, false).1, []);
}
