//! What differs between two locks in packages, and which package a user means.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::python::WheelOrigin;
use super::{Architecture, Lock, PlatformLock, VariantLock};

/// How many names are suggested for one that is not there.
const SUGGESTIONS: usize = 3;

/// What a package is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PackageKind {
    /// A Python package.
    Wheel,
    /// A Debian package.
    Deb,
}

/// A name that no package of a lock has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} is not in cognix.lock{}", suggest(nearest))]
pub struct UnknownPackage {
    /// The name as it was given.
    pub name: String,
    /// Packages with similar names, the most similar first.
    pub nearest: Vec<String>,
}

fn suggest(nearest: &[String]) -> String {
    match nearest {
        [] => String::new(),
        [only] => format!("; did you mean {only}?"),
        [first @ .., last] => format!("; did you mean {} or {last}?", first.join(", ")),
    }
}

/// One package that is not the same in two locks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Move {
    /// What it is.
    pub kind: PackageKind,
    /// The package.
    pub name: String,
    /// Its version before; `None` where it was not there.
    pub from: Option<String>,
    /// Its version now; `None` where it is gone.
    pub to: Option<String>,
    /// The variants in which it moved, unless it did so in all that both locks have.
    pub variants: Vec<String>,
    /// The platforms on which it moved, unless it did so on all.
    pub platforms: Vec<Architecture>,
}

impl fmt::Display for Move {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match (&self.from, &self.to) {
            (Some(from), Some(to)) if from == to => write!(formatter, "{name} {to}: another file"),
            (Some(from), Some(to)) => write!(formatter, "{name} {from} -> {to}"),
            (None, Some(to)) => write!(formatter, "{name} {to} added"),
            (Some(from), None) => write!(formatter, "{name} {from} removed"),
            (None, None) => write!(formatter, "{name}"),
        }?;
        let platforms = self.platforms.iter().map(ToString::to_string);
        let places: Vec<String> = self.variants.iter().cloned().chain(platforms).collect();
        if places.is_empty() {
            return Ok(());
        }
        write!(formatter, " ({})", places.join(", "))
    }
}

impl Lock {
    /// Every package that is not the same in `self` as it was in `before`: wheels, then Debian packages, by name.
    pub fn moves_since(&self, before: &Self) -> Vec<Move> {
        let mut found: BTreeMap<Move, BTreeSet<(&str, Architecture)>> = BTreeMap::new();
        let mut places = BTreeSet::new();
        for (variant, now) in &self.variants {
            for (architecture, now) in &now.platforms {
                let before = before.variants.get(variant);
                let Some(before) = before.and_then(|before| before.platforms.get(architecture))
                else {
                    continue;
                };
                places.insert((variant.as_str(), *architecture));
                for one in platform_moves(before, now) {
                    found
                        .entry(one)
                        .or_default()
                        .insert((variant, *architecture));
                }
            }
        }
        let variants = |places: &BTreeSet<(&str, Architecture)>| -> BTreeSet<String> {
            places.iter().map(|(name, _)| (*name).to_owned()).collect()
        };
        let platforms = |places: &BTreeSet<(&str, Architecture)>| -> BTreeSet<Architecture> {
            places.iter().map(|(_, platform)| *platform).collect()
        };
        let moves = found.into_iter().map(|(mut one, on)| {
            if variants(&on) != variants(&places) {
                one.variants = variants(&on).into_iter().collect();
            }
            if platforms(&on) != platforms(&places) {
                one.platforms = platforms(&on).into_iter().collect();
            }
            one
        });
        moves.collect()
    }

    /// The package that a user means by a name: as it stands in the lock, or a Python package in another spelling.
    pub fn find_package(&self, name: &str) -> Result<(PackageKind, String), UnknownPackage> {
        find(self.platforms(), name)
    }
}

impl Lock {
    /// Every package that comes from a package source; `None` where no request names the source.
    pub fn packages_from(&self, input: &str) -> Option<BTreeSet<(PackageKind, String)>> {
        let mut variants = self.variants.values();
        let is_known = variants.any(|variant| variant.request.inputs.contains_key(input));
        let of_input = |origin: &str| {
            let below = origin.strip_prefix(input);
            below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
        };
        let mut found = BTreeSet::new();
        for platform in self.platforms() {
            let wheels = platform.python.packages.iter();
            let wheels = wheels.filter(|wheel| match &wheel.origin {
                WheelOrigin::Index { input } => of_input(input),
                _ => false,
            });
            found.extend(wheels.map(|wheel| (PackageKind::Wheel, wheel.name.clone())));
            let debs = platform.debian.packages.iter();
            let debs = debs.filter(|deb| of_input(&deb.input));
            found.extend(debs.map(|deb| (PackageKind::Deb, deb.name.clone())));
        }
        is_known.then_some(found)
    }
}

impl VariantLock {
    /// The same among the packages of one variant.
    pub fn find_package(&self, name: &str) -> Result<(PackageKind, String), UnknownPackage> {
        find(self.platforms.values(), name)
    }
}

fn find<'a>(
    platforms: impl Iterator<Item = &'a PlatformLock>,
    name: &str,
) -> Result<(PackageKind, String), UnknownPackage> {
    let names: BTreeSet<(PackageKind, &str)> = platforms
        .flat_map(|platform| packages(platform).map(|(kind, name, ..)| (kind, name)))
        .collect();
    let normal = normalise(name);
    let wanted = [
        (PackageKind::Wheel, normal.as_str()),
        (PackageKind::Deb, name),
    ];
    if let Some((kind, name)) = wanted.into_iter().find(|wanted| names.contains(wanted)) {
        return Ok((kind, name.to_owned()));
    }
    let mut near: Vec<(usize, &str)> = names
        .iter()
        .map(|(_, known)| (strsim::osa_distance(&normal, known), *known))
        .filter(|(distance, known)| {
            *distance <= 1 + normal.len() / 4 || known.contains(&normal) && normal.len() > 2
        })
        .collect();
    near.sort_unstable();
    near.dedup();
    let nearest = near.into_iter().take(SUGGESTIONS);
    Err(UnknownPackage {
        name: name.to_owned(),
        nearest: nearest.map(|(_, name)| name.to_owned()).collect(),
    })
}

/// Kind, name, version and digest of every package.
fn packages(
    platform: &PlatformLock,
) -> impl Iterator<Item = (PackageKind, &str, &str, cognix_derivations::Sha256)> {
    let wheels = platform.python.packages.iter();
    let wheels = wheels.map(|wheel| {
        let (name, version) = (wheel.name.as_str(), wheel.version.as_str());
        (PackageKind::Wheel, name, version, wheel.sha256)
    });
    let debs = platform.debian.packages.iter();
    let debs = debs.map(|deb| {
        let (name, version) = (deb.name.as_str(), deb.version.as_str());
        (PackageKind::Deb, name, version, deb.sha256)
    });
    wheels.chain(debs)
}

fn platform_moves(before: &PlatformLock, now: &PlatformLock) -> Vec<Move> {
    let by_name = |platform| {
        let packages = packages(platform);
        packages
            .map(|(kind, name, version, sha256)| ((kind, name), (version, sha256)))
            .collect::<BTreeMap<_, _>>()
    };
    let (old, new) = (by_name(before), by_name(now));
    let names: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    let differing = names
        .into_iter()
        .filter(|name| old.get(name) != new.get(name));
    differing
        .map(|key| Move {
            kind: key.0,
            name: key.1.to_owned(),
            from: old.get(key).map(|(version, _)| (*version).to_owned()),
            to: new.get(key).map(|(version, _)| (*version).to_owned()),
            variants: Vec::new(),
            platforms: Vec::new(),
        })
        .collect()
}

/// The one spelling of a Python package's name.
fn normalise(name: &str) -> String {
    name.parse::<uv_normalize::PackageName>()
        .map_or_else(|_| name.to_owned(), |name| name.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{amd64, example, wheel, whole};
    use super::*;

    #[test]
    fn moves_name_both_versions() {
        let before = example();
        let mut now = before.clone();
        let moves_since = |now: &VariantLock, before: &VariantLock| {
            whole(now.clone()).moves_since(&whole(before.clone()))
        };
        assert_eq!(moves_since(&now, &before), []);
        let platform = amd64(&mut now);
        platform.python.packages[0] = wheel("alpha", "1.1", &[], &[]);
        platform.python.packages[1] = wheel("gamma", "3", &[], &[]);
        platform.debian.packages[0].package.version = "2.36-10".to_owned();
        platform.debian.packages[1].package.sha256 = cognix_derivations::Sha256::of(b"rebuilt");
        let moves = moves_since(&now, &before);
        let texts: Vec<String> = moves.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "alpha 1.0 -> 1.1",
                "beta 2.0+local removed",
                "gamma 3 added",
                "libc6 2.36-9 -> 2.36-10",
                "python3.11 1:3.11.2: another file",
            ]
        );
    }

    #[test]
    fn a_move_on_some_platforms_names_them() {
        let mut before = example();
        let platform = amd64(&mut before).clone();
        before.platforms.insert(Architecture::Arm64, platform);
        let mut now = before.clone();
        amd64(&mut now).python.packages[0] = wheel("alpha", "1.1", &[], &[]);
        let moves = whole(now).moves_since(&whole(before));
        assert_eq!(moves.len(), 1);
        assert_eq!(moves[0].to_string(), "alpha 1.0 -> 1.1 (linux/amd64)");
    }

    #[test]
    fn a_move_in_some_variants_names_them() {
        let mut before = whole(example());
        before.variants.insert("cuda".to_owned(), example());
        let mut now = before.clone();
        let cuda = now.variants.get_mut("cuda").expect("it is there");
        amd64(cuda).python.packages[0] = wheel("alpha", "1.1", &[], &[]);
        let moves = now.moves_since(&before);
        assert_eq!(moves.len(), 1);
        assert_eq!(moves[0].to_string(), "alpha 1.0 -> 1.1 (cuda)");
    }

    #[test]
    fn packages_are_found_in_other_spellings_and_similar_ones_are_named() {
        let lock = example();
        assert_eq!(
            lock.find_package("Alpha"),
            Ok((PackageKind::Wheel, "alpha".to_owned()))
        );
        assert_eq!(
            lock.find_package("libc6"),
            Ok((PackageKind::Deb, "libc6".to_owned()))
        );
        for (wrong, expected) in [
            ("alhpa", "alhpa is not in cognix.lock; did you mean alpha?"),
            (
                "python",
                "python is not in cognix.lock; did you mean python3.11?",
            ),
            ("something-else", "something-else is not in cognix.lock"),
        ] {
            let error = lock.find_package(wrong).expect_err(wrong);
            assert_eq!(error.to_string(), expected);
        }
    }
}
