//! One test's world: its own virtual host, key prefix, ledger and company, a configuration file, and the real binary.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;
use toml::Table;

use crate::{
    binary::{self, repository},
    company::{Company, Technology},
    role::Role,
    servers::Servers,
    vhost::VirtualHost,
};

/// How long a command may take.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(120);

/// How many people the company knows unless told.
const PEOPLE: u32 = 100;

/// The bearer token of every world's HTTP role.
pub const TOKEN: &str = "the-token-of-this-test-0123456789";

/// When this variable is set, every world's folder is kept.
const KEEP: &str = "ERASURE_TEST_KEEP";

/// What a world is to be like.
#[derive(Debug)]
pub struct Builder {
    ledger: Technology,
    stores: Technology,
    people: u32,
    company: Option<Company>,
    amqp: Option<String>,
    redis: Option<String>,
    postgres: Option<String>,
    settings: Vec<(String, toml::Value)>,
    map: Option<String>,
}

impl Builder {
    /// Which database is the ledger; SQLite unless told.
    #[must_use]
    pub fn ledger(self, ledger: Technology) -> Self {
        Self { ledger, ..self }
    }

    /// Which databases hold the company; SQLite unless told.
    #[must_use]
    pub fn stores(self, stores: Technology) -> Self {
        Self { stores, ..self }
    }

    /// How many people the company knows; 100 unless told.
    #[must_use]
    pub fn people(self, people: u32) -> Self {
        Self { people, ..self }
    }

    /// A company that is there already, instead of a new one.
    #[must_use]
    pub fn company(self, company: Company) -> Self {
        Self {
            company: Some(company),
            ..self
        }
    }

    /// Another broker than the run's, for example a private one or the proxy in front of one. It is used as it is.
    #[must_use]
    pub fn amqp(self, url: impl Into<String>) -> Self {
        Self {
            amqp: Some(url.into()),
            ..self
        }
    }

    /// Another Redis than the run's.
    #[must_use]
    pub fn redis(self, url: impl Into<String>) -> Self {
        Self {
            redis: Some(url.into()),
            ..self
        }
    }

    /// Another PostgreSQL than the run's, for the ledger and the stores that are in PostgreSQL.
    #[must_use]
    pub fn postgres(self, url: impl Into<String>) -> Self {
        Self {
            postgres: Some(url.into()),
            ..self
        }
    }

    /// A setting in the configuration, by its dotted key: `set("worker.linger_ms", 1)`.
    #[must_use]
    pub fn set(mut self, key: &str, value: impl Into<toml::Value>) -> Self {
        self.settings.push((key.to_owned(), value.into()));
        self
    }

    /// Adds a vendor that speaks `OpenDSR` 2.0 at `base_url`, told the e-mail address, polled often.
    #[must_use]
    pub fn vendor(mut self, name: &str, base_url: &str) -> Self {
        let text = format!(
            "name = {name:?}\nbase_url = {base_url:?}\npoll_every_ms = 50\n\
             identities = [{{ kind = \"email\", identity_type = \"email\" }}]\n"
        );
        let vendor: Table = text.parse().expect("a vendor in TOML");
        self.settings.push(("subprocessors.vendors[]".to_owned(), vendor.into()));
        self
    }

    /// Another data map than the sample's.
    #[must_use]
    pub fn map(self, text: impl Into<String>) -> Self {
        Self {
            map: Some(text.into()),
            ..self
        }
    }

    /// Makes it: stores, key ring, configuration, ledger, topology. Starts no role.
    ///
    /// # Errors
    /// When something of it cannot be made.
    pub async fn build(self) -> Result<World> {
        let servers = Servers::of_this_run()?;
        let dir = tempfile::Builder::new()
            .prefix("erasure-world.")
            .tempdir()
            .context("making a folder")?;
        let name = format!("w{}", &uuid::Uuid::new_v4().simple().to_string()[..12]);
        let postgres = self.postgres.clone().unwrap_or_else(|| servers.postgres.clone());
        let (vhost, amqp) = match self.amqp.clone() {
            Some(amqp) => (None, amqp),
            None => {
                let management = servers
                    .amqp_management
                    .as_deref()
                    .context("ERASURE_TEST_AMQP_MANAGEMENT is not set")?;
                let vhost = VirtualHost::create(management, &name).await?;
                let amqp = vhost.url(&servers.amqp);
                (Some(vhost), amqp)
            }
        };
        let company = match self.company.clone() {
            Some(company) => company,
            None => Company::found(self.stores, self.people, &name, dir.path(), &postgres).await?,
        };
        let redis = self.redis.clone().unwrap_or_else(|| servers.redis.clone());
        let config = self.config(&name, &amqp, &redis, &postgres, dir.path(), &company)?;
        let map = match self.map {
            Some(map) => map,
            None => std::fs::read_to_string(repository().join("deploy/sample/map.toml")).context("reading the sample's map")?,
        };
        std::fs::write(dir.path().join("map.toml"), map).context("writing the map")?;
        std::fs::write(dir.path().join("erasure.toml"), toml::to_string(&config)?).context("writing the configuration")?;
        let world = World {
            binary: binary::erasure()?,
            dir: Some(dir),
            name,
            amqp,
            company,
            config,
            _vhost: vhost,
        };
        for command in [["key", "generate"], ["ledger", "migrate"], ["topology", "apply"]] {
            world.command(&command).await?.done()?;
        }
        Ok(world)
    }

    fn config(&self, name: &str, amqp: &str, redis: &str, postgres: &str, dir: &Path, company: &Company) -> Result<Table> {
        let ledger = match self.ledger {
            Technology::Sqlite => format!("sqlite:{}", dir.join("ledger.db").display()),
            Technology::Postgres => postgres.to_owned(),
        };
        let mut config = Table::new();
        let tenants = ["acme", "globex"].map(|tenant| (format!("tenant.{tenant}.regulation"), "gdpr".into()));
        let stores = company
            .urls()
            .iter()
            .map(|(store, url)| (format!("store.{store}.url"), url.as_str().into()));
        let base: [(&str, toml::Value); 9] = [
            ("broker.url", amqp.into()),
            ("tracker.url", redis.into()),
            ("tracker.key_prefix", name.into()),
            ("ledger.url", ledger.into()),
            ("ledger.schema", name.into()),
            ("keys.file", "keys.toml".into()),
            ("map.file", "map.toml".into()),
            ("http.token", TOKEN.into()),
            ("log.filter", "info,sqlx=warn,lapin=error".into()),
        ];
        let base = base.into_iter().map(|(key, value)| (key.to_owned(), value));
        for (key, value) in base.chain(tenants).chain(stores).chain(self.settings.iter().cloned()) {
            put(&mut config, &key, value)?;
        }
        Ok(config)
    }
}

/// Everything one test needs, and gone when it is dropped; kept, with its logs, when the test panics or `ERASURE_TEST_KEEP` is set.
#[derive(Debug)]
pub struct World {
    binary: PathBuf,
    dir: Option<TempDir>,
    name: String,
    amqp: String,
    company: Company,
    config: Table,
    _vhost: Option<VirtualHost>,
}

impl World {
    /// A world with SQLite for the ledger and the company, on the servers of the run.
    #[must_use]
    pub fn builder() -> Builder {
        Builder {
            ledger: Technology::Sqlite,
            stores: Technology::Sqlite,
            people: PEOPLE,
            company: None,
            amqp: None,
            redis: None,
            postgres: None,
            settings: Vec::new(),
            map: None,
        }
    }

    /// Starts one process with these roles, for example `["all"]`. It does not wait for them: see [`Role::ready`].
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn run(&self, roles: &[&str]) -> Result<Role> {
        self.run_with(roles, &[])
    }

    /// [`World::run`] with more environment, for example a setting of this process alone (`ERASURE__WORKER__LINGER_MS`).
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn run_with(&self, roles: &[&str], environment: &[(&str, &str)]) -> Result<Role> {
        let address = format!("127.0.0.1:{}", free_port()?);
        let mut command = self.process();
        command.arg("run").args(roles).env("ERASURE__HTTP__LISTEN", &address);
        command.envs(environment.iter().copied());
        Role::start(command, address, self.dir(), &roles.join("+"))
    }

    /// Starts one process with every role and waits until it is ready.
    ///
    /// # Errors
    /// When it does not become ready in time; its log is in the error.
    pub async fn run_all(&self) -> Result<Role> {
        let mut role = self.run(&["all"])?;
        role.ready().await?;
        Ok(role)
    }

    /// Runs a command of the binary to its end.
    ///
    /// # Errors
    /// When it cannot be started or takes too long; not when it fails.
    pub async fn command(&self, arguments: &[&str]) -> Result<Answer> {
        let mut command = self.process();
        command.args(arguments).stdin(Stdio::null());
        let output = tokio::time::timeout(COMMAND_TIMEOUT, command.output()).await;
        let output = output
            .with_context(|| format!("`erasure {}` takes too long", arguments.join(" ")))?
            .context("running erasure")?;
        Ok(Answer {
            command: arguments.join(" "),
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Changes the configuration file; processes that run keep what they have read.
    ///
    /// # Errors
    /// When the key cannot be set.
    pub fn set(&mut self, key: &str, value: impl Into<toml::Value>) -> Result<()> {
        put(&mut self.config, key, value.into())?;
        // A process that starts at this moment reads the one or the other, never half of it.
        let file = self.dir().join("erasure.toml");
        let new = file.with_extension("new");
        std::fs::write(&new, toml::to_string(&self.config)?).context("writing the configuration")?;
        std::fs::rename(&new, &file).context("taking over the configuration")
    }

    /// Writes a file into the world's folder and returns its path.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> Result<String> {
        let path = self.dir().join(name);
        std::fs::write(&path, content).with_context(|| format!("writing {}", path.display()))?;
        Ok(path.display().to_string())
    }

    /// Writes a CSV file into the world's folder and returns its path.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn csv<R: AsRef<[F]>, F: AsRef<str>>(&self, name: &str, header: &[&str], rows: &[R]) -> Result<String> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(header)?;
        for row in rows {
            writer.write_record(row.as_ref().iter().map(AsRef::as_ref))?;
        }
        self.file(name, writer.into_inner()?)
    }

    /// The company whose people are to be forgotten.
    #[must_use]
    pub fn company(&self) -> &Company {
        &self.company
    }

    /// The broker's URL, as the fleet has it.
    #[must_use]
    pub fn amqp(&self) -> &str {
        &self.amqp
    }

    /// What tells this world from others: its key prefix, ledger schema and virtual host.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The world's folder: configuration, map, key ring, SQLite files, logs.
    ///
    /// # Panics
    /// Never before it is dropped.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir
            .as_ref()
            .expect("the folder is there until the world is dropped")
            .path()
    }

    fn process(&self) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(&self.binary);
        command
            .current_dir(self.dir())
            .env("ERASURE_CONFIG", self.dir().join("erasure.toml"))
            .kill_on_drop(true);
        command
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // A test that returns an error drops its world like one that has passed: only a panic is seen from here.
        let keep = std::thread::panicking() || std::env::var_os(KEEP).is_some();
        if let Some(dir) = self.dir.take_if(|_| keep) {
            eprintln!("the world of this test, with its logs, is kept in {}", dir.keep().display());
        }
    }
}

/// What a command answered.
#[derive(Clone, Debug)]
pub struct Answer {
    command: String,
    /// Its exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// Its data.
    pub stdout: String,
    /// Everything else it said.
    pub stderr: String,
}

impl Answer {
    /// Itself, when the command has done what was asked.
    ///
    /// # Errors
    /// With what it said otherwise.
    pub fn done(self) -> Result<Self> {
        ensure!(
            self.code == Some(0),
            "`erasure {}` ended with {:?}:\n{}{}",
            self.command,
            self.code,
            self.stdout,
            self.stderr
        );
        Ok(self)
    }

    /// Its data as JSON.
    ///
    /// # Errors
    /// When that is not JSON.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.stdout).with_context(|| format!("`erasure {}` printed no JSON: {}", self.command, self.stdout))
    }
}

/// Puts a value at a dotted key; `[]` at its end appends to a list.
fn put(table: &mut Table, key: &str, value: toml::Value) -> Result<()> {
    let Some((first, rest)) = key.split_once('.') else {
        return match (key.strip_suffix("[]"), value) {
            (None, value) => {
                table.insert(key.to_owned(), value);
                Ok(())
            }
            (Some(list), value) => match table.entry(list).or_insert_with(|| toml::Value::Array(Vec::new())) {
                toml::Value::Array(items) => {
                    items.push(value);
                    Ok(())
                }
                other => bail!("{list} is {}, not a list", other.type_str()),
            },
        };
    };
    match table.entry(first).or_insert_with(|| toml::Value::Table(Table::new())) {
        toml::Value::Table(inner) => put(inner, rest, value),
        other => bail!("{first} is {}, not a table", other.type_str()),
    }
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("looking for a free port")?;
    Ok(listener.local_addr().context("asking for its port")?.port())
}
