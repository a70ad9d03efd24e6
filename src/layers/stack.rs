//! What one layer may do to those below it: the law of an image that has layers of changes.
//!
//! Without such layers the law is that of [`super::plan`]: the layers are a partition of one tree, in any order. A layer of
//! changes has its place: it may bring anew, change and remove whatever the layers below it have, and give their directories
//! another mode or owner. A package's layer above it still brings only what is not there yet. A tree that is put into a
//! directory of its own (the model's files in `/src`) is the exception, as with Docker's `COPY`: below that directory it
//! takes the place of what changes have left there.
//!
//! Applied in order, as engines do, layers that keep the law give one tree, and [`stack_check`] goes through the same
//! motions without reading a file.

use std::collections::BTreeMap;

use super::{
    description::{Entry, LayerDescription, LayerSource},
    path::ImagePath,
    plan::{Conflict, Problem, of_layer, partition_check, problem},
};

/// Layers that cannot be stacked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StackError {
    /// Two owners want one path.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// Changes that were made on another root: there is nothing to remove.
    #[error("layer {layer} removes {path}, which no layer below it has")]
    Absent {
        /// The layer of changes.
        layer: String,
        /// The path.
        path: ImagePath,
    },
}

/// Checks that the layers, stacked in this order, give one tree.
pub fn stack_check(layers: &[LayerDescription]) -> Result<(), StackError> {
    let Some(first) = layers.iter().position(LayerDescription::has_changes) else {
        return Ok(partition_check(layers)?);
    };
    let (packages, above) = layers.split_at(first);
    partition_check(packages)?;
    let mut stack = Stack::default();
    for layer in packages {
        let entries = layer.entries.iter();
        let owned = entries.map(|entry| (entry.path.as_str(), (layer, entry)));
        stack.0.extend(owned);
    }
    for layer in above {
        match layer.has_changes() {
            true => stack.change(layer)?,
            false => stack.add(layer)?,
        }
    }
    Ok(())
}

/// What is there so far, and the layer that has brought it.
#[derive(Default)]
struct Stack<'a>(BTreeMap<&'a str, (&'a LayerDescription, &'a Entry)>);

impl<'a> Stack<'a> {
    fn change(&mut self, layer: &'a LayerDescription) -> Result<(), StackError> {
        for entry in &layer.entries {
            let path = entry.path.as_str();
            let there = self.0.get(path);
            if entry.is_removed() && there.is_none() {
                return Err(StackError::Absent {
                    layer: layer.name.clone(),
                    path: entry.path.clone(),
                });
            }
            if !entry.is_directory() && there.is_some_and(|(_, there)| there.is_directory()) {
                self.clear(path);
            }
            match entry.is_removed() {
                true => self.0.remove(path),
                false => self.0.insert(path, (layer, entry)),
            };
        }
        Ok(())
    }

    fn add(&mut self, layer: &'a LayerDescription) -> Result<(), StackError> {
        for entry in &layer.entries {
            let path = entry.path.as_str();
            if let Some((owner, there)) = self.0.get(path) {
                let replaces = owner.has_changes()
                    && is_copied(layer, path)
                    && there.is_directory() == entry.is_directory();
                if let Some(problem) = problem(there, entry)
                    && !replaces
                {
                    return Err(conflict(owner, layer, entry, problem).into());
                }
            }
            self.0.insert(path, (layer, entry));
        }
        Ok(())
    }

    /// Forgets everything below a directory.
    fn clear(&mut self, directory: &str) {
        let below = format!("{directory}/");
        let paths = self.0.range(below.as_str()..);
        let paths = paths.map(|(path, _)| *path);
        let gone: Vec<&str> = paths.take_while(|path| path.starts_with(&below)).collect();
        for path in gone {
            self.0.remove(path);
        }
    }
}

/// Whether a path is the directory that a layer's trees are put into, or below it.
fn is_copied(layer: &LayerDescription, path: &str) -> bool {
    let LayerSource::Trees(source) = &layer.source else {
        return false;
    };
    let prefix = source.prefix.as_ref();
    let rest = prefix.and_then(|prefix| path.strip_prefix(prefix.as_str()));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn conflict(
    first: &LayerDescription,
    second: &LayerDescription,
    entry: &Entry,
    problem: Problem,
) -> Conflict {
    Conflict {
        path: entry.path.clone(),
        first: of_layer(first),
        second: of_layer(second),
        problem,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{description::ChangesSource, plan::tests::layer};
    use super::*;

    /// A layer of changes, or one of trees: `changes`, or a name with the directory that they are put into behind `@`.
    fn named(name: &str, rows: &[&str]) -> LayerDescription {
        let mut layer = layer(name, rows);
        if name == "changes" {
            let changes = format!("/nix/store/{}-changes", "0".repeat(32));
            let changes = changes.parse().expect("a store path");
            layer.source = LayerSource::Changes(ChangesSource { changes });
        }
        if let (Some((_, prefix)), LayerSource::Trees(source)) =
            (name.split_once('@'), &mut layer.source)
        {
            source.prefix = Some(ImagePath::parse(prefix).expect("a path"));
        }
        layer
    }

    fn check(layers: &[(&str, &[&str])], expected: Result<(), &str>) {
        let described: Vec<_> = layers
            .iter()
            .map(|(name, rows)| named(name, rows))
            .collect();
        let found = stack_check(&described).map_err(|error| error.to_string());
        match (found, expected) {
            (Ok(()), Ok(())) => {}
            (Err(found), Err(expected)) if found.contains(expected) => {}
            (found, expected) => panic!("{layers:?}: {found:?}, expected {expected:?}"),
        }
    }

    const BELOW: (&str, &[&str]) = (
        "base",
        &[
            "d:etc",
            "f:etc/passwd=1",
            "d:usr",
            "d:usr/doc",
            "f:usr/doc/a=1",
            "f:usr/doc/b=2",
            "f:usr/doc-c=3",
        ],
    );

    #[test]
    fn changes_replace_and_remove_what_is_below() {
        check(
            &[
                BELOW,
                ("changes", &["d:etc", "f:etc/passwd=2", "f:etc/new=1"]),
            ],
            Ok(()),
        );
        check(
            &[BELOW, ("changes", &["d:etc!", "f:etc/passwd=1!"])],
            Ok(()),
        );
        check(&[BELOW, ("changes", &["d:usr", "r:usr/doc"])], Ok(()));
        check(&[BELOW, ("changes", &["d:usr", "f:usr/doc=1"])], Ok(()));
        check(
            &[
                BELOW,
                ("changes", &["d:etc", "d:etc/passwd", "f:etc/passwd/x=1"]),
            ],
            Ok(()),
        );
        check(&[BELOW, ("changes", &["r:etc", "r:usr"])], Ok(()));
    }

    #[test]
    fn nothing_is_removed_that_is_not_there() {
        let absent = Err("layer changes removes usr/lib, which no layer below it has");
        check(&[BELOW, ("changes", &["d:usr", "r:usr/lib"])], absent);
        let absent = Err("removes usr/doc/a, which");
        let gone: (&str, &[&str]) = ("changes", &["d:usr", "r:usr/doc"]);
        let again: (&str, &[&str]) = ("changes", &["d:usr", "d:usr/doc", "r:usr/doc/a"]);
        check(&[BELOW, gone, again], absent);
        let replaced: (&str, &[&str]) = ("changes", &["d:usr", "f:usr/doc=1"]);
        check(&[BELOW, replaced, again], absent);
        // A neighbour whose name begins alike is still there.
        check(
            &[BELOW, replaced, ("changes", &["d:usr", "r:usr/doc-c"])],
            Ok(()),
        );
    }

    #[test]
    fn packages_above_changes_bring_only_what_is_not_there() {
        let changes: (&str, &[&str]) = ("changes", &["d:etc", "f:etc/new=1", "d:usr", "r:usr/doc"]);
        check(
            &[BELOW, changes, ("wheel", &["d:venv", "f:venv/a=1"])],
            Ok(()),
        );
        check(
            &[BELOW, changes, ("wheel", &["d:etc", "f:etc/new=1"])],
            Err("etc/new comes from layer changes and from layer wheel with the same content"),
        );
        check(
            &[BELOW, changes, ("wheel", &["d:etc", "f:etc/passwd=2"])],
            Err("etc/passwd comes from layer base and from layer wheel with different content"),
        );
        check(
            &[BELOW, changes, ("wheel", &["d:etc!"])],
            Err("with a different mode or owner"),
        );
        // What was removed can be brought again.
        check(
            &[BELOW, changes, ("wheel", &["d:usr", "f:usr/doc=9"])],
            Ok(()),
        );
    }

    #[test]
    fn a_copied_tree_takes_the_place_of_changes() {
        let changes: (&str, &[&str]) = ("changes", &["d:src!", "f:src/a=1", "d:src/b", "d:srcs"]);
        check(&[changes, ("source@src", &["d:src", "f:src/a=2"])], Ok(()));
        check(
            &[changes, ("source@src", &["d:src", "f:src/b=2"])],
            Err("it cannot be a file, a directory or a link at once"),
        );
        check(
            &[changes, ("source", &["d:src", "f:src/a=2"])],
            Err("different mode"),
        );
        check(
            &[
                ("base", &["d:src", "f:src/a=1"]),
                ("changes", &["d:x"]),
                ("source@src", &["d:src", "f:src/a=2"]),
            ],
            Err("layer base and from layer source@src"),
        );
    }

    #[test]
    fn without_changes_the_layers_are_a_partition() {
        check(&[BELOW, ("more", &["d:etc", "f:etc/b=1"])], Ok(()));
        check(
            &[BELOW, ("more", &["d:etc", "f:etc/passwd=1"])],
            Err("with the same content; layers.conflicts = { \"etc/passwd\" = \"PACKAGE\"; };"),
        );
    }
}
