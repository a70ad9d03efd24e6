//! Which path lies in which layer: the law that the layers of one image keep, as pure functions over descriptions.
//!
//! Every file and link is in exactly one layer. A directory is in each layer that has something below it, with the same
//! mode and owner everywhere, so the layers can be stacked in any order and give the same tree. Nothing here reads a
//! file; who settles a conflict is decided where the layers are asked for. What layers of changes may do, which have an
//! order, is in [`super::stack`].

use std::{collections::BTreeSet, fmt, path::PathBuf};

use cognix_derivations::StorePath;

use super::{
    description::{Entry, EntryKind, LayerDescription, LayerSource, TreeSource},
    path::ImagePath,
};

/// The most layers that overlay file systems and engines take without trouble.
pub const MAX_LAYERS: usize = 126;
/// How many layers an image has at most, where nobody asks for more.
pub const DEFAULT_LAYER_BUDGET: usize = 100;

/// Two owners want one path, and what they bring does not go together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path} comes from {first} and from {second}{problem}{}", way_out(path, *problem))]
pub struct Conflict {
    /// The path in the image.
    pub path: ImagePath,
    /// The owner that comes first in the given order.
    pub first: String,
    /// The other one.
    pub second: String,
    /// Why the two do not go together.
    pub problem: Problem,
}

/// Why two entries for one path do not go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// Two files with different bytes.
    Content,
    /// Two links that point to different places.
    Target,
    /// A file, a directory and a link are different things.
    Kind,
    /// The same thing, but with another mode or owner.
    Metadata,
    /// The very same thing, which one layer has to leave out.
    Repeated,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Content => " with different content",
            Self::Target => ", as links that point to different places",
            Self::Kind => ", but it cannot be a file, a directory or a link at once",
            Self::Metadata => " with a different mode or owner",
            Self::Repeated => " with the same content",
        })
    }
}

/// The setting that settles a conflict, where one can: a rule gives a file or link to one package.
fn way_out(path: &ImagePath, problem: Problem) -> String {
    match problem {
        Problem::Content | Problem::Target | Problem::Metadata | Problem::Repeated => format!(
            "; layers.conflicts = {{ \"{path}\" = \"PACKAGE\"; }}; in cognix.nix says which package keeps it"
        ),
        Problem::Kind => String::new(),
    }
}

impl Conflict {
    /// Names the packages instead of the layers, where layers are made of several.
    #[must_use]
    pub fn with_packages(
        mut self,
        layers: &[LayerDescription],
        locate: &dyn Fn(&StorePath) -> PathBuf,
    ) -> Self {
        let package = |owner: &str| {
            let layer = layers.iter().find(|layer| owner == of_layer(layer))?;
            let LayerSource::Trees(source) = &layer.source else {
                return None;
            };
            let prefix = source.prefix.as_ref().map_or("", ImagePath::as_str);
            let below = self.path.as_str().strip_prefix(prefix)?;
            let below = below.trim_start_matches('/');
            let holds = |tree: &&TreeSource| {
                let there = locate(&tree.out).join(below).symlink_metadata().is_ok();
                there && !tree.omit.contains(&self.path)
            };
            let tree = source.trees.iter().find(holds)?;
            Some(format!("{} ({owner})", tree.out.name()))
        };
        let (first, second) = (package(&self.first), package(&self.second));
        self.first = first.unwrap_or(self.first);
        self.second = second.unwrap_or(self.second);
        self
    }
}

pub(super) fn of_layer(layer: &LayerDescription) -> String {
    format!("layer {}", layer.name)
}

/// An image has more layers than it may have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the image has {found} layers, more than {limit}; group packages{}", raise(*limit))]
pub struct TooManyLayers {
    found: usize,
    limit: usize,
}

fn raise(limit: usize) -> String {
    if limit < MAX_LAYERS {
        format!(" or raise the budget to at most {MAX_LAYERS}")
    } else {
        String::new()
    }
}

/// Checks the number of layers against a budget, which itself is at most [`MAX_LAYERS`].
pub fn check_budget(layers: usize, budget: usize) -> Result<(), TooManyLayers> {
    let limit = budget.min(MAX_LAYERS);
    if layers <= limit {
        Ok(())
    } else {
        Err(TooManyLayers {
            found: layers,
            limit,
        })
    }
}

/// Checks that the layers are a partition of one tree, so that stacking them gives that tree.
pub fn partition_check(layers: &[LayerDescription]) -> Result<(), Conflict> {
    meetings(layers, |first, second, problem| match problem {
        None => Ok(()),
        Some(problem) => Err(conflict(first, second, problem)),
    })
}

/// A layer leaves a path out for another one, and no layer brings it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{path} is left out of {owner}, but nothing else brings it; if layers.conflicts in cognix.nix gives it to a package \
     that does not hold it, correct or remove that line"
)]
pub struct Unclaimed {
    path: ImagePath,
    owner: String,
}

/// Checks that whatever one layer leaves out is in another.
pub fn omission_check(layers: &[LayerDescription]) -> Result<(), Unclaimed> {
    // What a program made later is no answer to who owns a path.
    let packages = || layers.iter().filter(|layer| !layer.has_changes());
    for layer in packages() {
        for (owner, path) in layer.source.omitted() {
            if !packages().any(|layer| layer.entry(path.as_str()).is_some()) {
                let owner = owner.unwrap_or(&layer.name).to_owned();
                let path = path.clone();
                return Err(Unclaimed { path, owner });
            }
        }
    }
    Ok(())
}

/// What each layer has to leave out so that the layers become a partition: of files and links that several layers bring
/// in exactly the same form, the first layer in the given order keeps its own. Everything else that does not go together
/// is a conflict.
pub fn settle(layers: &[LayerDescription]) -> Result<Vec<BTreeSet<ImagePath>>, Conflict> {
    let mut omissions = vec![BTreeSet::new(); layers.len()];
    meetings(layers, |first, second, problem| match problem {
        None => Ok(()),
        Some(Problem::Repeated) => {
            omissions[second.0].insert(second.2.path.clone());
            Ok(())
        }
        Some(problem) => Err(conflict(first, second, problem)),
    })?;
    Ok(omissions)
}

/// An entry with its layer and the place of that layer.
type Owned<'a> = (usize, &'a LayerDescription, &'a Entry);

/// Calls with each entry that meets an earlier one at the same path, and with that earlier one.
fn meetings<'a>(
    layers: &'a [LayerDescription],
    mut meet: impl FnMut(Owned<'a>, Owned<'a>, Option<Problem>) -> Result<(), Conflict>,
) -> Result<(), Conflict> {
    let mut all: Vec<Owned<'a>> =
        Vec::with_capacity(layers.iter().map(|layer| layer.entries.len()).sum());
    for (at, layer) in layers.iter().enumerate() {
        all.extend(layer.entries.iter().map(|entry| (at, layer, entry)));
    }
    // The sort is stable, so the layers keep their order at each path, and it is quick, because each layer is sorted.
    all.sort_by(|one, other| one.2.path.cmp(&other.2.path));
    let mut first: Option<Owned<'a>> = None;
    for second in all {
        match first {
            Some(first @ (_, _, entry)) if entry.path == second.2.path => {
                meet(first, second, problem(entry, second.2))?;
            }
            _ => first = Some(second),
        }
    }
    Ok(())
}

/// Why two entries for one path cannot stand in two layers.
pub(super) fn problem(first: &Entry, second: &Entry) -> Option<Problem> {
    match (&first.kind, &second.kind) {
        (EntryKind::Directory, EntryKind::Directory) if first.recorded == second.recorded => None,
        (EntryKind::File { .. }, EntryKind::File { .. }) if first.kind != second.kind => {
            Some(Problem::Content)
        }
        (EntryKind::Symlink { .. }, EntryKind::Symlink { .. }) if first.kind != second.kind => {
            Some(Problem::Target)
        }
        _ if first.kind != second.kind => Some(Problem::Kind),
        _ if first.recorded != second.recorded => Some(Problem::Metadata),
        _ => Some(Problem::Repeated),
    }
}

fn conflict(first: Owned<'_>, second: Owned<'_>, problem: Problem) -> Conflict {
    let owner = |(_, layer, _): Owned<'_>| of_layer(layer);
    Conflict {
        path: second.2.path.clone(),
        first: owner(first),
        second: owner(second),
        problem,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use cognix_derivations::Sha256;

    use super::super::{
        compress::Recipe,
        description::{DiffId, LayerDigest, LayerSource, TreesSource},
        modes::{Mode, Recorded},
    };
    use super::*;

    /// `d:path`, `f:path=content`, `l:path>target`, `r:path` for what is removed; an `!` at the end for an unusual mode.
    pub(in crate::layers) fn layer(name: &str, rows: &[&str]) -> LayerDescription {
        let entries = rows.iter().map(|row| {
            let (row, mode) = row
                .strip_suffix('!')
                .map_or((*row, 0o755), |row| (row, 0o700));
            let (path, kind) = match row.split_at(2) {
                ("f:", rest) => {
                    let (path, content) = rest.split_once('=').expect("a content");
                    (
                        path,
                        EntryKind::File {
                            size: 1,
                            sha256: Sha256::of(content.as_bytes()),
                        },
                    )
                }
                ("l:", rest) => {
                    let (path, target) = rest.split_once('>').expect("a target");
                    (
                        path,
                        EntryKind::Symlink {
                            target: target.to_owned(),
                        },
                    )
                }
                ("r:", path) => (path, EntryKind::Removed),
                (_, path) => (path, EntryKind::Directory),
            };
            let path = ImagePath::parse(path).expect("a path");
            Entry {
                path,
                kind,
                recorded: Recorded::root(Mode::new(mode).expect("a mode")),
            }
        });
        LayerDescription {
            time: crate::layers::Timestamp::default(),
            name: name.to_owned(),
            recipe: Recipe::FOR_TREES,
            digest: LayerDigest(Sha256::of(b"")),
            diff_id: DiffId(Sha256::of(b"")),
            size: 0,
            uncompressed_size: 0,
            source: LayerSource::Trees(TreesSource {
                trees: Vec::new(),
                prefix: None,
                omit: BTreeSet::new(),
            }),
            entries: entries.collect(),
        }
    }

    fn check(one: &[&str], other: &[&str], expected: Option<(&str, Problem)>) {
        let layers = [
            layer("one", one),
            layer("between", &["d:z"]),
            layer("other", other),
        ];
        let found = partition_check(&layers).err();
        let found = found.as_ref().map(|conflict| {
            assert_eq!(
                (&*conflict.first, &*conflict.second),
                ("layer one", "layer other")
            );
            (conflict.path.as_str(), conflict.problem)
        });
        assert_eq!(found, expected, "{one:?} and {other:?}");
    }

    #[test]
    fn rec_5_each_path_is_in_one_layer() {
        check(&["d:a", "f:a/b=1"], &["d:a", "f:a/c=1"], None);
        check(&["d:a"], &["d:a", "d:a/b"], None);
        check(&["f:a=1"], &["f:a=2"], Some(("a", Problem::Content)));
        check(&["f:a=1"], &["f:a=1"], Some(("a", Problem::Repeated)));
        check(&["f:a=1!"], &["f:a=1"], Some(("a", Problem::Metadata)));
        check(&["l:a>x"], &["l:a>y"], Some(("a", Problem::Target)));
        check(&["l:a>x"], &["f:a=x"], Some(("a", Problem::Kind)));
        check(&["d:a"], &["d:a!"], Some(("a", Problem::Metadata)));
    }

    #[test]
    fn deb_7_a_directory_and_a_link_in_two_layers_are_a_conflict() {
        check(
            &["l:bin>usr/bin"],
            &["d:bin", "f:bin/sh=1"],
            Some(("bin", Problem::Kind)),
        );
        check(
            &["f:bin=1"],
            &["d:bin", "f:bin/sh=1"],
            Some(("bin", Problem::Kind)),
        );
    }

    #[test]
    fn settling_leaves_equal_files_to_the_first_layer() {
        let shared = "f:nvidia/__init__.py=";
        let layers = [
            layer("cublas", &["d:nvidia", shared, "f:nvidia/cublas.so=1"]),
            layer("cudnn", &["d:nvidia", shared, "f:nvidia/cudnn.so=2"]),
            layer("nccl", &["d:nvidia", shared]),
        ];
        let omissions = settle(&layers).expect("equal bytes are fine");
        let path = ImagePath::parse("nvidia/__init__.py").expect("a path");
        assert_eq!(
            omissions,
            [
                BTreeSet::new(),
                BTreeSet::from([path.clone()]),
                BTreeSet::from([path])
            ]
        );
        let error =
            settle(&[layer("a", &["f:x=1"]), layer("b", &["f:x=2"])]).expect_err("different bytes");
        assert_eq!(
            error.to_string(),
            "x comes from layer a and from layer b with different content; layers.conflicts = { \"x\" = \"PACKAGE\"; }; in \
             cognix.nix says which package keeps it"
        );
    }

    #[test]
    fn the_budget_has_a_ceiling() {
        assert_eq!(check_budget(100, DEFAULT_LAYER_BUDGET), Ok(()));
        let message = |layers, budget| {
            check_budget(layers, budget)
                .expect_err("too many")
                .to_string()
        };
        assert_eq!(
            message(101, DEFAULT_LAYER_BUDGET),
            "the image has 101 layers, more than 100; group packages or raise the budget to at most 126"
        );
        assert_eq!(
            message(127, 500),
            "the image has 127 layers, more than 126; group packages"
        );
    }
}
