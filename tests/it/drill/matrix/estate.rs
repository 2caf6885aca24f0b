//! One company, one fleet in two processes, and the server that is to be killed: what all runs of a victim share.

use super::{
    Victim,
    case::{Case, Way},
    figures::PEOPLE,
};
use crate::asked::sample_map;
use crate::drill::{
    crowd::{Asked, Crowd, user},
    hold::Hold,
    watcher::Watcher,
    wipe::wipe,
    workers::{apart, is_empty},
};
use anyhow::{Context, Result, ensure};
use erasure_tests::{
    drill::Call,
    eventually::eventually_true,
    opendsr::{Mode, Processor},
    private::{Kind, PrivateServer},
    producer::{Message, Producer, Published},
    role::Role,
    servers::Servers,
    world::World,
};
use serde_json::json;
use std::time::{Duration, Instant};

const ROLES: [&str; 6] = ["intake", "reconciler", "profiles", "segments", "analytics", "subprocessors"];
/// So many people lie between the first of one run and the first of the next: those who are asked for, and some who are not.
const STEP: u32 = 2_100;
/// As many as all runs need among the first nine tenths, of whom nothing has to be kept. The first half is acme's.
const COMPANY: u32 = 84_000;
/// Every so many of those who are asked for, the vendor knows one.
const VENDOR_KNOWS_EACH: u32 = 40;
/// A part of a request has at most so many people.
const PART: usize = 512;
/// How long a process may take to come to its point.
const REACHED: Duration = Duration::from_secs(90);
/// How long the fleet may take to the end once the victim is back. Long enough for a machine that is busy with other tests: how long it
/// really takes is in the figures.
const HEALED: Duration = Duration::from_secs(150);

pub(super) struct Estate {
    victim: Victim,
    server: Option<PrivateServer>,
    world: World,
    vendor: Processor,
    watcher: Watcher,
    /// All roles but this one, in one process.
    others: Option<(&'static str, Role)>,
    runs: u32,
}

impl Estate {
    pub(super) async fn found(victim: Victim) -> Result<Self> {
        let vendor = Processor::start(Mode::ok(0)).await?;
        let knows: toml::Table = format!(
            "name = \"mailer\"\nbase_url = {:?}\npoll_every_ms = 50\ncalls_at_once = 16\n\
             identities = [{{ kind = \"device\", identity_type = \"device\" }}]\n",
            vendor.url()
        )
        .parse()?;
        let builder = apart()
            .people(COMPANY)
            .map(sample_map()?.replace("[identifiers]", "[identifiers]\ndevice = \"exact\""))
            .set("retry.rungs", vec![500, 2_000, 5_000])
            .set("reconciler.stalled_after_ms", 2_000)
            .set("subprocessors.vendors[]", knows);
        let (server, builder) = match victim {
            Victim::Process => (None, builder),
            Victim::Server(kind) => {
                let server = PrivateServer::start(kind)?;
                let url = server.url();
                let builder = match kind {
                    Kind::RabbitMq | Kind::RabbitMq4 => builder.amqp(url),
                    Kind::Redis => builder.redis(url),
                    Kind::Postgres => builder.postgres(url),
                };
                (Some(server), builder)
            }
        };
        let world = builder.build().await?;
        let first = Crowd::in_one(world.company(), asked(0)).await?;
        let watcher = Watcher::start(world.amqp(), world.company(), &first).await?;
        Ok(Self {
            victim,
            server,
            world,
            vendor,
            watcher,
            others: None,
            runs: 0,
        })
    }

    /// One run. How long it took from the victim's return to the event *erased*.
    pub(super) async fn run(&mut self, case: &Case) -> Result<Duration> {
        self.run_others(case.role).await?;
        let crowd = Crowd::in_one(self.world.company(), asked(self.runs)).await?;
        self.runs += 1;
        self.watcher.expect(&crowd);
        let call = Call::listen(case.point, case.pass).await?;
        let mut armed = self.start_armed(case, &call).await?;
        let hold = self.go(case, &crowd).await?;
        let stopped = match call.reached(REACHED).await {
            Ok(stopped) => stopped,
            Err(error) => return Err(self.watcher.nothing_untrue(&[]).err().unwrap_or(error)),
        };

        let _replacement = match self.victim {
            Victim::Process => {
                armed.kill9().await?;
                Some(self.world.run(&[case.role])?)
            }
            Victim::Server(_) => {
                let server = self.server.as_ref().context("a server is killed")?;
                tokio::task::block_in_place(|| server.kill9().and_then(|()| server.start_again()))?;
                None
            }
        };
        let back = Instant::now();
        stopped.let_go().await;
        self.vendor.set(Mode::ok(0));
        if let Some(hold) = hold {
            // It may have gone with PostgreSQL.
            let _gone = hold.release().await;
        }
        let told: &[&str] = if case.way == Way::Redriven {
            &["needs_attention"]
        } else {
            &[]
        };
        self.watcher.all_erased_but_told(&crowd, HEALED, told).await?;
        let healed = back.elapsed();
        crowd.is_gone_and_nobody_else(self.world.company()).await?;
        Ok(healed)
    }

    /// After all runs: nothing was told later that is not true, and the fleet stands.
    pub(super) async fn ends_well(mut self) -> Result<()> {
        self.watcher.nothing_untrue(&["needs_attention"])?;
        let (_, others) = self.others.as_mut().context("there were runs")?;
        ensure!(others.runs(), "the fleet has ended");
        Ok(())
    }

    async fn run_others(&mut self, role: &'static str) -> Result<()> {
        if self.others.as_ref().is_some_and(|(left_out, _)| *left_out == role) {
            return Ok(());
        }
        self.others = None;
        let names: Vec<&str> = ROLES.into_iter().filter(|name| *name != role).collect();
        self.others = Some((role, self.world.run(&names)?));
        Ok(())
    }

    async fn start_armed(&mut self, case: &Case, call: &Call) -> Result<Role> {
        let armed = call.environment()?;
        let mut environment: Vec<(&str, &str)> = armed.iter().map(|(name, value)| (*name, value.as_str())).collect();
        if case.way == Way::OldEvidence {
            environment.push(("ERASURE__RECONCILER__EVIDENCE_AGE_S_MAX", "0"));
        }
        let mut role = self.world.run_with(&[case.role], &environment)?;
        role.ready().await?;
        if let Some((_, others)) = &mut self.others {
            others.ready().await?;
        }
        Ok(role)
    }

    /// Asks for the crowd, and sees to it that the point is come to. What holds somebody up is to be let go afterwards.
    async fn go(&self, case: &Case, crowd: &Crowd) -> Result<Option<Hold>> {
        let producer = Producer::connect(self.world.amqp()).await?;
        let company = self.world.company();
        match case.way {
            Way::Straight | Way::OldEvidence => {
                publish(&producer, crowd).await?;
                Ok(None)
            }
            Way::VendorFails => {
                self.vendor.set(Mode::failing(500));
                publish(&producer, crowd).await?;
                Ok(None)
            }
            Way::Wiped => {
                let hold = Hold::writes(company, "marketing", "memberships").await?;
                publish(&producer, crowd).await?;
                is_empty(company, "crm", crowd).await?;
                hold.holds_up(1).await?;
                wipe(&self.world, &self.redis()?).await?;
                Ok(Some(hold))
            }
            Way::Redriven => {
                self.vendor.set(Mode::no_such_address());
                publish(&producer, crowd).await?;
                self.failed(crowd.people().len().div_ceil(PART)).await?;
                self.vendor.set(Mode::ok(0));
                // The command would wait until it is carried out; who carries it out is to be stopped.
                send(&producer, redrive()).await?;
                Ok(None)
            }
            Way::HandedBack => {
                let mut tap = producer.tap("er.work", "segments.bulk").await?;
                publish(&producer, crowd).await?;
                let work = tap.next(REACHED).await?;
                let back = Message {
                    exchange: "er.dead".to_owned(),
                    routing_key: "segments".to_owned(),
                    message_id: Some(format!("handed-back-{}", self.runs)),
                    content_type: work.content_type,
                    body: work.body,
                    ..Message::default()
                };
                send(&producer, back).await?;
                Ok(None)
            }
        }
    }

    fn redis(&self) -> Result<String> {
        match (&self.server, self.victim) {
            (Some(server), Victim::Server(Kind::Redis)) => Ok(server.url()),
            _ => Ok(Servers::of_this_run()?.redis),
        }
    }

    /// Waits until the ledger knows of so many slices in which somebody failed.
    async fn failed(&self, slices: usize) -> Result<()> {
        let sql = format!("select count(*) from {}.report where kind = 'failed'", self.world.name());
        let wanted = i64::try_from(slices)?;
        let all = || async {
            self.world
                .company()
                .number("crm", &sql)
                .await
                .is_ok_and(|count| count >= wanted)
        };
        eventually_true("somebody failed in every slice", REACHED, all).await
    }
}

/// The request of a run: two thousand people whom no other run asks for, among others who stay.
fn asked(run: u32) -> Asked {
    let first = run * STEP + 1;
    let stays = STEP / (STEP - PEOPLE);
    let people = (first..first + STEP)
        .filter(|number| number % stays != 0)
        .take(PEOPLE as usize);
    Asked {
        id: format!("run-{run}"),
        people: people.collect(),
    }
}

/// Hands in a request part by part, as an import does.
async fn publish(producer: &Producer, crowd: &Crowd) -> Result<()> {
    for asked in crowd.requests() {
        let parts = asked.people.chunks(PART);
        let last = parts.len().saturating_sub(1);
        for (number, people) in parts.enumerate() {
            let subjects: Vec<_> = people.iter().map(|person| subject(*person)).collect();
            let part = json!({ "number": number, "last": number == last });
            let command = json!({ "version": 1, "request_id": asked.id, "tenant": tenant(asked), "operation": "erase",
                "subjects": subjects, "part": part });
            let message = Message {
                exchange: "erasure".to_owned(),
                routing_key: "request.bulk".to_owned(),
                message_id: Some(format!("{}-{number}", asked.id)),
                content_type: Some("application/json".to_owned()),
                body: command.to_string().into_bytes(),
                ..Message::default()
            };
            send(producer, message).await?;
        }
    }
    Ok(())
}

async fn send(producer: &Producer, message: Message) -> Result<()> {
    let published = producer.publish(&message).await?;
    ensure!(published == Published::Confirmed, "{published:?}: {}", message.routing_key);
    Ok(())
}

/// An operator's act.
fn redrive() -> Message {
    let (id, at) = (uuid::Uuid::now_v7(), jiff::Timestamp::now().as_millisecond());
    let act = json!({ "version": 1, "id": id, "actor": "drill", "at": at, "act": { "kind": "redrive" } });
    Message {
        exchange: "erasure".to_owned(),
        routing_key: "act".to_owned(),
        message_id: Some(id.to_string()),
        content_type: Some("application/json".to_owned()),
        body: act.to_string().into_bytes(),
        ..Message::default()
    }
}

fn subject(person: u32) -> serde_json::Value {
    let user_id = user(person);
    if person.is_multiple_of(VENDOR_KNOWS_EACH) {
        json!({ "user_id": user_id, "device": format!("device-{person}") })
    } else {
        json!({ "user_id": user_id })
    }
}

fn tenant(asked: &Asked) -> &'static str {
    let first_of_globex = COMPANY / 2 + 1;
    match asked.people.first() {
        Some(first) if *first >= first_of_globex => "globex",
        Some(_) | None => "acme",
    }
}
