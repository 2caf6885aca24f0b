//! What is asked, from the command line to a command without subjects.

use super::{WrongUse, person};
use crate::cli::{AskArgs, OperationArg};
use erasure_intake::Tenants;
use erasure_protocol::{Command, Millis, Operation, Options, Regulation, RequestId, TenantId};

/// The command without subjects, and its tenant.
///
/// The time of receipt stays empty when it was not given: intake puts its own, and the same request sent again stays the same.
///
/// # Errors
/// When an argument cannot be understood.
pub(crate) fn template(ask: &AskArgs, tenants: &Tenants) -> anyhow::Result<(Command, TenantId)> {
    let tenant = person::tenant(tenants, &ask.tenant)?;
    let command = Command {
        request_id: request_id(ask.id.as_deref())?,
        tenant: tenant.to_string(),
        operation: operation(ask.operation),
        subjects: Vec::new(),
        received_at: ask.received_at.as_deref().map(time).transpose()?,
        regulation: ask.regulation.as_deref().map(regulation).transpose()?,
        origin: None,
        ticket: ask.ticket.clone(),
        options: Options {
            preserve_empty_account: ask.preserve_empty_account,
        },
        part: None,
    };
    Ok((command, tenant))
}

fn request_id(given: Option<&str>) -> anyhow::Result<RequestId> {
    let text = given.map_or_else(|| uuid::Uuid::now_v7().to_string(), str::to_owned);
    RequestId::new(text).map_err(|error| WrongUse::error(format!("--id: {error}")))
}

fn operation(given: OperationArg) -> Operation {
    match given {
        OperationArg::Erase => Operation::Erase,
        OperationArg::Deactivate => Operation::Deactivate,
        OperationArg::Reactivate => Operation::Reactivate,
    }
}

fn time(text: &str) -> anyhow::Result<Millis> {
    Millis::from_rfc3339(text)
        .ok_or_else(|| WrongUse::error("--received-at must be a time as in RFC 3339, for example 2026-02-03T14:05:00Z"))
}

fn regulation(word: &str) -> anyhow::Result<Regulation> {
    let words: Vec<_> = Regulation::ALL.iter().map(|it| it.as_str()).collect();
    Regulation::parse(word).ok_or_else(|| WrongUse::error(format!("--regulation must be one of {}", words.join(", "))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command as Asked};
    use clap::Parser as _;
    use erasure_intake::TenantConfig;
    use std::collections::BTreeMap;

    fn asked(arguments: &[&str]) -> anyhow::Result<Command> {
        let all = ["erasure", "request"].iter().chain(arguments);
        let Asked::Request(args) = Cli::try_parse_from(all)?.command else {
            unreachable!()
        };
        let acme = TenantConfig {
            name: Some("Acme Ltd".to_owned()),
            regulation: Regulation::Gdpr,
        };
        let tenants = Tenants::new([(TenantId::new("1").unwrap(), acme)].into(), BTreeMap::new());
        template(&args.ask, &tenants).map(|(command, _)| command)
    }

    #[test]
    fn a_name_becomes_the_tenants_number_and_an_id_is_made_up() {
        let one = asked(&["--tenant", "Acme Ltd", "user_id=1"]).unwrap();
        let other = asked(&["--tenant", "1", "user_id=1"]).unwrap();
        assert_eq!(
            (one.tenant.as_str(), one.operation, one.received_at),
            ("1", Operation::Erase, None)
        );
        assert_ne!(one.request_id, other.request_id);
    }

    #[test]
    fn what_cannot_be_understood_is_wrong_use() {
        for arguments in [
            &["--tenant", "2", "user_id=1"][..],
            &["--tenant", "1", "--id", "a b", "user_id=1"],
            &["--tenant", "1", "--received-at", "yesterday", "user_id=1"],
        ] {
            assert!(asked(arguments).unwrap_err().is::<WrongUse>(), "{arguments:?}");
        }
    }
}
