//! `amqps://`: a small TLS end before the broker, with a certificate of its own authority.

use crate::place::Place;
use crate::world::{World, message, one_by_one, single, soon, to_single};
use erasure_broker::{Config, Consumer, Publisher, Settled, server_version};
use rcgen::{CertificateParams, KeyPair};
use rustls::{
    ServerConfig, ServerConnection,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivatePkcs8KeyDer},
};
use std::{
    io::{self, Read, Write},
    sync::Arc,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Moves bytes between TLS on this side and plain AMQP on that one, until either closes.
async fn unwrap_tls(near: TcpStream, mut far: TcpStream, config: Arc<ServerConfig>) -> io::Result<()> {
    let mut tls = ServerConnection::new(config).map_err(io::Error::other)?;
    let (mut near_read, mut near_write) = near.into_split();
    let (mut from_near, mut from_far) = ([0u8; 16 * 1024], [0u8; 8 * 1024]);
    loop {
        tokio::select! {
            read = near_read.read(&mut from_near) => {
                let size = read?;
                let mut bytes = &from_near[..size];
                if bytes.is_empty() {
                    return Ok(());
                }
                while !bytes.is_empty() {
                    tls.read_tls(&mut bytes)?;
                    let state = tls.process_new_packets().map_err(io::Error::other)?;
                    let mut plain = vec![0; state.plaintext_bytes_to_read()];
                    tls.reader().read_exact(&mut plain)?;
                    far.write_all(&plain).await?;
                }
            }
            read = far.read(&mut from_far) => {
                let size = read?;
                if size == 0 {
                    return Ok(());
                }
                tls.writer().write_all(&from_far[..size])?;
            }
        }
        let mut sealed = Vec::new();
        while tls.wants_write() {
            tls.write_tls(&mut sealed)?;
        }
        near_write.write_all(&sealed).await?;
    }
}

/// A TLS end before the broker, and the file with its certificate.
async fn tls_before(world: &World) -> (Config, tempfile::NamedTempFile) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()])
        .unwrap()
        .self_signed(&key)
        .unwrap();
    let mut ca_file = tempfile::NamedTempFile::new().unwrap();
    ca_file.write_all(certificate.pem().as_bytes()).unwrap();
    let chain = vec![CertificateDer::from(certificate.der().to_vec())];
    let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let config = Arc::new(config);
    let (_, rest) = world.config.url.split_once('@').unwrap();
    let (broker, vhost) = rest.split_once('/').unwrap();
    let broker = broker.to_owned();
    let login = world.config.url.trim_start_matches("amqp://").split('@').next().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("amqps://{login}@localhost:{}/{vhost}", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let far = TcpStream::connect(&broker).await.unwrap();
            tokio::spawn(unwrap_tls(near, far, config.clone()));
        }
    });
    let config = Config {
        url,
        ca_file: Some(ca_file.path().to_owned()),
        ..world.config.clone()
    };
    (config, ca_file)
}

#[tokio::test]
async fn messages_travel_over_tls_when_the_certificate_is_trusted() {
    let world = World::new(Place::rabbit().await).await;
    let (config, _ca_file) = tls_before(&world).await;
    server_version(&config).await.unwrap();
    let publisher = Publisher::start(&config, "tls", world.stop.child_token());
    soon("publishing", publisher.publish_all(vec![message(to_single(), "m", "{}")]))
        .await
        .unwrap();
    let mut consumer = Consumer::start(&config, single(), one_by_one(), world.stop.child_token());
    let delivery = soon("the message", consumer.next_batch()).await.unwrap().pop().unwrap();
    assert_eq!(delivery.ack().await, Settled::Done);

    let distrustful = Config { ca_file: None, ..config };
    assert!(server_version(&distrustful).await.is_err());
    world.end().await;
}
