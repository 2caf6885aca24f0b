//! A Redis Cluster of a test's own: three primaries, each with a third of the slots.

use crate::server::Server;
use anyhow::Result;

const THIRDS: [(&str, &str); 3] = [("0", "5460"), ("5461", "10922"), ("10923", "16383")];

pub(crate) struct Cluster(Vec<Server>);

impl Cluster {
    /// Every primary knows the others and who has which slots.
    pub(crate) async fn start() -> Result<Self> {
        let mut servers = Vec::new();
        for (first, last) in THIRDS {
            let server = Server::start(&["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"]).await?;
            server.ask(&["CLUSTER", "ADDSLOTSRANGE", first, last]).await?;
            servers.push(server);
        }
        for (at, server) in servers.iter().enumerate().skip(1) {
            let epoch = (at + 1).to_string();
            server.ask(&["CLUSTER", "SET-CONFIG-EPOCH", &epoch]).await?;
            servers[0].ask(&["CLUSTER", "MEET", "127.0.0.1", &server.port()]).await?;
        }
        for server in &servers {
            let knows_all = |info: &str| info.contains("cluster_state:ok") && info.contains("cluster_size:3");
            server.wait_for(&["CLUSTER", "INFO"], knows_all).await?;
        }
        Ok(Self(servers))
    }

    pub(crate) fn url(&self) -> String {
        self.0[0].url()
    }
}
