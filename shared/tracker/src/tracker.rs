//! The tracker's operations.

use crate::{
    Claim, Claimed, Config, Error, Evidence, Finished, Init, Mark, Marked, Notice, OutstandingSlices, PersonTask, Warning,
};
use erasure_protocol::{Header, LedgerId, Mask, Millis, Plan, Progress, RequestKey};

/// A connection to the tracker, bound to one ledger. Cheap to clone.
#[derive(Clone)]
pub struct Tracker {}

macro_rules! wip { () => { Err(Error::Unreadable { what: "not built yet" }) } }

#[allow(unused_variables, missing_docs, clippy::unused_async)]
impl Tracker {
    pub async fn connect(config: &Config, ledger: LedgerId) -> Result<Self, Error> { wip!() }
    pub fn warnings(&self) -> &[Warning] { &[] }
    pub async fn ping(&self) -> Result<Millis, Error> { wip!() }
    pub async fn init(&self, headers: &[Header]) -> Result<Vec<Init>, Error> { wip!() }
    pub async fn project(&self, headers: &[Header]) -> Result<Vec<Init>, Error> { wip!() }
    pub async fn claim(&self, claims: &[Claim]) -> Result<Vec<Claimed>, Error> { wip!() }
    pub async fn mark(&self, marks: &[Mark]) -> Result<Vec<Marked>, Error> { wip!() }
    pub async fn extend(&self, request: RequestKey, plan: &Plan) -> Result<Init, Error> { wip!() }
    pub async fn unfail(&self, request: RequestKey, entry: usize, slice: u32, mask: &Mask) -> Result<Marked, Error> { wip!() }
    pub async fn finish(&self, headers: &[Header]) -> Result<Vec<Finished>, Error> { wip!() }
    pub async fn forget(&self, requests: &[RequestKey]) -> Result<(), Error> { wip!() }
    pub async fn progress(&self, requests: &[RequestKey]) -> Result<Vec<Option<Progress>>, Error> { wip!() }
    pub async fn evidence(&self, request: RequestKey) -> Result<Option<Evidence>, Error> { wip!() }
    pub async fn outstanding(&self, request: RequestKey) -> Result<Option<OutstandingSlices>, Error> { wip!() }
    pub async fn person(&self, request: RequestKey, slice: u32, position: usize) -> Result<Option<Vec<PersonTask>>, Error> { wip!() }
    pub async fn next_complete(&self, max: usize) -> Result<Vec<Notice>, Error> { wip!() }
    pub async fn settle_complete(&self, notices: &[Notice]) -> Result<(), Error> { wip!() }
    pub async fn next_wanted(&self, max: usize) -> Result<Vec<Notice>, Error> { wip!() }
    pub async fn settle_wanted(&self, notices: &[Notice]) -> Result<(), Error> { wip!() }
    pub async fn meta_get(&self, name: &str) -> Result<Option<String>, Error> { wip!() }
    pub async fn meta_set(&self, name: &str, value: &str) -> Result<(), Error> { wip!() }
    pub async fn high_water(&self) -> Result<u64, Error> { wip!() }
    pub async fn raise_high_water(&self, sequence: u64) -> Result<u64, Error> { wip!() }
}
