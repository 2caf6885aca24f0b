//! Carries the schedule out. Each fault is a task of its own, so that they overlap as they come.

use super::{
    fleet::{Fleet, end},
    schedule::{Fault, NEWCOMER, PLACES, Planned, Server},
};
use anyhow::{Context as _, Result, ensure};
use erasure_tests::{
    private::PrivateServer,
    process::{Signal, signal},
};
use serde::Serialize;
use std::{
    path::Path,
    process::Command,
    sync::{Arc, Mutex, atomic::Ordering},
    time::Instant,
};
use tokio::{sync::watch, task::JoinSet};

/// A fault as it really was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Suffered {
    pub(crate) fault: Fault,
    pub(crate) began: Instant,
    /// When the nemesis had taken back what it did: the process started again, the wire mended, the server answering, the alarm
    /// cleared, the last process of a rolling restart at work.
    pub(crate) ended: Instant,
}

/// A line of the schedule, for the report.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Line {
    pub(crate) tick: u32,
    pub(crate) kind: &'static str,
    pub(crate) whom: String,
    pub(crate) ticks: u32,
}

impl Line {
    pub(crate) fn of(planned: &Planned) -> Self {
        let whom = match planned.fault {
            Fault::Kill(at) | Fault::Hang(at) | Fault::ScaleDown(at) | Fault::ScaleUp(at) => PLACES[at].0.to_owned(),
            Fault::Cut(at, server) | Fault::Hole(at, server) => format!("{} to {server:?}", PLACES[at].0),
            _ => String::new(),
        };
        Self {
            tick: planned.from,
            kind: planned.fault.kind(),
            whom,
            ticks: planned.until - planned.from,
        }
    }
}

/// The schedule under way.
pub(crate) struct Nemesis {
    tasks: JoinSet<Result<()>>,
    suffered: Arc<Mutex<Vec<Suffered>>>,
}

impl Nemesis {
    /// Begins each fault at its tick.
    pub(crate) fn unleash(fleet: &Arc<Fleet>, schedule: &[Planned], ticks: &watch::Receiver<u32>) -> Self {
        let suffered = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        for planned in schedule.iter().copied() {
            let blow = Blow {
                fleet: Arc::clone(fleet),
                ticks: ticks.clone(),
                planned,
            };
            let suffered = Arc::clone(&suffered);
            tasks.spawn(async move {
                let done = blow.carry_out().await.with_context(|| format!("{planned:?}"))?;
                suffered.lock().expect("nobody panics with it in hand").push(done);
                Ok(())
            });
        }
        Self { tasks, suffered }
    }

    /// Waits until every fault has ended, and tells them.
    pub(crate) async fn exhausted(mut self) -> Result<Vec<Suffered>> {
        while let Some(done) = self.tasks.join_next().await {
            done??;
        }
        Ok(std::mem::take(
            &mut self.suffered.lock().expect("nobody panics with it in hand"),
        ))
    }
}

struct Blow {
    fleet: Arc<Fleet>,
    ticks: watch::Receiver<u32>,
    planned: Planned,
}

impl Blow {
    async fn carry_out(mut self) -> Result<Suffered> {
        self.tick(self.planned.from).await?;
        let fleet = Arc::clone(&self.fleet);
        let fault = self.planned.fault;
        let mut began = Instant::now();
        match fault {
            Fault::Kill(at) => {
                let mut process = fleet.places[at].process.lock().await;
                began = Instant::now();
                if let Some(role) = process.as_mut()
                    && role.runs()
                {
                    role.kill9().await?;
                }
                self.last().await?;
                *process = Some(fleet.start(at)?);
            }
            Fault::Hang(at) => {
                let process = fleet.places[at].process.lock().await;
                began = Instant::now();
                if let Some(role) = process.as_ref() {
                    role.pause()?;
                    self.last().await?;
                    // It may have ended meanwhile: then the supervisor starts it again.
                    let _ = signal(role.pid(), Signal::Continue);
                }
            }
            Fault::Cut(at, server) | Fault::Hole(at, server) => {
                let process = fleet.places[at].process.lock().await;
                began = Instant::now();
                let wire = &fleet.places[at].wires[server.index()];
                match fault {
                    Fault::Cut(..) => wire.cut(),
                    _ => wire.black_hole(),
                }
                self.last().await?;
                wire.resume();
                drop(process);
            }
            Fault::MemoryAlarm => {
                let _busy = fleet.busy[Server::RabbitMq.index()].lock().await;
                began = Instant::now();
                self.watermark("0.00000001").await?;
                self.last().await?;
                self.watermark("absolute 1GB").await?;
            }
            Fault::Flush => {
                let _busy = fleet.busy[Server::Redis.index()].lock().await;
                let client = redis::Client::open(fleet.server(Server::Redis).url())?;
                let mut connection = client.get_multiplexed_async_connection().await?;
                began = Instant::now();
                let _: () = redis::cmd("FLUSHALL").query_async(&mut connection).await?;
            }
            Fault::Rollback => {
                let _busy = fleet.busy[Server::Redis.index()].lock().await;
                let copy = tempfile::tempdir()?;
                let server = fleet.server(Server::Redis);
                copy_tree(&server.folder().join("data"), &copy.path().join("data"))?;
                self.last().await?;
                began = Instant::now();
                blocking(server, move |server| {
                    server.kill9()?;
                    std::fs::remove_dir_all(server.folder().join("data"))?;
                    copy_tree(&copy.path().join("data"), &server.folder().join("data"))?;
                    server.start_again()
                })
                .await?;
            }
            Fault::ServerKill(which) => {
                let _busy = fleet.busy[which.index()].lock().await;
                began = Instant::now();
                let server = fleet.server(which);
                blocking(Arc::clone(&server), PrivateServer::kill9).await?;
                self.last().await?;
                blocking(server, PrivateServer::start_again).await?;
            }
            Fault::ScaleDown(at) => {
                let mut process = fleet.places[at].process.lock().await;
                began = Instant::now();
                if let Some(role) = process.as_mut() {
                    end(role).await?;
                }
                self.last().await?;
                *process = Some(fleet.start(at)?);
            }
            Fault::ScaleUp(at) => {
                began = Instant::now();
                *fleet.places[at].process.lock().await = Some(fleet.start(at)?);
                self.last().await?;
                if let Some(mut role) = fleet.places[at].process.lock().await.take() {
                    end(&mut role).await?;
                }
            }
            Fault::NewRevision => {
                fleet.new_map(fleet.has_newsletter.load(Ordering::SeqCst))?;
                fleet.roll().await?;
            }
            Fault::NewSubsystem => {
                // Killed within a moment of declaring a queue, RabbitMQ 3.10 forgets it: nobody kills it before it has written.
                let _busy = fleet.busy[Server::RabbitMq.index()].lock().await;
                fleet.has_newsletter.store(true, Ordering::SeqCst);
                fleet.new_map(true)?;
                fleet.roll().await?;
                fleet.is_newsletter_in_force.store(true, Ordering::SeqCst);
                let _newcomer = fleet.places[NEWCOMER].process.lock().await;
                for lane in ["single", "bulk", "solo"] {
                    let queue = format!("er.work.newsletter.{lane}.v1");
                    fleet.server(Server::RabbitMq).remembers(&queue).await?;
                }
            }
        }
        Ok(Suffered {
            fault,
            began,
            ended: Instant::now(),
        })
    }

    async fn last(&mut self) -> Result<()> {
        self.tick(self.planned.until).await
    }

    async fn tick(&mut self, tick: u32) -> Result<()> {
        self.ticks.wait_for(|now| *now >= tick).await.context("the load has ended")?;
        Ok(())
    }

    async fn watermark(&self, value: &'static str) -> Result<()> {
        let server = self.fleet.server(Server::RabbitMq);
        blocking(server, move |server| {
            server.rabbitmq_tool(&format!("rabbitmqctl set_vm_memory_high_watermark {value}"))
        })
        .await?;
        Ok(())
    }
}

async fn blocking<T: Send + 'static>(
    server: Arc<PrivateServer>,
    act: impl FnOnce(&PrivateServer) -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(move || act(&server)).await?
}

fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status()?;
    ensure!(copied.success(), "copying {} failed", from.display());
    Ok(())
}
