//! `cognix log`: what a builder said.

use clap::Args;
use cognix_derivations::{STORE_DIR, StorePath};
use cognix_store::{ErrorKind, Store};

use super::printer::{Format, Printer};
use super::project::store_failure;
use super::{Failure, Global};

/// Show what was said when something was built.
///
/// For programs of a sandbox, whether they succeeded or failed: what they wrote to their standard output and standard
/// error. What cognix makes itself has no log.
#[derive(Debug, Args)]
pub(super) struct LogArgs {
    /// A store path or a derivation (/nix/store/…, or what follows that).
    #[arg(value_name = "PATH")]
    path: String,
}

impl LogArgs {
    pub(super) fn run(&self, global: &Global, printer: Printer) -> Result<(), Failure> {
        let path = parse(&self.path)?;
        let root = global.store_root()?;
        let store = Store::open_existing(&root).map_err(store_failure)?;
        let store = store.ok_or_else(|| {
            let message = format!("there is no store in {}", root.display());
            Failure::new(ErrorKind::Input, message).hint("name one with --store DIR")
        })?;
        let derivation = derivation_of(&store, path)?;
        let file = store.layout().build_log(&derivation);
        let text = match std::fs::read(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let message = format!("there is no log of {derivation}");
                let hint =
                    "only programs of a sandbox have logs, once they were built in this store";
                return Err(Failure::new(ErrorKind::Input, message).hint(hint));
            }
            Err(error) => return Err(error.into()),
        };
        if printer.format == Format::Json {
            let log = String::from_utf8_lossy(&text);
            let value = serde_json::json!({ "version": 1, "drvPath": derivation, "log": log });
            return Ok(printer.result(&value, String::new)?);
        }
        Ok(printer.bytes(&text)?)
    }
}

fn parse(text: &str) -> Result<StorePath, Failure> {
    let parsed = match text.starts_with('/') {
        true => StorePath::parse(text),
        false => StorePath::from_base_name(text),
    };
    parsed.map_err(|error| {
        let hint = format!("write it as in {STORE_DIR}/HASH-NAME");
        Failure::new(ErrorKind::Input, error).hint(hint)
    })
}

/// What a path was built by; a derivation stands for itself, also when it failed and is not in the store.
fn derivation_of(store: &Store, path: StorePath) -> Result<StorePath, Failure> {
    if path.is_derivation() {
        return Ok(path);
    }
    let info = store.query(&path).map_err(store_failure)?;
    let info = info.ok_or_else(|| {
        let root = store.root().display();
        Failure::new(
            ErrorKind::Input,
            format!("{path} is not in the store at {root}"),
        )
    })?;
    info.deriver.ok_or_else(|| {
        let message = format!("{path} was not built: it was put into the store as it is");
        Failure::new(ErrorKind::Input, message)
    })
}
