//! `erasure lookup`: everything that is held of a person. The one command that prints identifiers, to stdout alone.

use super::person;
use super::rows::{self, Look};
use crate::assemble::Fleet;
use crate::cli::PersonArgs;
use crate::output::Output;
use std::process::ExitCode;

/// Looks in every subsystem.
///
/// # Errors
/// When the arguments are wrong or the person cannot be looked for.
pub(crate) async fn run(fleet: &Fleet, args: &PersonArgs, out: Output) -> anyhow::Result<ExitCode> {
    let tenant = person::tenant(&fleet.tenants(), &args.tenant)?;
    let record = person::record(&args.identifiers)?;
    let resolve = fleet.resolve()?;
    person::check_kinds(&record, &resolve)?;
    rows::show(fleet, &tenant, &resolve, record, Look::Values, out).await
}
