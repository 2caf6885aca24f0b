//! Sealing, the key ring and keyed hashes. The only crate that names a cryptography crate.
//!
//! Every request has a random [`DataKey`]; its slices are sealed with it, and it is wrapped by the current seal key of the
//! [`KeyRing`]. Destroying a period's seal key (`erasure key retire`) makes unreadable what was sealed in that period, wherever
//! old bytes of it may still lie. Look-up goes through keyed hashes, one key per tenant, so that nobody can tell from a hash
//! whom it stands for by trying addresses.

mod aead;
mod data_key;
mod digest;
mod envelope;
mod error;
mod file;
mod hash;
mod ring;
mod secret;

pub use data_key::{DataKey, references_aad, slice_aad};
pub use digest::{digest16, keyed16, sha256_hex};
pub use error::Error;
pub use file::{KeyInfo, KeyState, Purpose, generate, retire, rotate};
pub use hash::TenantHasher;
pub use ring::KeyRing;
