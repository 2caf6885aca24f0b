//! The role on a port of its own: in the clear, with TLS, and where somebody else has the port.

use super::*;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// An address that was free a moment ago.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Connects as soon as somebody listens.
async fn connect(address: SocketAddr) -> TcpStream {
    let connected = async {
        loop {
            match TcpStream::connect(address) {
                Ok(stream) => return stream,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), connected).await.unwrap()
}

/// What is answered to a call that closes the connection behind it.
fn exchange(mut stream: impl Read + Write) -> std::io::Result<String> {
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    let ended = stream.read_to_end(&mut answer);
    if answer.is_empty() {
        ended?;
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_role_listens_until_it_is_told_to_stop() {
    let address = free_address();
    let world = World::with(|config| config.listen = address.to_string()).await;
    let stop = CancellationToken::new();
    let role = tokio::spawn(world.serve(&stop).await.unwrap());
    let answer = exchange(connect(address).await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    stop.cancel();
    role.await.unwrap();
    assert!(TcpStream::connect(address).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_certificate_it_speaks_tls_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(&cert, certificate.cert.pem()).unwrap();
    std::fs::write(&key, certificate.signing_key.serialize_pem()).unwrap();
    let address = free_address();
    let world = World::with(|config| {
        config.listen = address.to_string();
        config.tls_cert_file = Some(cert);
        config.tls_key_file = Some(key);
    })
    .await;
    let stop = CancellationToken::new();
    let role = tokio::spawn(world.serve(&stop).await.unwrap());
    let plain = exchange(connect(address).await).unwrap_or_default();
    assert!(!plain.contains("HTTP/1.1"), "{plain}");

    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.cert.der().clone()).unwrap();
    let client = rustls::ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connection = rustls::ClientConnection::new(Arc::new(client), "localhost".try_into().unwrap()).unwrap();
    let answer = exchange(rustls::StreamOwned::new(connection, connect(address).await)).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    stop.cancel();
    role.await.unwrap();
}

#[tokio::test]
async fn an_address_in_use_is_said_at_once() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let world = World::with(|config| config.listen = listen.clone()).await;
    let error = world.serve(&CancellationToken::new()).await.err().unwrap();
    assert_eq!(error.to_string(), format!("cannot listen on {listen}"));
}
