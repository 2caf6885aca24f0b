//! The crate before a real broker, named by `ERASURE_TEST_AMQP`, before one of the next major version, named by
//! `ERASURE_TEST_AMQP_4`, and before the double: one suite for all. What only one of them can
//! have is said by name: TLS (`tls`) the broker, faults on command (`faults`) the double.
//! Each test has a prefix of its own and removes its queues.

#![allow(clippy::unwrap_used, reason = "helpers of tests are not marked as tests")]

/// Every test of a suite in every place: `rabbit`, `rabbit4`, and `double` with a paused clock.
macro_rules! everywhere {
    ($($name:ident,)*) => {
        mod rabbit {
            $(
                #[tokio::test]
                async fn $name() {
                    super::$name($crate::place::Place::rabbit().await).await;
                }
            )*
        }
        mod rabbit4 {
            $(
                #[tokio::test]
                async fn $name() {
                    if let Some(place) = $crate::place::Place::rabbit4().await {
                        super::$name(place).await;
                    }
                }
            )*
        }
        mod double {
            $(
                #[tokio::test(start_paused = true)]
                async fn $name() {
                    super::$name($crate::place::Place::double()).await;
                }
            )*
        }
    };
}

mod conserved;
mod consuming;
mod cuts;
mod dead;
mod faults;
mod place;
mod publishing;
mod returns;
mod tls;
mod topology;
mod waiting;
mod wire;
mod world;
