//! Panics of a run: those of handlers are part of the plan, any other is a defect.

use std::cell::RefCell;
use std::panic;
use std::sync::Once;

use crate::world::World;

thread_local! {
    /// What panicked on this thread; a run has one thread.
    static SEEN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Notes panics instead of printing those that are planned.
pub(crate) fn watch() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let said = info.payload_as_str().unwrap_or_default();
            if said == World::PLANNED {
                return;
            }
            let at =
                info.location().map_or_else(String::new, |at| format!(" at {}:{}", at.file(), at.line()));
            SEEN.with_borrow_mut(|seen| seen.push(format!("{said}{at}")));
            before(info);
        }));
    });
    SEEN.with_borrow_mut(Vec::clear);
}

/// What panicked since the last call.
pub(crate) fn take() -> Vec<String> {
    SEEN.with_borrow_mut(std::mem::take)
}
