//! `cognix store`: what the store holds, where, and whether it is sound.

use clap::{ArgAction, Subcommand};
use cognix_derivations::{PathInfo, StorePath};
use serde::Serialize;

use super::printer::{Printer, size};
use super::project::{Work, store_failure};
use super::{Failure, Global};
use cognix_store::ErrorKind;

#[derive(Debug, Subcommand)]
pub(super) enum StoreCommand {
    /// Check that every path is whole and unchanged.
    Verify {
        /// Look only at names and records, not at contents.
        #[arg(long = "no-contents", action = ArgAction::SetFalse)]
        contents: bool,
    },
    /// Print how many paths there are, or what is known about some.
    Info {
        /// Store paths (/nix/store/…).
        paths: Vec<String>,
    },
    /// Print where a store path is on this machine; without one, where the store is.
    Path {
        /// A store path (/nix/store/…).
        path: Option<String>,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Known {
    path: String,
    nar_hash: String,
    nar_size: u64,
    references: Vec<String>,
    deriver: Option<String>,
    ca: Option<String>,
}

impl From<&PathInfo> for Known {
    fn from(info: &PathInfo) -> Self {
        Self {
            path: info.path.to_string(),
            nar_hash: info.nar_hash.to_sri(),
            nar_size: info.nar_size,
            references: info.references.iter().map(ToString::to_string).collect(),
            deriver: info.deriver.as_ref().map(ToString::to_string),
            ca: info.ca.as_ref().map(ToString::to_string),
        }
    }
}

impl StoreCommand {
    pub(super) fn run(self, global: &Global, printer: Printer) -> Result<(), Failure> {
        match self {
            Self::Verify { contents } => verify(global, printer, contents),
            Self::Info { paths } if paths.is_empty() => summary(global, printer),
            Self::Info { paths } => info(global, printer, &paths),
            Self::Path { path } => path_of(global, printer, path.as_deref()),
        }
    }
}

fn verify(global: &Global, printer: Printer, contents: bool) -> Result<(), Failure> {
    let store = global.open_store()?;
    let work = Work::new()?;
    let cancel = work.cancel.clone();
    let report = work.run(async move { Ok(store.verify(contents, &cancel)?) })?;
    let problems: Vec<String> = report.problems.iter().map(ToString::to_string).collect();
    let value = serde_json::json!({ "version": 1, "checked": report.paths, "bytes": report.bytes, "problems": problems });
    printer.result(&value, || {
        let lines: String = problems
            .iter()
            .map(|problem| format!("{problem}\n"))
            .collect();
        format!(
            "{lines}{} paths checked, {} problems\n",
            report.paths,
            problems.len()
        )
    })?;
    if problems.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        ErrorKind::Hash,
        "the store holds paths that are not what they should be",
    )
    .hint("move the store away and build again: everything in it can be made anew"))
}

fn summary(global: &Global, printer: Printer) -> Result<(), Failure> {
    let store = global.open_store()?;
    let paths = store.all_paths().map_err(store_failure)?;
    let mut bytes = 0;
    for path in &paths {
        bytes += store
            .query(path)
            .map_err(store_failure)?
            .map_or(0, |info| info.nar_size);
    }
    let value = serde_json::json!({
        "version": 1, "root": store.root(), "storeDir": cognix_derivations::STORE_DIR, "paths": paths.len(), "narSize": bytes,
    });
    Ok(printer.result(&value, || {
        format!(
            "{}\n{} paths, {}\n",
            store.root().display(),
            paths.len(),
            size(bytes)
        )
    })?)
}

fn info(global: &Global, printer: Printer, paths: &[String]) -> Result<(), Failure> {
    let store = global.open_store()?;
    let mut known = Vec::new();
    for text in paths {
        let path = parse(text)?;
        let info = store.query(&path).map_err(store_failure)?;
        let info = info
            .ok_or_else(|| Failure::new(ErrorKind::Input, format!("{path} is not in the store")))?;
        known.push(Known::from(&info));
    }
    let value = serde_json::json!({ "version": 1, "paths": known });
    Ok(printer.result(&value, || known.iter().map(text_of).collect())?)
}

fn text_of(known: &Known) -> String {
    let references: String = known
        .references
        .iter()
        .map(|reference| format!("  refers to {reference}\n"))
        .collect();
    format!(
        "{}\n  {} {}\n{references}",
        known.path,
        known.nar_hash,
        size(known.nar_size)
    )
}

fn path_of(global: &Global, printer: Printer, path: Option<&str>) -> Result<(), Failure> {
    let real = match path {
        None => global.store_root()?,
        Some(text) => {
            let path = parse(text)?;
            let store = global.open_store()?;
            if !store.is_valid(&path).map_err(store_failure)? {
                return Err(Failure::new(
                    ErrorKind::Input,
                    format!("{path} is not in the store"),
                ));
            }
            store.real_path(&path)
        }
    };
    let value = serde_json::json!({ "version": 1, "path": real });
    Ok(printer.result(&value, || format!("{}\n", real.display()))?)
}

fn parse(text: &str) -> Result<StorePath, Failure> {
    StorePath::parse(text).map_err(|error| Failure::new(ErrorKind::Input, error))
}
