//! The tracker's operations. All of them may be repeated after an error.

use crate::connection::{Connection, Routed};
use crate::header::{self, Fields, Stored, first_number};
use crate::keys::Keys;
use crate::record::Record;
use crate::script::{Call, Name};
use crate::{
    Claim, Claimed, Config, Error, Evidence, EvidenceBits, Finished, Init, Mark, Marked, Notice, Outstanding, OutstandingSlices,
    PersonTask, VerifiedAt, Warning, answer, note, streams,
};
use erasure_protocol::{Done, Header, LedgerId, Mask, Millis, Plan, Progress, RequestKey, SLICE_SUBJECTS_MAX};
use redis::{Cmd, Value};
use std::sync::Arc;
use std::time::Duration;

/// A connection to the tracker, bound to one ledger. Cheap to clone.
#[derive(Clone)]
pub struct Tracker {
    connection: Connection,
    shared: Arc<Shared>,
}

struct Shared {
    keys: Keys,
    ledger: LedgerId,
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
        let connection = Connection::open(config).await?;
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

    /// How far requests are, in one read each. `None` where the tracker does not know.
    ///
    /// # Errors
    /// When Redis cannot be reached or refuses.
    pub async fn progress(&self, requests: &[RequestKey]) -> Result<Vec<Option<Progress>>, Error> {
        let reads = requests
            .iter()
            .map(|it| self.read_hash(*it, self.keys().header(*it)))
            .collect();
        let answers = self.connection.commands("reading progress", reads).await?;
        let read = |(request, answer): (&RequestKey, Value)| {
            let progress = header::progress(*request, &answer::fields(answer)?);
            Ok(progress.filter(|it| it.header.ledger == self.shared.ledger))
        };
        requests.iter().zip(answers).map(read).collect()
    }

    /// All evidence of an open request. `None` when the tracker does not know it, or has it as final.
    ///
    /// # Errors
    /// When Redis cannot be reached or refuses.
    pub async fn evidence(&self, request: RequestKey) -> Result<Option<Evidence>, Error> {
        let Some((stored, fields, _)) = self.read_all(request).await? else {
            return Ok(None);
        };
        let mut evidence = Evidence {
            plan_version: stored.header.plan.version(),
            ..Evidence::default()
        };
        for (entry, slice, record) in records(&fields) {
            let bits = Done::ALL.into_iter().map(|done| EvidenceBits {
                entry,
                slice,
                done,
                mask: record.mask(done),
            });
            evidence.bits.extend(bits.filter(|it| !it.mask.is_empty()));
            if record.at > Millis(0) {
                evidence.verified.push(VerifiedAt {
                    entry,
                    slice,
                    at: record.at,
                });
            }
        }
        Ok(Some(evidence))
    }

    /// The slices of an open request that are not done. `None` when the tracker does not know it, or has it as final.
    ///
    /// # Errors
    /// When Redis cannot be reached or refuses.
    pub async fn outstanding(&self, request: RequestKey) -> Result<Option<OutstandingSlices>, Error> {
        let Some((stored, fields, now)) = self.read_all(request).await? else {
            return Ok(None);
        };
        let subjects = usize::try_from(stored.header.subjects).unwrap_or(SLICE_SUBJECTS_MAX);
        let one = |entry: usize, slice: u32| {
            let name = format!("{entry}.{slice}");
            let record = fields
                .get(name.as_bytes())
                .map(|bytes| Record::parse(bytes))
                .unwrap_or_default();
            let count = if record.count > 0 {
                record.count
            } else {
                subjects.min(SLICE_SUBJECTS_MAX)
            };
            Outstanding {
                entry,
                slice,
                missing: Mask::first(count).without(&record.done()).without(&record.failed),
                leased_until: Millis(first_number(fields.get(format!("l{name}").as_bytes()))),
                due: Millis(first_number(fields.get(format!("d{name}").as_bytes()))),
            }
        };
        let live: Vec<usize> = stored.header.plan.live().map(|(at, _)| at).collect();
        let all = live
            .into_iter()
            .flat_map(|entry| (0..stored.header.slices).map(move |slice| (entry, slice)));
        let slices = all
            .map(|(entry, slice)| one(entry, slice))
            .filter(|it| !it.missing.is_empty())
            .collect();
        Ok(Some(OutstandingSlices { slices, now }))
    }

    /// What is known of one person, by live entry. `None` when the tracker does not know the request, or has it as final.
    ///
    /// # Errors
    /// When Redis cannot be reached or refuses.
    pub async fn person(&self, request: RequestKey, slice: u32, position: usize) -> Result<Option<Vec<PersonTask>>, Error> {
        let Some((stored, _)) = self.read_header(request).await? else {
            return Ok(None);
        };
        let live: Vec<usize> = stored.header.plan.live().map(|(at, _)| at).collect();
        if live.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let mut command = redis::cmd("HMGET");
        command.arg(if stored.inline {
            self.keys().header(request)
        } else {
            self.keys().bits(request)
        });
        live.iter().for_each(|entry| {
            command.arg(format!("{entry}.{slice}"));
        });
        let answer = self.connection.one("reading a person's tasks", &command).await?;
        let raw: Vec<Option<Vec<u8>>> = redis::from_redis_value(answer).map_err(|_| Error::Unreadable { what: "evidence" })?;
        let state = |bytes: Option<Vec<u8>>| Record::parse(&bytes.unwrap_or_default()).state(position);
        Ok(Some(
            live.into_iter()
                .zip(raw)
                .map(|(entry, bytes)| PersonTask {
                    entry,
                    state: state(bytes),
                })
                .collect(),
        ))
    }

    /// Requests that became complete, the oldest first in each partition; about `max` of them. They come again until settled.
    ///
    /// # Errors
    /// When Redis cannot be reached or refuses.
    pub async fn next_complete(&self, max: usize) -> Result<Vec<Notice>, Error> {
        let reads = streams::reads(self.keys(), |it| self.keys().outbox(it), max);
        streams::notices(self.connection.commands("reading the outbox", reads).await?)
    }

    /// Takes notices off the outbox.
    ///
    /// # Errors
    /// When Redis cannot be reached or refuses.
    pub async fn settle_complete(&self, notices: &[Notice]) -> Result<(), Error> {
        let acts = streams::settlements(self.keys(), |it| self.keys().outbox(it), notices);
        self.connection.commands("settling the outbox", acts).await.map(drop)
    }

    /// Requests that somebody met and the tracker did not know; about `max` of them. They come again until settled.
    ///
    /// # Errors
    /// When Redis cannot be reached or refuses.
    pub async fn next_wanted(&self, max: usize) -> Result<Vec<Notice>, Error> {
        let reads = streams::reads(self.keys(), |it| self.keys().want(it), max);
        streams::notices(self.connection.commands("reading the want streams", reads).await?)
    }

    /// Takes notices off the want streams.
    ///
    /// # Errors
    /// When Redis cannot be reached or refuses.
    pub async fn settle_wanted(&self, notices: &[Notice]) -> Result<(), Error> {
        let acts = streams::settlements(self.keys(), |it| self.keys().want(it), notices);
        self.connection.commands("settling the want streams", acts).await.map(drop)
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

    fn keys(&self) -> &Keys {
        &self.shared.keys
    }

    fn routed<T>(&self, request: RequestKey, what: T) -> Routed<T> {
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

    fn read_hash(&self, request: RequestKey, key: String) -> Routed<Cmd> {
        let mut command = redis::cmd("HGETALL");
        command.arg(key);
        self.routed(request, command)
    }

    async fn read_header(&self, request: RequestKey) -> Result<Option<(Stored, Fields)>, Error> {
        let (_, command) = self.read_hash(request, self.keys().header(request));
        let fields = answer::fields(self.connection.one("reading a request", &command).await?)?;
        let stored = Stored::read(request, &fields);
        let ours = |it: &Stored| it.header.ledger == self.shared.ledger && !it.header.state.is_final();
        Ok(stored.filter(ours).map(|it| (it, fields)))
    }

    /// An open request with the fields of the hash that holds its evidence, and the time.
    async fn read_all(&self, request: RequestKey) -> Result<Option<(Stored, Fields, Millis)>, Error> {
        // The time first: what was leased after it is then never taken for expired.
        let now = self.ping().await?;
        let Some((stored, fields)) = self.read_header(request).await? else {
            return Ok(None);
        };
        if stored.inline {
            return Ok(Some((stored, fields, now)));
        }
        let (_, command) = self.read_hash(request, self.keys().bits(request));
        let bits = answer::fields(self.connection.one("reading evidence", &command).await?)?;
        Ok(Some((stored, bits, now)))
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

/// The records among the fields of a hash, in order.
fn records(fields: &Fields) -> Vec<(usize, u32, Record)> {
    let place = |name: &[u8]| -> Option<(usize, u32)> {
        let (entry, slice) = std::str::from_utf8(name).ok()?.split_once('.')?;
        Some((entry.parse().ok()?, slice.parse().ok()?))
    };
    let mut records: Vec<_> = fields
        .iter()
        .filter_map(|(name, bytes)| place(name).map(|(entry, slice)| (entry, slice, Record::parse(bytes))))
        .collect();
    records.sort_unstable_by_key(|(entry, slice, _)| (*entry, *slice));
    records
}
