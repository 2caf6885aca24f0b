//! The tracker's acts: projecting, claiming, marking, finishing. All of them may be repeated after an error.

use crate::connection::{Connection, Routed};
use crate::header::{self, PlanId};
use crate::keys::Keys;
use crate::script::{Ask, Call, Name};
use crate::{Claim, Claimed, Config, Error, Finished, Init, Mark, Marked, Warning, answer, note};
use erasure_protocol::{Header, LedgerId, Mask, Millis, Plan, RequestKey};
use redis::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How many requests one call of a script is for at most, so that it does not hold the server for long.
const ASKS_PER_CALL_MAX: usize = 64;

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
    /// Plans by their id, which is made of what they say.
    pub(crate) plans: Mutex<HashMap<PlanId, Plan>>,
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
            plans: Mutex::default(),
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
        let ask = |claim: &Claim| {
            Ask::of(claim.request)
                .number(claim.slice)
                .number(header::phase_letter(claim.phase))
                .arg(claim.subsystem.as_str())
                .arg(claim.evidence.0)
                .number(self.shared.lease_ms)
        };
        let asks = claims.iter().map(ask).collect();
        let answers = self.each("claiming slices", Name::Claim, asks).await?;
        answers.into_iter().map(answer::claimed).collect()
    }

    /// Takes in what workers report. Each mark stands alone: some may be stale while others are taken in.
    ///
    /// # Errors
    /// When Redis cannot be reached or refuses. Some marks may have been taken in; repeating them is harmless.
    pub async fn mark(&self, marks: &[Mark]) -> Result<Vec<Marked>, Error> {
        let asks = marks.iter().map(mark_ask).collect();
        let answers = self.each("marking tasks", Name::Mark, asks).await?;
        answers.into_iter().map(answer::marked).collect()
    }

    /// Adopts a longer plan. Completion is open again until the new entries are full; people are counted anew.
    ///
    /// # Errors
    /// When Redis cannot be reached or refuses.
    pub async fn extend(&self, request: RequestKey, plan: &Plan) -> Result<Init, Error> {
        let ask = ["e", "", "0", "0", "0", "0"]
            .iter()
            .fold(Ask::of(request), |ask, it| ask.arg(it));
        let asks = vec![with_plan(ask, plan)];
        let answers = self.each("extending a plan", Name::Init, asks).await?;
        let done = self.after_init(&[request], answers).await?;
        done.into_iter().next().ok_or(Error::Unreadable { what: "an answer" })
    }

    /// Takes tasks off the parked ones, for a redrive. Evidence is not touched.
    ///
    /// # Errors
    /// When Redis cannot be reached or refuses.
    pub async fn unfail(&self, request: RequestKey, entry: usize, slice: u32, mask: &Mask) -> Result<Marked, Error> {
        let ask = Ask::of(request).number(slice).number(entry).arg(mask.as_bytes());
        let answers = self.each("redriving tasks", Name::Unfail, vec![ask]).await?;
        let answer = answers.into_iter().next().ok_or(Error::Unreadable { what: "an answer" })?;
        answer::marked(answer)
    }

    /// Says final, after the ledger has. Counts stay to be read until the configured time is over; bits, key and leases go.
    ///
    /// # Errors
    /// When Redis cannot be reached or refuses.
    pub async fn finish(&self, headers: &[Header]) -> Result<Vec<Finished>, Error> {
        let ask = |header: &Header| {
            Ask::of(header.request)
                .number(header::state_letter(header.state))
                .number(header.finished_at.unwrap_or_default().0)
                .number(self.shared.final_ttl.as_millis())
        };
        let fits = |header: &Header| header.state.is_final() && header.ledger == self.shared.ledger;
        let asks = headers.iter().filter(|it| fits(it)).map(ask).collect();
        let mut answers = self.each("finishing requests", Name::Finish, asks).await?.into_iter();
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

    /// Runs a script for each of these requests: one call for those of a partition, up to a number, and one answer each, in order.
    async fn each(&self, doing: &'static str, name: Name, asks: Vec<Ask>) -> Result<Vec<Value>, Error> {
        let total = asks.len();
        let mut by_partition: BTreeMap<u16, Vec<(usize, Ask)>> = BTreeMap::new();
        for (at, ask) in asks.into_iter().enumerate() {
            by_partition
                .entry(self.keys().partition(ask.request))
                .or_default()
                .push((at, ask));
        }
        let (mut calls, mut places) = (Vec::new(), Vec::new());
        for (partition, asks) in by_partition {
            let mut asks = asks.into_iter().peekable();
            while asks.peek().is_some() {
                let keys = self.keys().of_partition(partition).into();
                let mut call = Call::new(name, keys).arg(self.shared.ledger.0.as_bytes());
                let mut its = Vec::new();
                for (at, ask) in asks.by_ref().take(ASKS_PER_CALL_MAX) {
                    call.ask(self.keys().of(ask.request), ask);
                    its.push(at);
                }
                calls.push((partition, call));
                places.push(its);
            }
        }
        let mut answers: Vec<Option<Value>> = vec![None; total];
        for (its, answer) in places.into_iter().zip(self.connection.scripts(doing, &calls).await?) {
            let some = answer::list(answer)?;
            if some.len() != its.len() {
                return Err(Error::Unreadable {
                    what: "the answers of a script",
                });
            }
            for (at, answer) in its.into_iter().zip(some) {
                answers[at] = Some(answer::or_refused(doing, answer)?);
            }
        }
        Ok(answers.into_iter().flatten().collect())
    }

    async fn write_headers(&self, doing: &'static str, headers: &[Header], mode: &str) -> Result<Vec<Init>, Error> {
        let refusal = |header: &Header| {
            let foreign = (header.ledger != self.shared.ledger).then_some(Init::Foreign);
            foreign.or_else(|| header.state.is_final().then_some(Init::Final))
        };
        let accepted: Vec<&Header> = headers.iter().filter(|it| refusal(it).is_none()).collect();
        let asks = accepted.iter().map(|it| init_ask(it, mode)).collect();
        let answers = self.each(doing, Name::Init, asks).await?;
        let requests: Vec<_> = accepted.iter().map(|it| it.request).collect();
        let mut done = self.after_init(&requests, answers).await?.into_iter();
        let one = |header: &Header| {
            refusal(header)
                .or_else(|| done.next())
                .ok_or(Error::Unreadable { what: "an answer" })
        };
        headers.iter().map(one).collect()
    }

    /// Counts the people of extended requests anew, a slice at a time. What is cut short here is made up for by the next
    /// mark of each slice; until then its people count as in progress.
    async fn after_init(&self, requests: &[RequestKey], answers: Vec<Value>) -> Result<Vec<Init>, Error> {
        let mut done = Vec::with_capacity(answers.len());
        let mut recounts = Vec::new();
        for (request, value) in requests.iter().zip(answers) {
            let (init, slices) = answer::init(value)?;
            recounts.extend((0..slices).map(|slice| Ask::of(*request).number(slice)));
            done.push(init);
        }
        if !recounts.is_empty() {
            self.each("counting people anew", Name::Recount, recounts).await?;
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

fn init_ask(header: &Header, mode: &str) -> Ask {
    let ask = Ask::of(header.request)
        .arg(mode)
        .number(header::state_letter(header.state))
        .number(header.subjects)
        .number(header.slices)
        .number(header.generation)
        .number(header::flags(header));
    header::fields(header)
        .iter()
        .fold(with_plan(ask, &header.plan), |ask, (name, value)| ask.arg(name).arg(value))
}

fn with_plan(ask: Ask, plan: &Plan) -> Ask {
    ask.arg(header::plan_id(plan)).arg(plan.to_bytes())
}

fn mark_ask(mark: &Mark) -> Ask {
    let masks = [
        mark.erased,
        mark.nothing_held,
        mark.retained,
        mark.failed,
        mark.pending,
        mark.retrying,
    ];
    let ask = Ask::of(mark.request)
        .number(mark.slice)
        .number(mark.entry)
        .arg(mark.evidence.0)
        .number(mark.count);
    masks
        .iter()
        .fold(ask, |ask, mask| ask.arg(mask.as_bytes()))
        .arg(mark.due.map(|due| due.0.to_string()).unwrap_or_default())
        .arg(mark.note.as_ref().map(note::encode).unwrap_or_default())
}
