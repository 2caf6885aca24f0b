//! The README's section for a newcomer, followed to the letter on an existing PostgreSQL schema.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use erasure_tests::{
    binary::{erasure, repository},
    servers::Servers,
    vhost::VirtualHost,
};
use sqlx::{Connection as _, PgConnection, Row as _};
use tokio::process::Command;

const SECTION: &str = "## Point it at your own database";
const CUSTOMERS: i64 = 40;
const FILL: [&str; 5] = [
    "insert into customers (email, full_name) select 'Customer' || n || '@shop.example', 'Customer ' || n from generate_series(1, 40) n",
    "insert into addresses (customer_id, street) select id, id || ' High Street' from customers",
    "insert into orders (customer_id, total_cents, ship_to) select id, 1000 + id, full_name from customers, generate_series(1, 3)",
    "insert into order_notes (order_id, note) select id, 'ring twice' from orders",
    "insert into page_views (customer_id, url) select id, '/p' || n from customers, generate_series(1, 5) n",
];
/// What belongs to everybody but customer 7, as one text.
const OTHERS: &str = "select concat_ws('|', \
    (select string_agg(c::text, ',' order by id) from customers c where id <> 7), \
    (select string_agg(a::text, ',' order by id) from addresses a where customer_id <> 7), \
    (select string_agg(o::text, ',' order by id) from orders o where ship_to <> 'Customer 7'), \
    (select string_agg(v::text, ',' order by id) from page_views v where customer_id <> 7))";

/// A fenced block: its language, the name of the file that it is, its text.
struct Block {
    language: String,
    file: Option<String>,
    text: String,
}

fn blocks(section: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let mut inside = false;
    for line in section.lines() {
        match (line.strip_prefix("```"), inside) {
            (Some(_), true) => inside = false,
            (Some(info), false) => {
                let mut words = info.split(' ').map(str::to_owned);
                let language = words.next().unwrap_or_default();
                found.push(Block {
                    language,
                    file: words.next(),
                    text: String::new(),
                });
                inside = true;
            }
            (None, true) => {
                let block = found.last_mut().expect("a block has begun");
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, false) => {}
        }
    }
    found
}

/// The shop's database and login on the run's PostgreSQL, dropped by nobody: the server ends with the run.
struct Shop {
    name: String,
    address: String,
    connection: PgConnection,
}

impl Shop {
    async fn found(postgres: &str, name: &str) -> Result<Self> {
        let mut administrator = PgConnection::connect(postgres).await?;
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("create database {name}")))
            .execute(&mut administrator)
            .await?;
        let (login, rest) = postgres.rsplit_once('@').context("a login in the URL")?;
        let (host, _) = rest.split_once('/').context("a database in the URL")?;
        let address = format!("{host}/{name}");
        let connection = PgConnection::connect(&format!("{login}@{address}")).await?;
        Ok(Self {
            name: name.to_owned(),
            address,
            connection,
        })
    }

    /// The README's words with this shop's login and address: logins belong to the whole server, which the tests share.
    fn here(&self, text: &str) -> String {
        text.replace("127.0.0.1:5432/shop", &self.address)
            .replace("eraser", &self.name)
    }

    async fn run(&mut self, sql: &str) -> Result<()> {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()))
            .execute(&mut self.connection)
            .await?;
        Ok(())
    }

    async fn others(&mut self) -> Result<String> {
        Ok(sqlx::query(OTHERS).fetch_one(&mut self.connection).await?.get(0))
    }

    async fn count(&mut self, sql: &'static str) -> Result<i64> {
        Ok(sqlx::query(sql).fetch_one(&mut self.connection).await?.get(0))
    }
}

/// A shell in the reader's folder, with the servers of this run where the README has the usual ports.
fn shell(dir: &Path, environment: &[(&str, String)], script: &str) -> Result<Command> {
    let binaries = erasure()?.parent().context("a folder")?.to_owned();
    let path = format!("{}:{}", binaries.display(), std::env::var("PATH")?);
    let mut command = Command::new("bash");
    command.args(["-eu", "-c", script]).current_dir(dir).env("PATH", path);
    command.envs(environment.iter().map(|(name, value)| (*name, value)));
    command.stdin(Stdio::null()).kill_on_drop(true);
    Ok(command)
}

#[tokio::test]
async fn the_readme_can_be_followed_to_the_letter_on_an_existing_schema() -> Result<()> {
    let readme = std::fs::read_to_string(repository().join("README.md"))?;
    let section = readme.split_once(SECTION).context("the section")?.1;
    let blocks = blocks(section.split("\n## ").next().unwrap_or_default());
    ensure!(blocks.len() == 8, "{} blocks", blocks.len());

    let servers = Servers::of_this_run()?;
    let name = format!("readme{}", &uuid::Uuid::new_v4().simple().to_string()[..12]);
    let vhost = VirtualHost::create(servers.amqp_management.as_deref().context("a management API")?, &name).await?;
    let mut shop = Shop::found(&servers.postgres, &name).await?;
    let environment = [
        ("ERASURE__BROKER__URL", vhost.url(&servers.amqp)),
        ("ERASURE__TRACKER__URL", servers.redis.clone()),
        ("ERASURE__TRACKER__KEY_PREFIX", name.clone()),
        ("ERASURE__HTTP__LISTEN", "127.0.0.1:0".to_owned()),
    ];
    let dir = tempfile::tempdir()?;
    let (mut fleet, mut filled, mut others, mut said) = (None, false, String::new(), String::new());
    for block in &blocks {
        match (block.language.as_str(), &block.file) {
            ("sql", None) => {
                shop.run(&shop.here(&block.text)).await.with_context(|| block.text.clone())?;
                if !std::mem::replace(&mut filled, true) {
                    for statement in FILL {
                        shop.run(statement).await?;
                    }
                    others = shop.others().await?;
                }
            }
            ("toml", Some(file)) => std::fs::write(dir.path().join(file), shop.here(&block.text))?,
            ("bash", None) if block.text.trim() == "erasure run all" => {
                let log = std::fs::File::create(dir.path().join("fleet.log"))?;
                let mut command = shell(dir.path(), &environment, "exec erasure run all")?;
                fleet = Some(command.stdout(log.try_clone()?).stderr(log).spawn()?);
            }
            ("bash", None) => {
                let mut command = shell(dir.path(), &environment, &block.text)?;
                let output = tokio::time::timeout(Duration::from_secs(60), command.output()).await;
                let output = output.with_context(|| format!("takes too long: {}", block.text))??;
                let text = format!(
                    "{}{}",
                    String::from_utf8_lossy(&output.stdout),
                    String::from_utf8_lossy(&output.stderr)
                );
                ensure!(output.status.success(), "{}\n{text}", block.text);
                said.push_str(&text);
            }
            (language, file) => bail!("a block of {language} {file:?}"),
        }
    }
    for expected in [
        "map.toml can be used",
        "Nothing was changed",
        "Erased. Checked",
        "Nothing held",
    ] {
        ensure!(said.contains(expected), "{expected}: {said}");
    }
    assert_eq!(shop.count("select count(*) from customers").await?, CUSTOMERS - 1);
    assert_eq!(shop.count("select count(*) from orders").await?, CUSTOMERS * 3);
    assert_eq!(
        shop.count("select count(*) from orders where customer_id is null and ship_to is null")
            .await?,
        3
    );
    assert_eq!(
        shop.count("select count(*) from order_notes where note = '(removed)'")
            .await?,
        3
    );
    assert_eq!(shop.others().await?, others);
    drop(fleet);
    Ok(())
}

#[test]
fn every_file_that_the_readme_links_to_is_there() -> Result<()> {
    let readme = std::fs::read_to_string(repository().join("README.md"))?;
    let links = readme.split("](").skip(1).filter_map(|it| it.split(')').next());
    let missing: Vec<&str> = links
        .filter(|it| !it.contains("://") && !repository().join(it).exists())
        .collect();
    assert_eq!(missing, Vec::<&str>::new());
    assert!(readme.lines().count() < 250);
    Ok(())
}

#[test]
fn every_script_of_the_repository_is_sound_bash() -> Result<()> {
    for script in [
        "deploy/try",
        "deploy/install",
        "deploy/services",
        "tests/run",
        "tests/setup",
        ".ci/run",
    ] {
        let output = std::process::Command::new("bash")
            .args(["-n", script])
            .current_dir(repository())
            .output()?;
        assert!(
            output.status.success(),
            "{script}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}
