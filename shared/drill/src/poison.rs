//! A person of whom worker processes die, as of a defect that no panic tells of.

/// Ends the process at once when this is the subject named in `ERASURE_DRILL_DIE_OF`, as the request's key, a colon and the
/// subject's number. Never, without the feature `drill`.
#[cfg(not(feature = "drill"))]
#[inline]
pub fn die_of(_request: &impl std::fmt::Display, _number: u64) {}

/// Ends the process at once when this is the subject named in `ERASURE_DRILL_DIE_OF`, as the request's key, a colon and the
/// subject's number. Never, without the feature `drill`.
#[cfg(feature = "drill")]
pub fn die_of(request: &impl std::fmt::Display, number: u64) {
    use std::sync::OnceLock;
    static POISON: OnceLock<Option<String>> = OnceLock::new();
    let poison = POISON.get_or_init(|| std::env::var("ERASURE_DRILL_DIE_OF").ok());
    if poison.as_ref().is_some_and(|poison| *poison == format!("{request}:{number}")) {
        std::process::abort();
    }
}
