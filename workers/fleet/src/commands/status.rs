//! `erasure status`: how far a request is.

use super::reading::{self, Reader, Told};
use super::watch::{self, Ended};
use crate::assemble::Fleet;
use crate::cli::StatusArgs;
use crate::output::Output;
use anyhow::anyhow;
use std::process::ExitCode;

/// Prints what support reads; with `--watch`, once it is final.
///
/// # Errors
/// When nobody knows the request, or it cannot be read.
pub(crate) async fn run(fleet: &Fleet, args: &StatusArgs, out: Output) -> anyhow::Result<ExitCode> {
    let reader = Reader::open(fleet, out).await?;
    let unknown = || {
        anyhow!(
            "no request {} is known{}; if it was only just sent, intake may not have taken it in: see /readyz and `erasure attention list`",
            args.id,
            args.tenant
                .as_ref()
                .map_or_else(String::new, |tenant| format!(" of tenant {tenant}"))
        )
    };
    let answer = reader
        .by_id(fleet, &args.id, args.tenant.as_deref())
        .await?
        .ok_or_else(unknown)?;
    if !args.watch {
        out.document(&Told::new(&answer), || reading::text(&answer))?;
        return Ok(ExitCode::SUCCESS);
    }
    match Box::pin(watch::to_the_end(&reader, answer.request, None, out)).await? {
        Ended::Final(answer) => {
            out.document(&Told::new(&answer), || reading::text(&answer))?;
            Ok(watch::code(answer.state))
        }
        Ended::Refused(_) => Ok(ExitCode::FAILURE),
    }
}
