//! One durable hop: each command published to a quorum queue and confirmed, and consumed and acknowledged, at the same time.

use anyhow::Result;
use erasure_tests::servers::Servers;
use tokio::time::Instant;

use crate::post::Post;

const QUEUE: &str = "bench.hop";

/// Seconds for all of them.
pub(crate) async fn run(servers: &Servers, commands: &[Vec<u8>]) -> Result<f64> {
    let (sender, receiver) = (Post::connect(&servers.amqp).await?, Post::connect(&servers.amqp).await?);
    sender.declare_quorum(QUEUE).await?;
    let begun = Instant::now();
    tokio::try_join!(
        sender.publish_all("", QUEUE, commands),
        receiver.consume(QUEUE, commands.len())
    )?;
    let seconds = begun.elapsed().as_secs_f64();
    sender.delete(QUEUE).await?;
    Ok(seconds)
}
