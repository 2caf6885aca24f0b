//! The workspace as git and cargo see it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// What the rules look at.
pub(super) struct Workspace {
    /// Every committed path, relative to the root, with its text; binary files have none.
    pub(super) files: BTreeMap<String, Option<String>>,
    /// Our own crates.
    pub(super) crates: Vec<Crate>,
}

/// One package of the workspace.
#[derive(Clone)]
pub(super) struct Crate {
    /// Its package name.
    pub(super) name: String,
    /// Its folder, relative to the root.
    pub(super) folder: String,
    /// The packages it depends on.
    pub(super) dependencies: Vec<Needed>,
}

/// A package that a crate depends on.
#[derive(Clone)]
pub(super) struct Needed {
    /// Its name.
    pub(super) name: String,
    /// Whether only the crate's own tests need it.
    pub(super) by_tests_only: bool,
}

impl Workspace {
    /// Reads the real one.
    pub(super) fn read() -> Self {
        let root = root();
        let listed = run(Command::new("git").args(["ls-files", "-z"]).current_dir(&root));
        let files = listed
            .split('\0')
            .filter(|path| !path.is_empty() && root.join(path).exists())
            .map(|path| (path.to_owned(), std::fs::read_to_string(root.join(path)).ok()))
            .collect();
        let metadata = cargo_metadata(&["--no-deps"]);
        let crates = array(&metadata["packages"])
            .iter()
            .map(|package| read_crate(package, &root))
            .collect();
        Self { files, crates }
    }

    /// Committed files whose name ends so, with their text.
    pub(super) fn texts<'a>(&'a self, ending: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.files
            .iter()
            .filter(move |(path, _)| path.ends_with(ending))
            .filter_map(|(path, text)| text.as_deref().map(|text| (path.as_str(), text)))
    }
}

/// The root of the repository.
pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ lies in the root")
        .to_owned()
}

/// `cargo metadata`, without touching the network.
pub(super) fn cargo_metadata(arguments: &[&str]) -> Value {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let printed = run(Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .args(arguments)
        .current_dir(root()));
    serde_json::from_str(&printed).expect("cargo metadata prints JSON")
}

/// The elements of a JSON array that must be there.
pub(super) fn array(value: &Value) -> &[Value] {
    value.as_array().expect("an array in cargo's metadata")
}

/// A JSON string that must be there.
pub(super) fn text(value: &Value) -> String {
    value.as_str().expect("a string in cargo's metadata").to_owned()
}

fn read_crate(package: &Value, root: &Path) -> Crate {
    let manifest = PathBuf::from(text(&package["manifest_path"]));
    let folder = manifest
        .parent()
        .and_then(|folder| folder.strip_prefix(root).ok())
        .expect("a package inside the root");
    Crate {
        name: text(&package["name"]),
        folder: folder.to_str().expect("an ASCII path").to_owned(),
        dependencies: array(&package["dependencies"]).iter().map(read_needed).collect(),
    }
}

fn read_needed(dependency: &Value) -> Needed {
    Needed {
        name: text(&dependency["name"]),
        by_tests_only: dependency["kind"] == "dev",
    }
}

fn run(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?} could not be run: {error}"));
    assert!(
        output.status.success(),
        "{command:?} failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("UTF-8 from git and cargo")
}
