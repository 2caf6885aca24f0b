//! The fake vendor as a process: `opendsr-processor [ADDRESS]`, on a free port of this machine unless told. Its first line of
//! output is its base URL.

use anyhow::Context as _;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let address = address
        .parse()
        .with_context(|| format!("reading {address} as address:port"))?;
    erasure_tests::opendsr::serve(address).await
}
