//! What a producer sends.

mod sealed;

pub use sealed::{SEALED_CONTENT_TYPE, SEALED_VERSION, SealedBody, SealedEnvelope};
