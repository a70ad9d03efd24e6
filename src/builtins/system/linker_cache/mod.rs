//! `/etc/ld.so.cache`, and the links by soname that packages leave to `ldconfig`.
//!
//! The loader finds libraries in the standard directories without a cache; Python's `ctypes.util.find_library` and
//! everything behind `ldconfig -p` does not. The cache is the one that the image's own `ldconfig -r ROOT` would write, to
//! the byte: same directories in the same order, same choice between files of one soname, same table of strings. For
//! arm64 that is what arm64's own ldconfig would write; no program is run for either.
//! Left out is what only glibc before 2.37 had, libraries in folders named after processors outside of `glibc-hwcaps`.

mod cache;
mod configuration;
mod elf;

use std::collections::BTreeMap;

use self::{
    cache::{Cache, Library, compare_names},
    elf::SharedObject,
};
use super::{
    SystemError,
    root::{Node, Owner, Root},
};
use crate::{layers::path::ImagePath, lock::Architecture};

const RULE: &str = "ldconfig";
const HWCAPS: &str = "glibc-hwcaps";

/// A directory that is searched.
#[derive(Debug, Clone)]
struct Directory {
    /// As it was written, which is how the cache names it.
    path: String,
    /// Where it is.
    place: ImagePath,
    /// The name of the level of processors that its libraries are for.
    hwcaps: Option<String>,
}

/// A library of one directory, chosen among those of its soname.
#[derive(Debug)]
struct Choice {
    name: String,
    is_link: bool,
    object: SharedObject,
}

/// Adds the links and the cache.
pub(super) fn apply(root: &mut Root<'_>, cancelled: &dyn Fn() -> bool) -> Result<(), SystemError> {
    let Some(library) = c_library(root)? else {
        return Ok(());
    };
    let directories = directories(root, library.architecture)?;
    let mut cache = Cache::new(library.generator);
    for directory in &directories {
        if let Some(hwcaps) = &directory.hwcaps {
            cache.add_hwcaps(hwcaps);
        }
    }
    for directory in &directories {
        if cancelled() {
            return Err(SystemError::Cancelled);
        }
        for (soname, choice) in search(root, directory, library.architecture)? {
            let file = match &directory.hwcaps {
                Some(_) => choice.name,
                None => {
                    if !choice.is_link {
                        add_soname_link(root, directory, &soname, &choice.name)?;
                    }
                    soname.clone()
                }
            };
            cache.add(Library {
                path: format!("{}/{file}", directory.path),
                soname,
                flags: choice.object.flags,
                hwcaps: directory.hwcaps.clone(),
                isa_level: choice.object.isa_level,
            });
        }
    }
    let bytes = cache.to_bytes();
    match root.exists("etc/ld.so.cache") {
        true => Ok(()),
        false => root.add_file(RULE, "etc/ld.so.cache", bytes, Owner::FILE),
    }
}

/// What the C library of the image says about the image.
struct CLibrary {
    architecture: Architecture,
    /// What the image's own ldconfig calls itself, which it writes into the cache. Debian builds it with its package's
    /// version, so the version of the C library tells it.
    generator: String,
}

fn c_library(root: &Root<'_>) -> Result<Option<CLibrary>, SystemError> {
    const PACKAGE: &str = "libc6";
    let Some(package) = root.package(PACKAGE) else {
        return Ok(None);
    };
    let control = root.control(package, "control")?.unwrap_or_default();
    let control = String::from_utf8_lossy(&control);
    let field = |name: &str| {
        let values = control.lines().filter_map(|line| line.strip_prefix(name));
        values.map(str::trim).next().unwrap_or_default()
    };
    let (version, found) = (field("Version:"), field("Architecture:"));
    let mut known = Architecture::ALL.into_iter();
    let architecture = known
        .find(|architecture| architecture.debian() == found)
        .ok_or_else(|| SystemError::Architecture {
            package: PACKAGE,
            found: found.to_owned(),
        })?;
    let upstream = version
        .split_once('-')
        .map_or(version, |(upstream, _)| upstream);
    Ok(Some(CLibrary {
        architecture,
        generator: format!("ldconfig (Debian GLIBC {version}) stable release version {upstream}"),
    }))
}

/// Every directory once, by where it is: the first name it is called by is the one that counts.
fn directories(root: &Root<'_>, architecture: Architecture) -> Result<Vec<Directory>, SystemError> {
    let mut directories: Vec<Directory> = Vec::new();
    for path in configuration::search_paths(root, architecture)? {
        let Some(place) = root
            .canonical(&path, true)
            .filter(|place| root.is_directory(place.as_str()))
        else {
            continue;
        };
        if directories.iter().any(|known| known.place == place) {
            continue;
        }
        let levels = levels(root, &path, &place);
        directories.push(Directory {
            path,
            place,
            hwcaps: None,
        });
        for level in levels {
            if directories.iter().all(|known| known.place != level.place) {
                directories.push(level);
            }
        }
    }
    Ok(directories)
}

/// The folders for levels of processors below a directory.
fn levels(root: &Root<'_>, path: &str, place: &ImagePath) -> Vec<Directory> {
    let above = format!("{}/{HWCAPS}", place.as_str());
    let Some(above) = root.canonical(&above, true) else {
        return Vec::new();
    };
    let usable = |name: &&str| !name.starts_with('.') && !name.contains(':');
    let names: Vec<&str> = root
        .children(&above)
        .map(|(name, _)| name)
        .filter(usable)
        .collect();
    let level = |name: &str| {
        let place = root.canonical(&format!("{}/{name}", above.as_str()), true)?;
        let directory = Directory {
            path: format!("{path}/{HWCAPS}/{name}"),
            place,
            hwcaps: Some(name.to_owned()),
        };
        root.is_directory(directory.place.as_str())
            .then_some(directory)
    };
    names.into_iter().filter_map(level).collect()
}

/// The libraries of a directory by soname. A file is preferred to a link, and the greater name to the smaller.
fn search(
    root: &Root<'_>,
    directory: &Directory,
    architecture: Architecture,
) -> Result<BTreeMap<String, Choice>, SystemError> {
    let mut choices: BTreeMap<String, Choice> = BTreeMap::new();
    for (name, node) in root.children(&directory.place) {
        if *node == Node::Directory || !looks_like_library(name) {
            continue;
        }
        let path = format!("{}/{name}", directory.place.as_str());
        let Some(file) = root
            .canonical(&path, true)
            .filter(|file| root.is_file(file.as_str()))
        else {
            continue;
        };
        let Some(object) = elf::read(&mut *root.open(&file)?, architecture) else {
            continue;
        };
        let soname = object.soname.clone().unwrap_or_else(|| name.to_owned());
        let is_link = matches!(node, Node::Link(_)) && is_link_of(name, &soname);
        let soname = if is_link { name.to_owned() } else { soname };
        let new = Choice {
            name: name.to_owned(),
            is_link,
            object,
        };
        match choices.get_mut(&soname) {
            Some(known) if is_better(&new, known) => *known = new,
            Some(_) => {}
            None => drop(choices.insert(soname, new)),
        }
    }
    Ok(choices)
}

fn is_better(new: &Choice, known: &Choice) -> bool {
    !new.is_link && known.is_link
        || new.is_link == known.is_link && compare_names(&known.name, &new.name).is_lt()
}

/// A link by the soname, or the short name that only the linker of programs uses. Any other link stands for its file.
fn is_link_of(name: &str, soname: &str) -> bool {
    name == soname || name.ends_with(".so") && soname.starts_with(name)
}

fn looks_like_library(name: &str) -> bool {
    let with_suffix = (name.starts_with("lib") || name.starts_with("ld-")) && name.contains(".so");
    with_suffix || name.starts_with("ld.so.") || name.starts_with("ld64.so.")
}

/// The link from the soname to the file, where neither a package nor a link of that name is.
fn add_soname_link(
    root: &mut Root<'_>,
    directory: &Directory,
    soname: &str,
    file: &str,
) -> Result<(), SystemError> {
    // A name that no file can have is in the cache and leads nowhere, as it would with ldconfig.
    let is_name = directory.place.join(soname).is_ok() && !soname.contains('/');
    let link = format!("{}/{soname}", directory.place.as_str());
    match root.node(&link) {
        None if is_name => root.add_link(RULE, &link, file),
        _ => Ok(()),
    }
}
