//! Redis forgets a fleet.

use anyhow::Result;
use erasure_tests::world::World;

/// Takes everything of this world out of the Redis at `url`, at once.
pub(super) async fn wipe(world: &World, url: &str) -> Result<()> {
    let mut redis = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
    let script = "for _, key in ipairs(redis.call('KEYS', ARGV[1])) do redis.call('DEL', key) end";
    let pattern = format!("{}:*", world.name());
    let _: () = redis::cmd("EVAL")
        .arg(script)
        .arg(0)
        .arg(pattern)
        .query_async(&mut redis)
        .await?;
    Ok(())
}
