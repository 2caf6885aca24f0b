//! The coverage-guided fuzzer: libFuzzer on stable Rust. Built and run by `./tests/fuzz/run`.
#![no_main]

use erasure_tests::fuzz::Target;
use std::sync::LazyLock;

/// Chosen by the environment, so that all targets are one program, linked once.
static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("ERASURE_FUZZ_TARGET").unwrap_or_default();
    Target::parse(&name).expect("ERASURE_FUZZ_TARGET names a target: see ./tests/fuzz/run")
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| TARGET.judge(data));
