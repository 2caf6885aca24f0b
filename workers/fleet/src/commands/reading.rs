//! Reading how far requests are: the tracker first, the ledger behind it.

use super::{WrongUse, person};
use crate::assemble::Fleet;
use crate::output::{Output, table, thousands};
use anyhow::Context as _;
use erasure_api::Status;
use erasure_api::status::Known;
use erasure_ledger::{Access, Ledger};
use erasure_protocol::{Answer, LineState, RequestId, RequestKey};
use serde::Serialize;

/// An answer with its text, as programs read it.
#[derive(Serialize)]
pub(crate) struct Told<'a> {
    text: String,
    #[serde(flatten)]
    answer: &'a Answer,
}

impl<'a> Told<'a> {
    pub(crate) fn new(answer: &'a Answer) -> Self {
        Self {
            text: answer.text(),
            answer,
        }
    }
}

/// Both places that know of requests.
pub(crate) struct Reader(pub(crate) Status);

impl Reader {
    /// Opens both for reading. Without the tracker the ledger answers alone: late, never wrong.
    ///
    /// # Errors
    /// When the ledger cannot be opened.
    pub(crate) async fn open(fleet: &Fleet, out: Output) -> anyhow::Result<Self> {
        let ledger = fleet.ledger(Access::Read).await?;
        let tracker = fleet.tracker(ledger.id()).await;
        let tracker = tracker.map_err(|error| {
            out.say(format_args!(
                "note: the tracker cannot be read ({error:#}); the ledger answers, which hears of progress late"
            ));
        });
        Ok(Self(Status {
            ledger,
            tracker: tracker.ok(),
        }))
    }

    /// The ledger.
    pub(crate) fn ledger(&self) -> &Ledger {
        &self.0.ledger
    }

    /// What support reads of the request. `None`: nobody knows it.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(crate) async fn answer(&self, request: RequestKey) -> anyhow::Result<Option<Answer>> {
        let now = self.ledger().now().await?;
        self.0
            .by_request(request, now)
            .await
            .context("reading how far the request is")
    }

    /// What support reads of the request of this id. Without a tenant it must be of one tenant only.
    ///
    /// # Errors
    /// When the id is none, the tenant is unknown, several tenants use the id, or the ledger cannot be read.
    pub(crate) async fn by_id(&self, fleet: &Fleet, id: &str, tenant: Option<&str>) -> anyhow::Result<Option<Box<Answer>>> {
        let id = RequestId::new(id).map_err(|error| WrongUse::error(error.to_string()))?;
        let tenants = fleet.tenants();
        let tenant = match tenant {
            Some(named) => Some(person::tenant(&tenants, named)?),
            None => person::only_tenant(&tenants),
        };
        let now = self.ledger().now().await?;
        match self
            .0
            .by_request_id(&id, tenant.as_ref(), now)
            .await
            .context("reading how far the request is")?
        {
            Known::Answer(answer) => Ok(Some(answer)),
            Known::Nothing => Ok(None),
            Known::Several(tenants) => {
                let tenants: Vec<_> = tenants.iter().map(ToString::to_string).collect();
                Err(WrongUse::error(format!(
                    "several tenants use this id; add --tenant with one of {}",
                    tenants.join(", ")
                )))
            }
        }
    }
}

/// The answer for people: what support reads, the dates, and a line for each subsystem.
pub(crate) fn text(answer: &Answer) -> String {
    let subsystems = answer.subsystems.iter().map(|line| {
        let counts = &line.counts;
        vec![
            line.name(),
            word(line.state).to_owned(),
            format!("{}/{}", thousands(counts.done()), thousands(counts.total())),
            thousands(counts.needs_attention),
            line.next_at.map_or_else(|| "-".to_owned(), |at| at.to_rfc3339()),
            line.fault
                .as_ref()
                .map_or_else(|| "-".to_owned(), |fault| format!("{} {}", fault.code, fault.source)),
        ]
    });
    let header = ["subsystem", "state", "done", "need attention", "next", "reason"];
    let ticket = answer
        .ticket
        .as_ref()
        .map_or_else(String::new, |ticket| format!(", ticket {ticket}"));
    format!(
        "{}\n\nrequest {} of tenant {}{ticket}: {}, asked {}, due {}\n\n{}",
        answer.text(),
        answer.request_id,
        answer.tenant,
        answer.operation,
        answer.asked_at.to_rfc3339(),
        answer.due_at.to_rfc3339(),
        table(&header, subsystems)
    )
}

fn word(state: LineState) -> &'static str {
    match state {
        LineState::Pending => "not begun",
        LineState::Running => "running",
        LineState::WaitingForVendor => "waiting for a vendor",
        LineState::Retrying => "retrying",
        LineState::Retained => "done, some kept",
        LineState::NeedsAttention => "needs attention",
        LineState::Done => "done",
    }
}
