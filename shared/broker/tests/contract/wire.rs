//! A wire between lapin and the broker, to be cut or to swallow everything.

use lapin::uri::AMQPUri;
use std::net::SocketAddr;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Whole,
    /// Every connection is closed.
    Cut,
    /// Connections stay open and nothing arrives: the broker seems to hang.
    Hole,
}

pub(crate) struct Wire {
    address: SocketAddr,
    state: watch::Sender<State>,
}

impl Wire {
    pub(crate) async fn to(url: &str) -> Self {
        let broker: AMQPUri = url.parse().unwrap();
        let broker = (broker.authority.host, broker.authority.port);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (state, seen) = watch::channel(State::Whole);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(forward(near, broker.clone(), seen.clone()));
            }
        });
        Self { address, state }
    }

    /// The same broker through this wire.
    pub(crate) fn url(&self, url: &str, query: &str) -> String {
        let (login, rest) = url.split_once('@').unwrap();
        let (_, vhost) = rest.split_once('/').unwrap();
        format!("{login}@{}/{vhost}{query}", self.address)
    }

    pub(crate) fn cut(&self) {
        self.state.send_replace(State::Cut);
    }

    pub(crate) fn swallow(&self) {
        self.state.send_replace(State::Hole);
    }
}

async fn forward(mut near: TcpStream, broker: (String, u16), mut state: watch::Receiver<State>) {
    let mut far = TcpStream::connect(broker).await.unwrap();
    tokio::select! {
        _ = copy_bidirectional(&mut near, &mut far) => return,
        _ = state.wait_for(|state| *state != State::Whole) => {}
    }
    // Both ends are held until the wire is cut or gone.
    let _ = state.wait_for(|state| *state == State::Cut).await;
}
