//! `cognix derivation`: derivations as Nix shows them.

use std::path::PathBuf;

use clap::Subcommand;
use cognix_derivations::{Derivation, StorePath};

use super::image_args::ImageArgs;
use super::printer::Printer;
use super::project::{OpenProject, ProjectFlag, VariantArg};
use super::{Failure, Global};
use cognix_store::ErrorKind;

#[derive(Debug, Subcommand)]
pub(super) enum DerivationCommand {
    /// Print derivations as JSON, as `nix derivation show` does.
    ///
    /// Without a path: the derivation of the project's image, or with --recursive all it stands on.
    Show {
        /// A derivation in the store (/nix/store/….drv) or a .drv file.
        #[arg(value_name = "DRV")]
        path: Option<PathBuf>,
        /// Print everything the derivation stands on too.
        #[arg(short, long)]
        recursive: bool,
        #[command(flatten)]
        project: ProjectFlag,
        #[command(flatten)]
        variant: VariantArg,
    },
}

impl DerivationCommand {
    pub(super) fn run(self, global: &Global, printer: Printer) -> Result<(), Failure> {
        let Self::Show {
            path,
            recursive,
            project,
            variant,
        } = self;
        let shown = match path {
            Some(path) => from_path(global, &path, recursive)?,
            None => from_project(&project.open(&variant, printer)?, recursive)?,
        };
        let derivations: serde_json::Map<String, serde_json::Value> = shown
            .iter()
            .map(|derivation| (derivation.as_path().base_name(), derivation.to_json()))
            .collect();
        let value = serde_json::json!({ "version": 4, "derivations": derivations });
        let mut text = serde_json::to_vec_pretty(&value)
            .map_err(|error| Failure::new(ErrorKind::Internal, error))?;
        text.push(b'\n');
        Ok(printer.bytes(&text)?)
    }
}

fn from_project(project: &OpenProject, recursive: bool) -> Result<Vec<Derivation>, Failure> {
    let lock = project.current_lock()?;
    let source = project.scan_source()?;
    let options = ImageArgs::default().options(project.project.root())?;
    let instantiated =
        project.instantiate(&lock, project.architecture(), source.store_path(), &options)?;
    let all = instantiated.graph.iter().cloned();
    Ok(all
        .filter(|derivation| recursive || *derivation.as_path() == instantiated.image)
        .collect())
}

fn from_path(
    global: &Global,
    path: &std::path::Path,
    recursive: bool,
) -> Result<Vec<Derivation>, Failure> {
    let text = path.to_string_lossy();
    let Ok(store_path) = StorePath::parse(&text) else {
        let bytes = fs_err::read(path)?;
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let name =
            StorePath::from_base_name(&name).map_or(name.clone(), |path| path.name().to_owned());
        return Ok(vec![
            Derivation::parse(&name, &bytes)
                .map_err(|error| Failure::new(ErrorKind::Input, error))?,
        ]);
    };
    let store = global.open_store()?;
    let mut pending = vec![store_path];
    let mut shown: Vec<Derivation> = Vec::new();
    while let Some(path) = pending.pop() {
        if shown.iter().any(|known| *known.as_path() == path) {
            continue;
        }
        let bytes = fs_err::read(store.real_path(&path))?;
        let parsed = Derivation::parse(path.name(), &bytes)
            .map_err(|error| Failure::new(ErrorKind::Input, error))?;
        if recursive {
            pending.extend(parsed.input_derivations().keys().cloned());
        }
        shown.push(parsed);
    }
    shown.sort_by_key(|derivation| derivation.path());
    Ok(shown)
}
