//! Which RabbitMQ is at the other end. lapin does not hand out what the server says of itself, so we listen to its first frame.

use crate::{Config, Error, session};
use futures_util::{AsyncReadExt, AsyncWriteExt};
use lapin::{
    tcp::AMQPUriTcpExt,
    types::{AMQPValue, parsing::parse_field_table},
};
use std::{fmt, time::Duration};

/// What a client of AMQP 0-9-1 says first.
const PROTOCOL_HEADER: [u8; 8] = *b"AMQP\0\0\x09\x01";
/// Frame type, channel, payload size; then class, method, and the protocol's two version bytes.
const FRAME_HEADER_BYTES: usize = 7;
const START_HEADER: [u8; 4] = [0, 10, 0, 10];
/// The broker's introduction is a few hundred bytes; more is somebody else.
const START_BYTES_MAX: usize = 64 * 1024;

/// A version of RabbitMQ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerVersion {
    /// The first number.
    pub major: u32,
    /// The second.
    pub minor: u32,
}

impl ServerVersion {
    /// The oldest that can be used: the first with dead-lettering that loses nothing.
    pub const OLDEST: Self = Self { major: 3, minor: 10 };
    /// From here on a queue without a limit of its own drops after 20 deliveries, and -1 means without limit.
    pub const WITH_DEFAULT_LIMIT: Self = Self { major: 4, minor: 0 };

    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split(['.', '-', '+']).map(str::parse);
        let major = numbers.next()?.ok()?;
        let minor = numbers.next()?.ok()?;
        Some(Self { major, minor })
    }
}

impl fmt::Display for ServerVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Asks the broker for its version, without logging in.
///
/// # Errors
/// When it cannot be reached, is not RabbitMQ, or is older than [`ServerVersion::OLDEST`].
pub async fn server_version(config: &Config) -> Result<ServerVersion, Error> {
    #[cfg(feature = "double")]
    if let Some(double) = &config.double {
        return Ok(double.version());
    }
    let limit: Duration = config.connect_timeout();
    let doing = "asking the broker for its version";
    let asked = tokio::time::timeout(limit, Box::pin(introduction(config, doing))).await;
    let introduction = asked.map_err(|_| Error::Timeout {
        doing: doing.to_owned(),
        waited: limit,
    })??;
    let found = version_in(&introduction).ok_or(Error::NotRabbit)?;
    let version = ServerVersion::parse(&found).ok_or(Error::NotRabbit)?;
    if version < ServerVersion::OLDEST {
        return Err(Error::TooOld { found });
    }
    Ok(version)
}

/// The payload of the server's `connection.start`.
async fn introduction(config: &Config, doing: &str) -> Result<Vec<u8>, Error> {
    let failed = |source: std::io::Error| Error::broker(doing, source.into());
    let uri = config.uri()?;
    let tls = session::tls(config)?;
    let runtime = lapin::runtime::default_runtime().map_err(|source| Error::broker(doing, source))?;
    let mut stream = uri.connect_with_config_async(tls.as_ref(), &runtime).await.map_err(failed)?;
    stream.write_all(&PROTOCOL_HEADER).await.map_err(failed)?;
    stream.flush().await.map_err(failed)?;
    let mut header = [0u8; FRAME_HEADER_BYTES];
    stream.read_exact(&mut header).await.map_err(failed)?;
    let size = u32::from_be_bytes([header[3], header[4], header[5], header[6]]) as usize;
    if header[0] != 1 || size > START_BYTES_MAX {
        return Err(Error::NotRabbit);
    }
    let mut payload = vec![0u8; size];
    stream.read_exact(&mut payload).await.map_err(failed)?;
    Ok(payload)
}

/// The `version` among the server's properties.
fn version_in(start: &[u8]) -> Option<String> {
    let properties = start.strip_prefix(&START_HEADER)?.get(2..)?;
    let (_, table) = parse_field_table(properties).ok()?;
    match table.inner().get("version")? {
        AMQPValue::LongString(text) => String::from_utf8(text.as_bytes().to_vec()).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number() {
        let version = |text| ServerVersion::parse(text).unwrap();
        assert!(version("3.9.29") < ServerVersion::OLDEST);
        assert!(version("3.10.8") >= ServerVersion::OLDEST);
        assert!(version("4.0.5") >= ServerVersion::WITH_DEFAULT_LIMIT);
        assert!(version("4.2.0-rc.1") >= ServerVersion::WITH_DEFAULT_LIMIT);
        assert_eq!(ServerVersion::parse("rabbit"), None);
    }
}
