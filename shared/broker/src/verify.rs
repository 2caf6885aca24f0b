//! Comparing what is on the broker with what has to be there, without changing anything.

use crate::{Channel, Config, Connection, Error, Row, Topology, server_version};
use std::fmt;

const NOT_ALLOWED: u16 = 403;
const NOT_FOUND: u16 = 404;
const OTHER_ARGUMENTS: u16 = 406;

/// Something on the broker that is not as it has to be, or that could not be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// It is not there.
    Missing {
        /// "exchange x" or "queue x".
        what: String,
    },
    /// It is there with other properties: messages may be lost.
    Differs {
        /// "exchange x" or "queue x".
        what: String,
        /// The broker's words for the difference.
        detail: String,
    },
    /// It cannot be seen from here; a person has to look.
    Unverified {
        /// What.
        what: String,
        /// How to look, and for what.
        advice: String,
    },
}

impl Problem {
    /// Whether the fleet must not start with it. What is merely unverified does not stop it.
    #[must_use]
    pub fn is_blocking(&self) -> bool {
        match self {
            Self::Missing { .. } | Self::Differs { .. } => true,
            Self::Unverified { .. } => false,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { what } => write!(f, "{what} is missing: run `erasure topology apply`"),
            Self::Differs { what, detail } => write!(
                f,
                "{what} differs from what is needed ({detail}): drain it, delete it, then run `erasure topology apply`"
            ),
            Self::Unverified { what, advice } => write!(f, "{what} could not be verified: {advice}"),
        }
    }
}

/// Looks at every exchange and queue. What no client of AMQP can see (policies, bindings) comes last, as [`Problem::Unverified`].
///
/// # Errors
/// When the broker cannot be reached or is too old.
pub async fn verify(config: &Config, topology: &Topology) -> Result<Vec<Problem>, Error> {
    let server = server_version(config).await?;
    let table = topology.clone().for_server(server).table();
    let connection = Connection::open(config, "erasure topology").await?;
    let found = Box::pin(look_at_all(config, &connection, &table)).await;
    connection.close(config).await;
    let mut problems = found?;
    problems.push(policies(topology));
    problems.push(bindings(topology));
    Ok(problems)
}

async fn look_at_all(config: &Config, connection: &Connection, table: &[Row]) -> Result<Vec<Problem>, Error> {
    let mut problems = Vec::new();
    for row in table {
        match row {
            Row::Exchange { name, kind, .. } => {
                let what = format!("exchange {name}");
                let channel = connection.channel(config).await?;
                let there = close_if_open(&channel, channel.exchange_there(name, *kind).await).await;
                problems.extend(look_at(config, connection, row, what, there).await?);
            }
            Row::Queue { name, .. } => {
                let what = format!("queue {name}");
                let channel = connection.channel(config).await?;
                let there = close_if_open(&channel, channel.queue_state(name).await).await;
                problems.extend(look_at(config, connection, row, what, there).await?);
            }
            Row::Binding { .. } => {}
        }
    }
    Ok(problems)
}

/// A refused declaration closes its channel, so each gets its own. Declaring what is there already only compares.
async fn look_at(
    config: &Config,
    connection: &Connection,
    row: &Row,
    what: String,
    there: Result<(), Error>,
) -> Result<Option<Problem>, Error> {
    let compared = match there {
        Ok(()) => connection.channel(config).await?.declare(row).await,
        Err(error) => Err(error),
    };
    let Err(error) = compared else { return Ok(None) };
    match error.code() {
        Some(NOT_FOUND) => Ok(Some(Problem::Missing { what })),
        Some(OTHER_ARGUMENTS) => Ok(Some(Problem::Differs {
            what,
            detail: error.detail(),
        })),
        Some(NOT_ALLOWED) => Ok(Some(Problem::Unverified {
            what,
            advice: "this login may not declare it, so its arguments cannot be compared; run `erasure topology verify` as the \
                     role admin of `erasure topology show`"
                .to_owned(),
        })),
        _ => Err(error),
    }
}

/// A channel that has not refused stays open, and is closed.
async fn close_if_open<T>(channel: &Channel, there: Result<T, Error>) -> Result<(), Error> {
    there?;
    channel.close().await
}

fn policies(topology: &Topology) -> Problem {
    let prefix = topology.names().prefix();
    Problem::Unverified {
        what: "policies".to_owned(),
        advice: format!(
            "look with `rabbitmqctl list_queues name effective_policy_definition operator_policy`; on queues whose names begin with \
             \"{prefix}er.\" there must be no message-ttl, no expires and no delivery-limit below 1000 (max-length makes \
             publishing fail when full, which is safe)"
        ),
    }
}

fn bindings(topology: &Topology) -> Problem {
    let prefix = topology.names().prefix();
    Problem::Unverified {
        what: "bindings".to_owned(),
        advice: format!(
            "`erasure topology apply` adds what is missing; what arrives nowhere is kept in \"{prefix}er.unrouted.v1\", which should \
             be empty"
        ),
    }
}
