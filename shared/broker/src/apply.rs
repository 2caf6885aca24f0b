//! Declaring the topology.

use crate::{Config, Connection, Error, Row, ServerVersion, Topology, server_version};

/// What was declared. Declaring again changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The broker's version, by which the arguments were chosen.
    pub server: ServerVersion,
    /// How many exchanges.
    pub exchanges: usize,
    /// How many queues.
    pub queues: usize,
    /// How many bindings.
    pub bindings: usize,
}

/// Declares every exchange, queue and binding that is missing.
///
/// # Errors
/// When the broker is too old, refuses (code 403), or has one under the same name with other arguments (code 406): nothing is ever
/// deleted or replaced.
pub async fn apply(config: &Config, topology: &Topology) -> Result<Applied, Error> {
    let server = server_version(config).await?;
    let table = topology.clone().for_server(server).table();
    let connection = Connection::open(config, "erasure topology").await?;
    let declared = Box::pin(declare_all(config, &connection, &table)).await;
    connection.close(config).await;
    declared?;
    let count = |is: fn(&Row) -> bool| table.iter().filter(|row| is(row)).count();
    Ok(Applied {
        server,
        exchanges: count(|row| matches!(row, Row::Exchange { .. })),
        queues: count(|row| matches!(row, Row::Queue { .. })),
        bindings: count(|row| matches!(row, Row::Binding { .. })),
    })
}

async fn declare_all(config: &Config, connection: &Connection, table: &[Row]) -> Result<(), Error> {
    let channel = connection.channel(config).await?;
    for row in table {
        channel.declare(row).await?;
    }
    Ok(())
}
