//! From a delivery to a command that may be carried out, or to the reason why it may not.

use crate::{Error, Intake};
use erasure_broker::{Delivery, Meta};
use erasure_kit::Resolve as _;
use erasure_protocol::{Command, CommandError, Envelope, Regulation, SEALED_CONTENT_TYPE, TenantId};

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
    pub(crate) code: &'static str,
    pub(crate) field: Option<String>,
    pub(crate) reason: String,
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
        let (envelope, trusted) = match self.open(&delivery) {
            Ok(opened) => opened,
            Err(Unread::Refused(refusal)) => return Ok(Read::Refused(Box::new((delivery, refusal)))),
            Err(Unread::NotNow(error)) => return Err(error),
        };
        match self.judge(&envelope, &delivery.meta, trusted) {
            Ok((tenant, regulation)) => {
                let login = delivery.meta.user_id.clone();
                let source = envelope
                    .event
                    .map(|event| event.source)
                    .or(login)
                    .unwrap_or_else(|| "producer".to_owned());
                let command = envelope.command;
                Ok(Read::Candidate(Box::new(Candidate {
                    delivery,
                    command,
                    tenant,
                    regulation,
                    source,
                })))
            }
            Err(refusal) => Ok(Read::Refused(Box::new((delivery, refusal)))),
        }
    }

    /// Opens a sealed command, or reads a plain one. Who sealed it holds the key ring, and is trusted like ourselves.
    fn open(&self, delivery: &Delivery) -> Result<(Envelope, bool), Unread> {
        let meta = &delivery.meta;
        if meta.too_large || delivery.body.len() > erasure_protocol::COMMAND_BYTES_MAX * 2 {
            return Err(Unread::refused(
                "COMMAND-002",
                None,
                "the body is larger than a command may be; use a file, or parts",
            ));
        }
        if meta.content_type.as_deref() != Some(SEALED_CONTENT_TYPE) {
            let envelope = Envelope::read(meta.content_type.as_deref(), &meta.headers, &delivery.body)?;
            return Ok((envelope, false));
        }
        let body = self.keys.open_command(&delivery.body).map_err(|error| {
            if error.is_unknown_key() {
                Unread::NotNow(error.into())
            } else {
                Unread::refused("COMMAND-SEAL", None, "the sealed command cannot be opened")
            }
        })?;
        let envelope = Envelope {
            command: Command::parse(&body)?,
            event: None,
        };
        Ok((envelope, true))
    }

    fn judge(&self, envelope: &Envelope, meta: &Meta, trusted: bool) -> Result<(TenantId, Regulation), Refusal> {
        let command = &envelope.command;
        let refuse = |code, field: &str, reason: &str| Refusal {
            code,
            field: Some(field.to_owned()),
            reason: reason.to_owned(),
            tenant: None,
            request_id: Some(command.request_id.clone()),
        };
        let Some((tenant, declared)) = self.tenants.find(&command.tenant) else {
            let reason = "the tenant is not declared, or its name is not unique; declare it as [tenant.…] and redrive";
            return Err(refuse("COMMAND-TENANT", "tenant", reason));
        };
        if !trusted && !self.tenants.permits(meta.user_id.as_deref(), tenant, command.origin) {
            let reason =
                "this producer may not ask this for this tenant; declare it as [producer.…], publish with user-id, and redrive";
            return Err(refuse("COMMAND-PRODUCER", "user_id", reason));
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

/// Why a delivery was not read.
enum Unread {
    Refused(Refusal),
    NotNow(Error),
}

impl Unread {
    fn refused(code: &'static str, field: Option<&str>, reason: &str) -> Self {
        let field = field.map(str::to_owned);
        Self::Refused(Refusal {
            code,
            field,
            reason: reason.to_owned(),
            tenant: None,
            request_id: None,
        })
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
        let field = error
            .problems
            .first()
            .map(|problem| problem.field.clone())
            .filter(|field| !field.is_empty());
        Self {
            code: error.code().as_str(),
            field,
            reason: error.to_string(),
            tenant: None,
            request_id: None,
        }
    }
}
