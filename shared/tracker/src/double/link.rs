//! A connection to a Redis in memory, through the weather.

use super::reply::{Refusal, Reply};
use super::{MemoryRedis, lua};
use crate::connection::Routed;
use crate::error::Source;
use crate::script::Call;
use crate::{Config, Error};
use erasure_drill::{Lost, Weather};
use redis::{Arg, Cmd, Value};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

#[derive(Clone)]
pub(crate) struct Link {
    redis: MemoryRedis,
    weather: Weather,
    response_timeout: Duration,
}

impl Link {
    pub(super) fn new(redis: MemoryRedis, weather: Weather, config: &Config) -> Self {
        Self {
            redis,
            weather,
            response_timeout: Duration::from_millis(config.response_timeout_ms),
        }
    }

    pub(crate) async fn one(&self, doing: &'static str, command: &Cmd) -> Result<Value, Error> {
        let answer = self.trip(doing, || self.run(command)).await?;
        answer.map_err(|refusal| refused(doing, refusal))
    }

    pub(crate) async fn commands(&self, doing: &'static str, commands: &[Routed<Cmd>]) -> Result<Vec<Value>, Error> {
        self.pipeline(doing, commands, |command| self.run(command)).await
    }

    pub(crate) async fn scripts(&self, doing: &'static str, calls: &[Routed<Call>]) -> Result<Vec<Value>, Error> {
        self.pipeline(doing, calls, |call| self.run_script(call)).await
    }

    /// Travels in two halves, so that of a lost pipeline a part may have happened.
    async fn pipeline<T>(&self, doing: &'static str, acts: &[Routed<T>], run: impl Fn(&T) -> Reply) -> Result<Vec<Value>, Error> {
        let mut answers = Vec::with_capacity(acts.len());
        let (first, second) = acts.split_at(acts.len().div_ceil(2));
        for half in [first, second].into_iter().filter(|it| !it.is_empty()) {
            // A command that is refused does not keep those behind it from being carried out.
            let all = || half.iter().map(|(_, act)| run(act)).collect::<Vec<_>>();
            answers.extend(self.trip(doing, all).await?);
        }
        let answers: Result<Vec<_>, _> = answers.into_iter().collect();
        answers.map_err(|refusal| refused(doing, refusal))
    }

    async fn trip<T>(&self, doing: &'static str, effect: impl FnOnce() -> T) -> Result<T, Error> {
        let trip = self.weather.around(call_name(doing), effect);
        let words = match tokio::time::timeout(self.response_timeout, trip).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(Lost::Question)) => "the question was lost",
            Ok(Err(Lost::Answer)) => "the answer was lost",
            Err(_) => "no answer in time",
        };
        let source = Source(words.to_owned());
        Err(Error::Unreachable { doing, source })
    }

    fn run(&self, command: &Cmd) -> Reply {
        let words: Vec<&[u8]> = command.args_iter().map(word).collect();
        let now = self.redis.now();
        self.redis.locked().run(now, &words)
    }

    fn run_script(&self, call: &Call) -> Reply {
        let now = self.redis.now();
        let (name, keys, args) = call.parts();
        lua::run(&mut self.redis.locked(), now, name, keys, args)
    }
}

fn word(arg: Arg<&[u8]>) -> &[u8] {
    match arg {
        Arg::Simple(bytes) => bytes,
        // A cursor, which no command of ours has: refused like any other empty word.
        _ => b"",
    }
}

fn refused(doing: &'static str, refusal: Refusal) -> Error {
    let source = Source(refusal.0);
    Error::Refused { doing, source }
}

/// `tracker.` and what the tracker is doing; each such name is made once and then kept.
fn call_name(doing: &'static str) -> &'static str {
    static NAMES: Mutex<BTreeMap<&'static str, &'static str>> = Mutex::new(BTreeMap::new());
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    names.entry(doing).or_insert_with(|| format!("tracker.{doing}").leak())
}
