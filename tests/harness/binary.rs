//! The binary under test, and only if it is the one that the sources say.

use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context, Result, bail, ensure};

const ADVICE: &str = "build it with `cargo build --workspace --all-targets`, or run ./tests/run";

/// The path of `erasure`: `$ERASURE_BIN`, or beside the running test.
///
/// # Errors
/// When it is missing, of another clone, or older than one of its sources: a test of yesterday's binary says nothing.
pub fn erasure() -> Result<PathBuf> {
    let path = match std::env::var_os("ERASURE_BIN") {
        Some(path) => PathBuf::from(path),
        None => beside_this_test()?,
    };
    refuse_stale(&path, &repository().join("workers/fleet/src/main.rs"))?;
    Ok(path)
}

/// The root of the repository.
///
/// # Panics
/// Never: the tests lie one below it.
#[must_use]
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ lies in the root")
}

fn beside_this_test() -> Result<PathBuf> {
    let test = std::env::current_exe().context("asking which test runs")?;
    let debug = test
        .parent()
        .and_then(Path::parent)
        .context("a test lies in target/debug/deps")?;
    Ok(debug.join("erasure"))
}

/// Cargo writes beside each binary which files it was made of.
fn refuse_stale(binary: &Path, main: &Path) -> Result<()> {
    let built = modified(binary).with_context(|| format!("there is no binary to test; {ADVICE}"))?;
    let list = std::fs::read_to_string(binary.with_extension("d"));
    let sources = sources(&list.with_context(|| format!("{} was not built by cargo here; {ADVICE}", binary.display()))?);
    ensure!(
        sources.iter().any(|source| source == main),
        "{} is of another clone; {ADVICE}",
        binary.display()
    );
    for source in sources {
        match modified(&source) {
            Ok(changed) if changed <= built => {}
            Ok(_) => bail!("{} is older than {}; {ADVICE}", binary.display(), source.display()),
            Err(_) => bail!(
                "{} was made of {}, which is gone; {ADVICE}",
                binary.display(),
                source.display()
            ),
        }
    }
    Ok(())
}

/// The files after the colon, in the form of make: a blank inside a name is escaped.
fn sources(list: &str) -> Vec<PathBuf> {
    const BLANK: &str = "\u{0}";
    let after = list.split_once(": ").map_or("", |(_, after)| after);
    after
        .replace("\\ ", BLANK)
        .split_whitespace()
        .map(|name| PathBuf::from(name.replace(BLANK, " ")))
        .collect()
}

fn modified(path: &Path) -> Result<SystemTime> {
    let read = std::fs::metadata(path).and_then(|metadata| metadata.modified());
    read.with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn built(sources: &[&str]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let list: Vec<String> = sources
            .iter()
            .map(|name| path(name).display().to_string().replace(' ', "\\ "))
            .collect();
        for name in sources {
            std::fs::write(path(name), "").unwrap();
        }
        std::fs::write(path("erasure"), "").unwrap();
        std::fs::write(
            path("erasure.d"),
            format!("{}: {}\n", path("erasure").display(), list.join(" ")),
        )
        .unwrap();
        let binary = path("erasure");
        (dir, binary)
    }

    fn refusal(binary: &Path) -> String {
        let main = binary.with_file_name("main file.rs");
        refuse_stale(binary, &main).map_or_else(|error| format!("{error:#}"), |()| String::new())
    }

    #[test]
    fn a_binary_newer_than_its_sources_is_taken() {
        let (_dir, binary) = built(&["main file.rs", "other.rs"]);
        assert_eq!(refusal(&binary), "");
    }

    #[test]
    fn a_missing_stale_or_foreign_binary_is_refused() {
        let (_dir, binary) = built(&["main file.rs", "other.rs"]);
        let changed = std::fs::File::options()
            .write(true)
            .open(binary.with_file_name("other.rs"))
            .unwrap();
        changed.set_modified(SystemTime::now() + Duration::from_secs(60)).unwrap();
        assert!(refusal(&binary).contains("is older than"), "{}", refusal(&binary));
        std::fs::remove_file(binary.with_file_name("other.rs")).unwrap();
        assert!(refusal(&binary).contains("which is gone"), "{}", refusal(&binary));
        std::fs::remove_file(&binary).unwrap();
        assert!(refusal(&binary).contains("no binary to test"), "{}", refusal(&binary));
        let (_dir, foreign) = built(&["elsewhere.rs"]);
        assert!(refusal(&foreign).contains("another clone"), "{}", refusal(&foreign));
    }
}
