//! The ledger's operations, one noun each.

mod accept;
mod act;
mod attention;
mod clock;
mod dispatch;
mod finalise;
mod find;
mod outbox;
mod parked;
mod plan;
mod progress;
mod report;
mod request;
mod retention;
mod sent;
mod subsystem;
