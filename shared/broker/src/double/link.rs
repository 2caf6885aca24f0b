//! A connection, as its client holds it.

use super::{line::Line, process::Process};
use crate::Error;
use tokio_util::sync::CancellationToken;

pub(crate) struct Link {
    process: Process,
    id: u64,
    over: CancellationToken,
}

impl Link {
    pub(super) fn new(process: Process, id: u64, over: CancellationToken) -> Self {
        Self { process, id, over }
    }

    pub(crate) fn channel(&self) -> Result<Line, Error> {
        let opened = self.process.broker.with(|state| state.open_line(self.id));
        let (id, over) = opened.ok_or_else(|| Error::gone("opening a channel"))?;
        Ok(Line::new(self.process.clone(), id, over))
    }

    pub(crate) fn close(&self) {
        self.process.broker.with(|state| state.close_link(self.id));
    }

    pub(crate) fn is_connected(&self) -> bool {
        !self.over.is_cancelled()
    }

    pub(crate) fn is_blocked(&self) -> bool {
        *self.process.broker.blocked().borrow()
    }

    pub(crate) async fn lost(&self) {
        self.over.cancelled().await;
    }
}

/// Whoever held it is gone, and so is the connection.
impl Drop for Link {
    fn drop(&mut self) {
        self.close();
    }
}
