//! Which of the things that need attention are meant.

use super::advice::fault;
use crate::assemble::Fleet;
use crate::cli::AttentionFilterArgs;
use crate::commands::{WrongUse, person};
use erasure_ledger::{Attention, AttentionFilter, Ledger, Parked, ParkedFilter, ParkedGroup};
use erasure_protocol::{SubsystemName, TenantId};

const PER_PAGE: u32 = 512;
/// Larger groups of parked messages are told, and sent again, as one.
const ONE_BY_ONE_MAX: u64 = 100;

/// Which failed tasks and which parked messages.
pub(super) struct Filter {
    /// `None`: no failed tasks.
    pub(super) tasks: Option<AttentionFilter>,
    messages: Messages,
}

/// Which parked messages.
enum Messages {
    None,
    One(String),
    All(ParkedFilter),
}

impl Filter {
    /// From the command line. A request or a subsystem means failed tasks; a parked message's id means that message.
    ///
    /// # Errors
    /// When an argument means nothing.
    pub(super) async fn of(args: &AttentionFilterArgs, fleet: &Fleet, ledger: &Ledger) -> anyhow::Result<Self> {
        let AttentionFilterArgs {
            request,
            subsystem,
            code,
            tenant,
            parked,
            queue,
        } = args;
        let tasks_asked = request.is_some() || subsystem.is_some();
        if tasks_asked && queue.is_some() {
            return Err(WrongUse::error(
                "--queue means parked messages; it goes with neither --request nor --subsystem",
            ));
        }
        if let Some(id) = parked {
            if tasks_asked || code.is_some() || tenant.is_some() || queue.is_some() {
                return Err(WrongUse::error("--parked names one message; it goes with no other filter"));
            }
            return Ok(Self {
                tasks: None,
                messages: Messages::One(id.clone()),
            });
        }
        let tenant_id = tenant
            .as_deref()
            .map(|named| person::tenant(&fleet.tenants(), named))
            .transpose()?;
        let code = code.as_deref().map(str::to_ascii_uppercase);
        let fault = code.as_deref().and_then(fault);
        let request = match request {
            Some(id) => Some(super::request(fleet, ledger, id, tenant.as_deref()).await?),
            None => None,
        };
        let subsystem = subsystem.as_deref().map(name).transpose()?;
        // A code that is no fault's can only be a parked message's.
        let tasks = ((code.is_none() || fault.is_some()) && queue.is_none()).then(|| AttentionFilter {
            code: fault,
            subsystem,
            request,
            tenant: tenant_id.clone(),
        });
        let messages = match tasks_asked {
            true => Messages::None,
            false => Messages::All(ParkedFilter {
                tenant: tenant_id,
                code,
                queue: queue.clone(),
                ..ParkedFilter::default()
            }),
        };
        Ok(Self { tasks, messages })
    }

    /// Whether nothing is left out.
    pub(super) fn is_everything(&self) -> bool {
        let every_task = self.tasks.as_ref().is_some_and(|it| *it == AttentionFilter::default());
        let every_message = matches!(&self.messages, Messages::All(filter) if *filter == ParkedFilter::default());
        every_task && every_message
    }

    /// The failed tasks.
    pub(super) async fn failed(&self, ledger: &Ledger) -> anyhow::Result<Vec<Attention>> {
        let Some(filter) = &self.tasks else { return Ok(Vec::new()) };
        let mut all = Vec::new();
        loop {
            let page = ledger
                .attention(filter, all.last().map(|it: &Attention| it.key), PER_PAGE)
                .await?;
            if page.is_empty() {
                return Ok(all);
            }
            all.extend(page);
        }
    }

    /// The groups of parked messages that are too large to be told one by one.
    pub(super) async fn large_groups(&self, ledger: &Ledger) -> anyhow::Result<Vec<ParkedGroup>> {
        let Messages::All(filter) = &self.messages else {
            return Ok(Vec::new());
        };
        let groups = ledger.parked_groups(filter).await?;
        Ok(groups.into_iter().filter(|it| it.messages > ONE_BY_ONE_MAX).collect())
    }

    /// The tenant that was asked for.
    pub(super) fn tenant(&self) -> Option<TenantId> {
        match &self.messages {
            Messages::All(filter) => filter.tenant.clone(),
            Messages::None | Messages::One(_) => None,
        }
    }

    /// The parked messages of all other groups.
    pub(super) async fn parked(&self, ledger: &Ledger) -> anyhow::Result<Vec<Parked>> {
        match &self.messages {
            Messages::None => Ok(Vec::new()),
            Messages::One(id) => Ok(ledger.parked_one(id).await?.into_iter().collect()),
            Messages::All(filter) => {
                let mut all = Vec::new();
                for group in ledger.parked_groups(filter).await? {
                    if group.messages <= ONE_BY_ONE_MAX {
                        let (queue, code) = (Some(group.queue), Some(group.code));
                        let filter = ParkedFilter {
                            queue,
                            code,
                            ..filter.clone()
                        };
                        all.extend(parked(ledger, &filter).await?);
                    }
                }
                all.sort_by(|a, b| a.id.cmp(&b.id));
                Ok(all)
            }
        }
    }
}

/// Every parked message that fits.
pub(crate) async fn parked(ledger: &Ledger, filter: &ParkedFilter) -> anyhow::Result<Vec<Parked>> {
    let mut all: Vec<Parked> = Vec::new();
    loop {
        let page = ledger.parked(filter, all.last().map(|it| it.id.as_str()), PER_PAGE).await?;
        if page.is_empty() {
            return Ok(all);
        }
        // The body is not needed here, and may be large.
        all.extend(page.into_iter().map(|it| Parked { sealed: None, ..it }));
    }
}

fn name(text: &str) -> anyhow::Result<SubsystemName> {
    SubsystemName::new(text).map_err(|error| WrongUse::error(format!("--subsystem: {error}")))
}
