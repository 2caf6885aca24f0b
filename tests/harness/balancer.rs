//! What an operator puts in front of several equal servers: each new connection goes to the first one that answers.

use std::{net::SocketAddr, sync::Arc};

use anyhow::{Context, Result};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

use crate::proxy::host_of;

/// Spreads nothing: it only leads on. Dropping it closes every connection.
#[derive(Debug)]
pub struct Balancer {
    address: SocketAddr,
    servers: watch::Sender<Arc<[String]>>,
    accepting: JoinHandle<()>,
}

impl Balancer {
    /// Starts one in front of the servers with these URLs, the first of which is preferred.
    ///
    /// # Errors
    /// When no port can be had, or a URL names no host.
    pub async fn start(urls: &[String]) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("binding the balancer")?;
        let address = listener.local_addr().context("asking for the balancer's port")?;
        let (servers, seen) = watch::channel(hosts(urls)?);
        let accepting = tokio::spawn(accept(listener, seen));
        Ok(Self {
            address,
            servers,
            accepting,
        })
    }

    /// `url` with its host and port replaced by the balancer's.
    ///
    /// # Errors
    /// When there is no `host:port` in it.
    pub fn instead_of_host_in(&self, url: &str) -> Result<String> {
        Ok(url.replacen(host_of(url)?, &self.address.to_string(), 1))
    }

    /// Another order for connections that are still to come.
    ///
    /// # Errors
    /// When a URL names no host.
    pub fn prefer(&self, urls: &[String]) -> Result<()> {
        self.servers.send_replace(hosts(urls)?);
        Ok(())
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn hosts(urls: &[String]) -> Result<Arc<[String]>> {
    urls.iter().map(|url| host_of(url).map(str::to_owned)).collect()
}

async fn accept(listener: TcpListener, servers: watch::Receiver<Arc<[String]>>) {
    // Ends every connection with itself: a JoinSet aborts what it holds.
    let mut connections = JoinSet::new();
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        while connections.try_join_next().is_some() {}
        let servers = Arc::clone(&servers.borrow());
        connections.spawn(forward(client, servers));
    }
}

async fn forward(mut client: TcpStream, servers: Arc<[String]>) {
    for server in servers.iter() {
        if let Ok(mut server) = TcpStream::connect(server).await {
            let _ = (client.set_nodelay(true), server.set_nodelay(true));
            let _ = copy_bidirectional(&mut client, &mut server).await;
            return;
        }
    }
}
