//! Panics of a run: those of handlers are part of the plan, any other is a defect.

use std::cell::RefCell;
use std::panic;
use std::sync::Once;

use crate::world::World;

thread_local! {
    /// What panicked on this thread since a run began on it; a run has one thread.
    static SEEN: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Notes panics of this thread instead of printing them, until [`take`].
pub(crate) fn watch() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let noted = SEEN.with_borrow_mut(|seen| match seen {
                Some(seen) => {
                    let said = info.payload_as_str().unwrap_or_default();
                    let at = info.location().map_or_else(String::new, ToString::to_string);
                    if said != World::PLANNED {
                        seen.push(format!("{said} at {at}"));
                    }
                    true
                }
                None => false,
            });
            if !noted {
                before(info);
            }
        }));
    });
    SEEN.with_borrow_mut(|seen| *seen = Some(Vec::new()));
}

/// What panicked since [`watch`], other than by plan.
pub(crate) fn take() -> Vec<String> {
    SEEN.with_borrow_mut(Option::take).unwrap_or_default()
}
