//! `builtin:cognix-wheel-layer-1` and `builtin:cognix-tree-layer-1`: what a layer is, as one file.
//!
//! | Attribute | Value |
//! |---|---|
//! | `layer` | what people call the layer |
//! | `recipe` | the id of the recipe that makes the compressed bytes |
//! | `omit` | JSON list of image paths that another layer brings |
//! | `time` | seconds since 1970 that every entry gets; absent for 1980-01-01 |
//! | `wheel`, `filename`, `python`, `record` | of a wheel: as `builtin:cognix-wheel-1` has them |
//! | `bytecode` | of a wheel: a tree of files that lie among its own; absent for none |
//! | `trees` | of trees: JSON list of `{"control", "name", "omit", "out"}`; only `out` must be there |
//! | `prefix` | of trees: the directory they are put in, empty for the root |
//! | `conflicts` | of trees, where the lock has rules: JSON object of image paths and the `name` of the tree each belongs to; all other trees leave them out |
//!
//! The output is the canonical JSON of a [`LayerDescription`]. It names the store paths that the layer's bytes are made
//! of, so it refers to them, and whoever keeps it keeps them. The bytes themselves are not stored.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use cognix_derivations::StorePath;
use cognix_store::{BuildError, BuildRequest, Builder};
use serde::Deserialize;

use super::wheel::{BrokenRecord, RecordPolicy};
use crate::layers::description::{PythonVersion, TreeSource, WheelSource};
use crate::layers::{
    ImagePath, LayerDescription, LayerError, LayerRequest, Recipe, Timestamp, TreeInput,
    TreesOptions, describe_trees, describe_wheel,
};

/// Describes the layer of one wheel, from the wheel file.
#[derive(Debug, Clone, Copy, Default)]
pub struct WheelLayerBuilder;

/// Describes the layer of one tree or several.
#[derive(Debug, Clone, Copy, Default)]
pub struct TreeLayerBuilder;

impl Builder for WheelLayerBuilder {
    fn name(&self) -> &str {
        "builtin:cognix-wheel-layer-1"
    }

    fn build(&self, request: &BuildRequest<'_>) -> Result<(), BuildError> {
        let wheel = request.store_path("wheel")?;
        let file = request.input(&wheel)?;
        let bytecode = match request.optional_env("bytecode")? {
            None => None,
            Some(_) => Some(request.store_path("bytecode")?),
        };
        let bytecode_root = bytecode.as_ref().map(|path| request.input(path));
        let bytecode_root = bytecode_root.transpose()?;
        let locate = |path: &StorePath| match (&bytecode, &bytecode_root) {
            (Some(bytecode), Some(root)) if bytecode == path => root.clone(),
            _ => file.clone(),
        };
        let source = WheelSource {
            bytecode: bytecode.clone(),
            wheel,
            filename: request.env("filename")?.to_owned(),
            python: parsed::<PythonVersion>(request, "python")?,
            omit: request.json("omit")?,
            record: RecordPolicy::of(request)?,
        };
        let filename = source.filename.clone();
        describe(request, |layer| {
            describe_wheel(layer, &locate, source).map_err(|error| {
                if !error.can_be_waived() {
                    return build_error(error);
                }
                BrokenRecord::new(&filename, &file, error)
                    .map_or_else(BuildError::io(&file), BuildError::failed)
            })
        })
    }
}

impl Builder for TreeLayerBuilder {
    fn name(&self) -> &str {
        "builtin:cognix-tree-layer-1"
    }

    fn build(&self, request: &BuildRequest<'_>) -> Result<(), BuildError> {
        let named: Vec<NamedTree> = request.json("trees")?;
        let options = TreesOptions {
            prefix: match request.env("prefix")? {
                "" => None,
                _ => Some(parsed::<ImagePath>(request, "prefix")?),
            },
            omit: request.json("omit")?,
            rules: match request.derivation.env().contains_key("conflicts") {
                true => request.json("conflicts")?,
                false => BTreeMap::new(),
            },
        };
        let mut inputs: BTreeMap<StorePath, PathBuf> = BTreeMap::new();
        for path in named
            .iter()
            .flat_map(|tree| tree.control.iter().chain([&tree.out]))
        {
            inputs.insert(path.clone(), request.input(path)?);
        }
        let locate = |path: &StorePath| inputs[path].clone();
        let trees = named
            .into_iter()
            .map(|tree| tree.load(&locate))
            .collect::<Result<Vec<_>, _>>()
            .map_err(build_error)?;
        describe(request, |layer| {
            describe_trees(layer, &trees, options).map_err(build_error)
        })
    }
}

/// One element of `trees`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedTree {
    control: Option<StorePath>,
    name: Option<String>,
    #[serde(default)]
    omit: BTreeSet<ImagePath>,
    out: StorePath,
}

impl NamedTree {
    fn load(self, locate: &dyn Fn(&StorePath) -> PathBuf) -> Result<TreeInput, LayerError> {
        let source = TreeSource {
            control: self.control,
            omit: self.omit,
            out: self.out,
        };
        Ok(TreeInput {
            package: self.name,
            ..TreeInput::load(source, locate)?
        })
    }
}

pub(super) fn describe(
    request: &BuildRequest<'_>,
    describe: impl FnOnce(&LayerRequest<'_>) -> Result<LayerDescription, BuildError>,
) -> Result<(), BuildError> {
    let recipe: Recipe = parsed(request, "recipe")?;
    let time = match request.derivation.env().contains_key("time") {
        true => parsed(request, "time")?,
        false => Timestamp::default(),
    };
    let cancelled = || request.cancel.is_cancelled();
    let layer = LayerRequest {
        name: request.env("layer")?,
        recipe,
        time,
        cancelled: &cancelled,
    };
    let description = describe(&layer)?;
    let output = request.output("out")?;
    fs::write(output, description.to_json()).map_err(BuildError::io(output))
}

/// An attribute whose text is that of a type of ours.
fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
    request: &BuildRequest<'_>,
    name: &str,
) -> Result<T, BuildError> {
    request
        .env(name)?
        .parse()
        .map_err(|error| BuildError::Attribute {
            name: name.to_owned(),
            reason: format!("cannot be read: {error}"),
        })
}

pub(super) fn build_error(error: LayerError) -> BuildError {
    match error {
        LayerError::Cancelled => BuildError::Cancelled,
        error => BuildError::failed(error),
    }
}

#[cfg(test)]
mod tests {
    use cognix_derivations::{Derivation, DerivationBuilder, StorePathName};
    use cognix_store::{CancellationToken, Store};

    use super::*;
    use crate::builtins::wheel::fixtures::{DEMO_FILENAME, Wheel};
    use crate::layers::{LayerSource, write};

    struct Case {
        directory: tempfile::TempDir,
        store: Store,
    }

    impl Case {
        fn new() -> Self {
            let directory = tempfile::tempdir().expect("a temporary directory");
            let store = Store::open(&directory.path().join("store")).expect("a store");
            Self { directory, store }
        }

        fn import(
            &self,
            name: &str,
            write: impl Fn(&std::path::Path) -> std::io::Result<()>,
        ) -> StorePath {
            let name = StorePathName::parse(name).expect("a name");
            self.store
                .import(&name, &mut |path| write(path))
                .expect("an import")
                .path
        }

        fn build(
            &self,
            builder: &dyn Builder,
            derivation: DerivationBuilder,
        ) -> Result<Vec<u8>, BuildError> {
            let derivation = derivation
                .floating_output("out")
                .system("builtin")
                .builder(builder.name());
            let derivation: Derivation = derivation.build().expect("a derivation");
            let out = self.directory.path().join("out");
            let outputs = BTreeMap::from([("out".to_owned(), out.clone())]);
            let cancel = CancellationToken::new();
            let (derivation, store, outputs) = (&derivation, &self.store, &outputs);
            builder.build(&BuildRequest::new(derivation, store, outputs, &cancel))?;
            Ok(fs::read(out).expect("a description"))
        }
    }

    fn check(case: &Case, text: &[u8], refers_to: &[&StorePath]) -> LayerDescription {
        let description = LayerDescription::parse(text).expect("canonical text");
        assert_eq!(description.store_paths(), refers_to);
        let text = str::from_utf8(text).expect("JSON is text");
        assert!(
            refers_to
                .iter()
                .all(|path| text.contains(&path.to_string())),
            "found by the scan for references"
        );
        let locate = |path: &StorePath| case.store.real_path(path);
        write(&description, &locate, &mut std::io::sink()).expect("the same bytes from the store");
        description
    }

    #[test]
    fn a_wheel_in_the_store_becomes_a_description() {
        let case = Case::new();
        let bytes = Wheel::new(&[("demo/a.py", b"1"), ("demo/shared.py", b"")])
            .zip()
            .bytes();
        let wheel = case.import(DEMO_FILENAME, |path| fs::write(path, &bytes));
        let derivation = |recipe: &str, python: &str| {
            Derivation::builder("layer-demo.json")
                .env("filename", DEMO_FILENAME)
                .env("layer", "demo")
                .env(
                    "omit",
                    r#"["venv/lib/python3.11/site-packages/demo/shared.py"]"#,
                )
                .env("python", python)
                .env("recipe", recipe)
                .env("wheel", wheel.to_string())
                .input_source(&wheel)
        };
        let text = case
            .build(
                &WheelLayerBuilder,
                derivation("gzip-wheel-splice-1", "3.11"),
            )
            .expect("a layer");
        let description = check(&case, &text, &[&wheel]);
        assert_eq!(description.name, "demo");
        assert!(
            description
                .entry("venv/lib/python3.11/site-packages/demo/a.py")
                .is_some()
        );
        assert!(
            description
                .entry("venv/lib/python3.11/site-packages/demo/shared.py")
                .is_none()
        );

        for (recipe, python, message) in [
            (
                "gzip-wheel-splice-9",
                "3.11",
                "attribute \"recipe\" cannot be read: unknown layer recipe",
            ),
            (
                "gzip-wheel-splice-1",
                "3",
                "attribute \"python\" cannot be read: \"3\" is not a Python version",
            ),
            (
                "gzip-libdeflate-1.26-6-1m",
                "3.11",
                "cannot make a layer from a wheel",
            ),
        ] {
            let error = case
                .build(&WheelLayerBuilder, derivation(recipe, python))
                .expect_err(message)
                .to_string();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn deb_6_trees_in_the_store_become_a_description_with_their_modes() {
        let case = Case::new();
        let one = case.import("base-files", |path| {
            fs::create_dir(path)?;
            fs::create_dir(path.join("tmp"))?;
            std::os::unix::fs::symlink("usr/bin", path.join("bin"))
        });
        let control = case.import("base-files-control", |path| {
            fs::create_dir(path)?;
            let text =
                "{\"entries\":{\"tmp\":{\"gid\":0,\"mode\":\"1777\",\"uid\":0}},\"version\":1}\n";
            fs::write(path.join("modes.json"), text)
        });
        let two = case.import("dash", |path| {
            fs::create_dir_all(path.join("bin"))?;
            fs::write(path.join("bin/sh"), "elf")
        });
        let trees = format!(r#"[{{"control":"{control}","out":"{one}"}},{{"out":"{two}"}}]"#);
        let derivation = |prefix: &str| {
            Derivation::builder("layer-base.json")
                .env("layer", "base")
                .env("omit", "[]")
                .env("prefix", prefix)
                .env("recipe", "gzip-libdeflate-1.26-6-1m")
                .env("trees", trees.as_str())
        };
        let with_inputs = |prefix| {
            derivation(prefix)
                .input_source(&one)
                .input_source(&two)
                .input_source(&control)
        };
        let text = case
            .build(&TreeLayerBuilder, with_inputs(""))
            .expect("a layer");
        let description = check(&case, &text, &[&control, &one, &two]);
        let mode = |path: &str| {
            description
                .entry(path)
                .map(|entry| entry.recorded.mode.to_string())
        };
        assert_eq!(
            (mode("tmp").as_deref(), mode("usr/bin/sh").as_deref()),
            (Some("1777"), Some("0644"))
        );

        let text = case
            .build(&TreeLayerBuilder, with_inputs("opt/base"))
            .expect("a layer");
        let description = check(&case, &text, &[&control, &one, &two]);
        assert!(description.entry("opt/base/tmp").is_some());
        let LayerSource::Trees(source) = &description.source else {
            panic!("made of trees")
        };
        assert_eq!(
            source.prefix.as_ref().map(ImagePath::as_str),
            Some("opt/base")
        );

        assert!(
            case.build(&TreeLayerBuilder, with_inputs("/opt")).is_err(),
            "a prefix is relative"
        );
        assert!(
            case.build(&TreeLayerBuilder, derivation("")).is_err(),
            "what is not an input is not read"
        );
    }
}
