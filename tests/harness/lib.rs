//! What the integration tests stand on: real servers, the real binary in real processes, a company whose people are to be
//! forgotten, a wire that can be cut.

pub mod balancer;
pub mod binary;
pub mod company;
pub mod drill;
pub mod eventually;
#[cfg(not(test))] // it holds the binary's configuration, whose own tests run there
#[path = "../fuzz/targets.rs"]
pub mod fuzz;
pub mod opendsr;
pub mod private;
pub mod process;
pub mod producer;
pub mod proxy;
pub mod rabbitmq_cluster;
pub mod redis_cluster;
pub mod role;
pub mod servers;
pub mod vhost;
pub mod world;
