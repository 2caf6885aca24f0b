//! What is asked for: one command a tick, a pure function of the seed.

use super::dice::Dice;
use erasure_tests::producer::Message;
use serde_json::{Value, json};

/// How a command comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Amqp,
    Http,
}

/// By what the people of a command are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    UserId,
    ExternalId,
    Email,
}

/// What is special about a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// People whom nobody asked for before.
    Fresh,
    /// A person of an earlier request, by another identifier.
    Overlap,
    /// An earlier command once more.
    Duplicate,
    /// The id of an earlier command, with somebody else in it: must be put aside, and nobody erased.
    Conflict,
}

/// One command.
#[derive(Clone, Debug)]
pub(crate) struct Command {
    pub(crate) id: String,
    pub(crate) kind: Kind,
    pub(crate) way: Way,
    /// By their numbers.
    pub(crate) people: Vec<u32>,
    by: By,
    message_id: String,
}

/// All commands of a run, and how many people they name. Who is named has an odd number; even ones are the control group.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) commands: Vec<Command>,
    /// No number above this one is named.
    pub(crate) last: u32,
}

/// How far back overlaps, duplicates and conflicts reach, in ticks.
const BACK_TICKS_MAX: u32 = 100;

impl Load {
    pub(crate) fn of(seed: u64, ticks: u32) -> Self {
        // Another stream than the schedule's.
        let mut dice = Dice::new(seed ^ 0x10ad_10ad_10ad_10ad);
        let mut load = Self {
            commands: Vec::new(),
            last: 0,
        };
        let mut fresh: Vec<usize> = Vec::new();
        for tick in 0..ticks {
            let kind = match dice.between(0, 99) {
                0..82 => Kind::Fresh,
                82..88 => Kind::Overlap,
                88..94 => Kind::Duplicate,
                _ => Kind::Conflict,
            };
            let of = fresh.len().checked_sub(1).map(|last| {
                let back = dice.between(0, BACK_TICKS_MAX) as usize;
                fresh[last.saturating_sub(back)]
            });
            let command = match of.filter(|_| kind != Kind::Fresh) {
                Some(of) => again(kind, tick, &load.commands[of], &mut dice),
                None => {
                    fresh.push(load.commands.len());
                    load.fresh(tick, &mut dice)
                }
            };
            load.commands.push(command);
        }
        load
    }

    fn fresh(&mut self, tick: u32, dice: &mut Dice) -> Command {
        let count = match dice.between(0, 99) {
            0..86 => 1,
            86..99 => dice.between(2, 50),
            _ => dice.between(300, 600),
        };
        let first = if self.last == 0 { 1 } else { self.last + 2 };
        self.last = first + 2 * (count - 1);
        let id = format!("r-{tick}");
        Command {
            message_id: id.clone(),
            id,
            kind: Kind::Fresh,
            way: dice.one_of(&[Way::Amqp, Way::Amqp, Way::Http]),
            people: (0..count).map(|index| first + 2 * index).collect(),
            by: By::UserId,
        }
    }
}

/// A command that has to do with an earlier one.
fn again(kind: Kind, tick: u32, of: &Command, dice: &mut Dice) -> Command {
    let message_id = format!("{}-again-{tick}", of.id);
    match kind {
        Kind::Fresh | Kind::Duplicate => Command {
            kind,
            message_id,
            ..of.clone()
        },
        Kind::Overlap => Command {
            id: format!("r-{tick}"),
            kind,
            way: Way::Amqp,
            people: vec![dice.one_of(&of.people)],
            by: dice.one_of(&[By::ExternalId, By::Email]),
            message_id: format!("r-{tick}"),
        },
        // An even number: somebody of the control group.
        Kind::Conflict => Command {
            kind,
            way: Way::Amqp,
            people: vec![of.people[0] + 1],
            message_id,
            ..of.clone()
        },
    }
}

impl Command {
    /// The command as JSON.
    pub(crate) fn body(&self) -> Value {
        let subjects: Vec<Value> = self.people.iter().map(|number| self.subject(*number)).collect();
        json!({ "version": 1, "request_id": self.id, "tenant": "acme", "operation": "erase", "subjects": subjects })
    }

    fn subject(&self, number: u32) -> Value {
        match self.by {
            By::UserId => json!({ "user_id": format!("u-{number:07}") }),
            By::ExternalId => json!({ "external_id": format!("ext-{number:07}") }),
            By::Email => {
                let unit = ["EU", "US", "APAC"][number as usize % 3];
                json!({ "email": format!("person{number:07}@example.invalid"), "business_unit": unit })
            }
        }
    }

    /// The command as any producer would publish it.
    pub(crate) fn message(&self) -> Message {
        Message {
            exchange: "erasure".to_owned(),
            routing_key: if self.people.len() > 1 { "request.bulk" } else { "request" }.to_owned(),
            message_id: Some(self.message_id.clone()),
            content_type: Some("application/json".to_owned()),
            body: self.body().to_string().into_bytes(),
            ..Message::default()
        }
    }
}
