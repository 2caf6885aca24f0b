//! The broker's word on one message.

use crate::Error;
use lapin::{Confirmation, PublisherConfirm};

/// A confirmation that is still to come.
pub(crate) enum Confirm {
    Amqp(PublisherConfirm),
    #[cfg(feature = "double")]
    Memory(crate::double::Pledge),
}

/// What it says.
pub(crate) struct Verdict {
    /// The broker has dealt with it. It may have returned it all the same.
    pub(crate) acked: bool,
    /// The id of a message that no queue took. Not always the message asked for.
    pub(crate) returned: Option<String>,
}

impl Confirm {
    pub(crate) async fn verdict(self) -> Result<Verdict, Error> {
        match self {
            Self::Amqp(confirm) => {
                let said = confirm.await;
                said.map(Verdict::of)
                    .map_err(|source| Error::broker("awaiting a confirmation", source))
            }
            #[cfg(feature = "double")]
            Self::Memory(pledge) => pledge.verdict().await,
        }
    }
}

impl Verdict {
    fn of(confirmation: Confirmation) -> Self {
        let acked = matches!(confirmation, Confirmation::Ack(_));
        let returned = confirmation
            .take_message()
            .and_then(|it| it.delivery.properties.message_id().clone())
            .map(String::from);
        Self { acked, returned }
    }
}
