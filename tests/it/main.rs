//! The integration tests. Names with a meaning to `.config/nextest.toml`: `drill` kills, wipes and cuts private
//! servers, `soak` runs for as long as asked, `layout` only reads files.

mod asked;
mod commands;
mod company;
mod desk;
mod drill;
mod faults;
mod estate;
mod imports;
mod layout;
mod malformed;
mod office;
mod people;
mod overlaps;
mod readme;
mod revisions;
mod rights;
mod schema;
mod subprocessors;
mod support;
mod vendors;
