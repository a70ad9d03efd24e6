//! Merges several trees into one, as data.
//!
//! A directory over a directory is one directory. Where one tree has a directory and another a link at the same path, as
//! packages for a split and for a merged `/usr` do, what lies in the directory moves to where the link leads inside the
//! image (DEB-7). Equal files are shared, everything else that meets is a conflict with both owners named (REC-5). The
//! result does not depend on the order of the trees, except that the first recorded mode of a directory counts.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::{
        LayerError,
        modes::{Mode, Recorded},
        path::ImagePath,
        plan::{Conflict, Problem},
    },
    scan::{Found, FoundKind},
};

/// As many links as Linux follows in one path.
const LINKS_MAX: usize = 40;

/// What comes to lie at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Merged<'a> {
    /// The tree that brings it; none for a directory that only lies above others.
    found: Option<(&'a str, &'a Found)>,
    recorded: Option<Recorded>,
}

/// A merged tree, by path.
pub(super) type Tree<'a> = BTreeMap<ImagePath, Merged<'a>>;

/// One tree and what is in it.
pub(super) struct Owned<'a> {
    /// The name in messages.
    pub(super) owner: &'a str,
    /// The name in rules.
    pub(super) package: Option<&'a str>,
    /// Files and links to be left out, by their place in the image.
    pub(super) omit: &'a BTreeSet<ImagePath>,
    pub(super) found: &'a [Found],
}

/// What each tree has left out, in their order.
pub(super) type Omitted = Vec<BTreeSet<ImagePath>>;

/// The package that a path belongs to, whoever else brings it.
pub(super) type Rules = BTreeMap<ImagePath, String>;

/// Whether two files, found to have the same size, have the same content.
pub(super) type SameContent<'a> = dyn FnMut(&Found, &Found) -> Result<bool, LayerError> + 'a;

impl<'a> Merged<'a> {
    /// What it is and where; none for a directory.
    pub(super) fn leaf(&self) -> Option<&'a Found> {
        self.found
            .map(|(_, found)| found)
            .filter(|found| found.kind != FoundKind::Directory)
    }

    pub(super) fn recorded(&self) -> Recorded {
        self.recorded.unwrap_or(Recorded::root(Mode::EXECUTABLE))
    }

    fn owner(&self) -> &'a str {
        self.found.map_or("the layer itself", |(owner, _)| owner)
    }
}

/// Merges the trees in their order; also says what each has left out.
pub(super) fn merge<'a>(
    trees: &[Owned<'a>],
    rules: &Rules,
    same_content: &mut SameContent<'_>,
) -> Result<(Tree<'a>, Omitted), LayerError> {
    let links = Links::of(trees, rules)?;
    let mut merged = Tree::new();
    let mut omitted = Omitted::new();
    for tree in trees {
        let mut without = BTreeSet::new();
        for found in tree.found {
            let Some(path) = links.place_of(found)? else {
                continue;
            };
            if found.kind != FoundKind::Directory && tree.leaves_out(&path, rules) {
                without.insert(path);
            } else {
                place(&mut merged, path, tree.owner, found, same_content)?;
            }
        }
        if let Some(path) = tree.omit.iter().find(|path| !without.contains(*path)) {
            return Err(LayerError::Omit {
                layer: tree.owner.to_owned(),
                path: path.clone(),
            });
        }
        omitted.push(without);
    }
    let entries: Vec<_> = merged
        .iter()
        .map(|(path, entry)| (path.clone(), entry.clone()))
        .collect();
    for (path, entry) in entries {
        for above in path.ancestors() {
            add_directory(&mut merged, above, &entry)?;
        }
    }
    Ok((merged, omitted))
}

impl Owned<'_> {
    /// Whether a file or link of this tree is another's by a decision made before.
    fn leaves_out(&self, path: &ImagePath, rules: &Rules) -> bool {
        let another = |owner: &String| self.package != Some(owner);
        self.omit.contains(path) || rules.get(path).is_some_and(another)
    }
}

/// Adds a directory of the layer's own, unless there is one, or the only file of a tree is exactly there.
pub(super) fn add_prefix(merged: &mut Tree<'_>, prefix: &ImagePath) -> Result<(), LayerError> {
    if merged
        .get(prefix)
        .is_some_and(|entry| entry.leaf().is_some())
    {
        return Ok(());
    }
    let nobody = Merged {
        found: None,
        recorded: None,
    };
    for directory in prefix.ancestors().chain([prefix.clone()]) {
        add_directory(merged, directory, &nobody)?;
    }
    Ok(())
}

fn add_directory<'a>(
    merged: &mut Tree<'a>,
    path: ImagePath,
    below: &Merged<'a>,
) -> Result<(), LayerError> {
    match merged.get(&path) {
        Some(first) if first.leaf().is_some() => Err(conflict(
            path.clone(),
            first.owner(),
            below.owner(),
            Problem::Kind,
        )),
        Some(_) => Ok(()),
        None => {
            merged.insert(
                path,
                Merged {
                    found: None,
                    recorded: None,
                },
            );
            Ok(())
        }
    }
}

fn place<'a>(
    merged: &mut Tree<'a>,
    path: ImagePath,
    owner: &'a str,
    found: &'a Found,
    same_content: &mut SameContent<'_>,
) -> Result<(), LayerError> {
    let Some(first) = merged.get_mut(&path) else {
        merged.insert(
            path,
            Merged {
                found: Some((owner, found)),
                recorded: found.recorded,
            },
        );
        return Ok(());
    };
    let (first_owner, first_found) = first
        .found
        .expect("directories that nobody brings are added last");
    let problem = match (&first_found.kind, &found.kind) {
        (FoundKind::Directory, FoundKind::Directory) => {
            first.recorded = first.recorded.or(found.recorded);
            None
        }
        (FoundKind::File { size: one }, FoundKind::File { size: other }) => {
            let same = one == other && same_content(first_found, found)?;
            (!same).then_some(Problem::Content)
        }
        (FoundKind::Symlink { target: one }, FoundKind::Symlink { target: other }) => {
            (one != other).then_some(Problem::Target)
        }
        _ => Some(Problem::Kind),
    };
    let is_directory = found.kind == FoundKind::Directory;
    let other_mode =
        (!is_directory && first.recorded != found.recorded).then_some(Problem::Metadata);
    match problem.or(other_mode) {
        None => Ok(()),
        Some(problem) => Err(conflict(path, first_owner, owner, problem)),
    }
}

fn conflict(path: ImagePath, first: &str, second: &str, problem: Problem) -> LayerError {
    LayerError::from(Box::new(Conflict {
        path,
        first: first.to_owned(),
        second: second.to_owned(),
        problem,
    }))
}

/// The links that stand where other trees have directories, and those that can be met on the way.
struct Links<'a> {
    /// By the path they really have; empty where nothing has to move.
    by_path: BTreeMap<ImagePath, &'a str>,
}

impl<'a> Links<'a> {
    fn of(trees: &[Owned<'a>], rules: &Rules) -> Result<Self, LayerError> {
        let every = || trees.iter().flat_map(|tree| tree.found.iter());
        let links: Vec<(&ImagePath, &str)> = trees
            .iter()
            .flat_map(|tree| tree.found.iter().map(move |found| (tree, found)))
            .filter_map(|(tree, found)| match &found.kind {
                FoundKind::Symlink { target } if !tree.leaves_out(&found.path, rules) => {
                    Some((&found.path, target.as_str()))
                }
                _ => None,
            })
            .collect();
        // A path can only lead through a link if that link stands where a tree has a directory.
        let names: BTreeSet<&ImagePath> = links.iter().map(|(path, _)| *path).collect();
        if !every().any(|found| found.kind == FoundKind::Directory && names.contains(&found.path)) {
            return Ok(Self {
                by_path: BTreeMap::new(),
            });
        }
        // Links may stand below directories that move themselves, so this goes on until none of them moves.
        let mut known = Self {
            by_path: BTreeMap::new(),
        };
        known.add(
            links
                .iter()
                .map(|(path, target)| ((*path).clone(), *target)),
        );
        for _ in 0..LINKS_MAX {
            let mut next = Self {
                by_path: BTreeMap::new(),
            };
            let moved = links
                .iter()
                .map(|(path, target)| Ok((known.place_of_leaf(path)?, *target)));
            next.add(moved.collect::<Result<Vec<_>, LayerError>>()?.into_iter());
            if next.by_path == known.by_path {
                return Ok(next);
            }
            known = next;
        }
        Err(LayerError::Links {
            path: links[0].0.clone(),
        })
    }

    /// The first tree's link stays; whether another one differs is seen when both are placed.
    fn add(&mut self, links: impl Iterator<Item = (ImagePath, &'a str)>) {
        for (path, target) in links {
            self.by_path.entry(path).or_insert(target);
        }
    }

    /// Where something really comes to lie; none for a directory that is the root itself.
    fn place_of(&self, found: &Found) -> Result<Option<ImagePath>, LayerError> {
        if self.by_path.is_empty() {
            return Ok(Some(found.path.clone()));
        }
        match found.kind {
            FoundKind::Directory => self.follow(&found.path),
            _ => self.place_of_leaf(&found.path).map(Some),
        }
    }

    fn place_of_leaf(&self, path: &ImagePath) -> Result<ImagePath, LayerError> {
        let Some(parent) = path.parent() else {
            return Ok(path.clone());
        };
        let place = match self.follow(&parent)? {
            None => ImagePath::parse(path.name()),
            Some(parent) => parent.join(path.name()),
        };
        place.map_err(|source| LayerError::Path {
            owner: "a merged tree".to_owned(),
            source,
        })
    }

    /// Follows every link in a path, as the kernel of a container would: absolute targets start at the image's root, and
    /// there is nothing above the root.
    fn follow(&self, path: &ImagePath) -> Result<Option<ImagePath>, LayerError> {
        let circle = || LayerError::Links { path: path.clone() };
        let mut ahead: Vec<&str> = path.as_str().rsplit('/').collect();
        let mut at = String::new();
        let mut followed = 0;
        while let Some(part) = ahead.pop() {
            match part {
                "" | "." => continue,
                ".." => {
                    at.truncate(at.rfind('/').unwrap_or(0));
                    continue;
                }
                _ => {}
            }
            let length = at.len();
            if !at.is_empty() {
                at.push('/');
            }
            at.push_str(part);
            let Some(target) = self.by_path.get(at.as_str()) else {
                continue;
            };
            followed += 1;
            if followed > LINKS_MAX {
                return Err(circle());
            }
            at.truncate(if target.starts_with('/') { 0 } else { length });
            ahead.extend(target.rsplit('/'));
        }
        if at.is_empty() {
            return Ok(None);
        }
        ImagePath::parse(at).map(Some).map_err(|_| circle())
    }
}
