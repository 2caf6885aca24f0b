//! The arrows of the protocol, at each of which a process may be stopped.

/// An arrow of the protocol: between the step before it and the step after it a crash must change nothing that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Point {
    /// A worker has committed and read back, and has told nobody yet.
    WorkerPerformed,
}

/// Passes an arrow. In a drill that waits for it, it reports there and waits until it is let go, or killed.
#[cfg(not(feature = "drill"))]
#[inline]
pub async fn point(_at: Point) {}

/// Passes an arrow. In a drill that waits for it, it reports there and waits until it is let go, or killed.
#[cfg(feature = "drill")]
#[inline]
pub async fn point(_at: Point) {}
