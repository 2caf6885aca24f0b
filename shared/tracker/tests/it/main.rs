//! The tracker against a real Redis. `ERASURE_TEST_REDIS` names it; run `./tests/run`.

mod completion;
mod model;
mod robustness;
mod world;
