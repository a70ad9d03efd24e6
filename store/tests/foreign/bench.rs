//! A store with a few tools in it, and derivations that use them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use cognix_derivations::{
    Derivation, DerivationBuilder, DerivationGraph, StorePath, StorePathName,
    downstream_placeholder,
};
use cognix_sandbox::Sandbox;
use cognix_store::build::foreign::{ATTRIBUTE, Entry, ForeignBuilder, Plan, host_system};
use cognix_store::events::{Event, Recorder};
use cognix_store::realise::{Checked, RealiseError};
use cognix_store::{Builders, Durability, Realiser, Store};

/// What scripts may use.
const TOOLS: [&str; 13] = [
    "sh", "cat", "chmod", "chown", "date", "env", "id", "ln", "ls", "mkdir", "nproc", "rm", "sleep",
];

pub(crate) struct Bench {
    _folder: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
    pub(crate) store: Store,
    pub(crate) graph: DerivationGraph,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) builder: ForeignBuilder,
    pub(crate) tools: StorePath,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = Store::open_with(folder.path(), Durability::None).expect("a new store");
        let name = StorePathName::parse("tools").expect("a name");
        let tools = store.import(&name, &mut |target| {
            copy_tools(target);
            Ok(())
        });
        Self {
            _folder: folder,
            runtime: tokio::runtime::Runtime::new().expect("a runtime"),
            tools: tools.expect("a tree").path,
            store,
            graph: DerivationGraph::new(),
            recorder: Arc::default(),
            builder: ForeignBuilder::new(Sandbox::current()),
        }
    }

    /// A tree of the store with one file.
    pub(crate) fn tree(&self, path: &str, text: &str) -> StorePath {
        let name = StorePathName::parse("tree").expect("a name");
        let tree = self.store.import(&name, &mut |target| {
            let file = target.join(path);
            fs::create_dir_all(file.parent().expect("a folder"))?;
            fs::write(file, text)
        });
        tree.expect("a tree").path
    }

    /// A plan whose root has the tools.
    pub(crate) fn plan(&self) -> Plan<String> {
        Plan {
            root: vec![Entry::tree(self.tools.to_string())],
            ..Plan::default()
        }
    }

    /// A script with the tools, as a derivation without outputs yet.
    pub(crate) fn script(
        &self,
        name: &str,
        plan: &Plan<String>,
        script: &str,
    ) -> DerivationBuilder {
        Derivation::builder(name)
            .system(host_system())
            .builder("/bin/sh")
            .arg("-euc")
            .arg(script)
            .env("PATH", "/bin")
            .env(ATTRIBUTE, plan.to_json())
            .input_source(&self.tools)
    }

    /// Adds a script with one output.
    pub(crate) fn add(&mut self, name: &str, plan: &Plan<String>, script: &str) -> StorePath {
        let derivation = self.script(name, plan, script).floating_output("out");
        self.insert(derivation)
    }

    pub(crate) fn insert(&mut self, derivation: DerivationBuilder) -> StorePath {
        let derivation = derivation.build().expect("a derivation");
        self.graph.insert(derivation).expect("inputs are in")
    }

    /// A script on the tools and the changes of another derivation.
    pub(crate) fn on_changes(
        &mut self,
        name: &str,
        below: &StorePath,
        plan: Plan<String>,
        script: &str,
    ) -> StorePath {
        let mut plan = plan;
        plan.root
            .push(Entry::Changes(downstream_placeholder(below, "out")));
        let derivation = self
            .script(name, &plan, script)
            .input_derivation(below, "out");
        self.insert(derivation.floating_output("out"))
    }

    pub(crate) fn realiser(&self) -> Realiser {
        Realiser {
            builders: Builders::new().with_foreign(self.builder.clone()),
            events: self.recorder.clone(),
            ..Realiser::new(self.store.clone())
        }
    }

    pub(crate) fn realise(&self, target: &StorePath) -> Result<StorePath, RealiseError> {
        self.realise_with(&self.realiser(), target)
    }

    pub(crate) fn realise_with(
        &self,
        realiser: &Realiser,
        target: &StorePath,
    ) -> Result<StorePath, RealiseError> {
        let key = (target.clone(), "out".to_owned());
        let targets = [key.clone()];
        let realised = self
            .runtime
            .block_on(realiser.realise(&self.graph, &targets))?;
        Ok(realised.outputs[&key].clone())
    }

    /// The text that a script writes.
    #[track_caller]
    pub(crate) fn text(&self, target: &StorePath) -> String {
        let path = self.realise(target).unwrap_or_else(|error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            panic!("{error}: {}", cause.unwrap_or_default())
        });
        fs::read_to_string(self.store.real_path(&path)).expect("a text")
    }

    /// The message of a build that fails.
    #[track_caller]
    pub(crate) fn failure(&self, target: &StorePath) -> (String, u8) {
        let error = self.realise(target).expect_err("a failure");
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        (cause.unwrap_or_default(), error.kind().exit_code())
    }

    pub(crate) fn check(&self, derivations: &[StorePath]) -> BTreeMap<String, Checked> {
        let mut found = BTreeMap::new();
        let realiser = self.realiser();
        let checking = realiser.check(&self.graph, derivations, |checked| {
            // What was built lies there until this returns.
            found.insert(checked.name.clone(), checked);
        });
        self.runtime
            .block_on(checking)
            .expect("everything is valid");
        found
    }

    /// The log of a derivation, as it is kept.
    pub(crate) fn log(&self, derivation: &StorePath) -> String {
        fs::read_to_string(self.store.layout().build_log(derivation)).expect("a log")
    }

    /// The lines that were told while building.
    pub(crate) fn told(&self) -> Vec<String> {
        let events = self.recorder.events().into_iter();
        events
            .filter_map(|event| match event {
                Event::BuildLog { line, .. } => Some(line),
                _ => None,
            })
            .collect()
    }

    /// What lies in the store's folder and is no valid path.
    pub(crate) fn left(&self) -> Vec<String> {
        let valid = self.store.all_paths().expect("paths");
        let valid: Vec<&str> = valid.iter().map(StorePath::as_base_name).collect();
        let entries = fs::read_dir(self.store.layout().store_dir()).expect("a folder");
        entries
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .filter(|name| !valid.contains(&name.as_str()) && !name.ends_with(".lock"))
            .collect()
    }
}

/// Copies tools of this machine and the libraries that they load.
fn copy_tools(root: &Path) {
    fs::create_dir_all(root.join("bin")).expect("a folder");
    for tool in TOOLS {
        let found = ["/usr/bin", "/bin"].map(|folder| Path::new(folder).join(tool));
        let found = found
            .iter()
            .find(|path| path.exists())
            .expect("a Debian machine");
        fs::copy(found, root.join("bin").join(tool)).expect("a copy");
        let libraries = Command::new("ldd").arg(found).output().expect("ldd").stdout;
        for library in String::from_utf8_lossy(&libraries).split_whitespace() {
            let target = root.join(library.trim_start_matches('/'));
            if library.starts_with('/') && !target.exists() {
                fs::create_dir_all(target.parent().expect("a folder")).expect("a folder");
                fs::copy(PathBuf::from(library), target).expect("a copy");
            }
        }
    }
}
