//! Waiting for a state, with a deadline.

use std::{future::Future, time::Duration};

use anyhow::{Result, bail};
use tokio::time::{Instant, sleep};

/// How often it is looked.
const INTERVAL: Duration = Duration::from_millis(20);

/// Looks until there is something, or the deadline has passed. It says what was waited for.
///
/// # Errors
/// When the deadline passes first.
pub async fn eventually<T, F, Fut>(what: &str, deadline: Duration, mut look: F) -> Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    let begun = Instant::now();
    loop {
        if let Some(seen) = look().await {
            return Ok(seen);
        }
        if begun.elapsed() > deadline {
            bail!("after {} ms still not: {what}", deadline.as_millis());
        }
        sleep(INTERVAL).await;
    }
}

/// [`eventually`] for a condition.
///
/// # Errors
/// When the deadline passes before it holds.
pub async fn eventually_true<F, Fut>(what: &str, deadline: Duration, mut holds: F) -> Result<()>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    eventually(what, deadline, || {
        let looked = holds();
        async { looked.await.then_some(()) }
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn it_ends_with_the_first_sight() {
        let looks = AtomicU32::new(0);
        let third = || async { Some(looks.fetch_add(1, Ordering::SeqCst) + 1).filter(|look| *look == 3) };
        assert_eq!(eventually("the third look", Duration::from_secs(5), third).await.unwrap(), 3);
    }

    #[tokio::test]
    async fn it_says_what_never_came() {
        let error = eventually_true("pigs fly", Duration::from_millis(30), || async { false })
            .await
            .unwrap_err();
        assert!(error.to_string().contains("pigs fly"), "{error}");
    }
}
