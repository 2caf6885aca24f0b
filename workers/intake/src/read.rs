//! From a delivery to a command that may be carried out, or to the reason why it may not.

use crate::{Error, Intake};
use erasure_broker::Delivery;
use erasure_kit::{Letter, Resolve as _};
use erasure_protocol::{Command, CommandCode, CommandError, Envelope, Regulation, SEALED_CONTENT_TYPE, TenantId};

/// A delivery whose command may be carried out.
pub(crate) struct Candidate {
    pub(crate) delivery: Delivery,
    pub(crate) command: Command,
    pub(crate) tenant: TenantId,
    pub(crate) regulation: Regulation,
    /// The CloudEvents source, or the producer's login.
    pub(crate) source: String,
}

/// Why a command may not be carried out. Holds nothing of its content.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) code: CommandCode,
    pub(crate) field: Option<String>,
    pub(crate) tenant: Option<TenantId>,
    pub(crate) request_id: Option<erasure_protocol::RequestId>,
}

/// What reading a delivery has led to.
pub(crate) enum Read {
    Candidate(Box<Candidate>),
    Refused(Box<(Delivery, Refusal)>),
}

impl Intake {
    /// Reads one delivery.
    pub(crate) fn read(&self, delivery: Delivery) -> Result<Read, Error> {
        match self.judged(&delivery) {
            Ok(Judged {
                command,
                tenant,
                regulation,
                source,
            }) => Ok(Read::Candidate(Box::new(Candidate {
                delivery,
                command,
                tenant,
                regulation,
                source,
            }))),
            Err(Unread::Refused(refusal)) => Ok(Read::Refused(Box::new((delivery, refusal)))),
            Err(Unread::NotNow(error)) => Err(error),
        }
    }

    fn judged(&self, delivery: &Delivery) -> Result<Judged, Unread> {
        if delivery.meta.too_large {
            return Err(Unread::Refused(Refusal::of(CommandCode::TooLarge)));
        }
        let letter = Letter::of(delivery, &self.keys).map_err(unopened)?;
        let (envelope, trusted) = self.open(&letter)?;
        let (tenant, regulation) = self
            .judge(&envelope, letter.user_id.as_deref(), trusted)
            .map_err(Unread::Refused)?;
        let source = envelope
            .event
            .map(|event| event.source)
            .or(letter.user_id)
            .unwrap_or_else(|| "producer".to_owned());
        Ok(Judged {
            command: envelope.command,
            tenant,
            regulation,
            source,
        })
    }

    /// Opens a sealed command, or reads a plain one. Who sealed it holds the key ring, and is trusted like ourselves.
    fn open(&self, letter: &Letter) -> Result<(Envelope, bool), Unread> {
        if letter.content_type.as_deref() != Some(SEALED_CONTENT_TYPE) {
            let envelope = Envelope::read(letter.content_type.as_deref(), &letter.headers, letter.body())?;
            return Ok((envelope, false));
        }
        let body = self.keys.open_command(letter.body()).map_err(unopened)?;
        let envelope = Envelope {
            command: Command::parse(&body)?,
            event: None,
        };
        Ok((envelope, true))
    }

    fn judge(&self, envelope: &Envelope, user: Option<&str>, trusted: bool) -> Result<(TenantId, Regulation), Refusal> {
        let command = &envelope.command;
        let refuse = |code, field: &str| Refusal {
            field: Some(field.to_owned()),
            request_id: Some(command.request_id.clone()),
            ..Refusal::of(code)
        };
        let Some((tenant, declared)) = self.tenants.find(&command.tenant) else {
            return Err(refuse(CommandCode::UnknownTenant, "tenant"));
        };
        if !trusted && !self.tenants.permits(user, tenant, command.origin) {
            return Err(refuse(CommandCode::NotPermitted, "user_id"));
        }
        if let Err(error) = command.check_kinds(&self.resolve.kinds(), &self.resolve.alternatives()) {
            return Err(Refusal {
                tenant: Some(tenant.clone()),
                request_id: Some(command.request_id.clone()),
                ..error.into()
            });
        }
        Ok((tenant.clone(), command.regulation.unwrap_or(declared.regulation)))
    }
}

/// What a command that may be carried out needs.
struct Judged {
    command: Command,
    tenant: TenantId,
    regulation: Regulation,
    source: String,
}

/// A missing key is waited for; what no key opens is nobody's command.
fn unopened(error: erasure_privacy::Error) -> Unread {
    if error.is_unknown_key() {
        Unread::NotNow(error.into())
    } else {
        Unread::Refused(Refusal::of(CommandCode::SealBroken))
    }
}

/// Why a delivery was not read.
enum Unread {
    Refused(Refusal),
    NotNow(Error),
}

impl Refusal {
    pub(crate) fn of(code: CommandCode) -> Self {
        Self {
            code,
            field: None,
            tenant: None,
            request_id: None,
        }
    }
}

impl From<CommandError> for Unread {
    fn from(error: CommandError) -> Self {
        if error.is_newer() {
            Self::NotNow(Error::NewerCommand)
        } else {
            Self::Refused(error.into())
        }
    }
}

impl From<CommandError> for Refusal {
    fn from(error: CommandError) -> Self {
        let field = error.problems.first().map(|problem| problem.field.clone());
        Self {
            field: field.filter(|field| !field.is_empty()),
            ..Self::of(error.code())
        }
    }
}
