//! `builtin:cognix-layer-tree-1`: what a layer holds, as a tree for programs that run on it.
//!
//! | Attribute | Value |
//! |---|---|
//! | `layer` | the description of the layer |
//!
//! Outputs: `out`, the entries of the layer at their places in the image, and `control`, whose `modes.json` has the modes and
//! owners that a store cannot hold. A layer of changes has no tree: what it removes has no place in one.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use cognix_derivations::StorePath;
use cognix_store::{BuildError, BuildRequest, Builder};

use crate::layers::modes::{Mode, RecordedKind};
use crate::layers::{EntryKind, LayerDescription, MODES_FILE, ModesRecord};

/// Unpacks one layer.
#[derive(Debug, Clone, Copy, Default)]
pub struct LayerTreeBuilder;

impl Builder for LayerTreeBuilder {
    fn name(&self) -> &str {
        "builtin:cognix-layer-tree-1"
    }

    fn build(&self, request: &BuildRequest<'_>) -> Result<(), BuildError> {
        let file = request.input(&request.store_path("layer")?)?;
        let text = fs::read(&file).map_err(BuildError::io(&file))?;
        let layer = LayerDescription::parse(&text).map_err(BuildError::failed)?;
        let tree = request.output("out")?;
        fs::create_dir(tree).map_err(BuildError::io(tree))?;
        let (reader, mut pipe) = io::pipe().map_err(BuildError::io(tree))?;
        let locate = |path: &StorePath| request.store.real_path(path);
        std::thread::scope(|scope| {
            let layer = &layer;
            let made = scope.spawn(move || {
                let locate = &locate;
                crate::layers::write_tar(layer, locate, &mut pipe)
            });
            let unpacked = unpack(request, reader, tree);
            // When unpacking failed, the writer's broken pipe is only a consequence.
            let made = made
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            unpacked?;
            made.map_err(BuildError::failed)
        })?;
        let control = request.output("control")?;
        fs::create_dir(control).map_err(BuildError::io(control))?;
        let file = control.join(MODES_FILE);
        fs::write(&file, modes(&layer)?.to_json()).map_err(BuildError::io(&file))
    }
}

fn unpack(request: &BuildRequest<'_>, layer: impl Read, tree: &Path) -> Result<(), BuildError> {
    let mut archive = tar::Archive::new(layer);
    for entry in archive.entries().map_err(BuildError::io(tree))? {
        request.check_cancelled()?;
        let mut entry = entry.map_err(BuildError::io(tree))?;
        // Our own layers: paths below the root, every parent before its entries.
        let place = tree.join(entry.path().map_err(BuildError::io(tree))?);
        let header = entry.header();
        let target = entry.link_name().map_err(BuildError::io(tree))?;
        let target = target.map(std::borrow::Cow::into_owned);
        let written = match target {
            Some(target) => symlink(target, &place),
            None if header.entry_type().is_dir() => fs::create_dir(&place),
            None => {
                let mode = header.mode().map_err(BuildError::io(&place))?;
                let ordinary = Mode::of_file(mode & 0o100 != 0).bits();
                let file = fs::File::create_new(&place);
                file.and_then(|mut file| {
                    io::copy(&mut entry, &mut file)?;
                    file.set_permissions(fs::Permissions::from_mode(ordinary))
                })
            }
        };
        written.map_err(BuildError::io(&place))?;
    }
    let mut rest = archive.into_inner();
    io::copy(&mut rest, &mut io::sink())
        .map(drop)
        .map_err(BuildError::io(tree))
}

fn modes(layer: &LayerDescription) -> Result<ModesRecord, BuildError> {
    let mut modes = ModesRecord::new();
    for entry in &layer.entries {
        let kind = match &entry.kind {
            EntryKind::Directory => RecordedKind::Directory,
            EntryKind::File { .. } => RecordedKind::File,
            EntryKind::Symlink { .. } => RecordedKind::Symlink,
            EntryKind::Removed => {
                let path = &entry.path;
                return Err(BuildError::failed(format!(
                    "the layer removes {path}, so it is no tree"
                )));
            }
        };
        let at = entry.recorded;
        modes
            .record(entry.path.clone(), kind, at.mode.bits(), at.uid, at.gid)
            .map_err(BuildError::failed)?;
    }
    Ok(modes)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use cognix_derivations::{Derivation, StorePathName};
    use cognix_store::{CancellationToken, Store};

    use super::*;
    use crate::layers::description::TreeSource;
    use crate::layers::{
        ImagePath, LayerRequest, Recipe, Timestamp, TreeInput, TreesOptions, describe_trees,
    };

    #[test]
    fn a_layer_becomes_the_tree_that_it_holds() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = Store::open(&folder.path().join("store")).expect("a store");
        let import = |name: &str, write: &dyn Fn(&Path) -> io::Result<()>| {
            let name = StorePathName::parse(name).expect("a name");
            let info = store.import(&name, &mut |path| write(path));
            info.expect("an import").path
        };
        let files = import("model", &|path| {
            fs::create_dir(path)?;
            fs::write(path.join("run"), "#!")?;
            fs::set_permissions(path.join("run"), fs::Permissions::from_mode(0o755))?;
            symlink("run", path.join("link"))?;
            fs::write(path.join("left"), "out")
        });
        let modes =
            "{\"entries\":{\"run\":{\"gid\":0,\"mode\":\"4755\",\"uid\":0}},\"version\":1}\n";
        let input = TreeInput {
            root: store.real_path(&files),
            source: TreeSource {
                control: None,
                omit: BTreeSet::new(),
                out: files.clone(),
            },
            modes: Some(ModesRecord::parse(modes.as_bytes()).expect("a record")),
            package: None,
        };
        let request = LayerRequest {
            name: "model",
            recipe: Recipe::FOR_TREES,
            time: Timestamp::default(),
            cancelled: &|| false,
        };
        let path = |text: &str| ImagePath::parse(text).expect("a path");
        let options = TreesOptions {
            prefix: Some(path("opt/model")),
            omit: BTreeSet::from([path("opt/model/left")]),
            ..TreesOptions::default()
        };
        // The modes are given here, so the bytes cannot be made again from the description: without them it can.
        let described = |modes: bool| {
            let mut input = input.clone();
            if !modes {
                input.modes = None;
            }
            describe_trees(&request, &[input], options.clone()).expect("a layer")
        };
        assert_eq!(
            super::modes(&described(true)).expect("modes").to_json(),
            modes.replace("\"run\"", "\"opt/model/run\"").into_bytes()
        );
        let text = described(false).to_json();
        let layer = import("layer.json", &|path| fs::write(path, &text));
        let derivation = Derivation::builder("layer-tree")
            .floating_output("out")
            .floating_output("control")
            .system("builtin")
            .builder("builtin:cognix-layer-tree-1")
            .env("layer", layer.to_string())
            .input_source(&layer)
            .build()
            .expect("a derivation");
        let outputs = ["out", "control"].map(|name| (name.to_owned(), folder.path().join(name)));
        let outputs = BTreeMap::from(outputs);
        let cancel = CancellationToken::new();
        let request = BuildRequest::new(&derivation, &store, &outputs, &cancel);
        let built = LayerTreeBuilder.build(&request);
        built.expect("a tree");
        let tree = folder.path().join("out/opt/model");
        let mode = |name: &str| {
            let metadata = fs::metadata(tree.join(name)).expect("it is there");
            metadata.permissions().mode() & 0o777
        };
        assert_eq!((mode("run"), mode(".")), (0o755, 0o755));
        assert_eq!(
            fs::read_link(tree.join("link")).expect("a link"),
            Path::new("run")
        );
        assert!(!tree.join("left").exists());
        let control = fs::read_to_string(folder.path().join("control/modes.json"));
        assert_eq!(
            control.expect("a record"),
            "{\"entries\":{},\"version\":1}\n"
        );
    }
}
