//! The connection: one node or a cluster, TLS, timeouts, and pipelines that survive a lost script cache.

use crate::config::ConfigError;
use crate::script::Call;
use crate::{Config, Error, Warning, info};
use futures_util::future::try_join_all;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::{
    Client, Cmd, ConnectionInfo, ErrorKind, IntoConnectionInfo, Pipeline, RedisError, ServerErrorKind, TlsCertificates, Value,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// How many commands one pipeline carries at most, so that one call does not hold the server for long.
const PIPELINE_COMMANDS_MAX: usize = 512;
/// How often connecting is tried before an operation reports failure.
const CONNECT_TRIES: usize = 3;
const CONNECT_DELAY_MAX: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub(crate) enum Connection {
    Single(ConnectionManager),
    Cluster(ClusterConnection),
    /// A Redis in memory.
    #[cfg(feature = "double")]
    Double(crate::double::Link),
}

/// A command with the partition whose keys it touches.
pub(crate) type Routed<T> = (u16, T);

impl Connection {
    pub(crate) async fn open(config: &Config) -> Result<Self, Error> {
        config.check()?;
        install_crypto();
        let mut nodes = connection_infos(config)?;
        let root_cert = config.ca_file.as_ref().map(|path| {
            std::fs::read(path).map_err(|source| ConfigError::File {
                what: "tracker.ca_file",
                source,
            })
        });
        let certs = root_cert.transpose()?.map(|root| TlsCertificates {
            client_tls: None,
            root_cert: Some(root),
        });
        let response = Duration::from_millis(config.response_timeout_ms);
        let connect = Duration::from_millis(config.connect_timeout_ms);
        let opened = if config.cluster {
            open_cluster(nodes, certs, response, connect).await
        } else {
            open_single(nodes.remove(0), certs, response, connect).await
        };
        opened.map_err(|error| Error::from_redis("connecting", &error))
    }

    /// Refuses a server that evicts; reports one that forgets.
    pub(crate) async fn inspect(&self) -> Result<Vec<Warning>, Error> {
        for text in self.info("memory").await? {
            if let Some(policy) = info::evicting_policy(&text) {
                return Err(Error::Evicts { policy });
            }
        }
        let persistent = self.info("persistence").await?.iter().all(|text| info::is_persistent(text));
        Ok(if persistent {
            Vec::new()
        } else {
            vec![Warning::NotPersistent]
        })
    }

    /// One text from a single server, one from each primary of a cluster.
    async fn info(&self, section: &str) -> Result<Vec<String>, Error> {
        let mut command = redis::cmd("INFO");
        command.arg(section);
        let value = self.one("asking for INFO", &command).await?;
        let texts = match value {
            Value::Map(nodes) => nodes.into_iter().map(|(_, text)| text).collect(),
            Value::Array(pairs) => pairs.into_iter().collect(),
            other => vec![other],
        };
        let unreadable = Error::Unreadable {
            what: "an answer to INFO",
        };
        let texts: Option<Vec<String>> = texts.into_iter().map(|it| redis::from_redis_value(it).ok()).collect();
        texts.ok_or(unreadable)
    }

    pub(crate) async fn one(&self, doing: &'static str, command: &Cmd) -> Result<Value, Error> {
        let answer = match self.clone() {
            Self::Single(mut it) => command.query_async(&mut it).await,
            Self::Cluster(mut it) => command.query_async(&mut it).await,
            #[cfg(feature = "double")]
            Self::Double(it) => return it.one(doing, command).await,
        };
        answer.map_err(|error| Error::from_redis(doing, &error))
    }

    /// Runs scripts in one round trip, in order; those that the server no longer has are repeated in full.
    pub(crate) async fn scripts(&self, doing: &'static str, calls: &[Routed<Call>]) -> Result<Vec<Value>, Error> {
        #[cfg(feature = "double")]
        if let Self::Double(it) = self {
            return it.scripts(doing, calls).await;
        }
        let commands = calls.iter().map(|(partition, call)| (*partition, call.by_hash())).collect();
        let mut answers = self.send(doing, commands).await?;
        let lost: Vec<usize> = (0..answers.len())
            .filter(|at| answers[*at].as_ref().is_err_and(is_no_script))
            .collect();
        if !lost.is_empty() {
            let again = lost.iter().map(|at| (calls[*at].0, calls[*at].1.in_full())).collect();
            for (at, answer) in lost.into_iter().zip(self.send(doing, again).await?) {
                answers[at] = answer;
            }
        }
        all(doing, answers)
    }

    /// Runs plain commands in one round trip, in order.
    pub(crate) async fn commands(&self, doing: &'static str, commands: Vec<Routed<Cmd>>) -> Result<Vec<Value>, Error> {
        all(doing, self.send(doing, commands).await?)
    }

    async fn send(&self, doing: &'static str, commands: Vec<Routed<Cmd>>) -> Result<Vec<Result<Value, RedisError>>, Error> {
        let sent = match self {
            Self::Single(connection) => {
                let mut answers = Vec::with_capacity(commands.len());
                for chunk in commands.chunks(PIPELINE_COMMANDS_MAX) {
                    let pipeline = pipeline_of(chunk.iter().map(|(_, command)| command));
                    let some: Result<Vec<_>, _> = pipeline.query_async(&mut connection.clone()).await;
                    answers.extend(some.map_err(|error| Error::from_redis(doing, &error))?);
                }
                return complete(commands.len(), answers);
            }
            Self::Cluster(connection) => send_to_cluster(connection, &commands).await,
            #[cfg(feature = "double")]
            Self::Double(link) => Ok(link.commands(doing, &commands).await?.into_iter().map(Ok).collect()),
        };
        complete(commands.len(), sent.map_err(|error| Error::from_redis(doing, &error))?)
    }
}

/// A pipeline to a cluster must stay in one slot: one for each partition, all at once.
async fn send_to_cluster(
    connection: &ClusterConnection,
    commands: &[Routed<Cmd>],
) -> Result<Vec<Result<Value, RedisError>>, RedisError> {
    let mut by_partition: BTreeMap<u16, Vec<usize>> = BTreeMap::new();
    for (at, (partition, _)) in commands.iter().enumerate() {
        by_partition.entry(*partition).or_default().push(at);
    }
    let chunks = by_partition.values().flat_map(|all| all.chunks(PIPELINE_COMMANDS_MAX));
    let sends = chunks.map(|chunk| async move {
        let pipeline = pipeline_of(chunk.iter().map(|at| &commands[*at].1));
        let answers: Vec<Result<Value, RedisError>> = pipeline.query_async(&mut connection.clone()).await?;
        Ok::<_, RedisError>(chunk.iter().copied().zip(answers).collect::<Vec<_>>())
    });
    let mut answers: Vec<_> = try_join_all(sends).await?.into_iter().flatten().collect();
    answers.sort_unstable_by_key(|(at, _)| *at);
    Ok(answers.into_iter().map(|(_, answer)| answer).collect())
}

fn pipeline_of<'a>(commands: impl Iterator<Item = &'a Cmd>) -> Pipeline {
    let mut pipeline = redis::pipe();
    pipeline.ignore_errors();
    commands.for_each(|command| {
        pipeline.add_command(command.clone());
    });
    pipeline
}

fn complete<T>(wanted: usize, answers: Vec<T>) -> Result<Vec<T>, Error> {
    let what = "a pipeline's answers";
    if answers.len() == wanted {
        Ok(answers)
    } else {
        Err(Error::Unreadable { what })
    }
}

fn all(doing: &'static str, answers: Vec<Result<Value, RedisError>>) -> Result<Vec<Value>, Error> {
    answers
        .into_iter()
        .map(|answer| answer.map_err(|error| Error::from_redis(doing, &error)))
        .collect()
}

fn is_no_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

/// Makes aws-lc the process's TLS provider, unless there is one already.
fn install_crypto() {
    // An error only says that a provider is installed, which is what is wanted.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// At least one.
fn connection_infos(config: &Config) -> Result<Vec<ConnectionInfo>, Error> {
    let password = config.password()?;
    let info = |url: String| {
        let info = url.as_str().into_connection_info().map_err(|_| ConfigError::Url)?;
        let mut settings = info.redis_settings().clone();
        if let Some(user) = &config.username {
            settings = settings.set_username(user);
        }
        if let Some(password) = &password {
            settings = settings.set_password(password);
        }
        Ok(info.set_redis_settings(settings))
    };
    config.resolved_urls()?.into_iter().map(info).collect()
}

async fn open_single(
    info: ConnectionInfo,
    certs: Option<TlsCertificates>,
    response: Duration,
    connect: Duration,
) -> Result<Connection, RedisError> {
    let client = match certs {
        Some(certs) => Client::build_with_tls(info, certs)?,
        None => Client::open(info)?,
    };
    let config = ConnectionManagerConfig::new()
        .set_response_timeout(Some(response))
        .set_connection_timeout(Some(connect))
        .set_number_of_retries(CONNECT_TRIES)
        .set_max_delay(CONNECT_DELAY_MAX);
    Ok(Connection::Single(ConnectionManager::new_with_config(client, config).await?))
}

async fn open_cluster(
    nodes: Vec<ConnectionInfo>,
    certs: Option<TlsCertificates>,
    response: Duration,
    connect: Duration,
) -> Result<Connection, RedisError> {
    let mut builder = ClusterClient::builder(nodes)
        .response_timeout(response)
        .connection_timeout(connect)
        .retries(u32::try_from(CONNECT_TRIES).unwrap_or(1));
    if let Some(certs) = certs {
        builder = builder.certs(certs);
    }
    Ok(Connection::Cluster(builder.build()?.get_async_connection().await?))
}
