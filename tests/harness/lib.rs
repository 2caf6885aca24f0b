//! What the integration tests stand on: real servers, the real binary in real processes, a wire that can be cut.

pub mod eventually;
pub mod opendsr;
pub mod private;
pub mod process;
pub mod producer;
pub mod proxy;
pub mod servers;
