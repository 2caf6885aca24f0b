//! The session behind a publisher: windows of messages, their confirmations, and what becomes of them when it breaks.

use crate::{Channel, Config, Connection, Error, Outgoing, PublishError, Route, broken, pause::Pauses, session};
use erasure_drill::{Point, Rule, is_broken, point};
use std::collections::{HashSet, VecDeque};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

/// Reply codes by which the broker speaks of the message, not of itself: too large, no permission, not found, not as agreed,
/// frame error, not allowed.
const CODES_OF_A_MESSAGE: [u16; 6] = [311, 403, 404, 406, 501, 530];

/// One message on its way.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) message: Outgoing,
    /// Exchange and routing key.
    pub(crate) target: (String, String),
    pub(crate) reply: oneshot::Sender<Result<(), PublishError>>,
    pub(crate) deadline: Instant,
    /// Was in a window that the broker refused: is sent alone, so that the culprit is known and the others get through.
    pub(crate) alone: bool,
}

/// What the session was asked for, and its ends of the wires.
#[derive(Debug)]
pub(crate) struct Publishing {
    pub(crate) config: Config,
    pub(crate) name: String,
    pub(crate) jobs: mpsc::Receiver<Job>,
    pub(crate) connected: watch::Sender<bool>,
    pub(crate) stop: CancellationToken,
}

/// A window that broke: nothing is known of any message in it.
struct Broken {
    error: Error,
    window: Vec<Job>,
}

/// What the broker made of a window.
enum Taken {
    All,
    /// It rejected some.
    NotAll,
}

/// Keeps publishing until told to stop, or until nobody hands anything in.
pub(crate) async fn run(mut publishing: Publishing) {
    let name = format!("erasure publisher {}", publishing.name);
    let mut pauses = Pauses::new(&publishing.config);
    let mut backlog = VecDeque::new();
    loop {
        let opening = session::connect_for_ever(&publishing.config, &name, &mut pauses, &publishing.stop);
        let Some(connection) = opening.await else { return };
        let served = Box::pin(publishing.serve(&connection, &mut backlog, &mut pauses)).await;
        publishing.connected.send_replace(false);
        connection.close(&publishing.config).await;
        let Err(error) = served else { return };
        backlog.retain(|job: &Job| !job.reply.is_closed());
        if session::rest(&mut pauses, &publishing.stop, &name, &error).await.is_none() {
            return;
        }
    }
}

impl Publishing {
    /// One connection, any number of windows.
    async fn serve(&mut self, connection: &Connection, backlog: &mut VecDeque<Job>, pauses: &mut Pauses) -> Result<(), Error> {
        let mut channel = self.confirming(connection).await?;
        pauses.reset();
        self.connected.send_replace(true);
        while self.gather(connection, &channel, backlog).await? {
            let window = next_window(backlog, self.config.publish_window.max(1));
            let Broken { error, window } = match Box::pin(self.send(&channel, window)).await {
                Ok(Taken::All) => continue,
                Ok(Taken::NotAll) => {
                    // A channel that met a quorum queue while its leader was gone rejects whatever is for that queue, for ever (3.10).
                    channel.close().await?;
                    channel = self.confirming(connection).await?;
                    continue;
                }
                Err(broken) => broken,
            };
            if connection.is_blocked() {
                tracing::error!("the broker blocks publishers: it is out of memory or disk (see its alarms)");
            }
            let refused = error.code().filter(|code| CODES_OF_A_MESSAGE.contains(code));
            put_back(backlog, window, refused);
            if refused.is_none() || !connection.is_connected() {
                return Err(error);
            }
            channel = self.confirming(connection).await?;
        }
        Ok(())
    }

    async fn confirming(&self, connection: &Connection) -> Result<Channel, Error> {
        let channel = connection.channel(&self.config).await?;
        channel.ask_for_confirms().await?;
        Ok(channel)
    }

    /// Waits until there is something to send; `false` when there will be nothing more.
    async fn gather(&mut self, connection: &Connection, channel: &Channel, backlog: &mut VecDeque<Job>) -> Result<bool, Error> {
        let lost = channel.lost(connection);
        tokio::pin!(lost);
        while backlog.is_empty() {
            tokio::select! {
                biased;
                () = self.stop.cancelled(), if !self.jobs.is_closed() => self.jobs.close(),
                job = self.jobs.recv() => match job {
                    Some(job) => backlog.push_back(job),
                    None => return Ok(false),
                },
                error = &mut lost => return Err(error),
            }
        }
        while backlog.len() < self.config.publish_window
            && let Ok(job) = self.jobs.try_recv()
        {
            backlog.push_back(job);
        }
        Ok(true)
    }

    /// Sends a window and awaits every confirmation in it. Returns come before the confirmation of *some* message of the window, not
    /// always their own, so the verdicts wait for all.
    async fn send(&self, channel: &Channel, window: Vec<Job>) -> Result<Taken, Broken> {
        let Some(until) = window.iter().map(|job| job.deadline).max() else {
            return Ok(Taken::All);
        };
        let mut confirms = Vec::with_capacity(window.len());
        let mut failure = None;
        for job in &window {
            match channel.publish(&job.message, &job.target).await {
                Ok(confirm) => confirms.push(confirm),
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
            if matches!(job.message.to, Route::Work { .. }) {
                point(Point::WorkHandedOver).await;
            }
        }
        let mut verdicts = Vec::with_capacity(confirms.len());
        let mut returned = HashSet::new();
        if is_broken(Rule::ConfirmEachMessage) {
            verdicts = vec![true; confirms.len()];
            confirms.clear();
            returned = broken::wait_for_all(channel).await;
        }
        for confirm in confirms {
            match timeout_at(until, confirm.verdict()).await {
                Ok(Ok(verdict)) => {
                    verdicts.push(verdict.acked);
                    returned.extend(verdict.returned);
                }
                Ok(Err(error)) => {
                    failure = Some(failure.filter(|it| it.code().is_some()).unwrap_or(error));
                }
                Err(_) => {
                    failure.get_or_insert(Error::Timeout {
                        doing: "awaiting confirmations".to_owned(),
                        waited: self.config.confirm_timeout(),
                    });
                }
            }
        }
        if let Some(error) = failure {
            return Err(Broken { error, window });
        }
        let taken = if verdicts.contains(&false) {
            Taken::NotAll
        } else {
            Taken::All
        };
        for (job, acked) in window.into_iter().zip(verdicts) {
            let result = verdict(&job, acked, &returned);
            // Whoever asked may have given up meanwhile.
            let _ = job.reply.send(result);
        }
        Ok(taken)
    }
}

fn verdict(job: &Job, acked: bool, returned: &HashSet<String>) -> Result<(), PublishError> {
    if returned.contains(&job.message.message_id) {
        let (exchange, routing_key) = job.target.clone();
        return Err(PublishError::Unroutable { exchange, routing_key });
    }
    if acked { Ok(()) } else { Err(PublishError::Rejected) }
}

/// The next messages to send together, without those whose sender has given up.
fn next_window(backlog: &mut VecDeque<Job>, window_max: usize) -> Vec<Job> {
    let mut window: Vec<Job> = Vec::new();
    while window.len() < window_max
        && let Some(job) = backlog.pop_front()
    {
        if job.reply.is_closed() {
            continue;
        }
        if job.alone && !window.is_empty() {
            backlog.push_front(job);
            break;
        }
        let alone = job.alone;
        window.push(job);
        if alone {
            break;
        }
    }
    window
}

/// What broke goes back to the front, in order. When the broker spoke of a message and there was only one, that was it.
fn put_back(backlog: &mut VecDeque<Job>, window: Vec<Job>, refused: Option<u16>) {
    let culprit = refused.filter(|_| window.len() == 1);
    for mut job in window.into_iter().rev() {
        if let Some(code) = culprit {
            // Whoever asked may have given up meanwhile.
            let _ = job.reply.send(Err(PublishError::Refused { code }));
            continue;
        }
        job.alone |= refused.is_some();
        backlog.push_front(job);
    }
}
