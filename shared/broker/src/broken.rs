//! What is done in the place of a rule that is broken on purpose. Nothing of it is in a build without drills.

use crate::Channel;
use lapin::types::{AMQPValue, FieldTable};
use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

const DEATH: &str = "x-death";

/// What the broker wrote into the last dead letter that this process received.
static LAST_DEATH: Mutex<Option<AMQPValue>> = Mutex::new(None);

/// One wait for all confirmations: it tells what came back, and nothing of what was refused.
pub(crate) async fn wait_for_all(channel: &Channel) -> HashSet<String> {
    let returned = match channel {
        Channel::Amqp(amqp) => amqp.channel.wait_for_confirms().await.unwrap_or_default(),
        #[cfg(feature = "double")]
        Channel::Memory(_) => Vec::new(),
    };
    let ids = returned
        .into_iter()
        .filter_map(|it| it.delivery.properties.message_id().clone());
    ids.map(String::from).collect()
}

/// Keeps what is to be copied.
pub(crate) fn keep_death(headers: Option<&FieldTable>) {
    if let Some(death) = headers.and_then(|headers| headers.inner().get(DEATH)) {
        *LAST_DEATH.lock().unwrap_or_else(PoisonError::into_inner) = Some(death.clone());
    }
}

/// Copies it.
pub(crate) fn copy_death(headers: &mut FieldTable) {
    let last = LAST_DEATH.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if let Some(death) = last {
        headers.insert(DEATH.into(), death);
    }
}
