//! `erasure key`: the key ring.

use super::WrongUse;
use super::attention::parked;
use crate::cli::KeyCommand;
use crate::config::Config;
use crate::output::{Output, counted, table};
use anyhow::{Context as _, bail};
use erasure_ledger::{Access, Ledger, ParkedFilter};
use erasure_privacy::{KeyInfo, KeyRing, Purpose};
use erasure_protocol::{KeyId, Millis, SealedEnvelope};
use serde_json::json;
use std::path::Path;
use std::process::ExitCode;

/// Makes a ring, lists, begins a period, or destroys a key.
///
/// # Errors
/// When the ring cannot be read or written, or a key is still needed.
pub(crate) async fn run(path: &Path, command: &KeyCommand, out: Output) -> anyhow::Result<ExitCode> {
    let config = Config::load(path)?;
    let file = config.keys.file.as_path();
    match command {
        KeyCommand::Generate => {
            let keys = erasure_privacy::generate(file, now()?)?;
            print(&keys, out)?;
            out.say(format_args!(
                "the key ring is {}: keep a copy where the ledger's backups are not, and give every role the same file",
                file.display()
            ));
        }
        KeyCommand::List => print(&KeyRing::load(file)?.list(), out)?,
        KeyCommand::Rotate { purpose } => {
            let purpose = Purpose::parse(purpose).ok_or_else(|| WrongUse::error("--purpose must be seal, lookup or park"))?;
            let id = erasure_privacy::rotate(file, purpose, now()?)?;
            out.document(
                &json!({ "id": id.0, "purpose": purpose.as_str(), "state": "current" }),
                || id.0.clone(),
            )?;
            out.say(format_args!(
                "{id} is the current {purpose} key; give every role the new file, then restart them"
            ));
        }
        KeyCommand::Retire { id } => retire(&config, &KeyId(id.clone()), out).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn retire(config: &Config, id: &KeyId, out: Output) -> anyhow::Result<()> {
    let ledger = Ledger::open(&config.ledger, Access::Read)
        .await
        .context("asking the ledger what still needs the key")?;
    let needed = ledger.key_references(id).await?;
    let messages = messages_under(&ledger, id).await?;
    if needed.total() + messages > 0 {
        bail!(
            "key {id} is still needed: it wraps the keys of {}, hashes {} by which people are found, and seals {}. \
             Wait until the requests are final and purged, redrive or discard the messages, then retire it",
            counted(needed.data_keys, "open request"),
            counted(needed.hashes, "identifier"),
            counted(messages, "parked message")
        );
    }
    erasure_privacy::retire(&config.keys.file, id, 0)?;
    out.document(&json!({ "id": id.0, "state": "retired" }), || {
        format!("{id} is destroyed: what it sealed can never be read again.")
    })?;
    out.say("destroy it in every other copy of the key ring too, backups included");
    Ok(())
}

/// Parked messages whose body the key opens.
async fn messages_under(ledger: &Ledger, id: &KeyId) -> anyhow::Result<u64> {
    let mut count = 0;
    for message in parked(ledger, &ParkedFilter::default()).await? {
        let sealed = ledger.parked_one(&message.id).await?.and_then(|it| it.sealed);
        let envelope = sealed.and_then(|sealed| SealedEnvelope::parse(&sealed.0));
        count += u64::from(envelope.is_some_and(|it| it.sealed.key == *id));
    }
    Ok(count)
}

fn print(keys: &[KeyInfo], out: Output) -> anyhow::Result<()> {
    let row = |key: &KeyInfo| {
        vec![
            key.id.0.clone(),
            key.purpose.as_str().to_owned(),
            key.state.as_str().to_owned(),
            key.created.clone(),
        ]
    };
    out.list(keys, || table(&["key", "purpose", "state", "since"], keys.iter().map(row)))
}

fn now() -> anyhow::Result<Millis> {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .context("this machine's clock is before 1970")?;
    Ok(Millis(i64::try_from(since.as_millis())?))
}
