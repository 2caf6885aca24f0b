//! The one point at which this process is to stop: `ERASURE_DRILL_AT=worker.performed:2` is the second pass of that point, and
//! `ERASURE_DRILL_CALL=127.0.0.1:PORT` is who is told.
//!
//! Only the task that passes the point is held. That is enough: who kills the process does so on the report, and who kills a server
//! wants the rest of the process to see it.

use crate::Point;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const AT: &str = "ERASURE_DRILL_AT";
const CALL: &str = "ERASURE_DRILL_CALL";

/// A point, which pass of it, and who is told.
#[derive(Debug)]
pub(crate) struct Armed {
    at: Point,
    pass: u64,
    call: String,
    passed: AtomicU64,
}

/// What the environment says. A point that does not exist would never be passed, and a drill on it would prove nothing: that ends
/// the process.
pub(crate) fn of_this_process() -> Option<&'static Armed> {
    static ARMED: OnceLock<Option<Armed>> = OnceLock::new();
    let read = || {
        let (at, call) = (std::env::var(AT).ok()?, std::env::var(CALL).ok()?);
        Some(Armed::parse(&at, &call).unwrap_or_else(|| panic!("{AT}={at} names no point and pass")))
    };
    ARMED.get_or_init(read).as_ref()
}

impl Armed {
    fn parse(at: &str, call: &str) -> Option<Self> {
        let (name, pass) = at.split_once(':').unwrap_or((at, "1"));
        Some(Self {
            at: Point::ALL.into_iter().find(|point| point.as_str() == name)?,
            pass: pass.parse().ok().filter(|pass| *pass > 0)?,
            call: call.to_owned(),
            passed: AtomicU64::new(0),
        })
    }

    pub(crate) async fn pass(&self, at: Point) {
        if at == self.at && self.passed.fetch_add(1, Ordering::SeqCst) + 1 == self.pass {
            Box::pin(self.report()).await;
        }
    }

    /// Tells, and waits for one byte. Without a listener, or when it goes, there is nothing to wait for.
    async fn report(&self) {
        let Ok(mut line) = TcpStream::connect(&self.call).await else {
            return;
        };
        if line.write_all(format!("{}\n", self.at.as_str()).as_bytes()).await.is_ok() {
            let _let_go = line.read_u8().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::io::{AsyncBufReadExt as _, BufReader};
    use tokio::net::TcpListener;

    #[test]
    fn a_point_that_does_not_exist_and_a_pass_that_never_comes_are_refused() {
        assert!(Armed::parse("worker.marked", "").is_some_and(|it| it.pass == 1));
        assert!(Armed::parse("worker.marked:3", "").is_some_and(|it| it.pass == 3));
        for wrong in ["worker.marketed", "worker.marked:0", "worker.marked:x", ""] {
            assert!(Armed::parse(wrong, "").is_none(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn the_chosen_pass_reports_and_waits_until_it_is_let_go() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let armed = Armed::parse("worker.marked:2", &address).unwrap();
        armed.pass(Point::WorkerMarked).await;
        armed.pass(Point::WorkerAcked).await;
        let mut second = Box::pin(armed.pass(Point::WorkerMarked));
        let heard = async {
            let mut line = BufReader::new(listener.accept().await.unwrap().0);
            let mut name = String::new();
            line.read_line(&mut name).await.unwrap();
            (name, line)
        };
        let (name, mut line) = tokio::select! {
            heard = heard => heard,
            () = &mut second => panic!("it did not wait"),
        };
        assert_eq!(name, "worker.marked\n");
        line.write_u8(b'.').await.unwrap();
        tokio::time::timeout(Duration::from_secs(10), second).await.unwrap();
        armed.pass(Point::WorkerMarked).await;
    }

    #[tokio::test]
    async fn without_a_listener_it_goes_on() {
        let armed = Armed::parse("worker.marked", "127.0.0.1:1").unwrap();
        armed.pass(Point::WorkerMarked).await;
    }
}
