//! A wire that can be cut: a small TCP proxy.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::{JoinHandle, JoinSet},
};

/// What becomes of bytes on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wire {
    /// They arrive.
    Whole,
    /// Connections are closed, and new ones are closed as soon as they are made.
    Cut,
    /// Connections stay open and nothing arrives, in neither direction: the peer seems to hang.
    Hole,
}

/// Forwards connections to one server. Dropping it cuts them.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    wire: watch::Sender<Wire>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Starts one in front of `upstream`, for example `127.0.0.1:5672`.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(upstream: impl Into<String>) -> Result<Self> {
        let upstream = upstream.into();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("binding the proxy")?;
        let address = listener.local_addr().context("asking for the proxy's port")?;
        let (wire, seen) = watch::channel(Wire::Whole);
        let accepting = tokio::spawn(accept(listener, upstream, seen));
        Ok(Self {
            address,
            wire,
            accepting,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `url` with its host and port replaced by the proxy's.
    ///
    /// # Errors
    /// When there is no `host:port` in it.
    pub fn instead_of_host_in(&self, url: &str) -> Result<String> {
        let host = host_of(url)?;
        Ok(url.replacen(host, &self.address.to_string(), 1))
    }

    /// Closes every connection and every new one.
    pub fn cut(&self) {
        self.wire.send_replace(Wire::Cut);
    }

    /// Lets nothing through, with every connection open.
    pub fn black_hole(&self) {
        self.wire.send_replace(Wire::Hole);
    }

    /// Forwards again. What was held by a black hole arrives.
    pub fn resume(&self) {
        self.wire.send_replace(Wire::Whole);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// The `host:port` of a URL.
///
/// # Errors
/// When there is none.
pub fn host_of(url: &str) -> Result<&str> {
    let rest = url.split_once("://").map(|(_, rest)| rest).context("a URL has ://")?;
    let authority = rest.split(['/', '?']).next().unwrap_or(rest);
    Ok(authority.rsplit_once('@').map_or(authority, |(_, host)| host))
}

async fn accept(listener: TcpListener, upstream: String, wire: watch::Receiver<Wire>) {
    // Ends every connection with itself: a JoinSet aborts what it holds.
    let mut connections = JoinSet::new();
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        while connections.try_join_next().is_some() {}
        connections.spawn(forward(client, upstream.clone(), wire.clone()));
    }
}

async fn forward(client: TcpStream, upstream: String, mut wire: watch::Receiver<Wire>) {
    if wire.wait_for(|wire| *wire != Wire::Hole).await.is_err() || *wire.borrow() == Wire::Cut {
        return;
    }
    let Ok(server) = TcpStream::connect(upstream).await else {
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let mut cut = wire.clone();
    tokio::select! {
        _ = cut.wait_for(|wire| *wire == Wire::Cut) => {}
        () = both(copy(from_client, to_server, wire.clone()), copy(from_server, to_client, wire)) => {}
    }
}

async fn both(there: impl Future<Output = ()>, back: impl Future<Output = ()>) {
    tokio::join!(there, back);
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut wire: watch::Receiver<Wire>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if wire.wait_for(|wire| *wire == Wire::Whole).await.is_err() || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
    let _ = tokio::time::timeout(Duration::from_secs(1), to.shutdown()).await;
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_secs(5);
    const NOT_YET: Duration = Duration::from_millis(100);

    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        address
    }

    async fn connected() -> (Proxy, TcpStream) {
        let proxy = Proxy::start(echo().await.to_string()).await.unwrap();
        let stream = TcpStream::connect(proxy.address()).await.unwrap();
        (proxy, stream)
    }

    async fn answered(stream: &mut TcpStream) -> u8 {
        timeout(SOON, stream.read_u8()).await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn a_whole_wire_carries_both_ways() {
        let (_proxy, mut stream) = connected().await;
        stream.write_u8(7).await.unwrap();
        assert_eq!(answered(&mut stream).await, 7);
    }

    #[tokio::test]
    async fn a_cut_wire_closes_what_is_open_and_what_is_new_until_it_is_mended() {
        let (proxy, mut stream) = connected().await;
        stream.write_u8(7).await.unwrap();
        answered(&mut stream).await;
        proxy.cut();
        assert!(timeout(SOON, stream.read_u8()).await.unwrap().is_err());
        let mut new = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(timeout(SOON, new.read_u8()).await.unwrap().is_err());
        proxy.resume();
        let mut mended = TcpStream::connect(proxy.address()).await.unwrap();
        mended.write_u8(8).await.unwrap();
        assert_eq!(answered(&mut mended).await, 8);
    }

    #[tokio::test]
    async fn a_black_hole_holds_bytes_until_it_is_gone() {
        let (proxy, mut stream) = connected().await;
        stream.write_u8(7).await.unwrap();
        answered(&mut stream).await;
        proxy.black_hole();
        stream.write_u8(9).await.unwrap();
        assert!(timeout(NOT_YET, stream.read_u8()).await.is_err());
        proxy.resume();
        assert_eq!(answered(&mut stream).await, 9);
    }

    #[tokio::test]
    async fn a_proxied_url_keeps_its_login_and_path() {
        let (proxy, _stream) = connected().await;
        let url = proxy.instead_of_host_in("amqp://guest:guest@127.0.0.1:5672/%2f").unwrap();
        assert_eq!(url, format!("amqp://guest:guest@{}/%2f", proxy.address()));
    }
}
