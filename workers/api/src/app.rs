//! What every handler shares.

use crate::problem::Problem;
use crate::token::{Caller, Tokens};
use crate::{Api, Error};
use erasure_protocol::{Millis, TenantId};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::Semaphore;

/// What every handler shares.
pub(crate) struct App {
    pub(crate) api: Api,
    pub(crate) tokens: Tokens,
    /// One permit for each call under /v1 that is being answered.
    pub(crate) permits: Arc<Semaphore>,
}

impl App {
    /// # Errors
    /// When the tokens cannot be used.
    pub(crate) fn new(api: Api) -> Result<Arc<Self>, Error> {
        let tokens = Tokens::load(&api.config)?;
        let permits = Arc::new(Semaphore::new(api.config.requests_at_once_max));
        Ok(Arc::new(Self { api, tokens, permits }))
    }

    /// The tenant of this number or name, if the caller may act for it. Whoever may not act for all is not told which there are.
    pub(crate) fn tenant(&self, caller: &Caller, named: &str) -> Result<TenantId, Problem> {
        match self.api.tenants.find(named) {
            Some(tenant) if caller.permits(&tenant) => Ok(tenant),
            Some(_) => Err(Problem::forbidden()),
            None if caller.is_restricted() => Err(Problem::forbidden()),
            None => Err(Problem::unknown_tenant()),
        }
    }

    /// This machine's time: what is compared with it is given in days.
    pub(crate) fn now(&self) -> Millis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Millis::default().plus(since)
    }
}
