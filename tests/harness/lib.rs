//! What the integration tests stand on: real servers, the real binary in real processes, a company whose people are to be
//! forgotten, a wire that can be cut.

pub mod balancer;
pub mod binary;
pub mod company;
pub mod drill;
pub mod eventually;
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
