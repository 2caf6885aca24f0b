//! Declaring the topology.

use crate::{Argument, Config, Error, ExchangeKind, Row, ServerVersion, Topology, server_version, session};
use lapin::{
    Channel,
    options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};

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
    let connection = session::connect(config, "erasure topology").await?;
    let declared = Box::pin(declare_all(config, &connection, &table)).await;
    session::close(config, &connection).await;
    declared?;
    let count = |is: fn(&Row) -> bool| table.iter().filter(|row| is(row)).count();
    Ok(Applied {
        server,
        exchanges: count(|row| matches!(row, Row::Exchange { .. })),
        queues: count(|row| matches!(row, Row::Queue { .. })),
        bindings: count(|row| matches!(row, Row::Binding { .. })),
    })
}

async fn declare_all(config: &Config, connection: &lapin::Connection, table: &[Row]) -> Result<(), Error> {
    let channel = session::channel(config, connection).await?;
    for row in table {
        declare(config, &channel, row).await?;
    }
    Ok(())
}

/// Declares one row; an equal one that is there already is fine.
pub(crate) async fn declare(config: &Config, channel: &Channel, row: &Row) -> Result<(), Error> {
    let limit = config.response_timeout();
    match row {
        Row::Exchange { name, kind, alternate } => {
            let mut arguments = FieldTable::default();
            if let Some(alternate) = alternate {
                arguments.insert("alternate-exchange".into(), AMQPValue::LongString(alternate.as_str().into()));
            }
            let options = ExchangeDeclareOptions {
                durable: true,
                ..ExchangeDeclareOptions::default()
            };
            let declaring = channel.exchange_declare(name.as_str().into(), kind_of(*kind), options, arguments);
            session::within(limit, format!("declaring exchange {name}"), declaring).await
        }
        Row::Queue { name, arguments } => {
            let options = QueueDeclareOptions {
                durable: true,
                ..QueueDeclareOptions::default()
            };
            let declaring = channel.queue_declare(name.as_str().into(), options, table_of(arguments));
            session::within(limit, format!("declaring queue {name}"), declaring)
                .await
                .map(|_| ())
        }
        Row::Binding { exchange, queue, key } => {
            let binding = channel.queue_bind(
                queue.as_str().into(),
                exchange.as_str().into(),
                key.as_str().into(),
                QueueBindOptions::default(),
                FieldTable::default(),
            );
            session::within(limit, format!("binding queue {queue} to exchange {exchange}"), binding).await
        }
    }
}

pub(crate) fn kind_of(kind: ExchangeKind) -> lapin::ExchangeKind {
    match kind {
        ExchangeKind::Direct => lapin::ExchangeKind::Direct,
        ExchangeKind::Topic => lapin::ExchangeKind::Topic,
        ExchangeKind::Fanout => lapin::ExchangeKind::Fanout,
    }
}

fn table_of(arguments: &[(&'static str, Argument)]) -> FieldTable {
    let mut table = FieldTable::default();
    for (key, value) in arguments {
        let value = match value {
            Argument::Text(text) => AMQPValue::LongString(text.as_str().into()),
            Argument::Number(number) => AMQPValue::LongLongInt(*number),
        };
        table.insert((*key).into(), value);
    }
    table
}
