//! The outbox and want streams: reading what they hold, and settling it.

use crate::connection::Routed;
use crate::keys::Keys;
use crate::{Error, Notice, Tracker};
use erasure_protocol::RequestKey;
use redis::{Cmd, Value};
use uuid::Uuid;

/// A stream entry: its id, and its fields' names and values.
type Entry = (String, Vec<(Vec<u8>, Vec<u8>)>);

impl Tracker {
    /// Requests that became complete, the oldest first in each partition; about `max` of them. They come again until settled.
    ///
    /// # Errors
    /// When Redis cannot be reached or refuses.
    pub async fn next_complete(&self, max: usize) -> Result<Vec<Notice>, Error> {
        let reads = reads(self.keys(), |it| self.keys().outbox(it), max);
        notices(self.connection.commands("reading the outbox", reads).await?)
    }

    /// Takes notices off the outbox.
    ///
    /// # Errors
    /// When Redis cannot be reached or refuses.
    pub async fn settle_complete(&self, notices: &[Notice]) -> Result<(), Error> {
        let acts = settlements(self.keys(), |it| self.keys().outbox(it), notices);
        self.connection.commands("settling the outbox", acts).await.map(drop)
    }

    /// Requests that somebody met and the tracker did not know; about `max` of them. They come again until settled.
    ///
    /// # Errors
    /// When Redis cannot be reached or refuses.
    pub async fn next_wanted(&self, max: usize) -> Result<Vec<Notice>, Error> {
        let reads = reads(self.keys(), |it| self.keys().want(it), max);
        notices(self.connection.commands("reading the want streams", reads).await?)
    }

    /// Takes notices off the want streams.
    ///
    /// # Errors
    /// When Redis cannot be reached or refuses.
    pub async fn settle_wanted(&self, notices: &[Notice]) -> Result<(), Error> {
        let acts = settlements(self.keys(), |it| self.keys().want(it), notices);
        self.connection.commands("settling the want streams", acts).await.map(drop)
    }
}

/// One read for each partition; together about `max` entries, the oldest of each.
fn reads(keys: &Keys, name: impl Fn(u16) -> String, max: usize) -> Vec<Routed<Cmd>> {
    let partitions = keys.partitions();
    let each = max.div_ceil(partitions.len().max(1)).max(1);
    let read = |partition| {
        let mut command = redis::cmd("XRANGE");
        command.arg(name(partition)).arg("-").arg("+").arg("COUNT").arg(each);
        (partition, command)
    };
    partitions.map(read).collect()
}

/// The notices in what [`reads`] has read: one for each request, however often it is named.
fn notices(answers: Vec<Value>) -> Result<Vec<Notice>, Error> {
    let mut notices: Vec<Notice> = Vec::new();
    for answer in answers {
        let first = notices.len();
        let entries: Vec<Entry> = redis::from_redis_value(answer).map_err(|_| Error::Unreadable { what: "a stream" })?;
        for (id, fields) in entries {
            let key = fields.first().and_then(|(_, value)| Uuid::from_slice(value).ok());
            let request = RequestKey::from_uuid(key.ok_or(Error::Unreadable {
                what: "a stream's entry",
            })?);
            match notices[first..].iter_mut().find(|it| it.request == request) {
                Some(known) => known.ids.push(id),
                None => notices.push(Notice { request, ids: vec![id] }),
            }
        }
    }
    Ok(notices)
}

/// Takes settled notices off their streams.
fn settlements(keys: &Keys, name: impl Fn(u16) -> String, notices: &[Notice]) -> Vec<Routed<Cmd>> {
    let settle = |notice: &Notice| {
        let partition = keys.partition(notice.request);
        let mut command = redis::cmd("XDEL");
        command.arg(name(partition)).arg(&notice.ids);
        (partition, command)
    };
    notices.iter().map(settle).collect()
}
