//! How far requests and people are, in the words of [`erasure_protocol::answer()`]: one read of the tracker, and the ledger where
//! the tracker knows nothing. For the HTTP role and the command line alike.

use erasure_kit::{AnyResolve, Resolve as _};
use erasure_ledger::{FoundPerson, Ledger, Standing};
use erasure_privacy::KeyRing;
use erasure_protocol::{
    Answer, Command, CommandError, IdentifierKind, Mask, Millis, Operation, Options, Progress, Record, RequestId, RequestKey,
    Sealed, TaskOutcome, TaskState, TenantId, View, answer,
};
use erasure_tracker::Tracker;
use std::collections::BTreeMap;

/// How many requests on one person are answered at once, the latest first. The others are counted.
pub const PERSON_REQUESTS_MAX: usize = 50;

/// Where answers come from. Cheap to clone.
#[derive(Clone)]
pub struct Status {
    /// The authority.
    pub ledger: Ledger,
    /// The quick way, where there is one. Every answer is right without it, only later: the ledger learns what is done at the end.
    pub tracker: Option<Tracker>,
}

/// What is known of a request id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// How far the request is.
    Answer(Box<Answer>),
    /// Several tenants have a request of this id: one of them has to be named.
    Several(Vec<TenantId>),
    /// Nothing. A command that was published a moment ago may not be in the ledger yet.
    Nothing,
}

/// A person's own state in each request on the person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PersonAnswers {
    /// The latest request first.
    pub answers: Vec<Answer>,
    /// How many older requests there are beyond [`PERSON_REQUESTS_MAX`].
    pub more: usize,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] erasure_ledger::Error),
    /// The identifiers cannot be looked for; by field, as `identifiers.email`.
    #[error(transparent)]
    Identifiers(CommandError),
}

impl std::fmt::Debug for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Status").field("ledger", &self.ledger).finish_non_exhaustive()
    }
}

impl Status {
    /// How far the request of this id is at the moment `now`. Without a tenant the ledger is asked whose it is.
    ///
    /// # Errors
    /// When the ledger is needed and cannot be reached.
    pub async fn by_request_id(&self, id: &RequestId, tenant: Option<&TenantId>, now: Millis) -> Result<Known, Error> {
        let request = match tenant {
            Some(tenant) => RequestKey::of(tenant, id),
            None => match self.ledger.find_by_request_id(id).await?.as_slice() {
                [] => return Ok(Known::Nothing),
                [(_, request)] => *request,
                several => return Ok(Known::Several(several.iter().map(|(tenant, _)| tenant.clone()).collect())),
            },
        };
        let found = self.by_request(request, now).await?;
        Ok(found.map_or(Known::Nothing, |answer| Known::Answer(Box::new(answer))))
    }

    /// How far a request is at the moment `now`. `None` when the ledger does not know it.
    ///
    /// # Errors
    /// When the ledger is needed and cannot be reached.
    pub async fn by_request(&self, request: RequestKey, now: Millis) -> Result<Option<Answer>, Error> {
        let progress = self.progress(request).await?;
        Ok(progress.map(|progress| answer(&progress, now, View::default())))
    }

    /// The state, at the moment `now`, of the person with these identifiers in each request of the tenant on that person.
    ///
    /// # Errors
    /// [`Error::Identifiers`] when a kind is not declared or the identifiers are no complete way to find a person, and when the
    /// ledger cannot be reached.
    pub async fn by_identifiers(
        &self,
        keys: &KeyRing,
        resolve: &AnyResolve,
        tenant: &TenantId,
        given: &Record,
        now: Millis,
    ) -> Result<PersonAnswers, Error> {
        check(resolve, tenant, given)?;
        let found = self.ledger.find(tenant, &hashes(keys, resolve, tenant, given)).await?;
        let mut requests = by_request(found);
        let more = requests.len().saturating_sub(PERSON_REQUESTS_MAX);
        requests.truncate(PERSON_REQUESTS_MAX);
        let mut answers = Vec::with_capacity(requests.len());
        for (request, places) in requests {
            if let Some(mut progress) = self.progress(request).await? {
                let tasks = self.tasks(&mut progress, &places).await?;
                let view = View {
                    person: Some(&tasks),
                    ..View::default()
                };
                answers.push(answer(&progress, now, view));
            }
        }
        Ok(PersonAnswers { answers, more })
    }

    async fn progress(&self, request: RequestKey) -> Result<Option<Progress>, Error> {
        match self.tracked(request).await {
            Some(progress) => Ok(Some(progress)),
            None => Ok(self.ledger.progress(request).await?),
        }
    }

    /// What the tracker says. A tracker that cannot be reached knows nothing.
    async fn tracked(&self, request: RequestKey) -> Option<Progress> {
        match self.tracker.as_ref()?.progress(&[request]).await {
            Ok(progress) => progress.into_iter().next().flatten(),
            Err(error) => {
                tracing::warn!(%error, "the tracker does not answer; the ledger answers instead");
                None
            }
        }
    }

    /// The person's tasks by entry. Somebody who stands in a request twice is as far as the less finished of the two.
    async fn tasks(&self, progress: &mut Progress, places: &[(u32, u16)]) -> Result<Vec<(usize, TaskState)>, Error> {
        let mut least: BTreeMap<usize, TaskState> = BTreeMap::new();
        for (slice, position) in places {
            let tasks = match self.tracked_tasks(progress, *slice, *position).await {
                Some(tasks) => tasks,
                None => self.recorded_tasks(progress, *slice, *position).await?,
            };
            for (entry, state) in tasks {
                let known = least.entry(entry).or_insert(state);
                if rank(state) < rank(*known) {
                    *known = state;
                }
            }
        }
        Ok(least.into_iter().collect())
    }

    /// From the tracker, which has single people only while the request is open.
    async fn tracked_tasks(&self, progress: &Progress, slice: u32, position: u16) -> Option<Vec<(usize, TaskState)>> {
        let tracker = self.tracker.as_ref().filter(|_| !progress.header.state.is_final())?;
        match tracker.person(progress.header.request, slice, usize::from(position)).await {
            Ok(tasks) => {
                let state = |task: &erasure_tracker::PersonTask| (task.entry, TaskState::from_letter(task.state.letter()));
                tasks.map(|tasks| tasks.iter().map(state).collect())
            }
            Err(error) => {
                tracing::warn!(%error, "the tracker does not answer; the ledger answers instead");
                None
            }
        }
    }

    /// From the ledger, with the person's own reasons in place of the request's latest ones.
    async fn recorded_tasks(&self, progress: &mut Progress, slice: u32, position: u16) -> Result<Vec<(usize, TaskState)>, Error> {
        let tasks = self.ledger.person(progress.header.request, slice, position).await?;
        let mut states = Vec::new();
        for task in tasks.unwrap_or_default() {
            let (state, note) = state_of(task.standing);
            if let Some(entry) = progress.entries.get_mut(task.entry)
                && note.is_some()
            {
                entry.note = note;
            }
            states.push((task.entry, state));
        }
        Ok(states)
    }
}

/// Known kinds, and at least one complete way: the same rule as for commands.
fn check(resolve: &AnyResolve, tenant: &TenantId, given: &Record) -> Result<(), Error> {
    let command = Command {
        request_id: RequestId::new("find").expect("four letters are an id"),
        tenant: tenant.to_string(),
        operation: Operation::Erase,
        subjects: vec![given.clone()],
        received_at: None,
        regulation: None,
        origin: None,
        ticket: None,
        options: Options::default(),
        part: None,
    };
    let checked = command.check_kinds(&resolve.kinds(), &resolve.alternatives());
    checked.map_err(|error| Error::Identifiers(about_identifiers(error)))
}

/// The same problems, with the fields as they are called where one person is asked for.
pub(crate) fn about_identifiers(mut error: CommandError) -> CommandError {
    for problem in &mut error.problems {
        if let Some(rest) = problem.field.strip_prefix("subjects[0]") {
            problem.field = format!("identifiers{rest}");
        } else if problem.field == "subjects" {
            problem.field = "identifiers".to_owned();
        }
    }
    error
}

/// The keyed hashes of every complete way that the identifiers form, under every live key, as intake stores them.
fn hashes(keys: &KeyRing, resolve: &AnyResolve, tenant: &TenantId, given: &Record) -> Vec<[u8; 32]> {
    let hasher = keys.hasher(tenant);
    let mut hashes = Vec::new();
    for kinds in resolve.alternatives() {
        let value = |kind: &IdentifierKind| Some(resolve.normalise(kind, given.get(kind)?.expose()));
        let Some(values) = kinds.iter().map(value).collect::<Option<Vec<String>>>() else {
            continue;
        };
        let pairs: Vec<(&IdentifierKind, &str)> = kinds.iter().zip(values.iter().map(String::as_str)).collect();
        hashes.extend(hasher.subject(&pairs).into_iter().map(|hash| hash.hash));
    }
    hashes
}

/// A request and the places (slice, position) at which the person stands in it.
type Places = (RequestKey, Vec<(u32, u16)>);

/// Every request once, in the order in which the ledger names them.
fn by_request(found: Vec<FoundPerson>) -> Vec<Places> {
    let mut requests: Vec<Places> = Vec::new();
    for person in found {
        let place = (person.slice, person.position);
        match requests.iter_mut().find(|(request, _)| *request == person.request) {
            Some((_, places)) => places.push(place),
            None => requests.push((person.request, vec![place])),
        }
    }
    requests
}

fn state_of(standing: Standing) -> (TaskState, Option<TaskOutcome>) {
    let tasks = Mask::EMPTY;
    match standing {
        Standing::Erased => (TaskState::Erased, None),
        Standing::NothingHeld => (TaskState::NothingHeld, None),
        Standing::InProgress => (TaskState::InProgress, None),
        Standing::Retained { ground, until } => (TaskState::Retained, Some(TaskOutcome::Retained { tasks, ground, until })),
        Standing::Pending { check_at } => {
            let references = Sealed(Vec::new());
            let note = TaskOutcome::Pending {
                tasks,
                check_at,
                references,
            };
            (TaskState::WaitingForVendor, Some(note))
        }
        Standing::Retrying {
            fault,
            attempt,
            next_try,
        } => {
            let note = TaskOutcome::Retry {
                tasks,
                fault,
                attempt,
                next_try,
            };
            (TaskState::Retrying, Some(note))
        }
        Standing::Failed { fault, attempt } => (TaskState::NeedsAttention, Some(TaskOutcome::Failed { tasks, fault, attempt })),
    }
}

/// The less finished, the lower.
fn rank(state: TaskState) -> u8 {
    match state {
        TaskState::NeedsAttention => 0,
        TaskState::InProgress => 1,
        TaskState::Retrying => 2,
        TaskState::WaitingForVendor => 3,
        TaskState::Retained => 4,
        TaskState::Erased => 5,
        TaskState::NothingHeld => 6,
    }
}
