//! A wire that can be cut: a proxy between the crate and the broker.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};

#[derive(Clone)]
pub(crate) struct Wire {
    pub(crate) address: SocketAddr,
    /// How many times it was cut so far.
    cuts: Arc<watch::Sender<u64>>,
    closed: Arc<AtomicBool>,
}

impl Wire {
    pub(crate) async fn to(broker: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let cuts = Arc::new(watch::channel(0).0);
        let cut = cuts.clone();
        let closed = Arc::new(AtomicBool::new(false));
        let shut = closed.clone();
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                if shut.load(Ordering::Acquire) {
                    continue;
                }
                let (broker, mut cut) = (broker.clone(), cut.subscribe());
                tokio::spawn(async move {
                    let mut far = TcpStream::connect(broker).await.unwrap();
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        Self { address, cuts, closed }
    }

    /// Cuts it, and whoever connects again is cut at once.
    pub(crate) fn shut(&self) {
        self.closed.store(true, Ordering::Release);
        self.cut();
    }

    pub(crate) fn cut(&self) {
        self.cuts.send_modify(|it| *it += 1);
    }
}
