//! What the drills need inside the product: named points at which a process can be stopped, switches that break one rule of the
//! protocol, and the weather of the in-memory doubles.
//!
//! Points and switches do nothing without the feature `drill`, which a build without debug assertions refuses: what is shipped has
//! none of them.

#[cfg(all(feature = "drill", not(debug_assertions)))]
compile_error!("crash points and rule switches must not be in a release build: build without the feature `drill`");

#[cfg(feature = "drill")]
mod armed;
mod point;
mod poison;
mod rule;
mod weather;

pub use point::{Point, point};
pub use poison::die_of;
pub use rule::{Rule, is_broken};
pub use weather::{Blow, Lost, Weather};
