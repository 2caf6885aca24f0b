//! The integration tests. Names with a meaning to `.config/nextest.toml`: `drill` kills, wipes and cuts private
//! servers, `soak` runs for as long as asked, `layout` only reads files.

mod allowances;
mod asked;
mod commands;
mod company;
mod desk;
mod drill;
mod estate;
mod faults;
mod fuzz;
mod imports;
mod layout;
mod malformed;
mod mended;
mod office;
mod orphans;
mod overlaps;
mod people;
mod readme;
mod recipes;
mod remainders;
mod renewal;
mod restored;
mod revisions;
mod rights;
mod schema;
mod soak;
mod subprocessors;
mod support;
mod together;
mod vendors;
