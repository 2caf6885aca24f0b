//! The fleet on the next major version of RabbitMQ.

use super::{outages::InTheMiddle, workers::apart};
use anyhow::Result;
use erasure_tests::{
    private::{Kind, PrivateServer},
    servers::RabbitMq4,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_rabbitmq_4_killed_and_started_again_heals_within_seconds() -> Result<()> {
    if RabbitMq4::of_this_run()?.is_none() {
        return Ok(());
    }
    let rabbitmq = PrivateServer::start(Kind::RabbitMq4)?;
    let middle = InTheMiddle::of(apart().amqp(rabbitmq.url()).build().await?).await?;
    for lane in ["single", "bulk"] {
        rabbitmq.remembers(&format!("er.work.segments.{lane}.v1")).await?;
    }
    rabbitmq.kill9()?;
    rabbitmq.start_again()?;
    middle.ends_well("RabbitMQ 4 killed").await
}
