//! What every subsystem promises, whatever it works on: one suite, passed by the double and by the real recipes.
//!
//! A test gives it a place of its own for each sentence and lets it panic.

use crate::{AnySubsystem, Subsystem as _};
use erasure_protocol::{
    Attempt, FaultCode, Findings, Identifier, IdentifierKind, Millis, Operation, Options, Outcome, Record, RequestId, RequestKey,
    Resolution, Subject, Task, TenantId,
};
use std::sync::Arc;
use std::time::Duration;

/// A subsystem over a store of its own, which the suite may fill and look into. People are numbers.
pub trait Place: Sync {
    /// The subsystem.
    fn subsystem(&self) -> AnySubsystem;
    /// Whether its rows say who is who.
    fn knows_people(&self) -> bool;
    /// Puts rows of a person there, made at this moment, with the address of `address` in them.
    fn add_under(&self, address: u32, person: u32, created_at: Millis) -> impl Future<Output = ()> + Send;
    /// Puts rows of a person there, made at this moment, under the person's own address.
    fn add(&self, person: u32, created_at: Millis) -> impl Future<Output = ()> + Send {
        self.add_under(person, person, created_at)
    }
    /// How many rows of the person there are, whenever they were made.
    fn rows(&self, person: u32) -> impl Future<Output = u64> + Send;
    /// The identifiers by which the person's rows are found: an id, and an address.
    fn record(&self, person: u32) -> Vec<(&'static str, String)>;
    /// The store's own time.
    fn now(&self) -> Millis;
}

/// Runs the whole suite, each sentence at a place of its own.
pub async fn all<P: Place, F: Future<Output = P>>(place: impl Fn() -> F) {
    it_erases_who_is_asked_for_and_nobody_else(&place().await).await;
    any_number_of_attempts_come_to_the_same(&place().await).await;
    what_it_calls_erased_is_not_found(&place().await).await;
    nothing_held_is_only_for_those_who_never_were_there(&place().await).await;
    past_the_deadline_nothing_is_done_and_nothing_is_said_to_be(&place().await).await;
    somebody_new_is_spared(&place().await).await;
    an_address_is_somebody_only_where_nobody_knows_better(&place().await).await;
    looking_changes_nothing(&place().await).await;
    outcomes_come_in_the_order_of_the_tasks(&place().await).await;
    nobody_is_nothing(&place().await).await;
    its_key_stays_while_nothing_changes(&place().await).await;
}

const HOUR: Duration = Duration::from_secs(3600);

/// Long before now: where rows come from, and requests a little later.
fn long_ago<P: Place>(place: &P) -> (Millis, Millis) {
    let hour = i64::try_from(HOUR.as_millis()).unwrap_or(i64::MAX);
    (Millis(place.now().0 - 48 * hour), Millis(place.now().0 - 24 * hour))
}

fn tenant() -> TenantId {
    TenantId::new("acme").expect("it is a name")
}

fn subject<P: Place>(place: &P, person: u32) -> Arc<Subject> {
    let pair = |(kind, value): (&'static str, String)| {
        (
            IdentifierKind::new(kind).expect("it is a kind"),
            Identifier::new(value).expect("it is a value"),
        )
    };
    let record: Record = place.record(person).into_iter().map(pair).collect();
    Arc::new(Subject {
        resolution: Resolution::Found,
        records: vec![record],
    })
}

fn tasks<P: Place>(place: &P, people: &[u32], attempt: Attempt) -> Vec<Task> {
    let task = |(number, person): (u64, &u32)| Task {
        request: RequestKey::of(&tenant(), &RequestId::new("conformance").expect("it is an id")),
        tenant: tenant(),
        number,
        subject: subject(place, *person),
        attempt,
        accepted_at: long_ago(place).1,
        deadline: place.now().plus(HOUR),
        options: Options::default(),
        reference: None,
    };
    (0..).zip(people).map(task).collect()
}

async fn erase<P: Place>(place: &P, people: &[u32], attempt: Attempt) -> Vec<Outcome> {
    let tasks = tasks(place, people, attempt);
    let outcomes = place.subsystem().perform(Operation::Erase, &tasks).await;
    outcomes.expect("nothing is wrong with the store")
}

async fn fill<P: Place>(place: &P, people: &[u32]) {
    for person in people {
        place.add(*person, long_ago(place).0).await;
    }
}

/// Those who were asked for are gone, the others are untouched.
pub async fn it_erases_who_is_asked_for_and_nobody_else<P: Place>(place: &P) {
    fill(place, &[1, 2, 3]).await;
    let kept = place.rows(3).await;
    assert_eq!(
        erase(place, &[1, 2], Attempt::First).await,
        [Outcome::Erased, Outcome::Erased]
    );
    assert_eq!((place.rows(1).await, place.rows(2).await), (0, 0));
    assert!(kept > 0 && place.rows(3).await == kept);
}

/// Done is done: repeating neither fails nor changes what it is called.
pub async fn any_number_of_attempts_come_to_the_same<P: Place>(place: &P) {
    fill(place, &[1, 2]).await;
    let kept = place.rows(2).await;
    for attempt in [Attempt::First, Attempt::Later, Attempt::Later, Attempt::Later] {
        assert_eq!(erase(place, &[1], attempt).await, [Outcome::Erased]);
        assert_eq!((place.rows(1).await, place.rows(2).await), (0, kept));
    }
}

/// The read-back and the look-up see the same.
pub async fn what_it_calls_erased_is_not_found<P: Place>(place: &P) {
    fill(place, &[1, 2]).await;
    let both = [subject(place, 1), subject(place, 2)];
    let look = || async {
        place
            .subsystem()
            .find(&tenant(), &both, None)
            .await
            .expect("it can be looked")
    };
    assert!(look().await.iter().all(|found| !found.is_empty()));
    assert_eq!(erase(place, &[1], Attempt::First).await, [Outcome::Erased]);
    let found = look().await;
    assert!(found[0].is_empty() && !found[1].is_empty());
}

/// A first attempt that meets nobody says so; a later one cannot know who was there before.
pub async fn nothing_held_is_only_for_those_who_never_were_there<P: Place>(place: &P) {
    fill(place, &[1]).await;
    assert_eq!(
        erase(place, &[9, 1], Attempt::First).await,
        [Outcome::NothingHeld, Outcome::Erased]
    );
    assert_eq!(
        erase(place, &[8, 1], Attempt::Later).await,
        [Outcome::Erased, Outcome::Erased]
    );
}

/// Whatever is late has to come again.
pub async fn past_the_deadline_nothing_is_done_and_nothing_is_said_to_be<P: Place>(place: &P) {
    fill(place, &[1, 2]).await;
    let rows = place.rows(1).await;
    let mut tasks = tasks(place, &[1, 2, 9], Attempt::First);
    for late in [0, 2] {
        tasks[late].deadline = Millis(place.now().0 - 60_000);
    }
    let outcomes = place.subsystem().perform(Operation::Erase, &tasks).await;
    let outcomes = outcomes.expect("nothing is wrong with the store");
    for late in [0, 2] {
        assert!(
            matches!(&outcomes[late], Outcome::Retry(fault) if fault.code == FaultCode::Expired),
            "{:?}",
            outcomes[late]
        );
    }
    assert_eq!(outcomes[1], Outcome::Erased);
    assert_eq!((place.rows(1).await, place.rows(2).await), (rows, 0));
}

/// A row that is younger than the request belongs to somebody who came after it.
pub async fn somebody_new_is_spared<P: Place>(place: &P) {
    fill(place, &[1]).await;
    let old = place.rows(1).await;
    place.add(1, place.now()).await;
    let both = place.rows(1).await;
    assert!(both > old);
    for attempt in [Attempt::First, Attempt::Later] {
        assert_eq!(erase(place, &[1], attempt).await, [Outcome::Erased]);
        assert_eq!(place.rows(1).await, both - old);
    }
    let (subsystem, people) = (place.subsystem(), [subject(place, 1)]);
    let spared = subsystem.find(&tenant(), &people, Some(long_ago(place).1)).await;
    assert!(spared.expect("it can be looked").iter().all(Findings::is_clear));
    let found = subsystem.find(&tenant(), &people, None).await;
    assert!(!found.expect("it can be looked").iter().all(Findings::is_clear));
}

/// Where people are found by an id, an address may be somebody else's by now. Elsewhere a row under the address of somebody who is
/// erased would otherwise stay behind.
pub async fn an_address_is_somebody_only_where_nobody_knows_better<P: Place>(place: &P) {
    fill(place, &[1]).await;
    place.add_under(1, 2, long_ago(place).0).await;
    let others = place.rows(2).await;
    assert_eq!(erase(place, &[1], Attempt::First).await, [Outcome::Erased]);
    let left = if place.knows_people() { others } else { 0 };
    assert_eq!((place.rows(1).await, place.rows(2).await), (0, left));
}

/// However often.
pub async fn looking_changes_nothing<P: Place>(place: &P) {
    fill(place, &[1]).await;
    let rows = place.rows(1).await;
    for _ in 0..3 {
        let found = place
            .subsystem()
            .find(&tenant(), &[subject(place, 1), subject(place, 9)], None)
            .await;
        let found = found.expect("it can be looked");
        assert_eq!(found.len(), 2);
        assert!(!found[0].is_empty() && found[1].is_empty());
        assert_eq!(place.rows(1).await, rows);
    }
    // And it was no attempt: who is not there is still nobody.
    assert_eq!(erase(place, &[9], Attempt::First).await, [Outcome::NothingHeld]);
}

/// Whoever is there, and whoever stands in the batch twice.
pub async fn outcomes_come_in_the_order_of_the_tasks<P: Place>(place: &P) {
    let there: Vec<u32> = (1..20).filter(|person| person % 3 != 0).collect();
    fill(place, &there).await;
    let asked: Vec<u32> = (1..20).rev().chain([2, 3]).collect();
    let outcomes = erase(place, &asked, Attempt::First).await;
    let expected = asked.iter().map(|person| match person % 3 {
        0 => Outcome::NothingHeld,
        _ => Outcome::Erased,
    });
    assert_eq!(outcomes, expected.collect::<Vec<_>>());
}

/// No tasks are no work, and no subjects no findings.
pub async fn nobody_is_nothing<P: Place>(place: &P) {
    fill(place, &[1]).await;
    let rows = place.rows(1).await;
    let done = place.subsystem().perform(Operation::Erase, &[]).await;
    assert_eq!(done.expect("nothing is wrong with the store"), []);
    let found = place.subsystem().find(&tenant(), &[], None).await;
    assert_eq!(found.expect("it can be looked"), []);
    assert_eq!(place.rows(1).await, rows);
}

/// Evidence is bound to store and map, not to what was done.
pub async fn its_key_stays_while_nothing_changes<P: Place>(place: &P) {
    fill(place, &[1]).await;
    let key = || async { place.subsystem().evidence().await.expect("the store answers") };
    let before = key().await;
    erase(place, &[1], Attempt::First).await;
    assert_eq!(key().await, before);
}
