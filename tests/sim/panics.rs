//! Panics anywhere in a run are complaints, even where the product catches them.

use std::cell::RefCell;
use std::sync::Once;

thread_local! {
    static SEEN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Forgets what another run on this thread has left, and listens from now on.
pub(crate) fn forget() {
    static LISTENS: Once = Once::new();
    LISTENS.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            SEEN.with_borrow_mut(|seen| seen.push(panic.to_string()));
            before(panic);
        }));
    });
    SEEN.with_borrow_mut(Vec::clear);
}

pub(crate) fn taken() -> Vec<String> {
    SEEN.with_borrow_mut(std::mem::take)
}
