//! Finds the paths that several wheels bring, while there is still a choice.
//!
//! Every path of an image is in exactly one layer, and a wheel's layer should depend on the wheel alone. So the lock says
//! which paths a wheel leaves to another. Equal bytes are no conflict: the wheel that had the path in the earlier lock keeps
//! it, so that a new wheel changes no other one's layer, else the first by name. Different bytes, and a file where another
//! wheel has a directory, are settled by a rule of the request and by nothing else; the order of installing settles nothing.
//!
//! What a wheel holds comes from its RECORD and its entry points, of which installing makes commands; the build checks
//! both against the wheel, and the finished image is checked for paths in two layers, so a lie here is found there.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr as _;

use cognix_derivations::Sha256;
use uv_normalize::PackageName;

use super::platform::PythonVersion;
use super::python::{RecordEntry, WheelContents};
use super::{LockRequest, PlatformLock};

/// What installing makes of `entry_points.txt`: the names of commands, and the digests of their texts.
pub type Commands<'a> = dyn Fn(&str) -> BTreeMap<String, Sha256> + Send + Sync + 'a;

/// Wheels that cannot stand in one image as they are. Never empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct PathConflicts {
    conflicts: Vec<PathConflict>,
}

/// Wheels that want one path, and what they bring does not go together.
#[derive(Debug, Clone, PartialEq, Eq)]
struct PathConflict {
    /// The path in the image.
    path: String,
    /// Whoever brings it.
    first: String,
    /// Whoever brings something else there.
    second: String,
    problem: Problem,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Problem {
    /// Two files with different bytes.
    Content,
    /// The first brings a file, the second a file below it.
    Below,
    /// A rule gives the path to somebody who does not bring it.
    Stranger(String),
}

/// A setting that does nothing: most likely misspelt, or left behind when packages changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdleRule {
    /// A path that no two wheels want.
    #[error(
        "layers.conflicts in cognix.nix gives {path} to {owner}, but no two wheels bring that path{}; correct or remove \
         that line",
        suggestion.as_ref().map_or_else(String::new, |near| format!(" (is it {near}?)"))
    )]
    Conflict {
        /// The path in the image.
        path: String,
        /// Whom the rule gives it to.
        owner: String,
        /// A path that several wheels bring and that is spelt alike.
        suggestion: Option<String>,
    },
    /// A digest that no wheel has.
    #[error(
        "wheels.waivers in cognix.nix names {}, and no wheel of the lock is that file; remove it, or correct it",
        sha256.to_sri()
    )]
    Waiver {
        /// The digest.
        sha256: Sha256,
    },
}

impl PathConflicts {
    /// A line for `cognix.nix` that settles the first conflict.
    pub fn rule(&self) -> String {
        let Some(PathConflict { path, first, .. }) = self.conflicts.first() else {
            return String::new();
        };
        format!("layers.conflicts = {{ \"{path}\" = \"{first}\"; }};")
    }
}

/// As many as a person reads, a line each.
impl fmt::Display for PathConflicts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 8;
        for (at, conflict) in self.conflicts.iter().take(SHOWN).enumerate() {
            let line_end = if at == 0 { "" } else { "\n  " };
            write!(formatter, "{line_end}{conflict}")?;
        }
        match self.conflicts.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(formatter, "\n  and {more} more"),
        }
    }
}

impl fmt::Display for PathConflict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            path,
            first,
            second,
            problem,
        } = self;
        match problem {
            Problem::Content => write!(
                formatter,
                "{first} and {second} both bring {path}, with different contents"
            ),
            Problem::Below => write!(
                formatter,
                "{first} brings {path} as a file, and {second} has files below it"
            ),
            Problem::Stranger(owner) => write!(
                formatter,
                "layers.conflicts in cognix.nix gives {path} to {owner}, but {first} and {second} bring it"
            ),
        }
    }
}

/// What is known when it is decided who keeps which path.
pub(super) struct Sharing<'a> {
    /// What each wheel holds.
    pub(super) contents: &'a BTreeMap<String, WheelContents>,
    /// Packages that are built, so that nobody knows yet what they hold. A rule settles what they share with others.
    pub(super) built: &'a BTreeSet<&'a str>,
    pub(super) python: PythonVersion,
    pub(super) commands: &'a Commands<'a>,
    /// Who keeps a path whatever others bring, by path.
    pub(super) rules: &'a BTreeMap<String, String>,
    /// Who kept which path before.
    pub(super) earlier: Option<&'a PlatformLock>,
}

/// Who leaves what to others.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Shared {
    /// For each wheel that shares paths with another, the paths it leaves out, sorted.
    pub(super) omitted: BTreeMap<String, BTreeSet<String>>,
    /// The paths that wheels share, or would if no rule settled them.
    pub(super) contested: BTreeSet<String>,
}

/// A wheel and the digest of what it brings.
type Bringer<'a> = (&'a str, Option<Sha256>);

/// Decides about every path that several wheels bring.
pub(super) fn shared_paths(sharing: &Sharing<'_>) -> Result<Shared, PathConflicts> {
    let mut bringers: BTreeMap<String, Vec<Bringer<'_>>> = BTreeMap::new();
    for (wheel, contents) in sharing.contents {
        for (path, sha256) in paths(wheel, contents, sharing.python, sharing.commands) {
            bringers.entry(path).or_default().push((wheel, sha256));
        }
    }
    let mut shared = Shared::default();
    let mut conflicts = Vec::new();
    for (path, owner) in sharing.rules {
        if sharing.is_built(owner) {
            let wheels = bringers.get(path).into_iter().flatten();
            wheels.for_each(|(wheel, _)| shared.omit(wheel, path));
        }
        if !sharing.built.is_empty() && path.starts_with("venv/") {
            shared.contested.insert(path.clone());
        }
    }
    let settled = |path: &String| {
        let owner = sharing.rules.get(path);
        owner.is_some_and(|owner| sharing.is_built(owner))
    };
    let several = bringers.iter().filter(|(_, wheels)| wheels.len() > 1);
    for (path, wheels) in several.filter(|(path, _)| !settled(path)) {
        shared.contested.insert(path.clone());
        match sharing.keeper(path, wheels) {
            Ok(keeper) => {
                let others = wheels.iter().filter(|(wheel, _)| *wheel != keeper);
                others.for_each(|(wheel, _)| shared.omit(wheel, path));
            }
            Err(conflict) => conflicts.push(conflict),
        }
    }
    for (path, wheels) in &bringers {
        for (end, _) in path.match_indices('/') {
            let above = &path[..end];
            if let Some(files) = bringers.get(above) {
                shared.contested.insert(above.to_owned());
                let settled = sharing.file_or_directory(above, files, path, wheels, &mut shared);
                conflicts.extend(settled.err());
            }
        }
    }
    if conflicts.is_empty() {
        return Ok(shared);
    }
    conflicts.dedup_by(|one, other| one.path == other.path && one.problem == other.problem);
    Err(PathConflicts { conflicts })
}

impl Shared {
    fn omit(&mut self, wheel: &str, path: &str) {
        let paths = self.omitted.entry(wheel.to_owned()).or_default();
        paths.insert(path.to_owned());
    }
}

impl Sharing<'_> {
    /// Whether a rule's owner is a package that is built.
    fn is_built(&self, owner: &str) -> bool {
        self.built.iter().any(|built| is_named(built, owner))
    }

    /// The wheel that keeps a path that several bring.
    fn keeper<'w>(&self, path: &str, wheels: &[Bringer<'w>]) -> Result<&'w str, PathConflict> {
        let conflict = |problem| PathConflict {
            path: path.to_owned(),
            first: wheels[0].0.to_owned(),
            second: wheels[1].0.to_owned(),
            problem,
        };
        if let Some(owner) = self.rules.get(path) {
            return match wheels.iter().find(|(wheel, _)| is_named(wheel, owner)) {
                Some((wheel, _)) => Ok(wheel),
                None => Err(conflict(Problem::Stranger(owner.clone()))),
            };
        }
        let digest = wheels[0].1;
        if digest.is_none() || wheels.iter().any(|(_, other)| *other != digest) {
            return Err(conflict(Problem::Content));
        }
        let names = || wheels.iter().map(|(wheel, _)| *wheel);
        let before = names().find(|wheel| self.kept_before(wheel, path));
        Ok(before.unwrap_or(wheels[0].0))
    }

    /// Whether the earlier lock left a path to this wheel. A wheel that did not bring it then may say so too, which does no
    /// harm: its layer changes anyway.
    fn kept_before(&self, wheel: &str, path: &str) -> bool {
        let wheels = self.earlier.iter().flat_map(|lock| &lock.python.packages);
        wheels
            .filter(|before| before.name == wheel)
            .any(|before| !before.omit.iter().any(|omitted| omitted == path))
    }

    /// Settles a file at a path below which others have files.
    fn file_or_directory(
        &self,
        path: &str,
        files: &[Bringer<'_>],
        below: &str,
        others: &[Bringer<'_>],
        shared: &mut Shared,
    ) -> Result<(), PathConflict> {
        let conflict = |problem| PathConflict {
            path: path.to_owned(),
            first: files[0].0.to_owned(),
            second: others[0].0.to_owned(),
            problem,
        };
        let owner = self.rules.get(path);
        let owner = owner.ok_or_else(|| conflict(Problem::Below))?;
        if files.iter().any(|(wheel, _)| is_named(wheel, owner)) {
            others
                .iter()
                .for_each(|(wheel, _)| shared.omit(wheel, below));
            return Ok(());
        }
        if others.iter().any(|(wheel, _)| is_named(wheel, owner)) {
            files.iter().for_each(|(wheel, _)| shared.omit(wheel, path));
            return Ok(());
        }
        Err(conflict(Problem::Stranger(owner.clone())))
    }
}

/// Whether a rule's owner, spelt as people do, is this wheel.
fn is_named(wheel: &str, owner: &str) -> bool {
    PackageName::from_str(owner).is_ok_and(|owner| owner.as_str() == wheel)
}

/// Refuses rules about wheels that settled nothing on any platform. `contested` are the paths that wheels share. What
/// Debian packages hold is not known before the build, which checks the rules about them.
pub(super) fn check_rules(
    request: &LockRequest,
    contested: &BTreeSet<String>,
    platforms: &BTreeMap<super::Architecture, PlatformLock>,
) -> Result<(), IdleRule> {
    let of_wheels = request
        .conflicts
        .iter()
        .filter(|(path, _)| path.starts_with("venv/"));
    for (path, owner) in of_wheels {
        if !contested.contains(path) {
            let near = contested
                .iter()
                .map(|other| (strsim::jaro_winkler(path, other), other))
                .max_by(|one, other| one.0.total_cmp(&other.0));
            let suggestion = near.filter(|(likeness, _)| *likeness > 0.9);
            return Err(IdleRule::Conflict {
                path: path.clone(),
                owner: owner.clone(),
                suggestion: suggestion.map(|(_, near)| near.clone()),
            });
        }
    }
    let wheels = || {
        platforms
            .values()
            .flat_map(|platform| &platform.python.packages)
    };
    let idle = |sha256: &&Sha256| wheels().all(|wheel| wheel.sha256 != **sha256);
    match request.waivers.iter().find(idle) {
        None => Ok(()),
        Some(sha256) => Err(IdleRule::Waiver { sha256: *sha256 }),
    }
}

/// Every path that a wheel brings, once.
fn paths(
    wheel: &str,
    contents: &WheelContents,
    python: PythonVersion,
    commands: &Commands<'_>,
) -> BTreeMap<String, Option<Sha256>> {
    let mut paths = BTreeMap::new();
    for RecordEntry { path, sha256, .. } in &contents.record {
        paths.extend(image_path(path, wheel, python).map(|path| (path, *sha256)));
    }
    // A command replaces a script of the wheel that has its name.
    for (name, sha256) in commands(&contents.entry_points) {
        paths.insert(format!("venv/bin/{name}"), Some(sha256));
    }
    paths
}

/// Where a line of RECORD ends up in the image; `None` for what installing makes anew.
fn image_path(path: &str, wheel: &str, python: PythonVersion) -> Option<String> {
    let site_packages = format!("venv/lib/python{python}/site-packages");
    let (top, rest) = path.split_once('/').unwrap_or((path, ""));
    if top.ends_with(".dist-info")
        && matches!(
            rest,
            "RECORD" | "RECORD.jws" | "RECORD.p7s" | "INSTALLER" | "REQUESTED"
        )
    {
        return None;
    }
    let data = top
        .ends_with(".data")
        .then(|| rest.split_once('/'))
        .flatten();
    Some(match data {
        Some(("purelib" | "platlib", rest)) => format!("{site_packages}/{rest}"),
        Some(("scripts", rest)) => format!("venv/bin/{rest}"),
        // The environment's `lib64` is a link to its `lib`.
        Some(("data", rest)) => match rest.strip_prefix("lib64/") {
            Some(rest) => format!("venv/lib/{rest}"),
            None => format!("venv/{rest}"),
        },
        Some(("headers", rest)) => format!("venv/include/site/python{python}/{wheel}/{rest}"),
        _ => format!("{site_packages}/{path}"),
    })
}
