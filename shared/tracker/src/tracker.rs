//! The tracker's acts: projecting, claiming, marking, finishing. All of them may be repeated after an error.

use crate::connection::{Connection, Routed};
use crate::header;
use crate::keys::Keys;
use crate::script::{Call, Name};
use crate::{Claim, Claimed, Config, Error, Finished, Init, Mark, Marked, Warning, answer, note};
use erasure_protocol::{Header, LedgerId, Mask, Millis, Plan, RequestKey};
use redis::Value;
use std::sync::Arc;
use std::time::Duration;

/// A connection to the tracker, bound to one ledger. Cheap to clone.
#[derive(Clone)]
pub struct Tracker {
    pub(crate) connection: Connection,
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    keys: Keys,
    pub(crate) ledger: LedgerId,
    lease_ms: u64,
    final_ttl: Duration,
    warnings: Vec<Warning>,
}

impl Tracker {
    /// Connects, and checks that Redis never evicts and that the keys under the prefix are this ledger's.
    ///
    /// # Errors
    /// [`Error::Evicts`], [`Error::ForeignLedger`], or when the configuration is wrong or Redis cannot be reached.
    pub async fn connect(config: &Config, ledger: LedgerId) -> Result<Self, Error> {
        Self::on(Connection::open(config).await?, config, ledger).await
    }

    pub(crate) async fn on(connection: Connection, config: &Config, ledger: LedgerId) -> Result<Self, Error> {
        let warnings = connection.inspect().await?;
        let shared = Shared {
            keys: Keys::new(&config.key_prefix, ledger, config.partitions),
            ledger,
            lease_ms: config.lease_ms,
            final_ttl: config.final_ttl(),
            warnings,
        };
        let tracker = Self {
            connection,
            shared: Arc::new(shared),
        };
        tracker.check_ledger().await?;
        Ok(tracker)
    }

    /// What an operator should know of this Redis.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.shared.warnings
    }

    /// Asks Redis for the time: whether it answers, and when it is there.
    ///
    /// # Errors
    /// When Redis cannot be reached.
    pub async fn ping(&self) -> Result<Millis, Error> {
        answer::time(self.connection.one("asking for the time", &redis::cmd("TIME")).await?)
    }

    /// Creates requests, adopts longer plans, refreshes state, flags, due date and key. Never lowers anything and never
    /// touches evidence; a request that has come to its end stays as it is.
    ///
    /// # Errors
    /// When Redis cannot be reached or refuses.
    pub async fn init(&self, headers: &[Header]) -> Result<Vec<Init>, Error> {
        self.write_headers("projecting requests", headers, "i").await
    }

    /// Like [`Self::init`], and takes over the generation of the headers as it is, even when it is lower: the ledger says.
    ///
    /// # Errors
    /// When Redis cannot be reached or refuses.
    pub async fn project(&self, headers: &[Header]) -> Result<Vec<Init>, Error> {
        self.write_headers("projecting requests", headers, "p").await
    }

    /// Asks what of these slices is open, and records leases and starts in Redis' time. A claim ought to end in a
    /// [`Self::mark`] (with empty masks, if nothing came of it), which ends the lease.
    ///
    /// # Errors
    /// When Redis cannot be reached or refuses.
    pub async fn claim(&self, claims: &[Claim]) -> Result<Vec<Claimed>, Error> {
        let call = |claim: &Claim| {
            self.call(Name::Claim, claim.request)
                .number(claim.slice)
                .number(header::phase_letter(claim.phase))
                .arg(claim.subsystem.as_str())
                .arg(claim.evidence.0)
                .number(self.shared.lease_ms)
        };
        let calls: Vec<_> = claims.iter().map(|it| self.routed(it.request, call(it))).collect();
        let answers = self.connection.scripts("claiming slices", &calls).await?;
        answers.into_iter().map(answer::claimed).collect()
    }

    /// Takes in what workers report. Each mark stands alone: some may be stale while others are taken in.
    ///
    /// # Errors
    /// When Redis cannot be reached or refuses. Some marks may have been taken in; repeating them is harmless.
    pub async fn mark(&self, marks: &[Mark]) -> Result<Vec<Marked>, Error> {
        let calls: Vec<_> = marks.iter().map(|it| self.routed(it.request, self.mark_call(it))).collect();
        let answers = self.connection.scripts("marking tasks", &calls).await?;
        answers.into_iter().map(answer::marked).collect()
    }

    /// Adopts a longer plan. Completion is open again until the new entries are full; people are counted anew.
    ///
    /// # Errors
    /// When Redis cannot be reached or refuses.
    pub async fn extend(&self, request: RequestKey, plan: &Plan) -> Result<Init, Error> {
        let call = ["", "0", "0", "0", "0"]
            .iter()
            .fold(self.call(Name::Init, request).arg("e"), |call, it| call.arg(it));
        let calls = [self.routed(request, with_plan(call, plan))];
        let answers = self.connection.scripts("extending a plan", &calls).await?;
        let done = self.after_init(&[request], answers).await?;
        done.into_iter().next().ok_or(Error::Unreadable { what: "an answer" })
    }

    /// Takes tasks off the parked ones, for a redrive. Evidence is not touched.
    ///
    /// # Errors
    /// When Redis cannot be reached or refuses.
    pub async fn unfail(&self, request: RequestKey, entry: usize, slice: u32, mask: &Mask) -> Result<Marked, Error> {
        let call = self
            .call(Name::Unfail, request)
            .number(slice)
            .number(entry)
            .arg(mask.as_bytes());
        let answers = self
            .connection
            .scripts("redriving tasks", &[self.routed(request, call)])
            .await?;
        let answer = answers.into_iter().next().ok_or(Error::Unreadable { what: "an answer" })?;
        answer::marked(answer)
    }

    /// Says final, after the ledger has. Counts stay to be read until the configured time is over; bits, key and leases go.
    ///
    /// # Errors
    /// When Redis cannot be reached or refuses.
    pub async fn finish(&self, headers: &[Header]) -> Result<Vec<Finished>, Error> {
        let call = |header: &Header| {
            self.call(Name::Finish, header.request)
                .number(header::state_letter(header.state))
                .number(header.finished_at.unwrap_or_default().0)
                .number(self.shared.final_ttl.as_millis())
        };
        let fits = |header: &Header| header.state.is_final() && header.ledger == self.shared.ledger;
        let calls: Vec<_> = headers
            .iter()
            .filter(|it| fits(it))
            .map(|it| self.routed(it.request, call(it)))
            .collect();
        let mut answers = self.connection.scripts("finishing requests", &calls).await?.into_iter();
        let mut one = |header: &Header| {
            if !fits(header) {
                return Ok(Finished::Refused);
            }
            answer::finished(answers.next().ok_or(Error::Unreadable { what: "an answer" })?)
        };
        headers.iter().map(&mut one).collect()
    }

    /// Drops all that is known of these requests.
    ///
    /// # Errors
    /// When Redis cannot be reached or refuses.
    pub async fn forget(&self, requests: &[RequestKey]) -> Result<(), Error> {
        let drop_keys = |request: &RequestKey| {
            let mut command = redis::cmd("UNLINK");
            command.arg(self.keys().header(*request)).arg(self.keys().bits(*request));
            self.routed(*request, command)
        };
        self.connection
            .commands("forgetting requests", requests.iter().map(drop_keys).collect())
            .await?;
        Ok(())
    }

    /// Something noted about the whole ledger.
    ///
    /// # Errors
    /// When Redis cannot be reached or refuses.
    pub async fn meta_get(&self, name: &str) -> Result<Option<String>, Error> {
        let mut command = redis::cmd("HGET");
        command.arg(self.keys().meta()).arg(format!("note:{name}"));
        answer::optional_text(self.connection.one("reading a note", &command).await?)
    }

    /// Notes something about the whole ledger.
    ///
    /// # Errors
    /// When Redis cannot be reached or refuses.
    pub async fn meta_set(&self, name: &str, value: &str) -> Result<(), Error> {
        let mut command = redis::cmd("HSET");
        command.arg(self.keys().meta()).arg(format!("note:{name}")).arg(value);
        self.connection.one("writing a note", &command).await.map(drop)
    }

    /// The highest ledger sequence the tracker was told; 0 when none. A ledger below it has lost something.
    ///
    /// # Errors
    /// When Redis cannot be reached or refuses.
    pub async fn high_water(&self) -> Result<u64, Error> {
        self.raise_high_water(0).await
    }

    /// Tells the ledger's sequence and returns the highest ever told. It never falls.
    ///
    /// # Errors
    /// When Redis cannot be reached or refuses.
    pub async fn raise_high_water(&self, sequence: u64) -> Result<u64, Error> {
        let call = Call::new(Name::HighWater, vec![self.keys().meta()]).number(sequence);
        let answers = self.connection.scripts("raising the high-water mark", &[(0, call)]).await?;
        let number = answers
            .into_iter()
            .next()
            .and_then(|it| redis::from_redis_value::<u64>(it).ok());
        number.ok_or(Error::Unreadable {
            what: "the high-water mark",
        })
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.shared.keys
    }

    pub(crate) fn routed<T>(&self, request: RequestKey, what: T) -> Routed<T> {
        (self.keys().partition(request), what)
    }

    fn call(&self, name: Name, request: RequestKey) -> Call {
        Call::new(name, self.keys().of(request))
            .arg(self.shared.ledger.0.as_bytes())
            .arg(request.as_uuid().as_bytes())
    }

    fn mark_call(&self, mark: &Mark) -> Call {
        let masks = [
            mark.erased,
            mark.nothing_held,
            mark.retained,
            mark.failed,
            mark.pending,
            mark.retrying,
        ];
        let call = self
            .call(Name::Mark, mark.request)
            .number(mark.slice)
            .number(mark.entry)
            .arg(mark.evidence.0)
            .number(mark.count);
        masks
            .iter()
            .fold(call, |call, mask| call.arg(mask.as_bytes()))
            .arg(mark.due.map(|due| due.0.to_string()).unwrap_or_default())
            .arg(mark.note.as_ref().map(note::encode).unwrap_or_default())
    }

    async fn write_headers(&self, doing: &'static str, headers: &[Header], mode: &str) -> Result<Vec<Init>, Error> {
        let refusal = |header: &Header| {
            let foreign = (header.ledger != self.shared.ledger).then_some(Init::Foreign);
            foreign.or_else(|| header.state.is_final().then_some(Init::Final))
        };
        let accepted: Vec<&Header> = headers.iter().filter(|it| refusal(it).is_none()).collect();
        let calls: Vec<_> = accepted
            .iter()
            .map(|it| self.routed(it.request, self.init_call(it, mode)))
            .collect();
        let answers = self.connection.scripts(doing, &calls).await?;
        let requests: Vec<_> = accepted.iter().map(|it| it.request).collect();
        let mut done = self.after_init(&requests, answers).await?.into_iter();
        let one = |header: &Header| {
            refusal(header)
                .or_else(|| done.next())
                .ok_or(Error::Unreadable { what: "an answer" })
        };
        headers.iter().map(one).collect()
    }

    fn init_call(&self, header: &Header, mode: &str) -> Call {
        let call = self
            .call(Name::Init, header.request)
            .arg(mode)
            .number(header::state_letter(header.state))
            .number(header.subjects)
            .number(header.slices)
            .number(header.generation)
            .number(header::flags(header));
        let call = with_plan(call, &header.plan);
        header::fields(header)
            .iter()
            .fold(call, |call, (name, value)| call.arg(name).arg(value))
    }

    /// Counts the people of extended requests anew, a slice at a time. What is cut short here is made up for by the next
    /// mark of each slice; until then its people count as in progress.
    async fn after_init(&self, requests: &[RequestKey], answers: Vec<Value>) -> Result<Vec<Init>, Error> {
        let mut done = Vec::with_capacity(answers.len());
        let mut recounts = Vec::new();
        for (request, value) in requests.iter().zip(answers) {
            let (init, slices) = answer::init(value)?;
            recounts.extend((0..slices).map(|slice| self.routed(*request, self.call(Name::Recount, *request).number(slice))));
            done.push(init);
        }
        if !recounts.is_empty() {
            self.connection.scripts("counting people anew", &recounts).await?;
        }
        Ok(done)
    }

    async fn check_ledger(&self) -> Result<(), Error> {
        let (key, id) = (self.keys().meta(), self.shared.ledger.to_string());
        let mut set = redis::cmd("HSETNX");
        set.arg(&key).arg("ledger").arg(&id);
        self.connection.one("noting the ledger", &set).await?;
        let mut get = redis::cmd("HGET");
        get.arg(&key).arg("ledger");
        let noted = answer::optional_text(self.connection.one("reading the ledger's id", &get).await?)?;
        if noted.as_deref() == Some(id.as_str()) {
            Ok(())
        } else {
            Err(Error::ForeignLedger)
        }
    }
}

fn with_plan(call: Call, plan: &Plan) -> Call {
    let entries = plan.entries();
    entries
        .iter()
        .fold(call.number(entries.len()), |call, entry| call.arg(header::plan_entry(entry)))
}
