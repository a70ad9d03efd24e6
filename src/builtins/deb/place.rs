//! Where an entry of a package lies in the image.
//!
//! Since merged `/usr`, `/bin` and its like are links into `/usr`, and base-files' own script makes `/var/run` and
//! `/var/lock` links into `/run`. Packages still ship paths below them, and directories of those names. Unpacked as they
//! are, a directory would take the place of the link (or refuse to be one), so every path is written where the link would
//! have led it. The links themselves come from base-files, where it ships them, or from the system's configuration.

use super::{
    error::{DebError, Quoted},
    limits::Limits,
};
use crate::layers::path::ImagePath;

/// A directory of the image that is a link to another one.
pub struct Alias {
    /// Its path.
    pub path: &'static str,
    /// The directory that holds its files.
    pub directory: &'static str,
    /// What the link says.
    pub target: &'static str,
    /// Other ways to say it that packages ship.
    others: &'static [&'static str],
}

/// Every alias of a Debian system.
pub const ALIASES: [Alias; 9] = [
    Alias {
        path: "bin",
        directory: "usr/bin",
        target: "usr/bin",
        others: &["/usr/bin"],
    },
    Alias {
        path: "lib",
        directory: "usr/lib",
        target: "usr/lib",
        others: &["/usr/lib"],
    },
    Alias {
        path: "lib32",
        directory: "usr/lib32",
        target: "usr/lib32",
        others: &["/usr/lib32"],
    },
    Alias {
        path: "lib64",
        directory: "usr/lib64",
        target: "usr/lib64",
        others: &["/usr/lib64"],
    },
    Alias {
        path: "libo32",
        directory: "usr/libo32",
        target: "usr/libo32",
        others: &["/usr/libo32"],
    },
    Alias {
        path: "libx32",
        directory: "usr/libx32",
        target: "usr/libx32",
        others: &["/usr/libx32"],
    },
    Alias {
        path: "sbin",
        directory: "usr/sbin",
        target: "usr/sbin",
        others: &["/usr/sbin"],
    },
    Alias {
        path: "var/lock",
        directory: "run/lock",
        target: "/run/lock",
        others: &["../run/lock"],
    },
    Alias {
        path: "var/run",
        directory: "run",
        target: "/run",
        others: &["../run"],
    },
];

impl Alias {
    /// Whether a link with this text is the alias.
    pub fn is_target(&self, target: &str) -> bool {
        self.target == target || self.others.contains(&target)
    }

    /// The alias of exactly this path.
    pub fn at(path: &str) -> Option<&'static Self> {
        ALIASES.iter().find(|alias| alias.path == path)
    }
}

/// The place of a path once every alias is followed, and whether one was.
pub fn follow_aliases(path: &ImagePath) -> (ImagePath, bool) {
    let text = path.as_str();
    let below = |alias: &&Alias| {
        let rest = text.strip_prefix(alias.path);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    match ALIASES.iter().find(below) {
        None => (path.clone(), false),
        Some(alias) => {
            let moved = format!("{}{}", alias.directory, &text[alias.path.len()..]);
            // Longer by four bytes at most: a path that was just short enough stays where it was and is refused later.
            ImagePath::parse(moved).map_or_else(|_| (path.clone(), false), |moved| (moved, true))
        }
    }
}

/// A name as the inner archive holds it, checked; none for the root itself.
pub(super) fn entry_path(
    member: &'static str,
    name: &[u8],
    limits: &Limits,
) -> Result<Option<ImagePath>, DebError> {
    let entry = || Quoted::new(name);
    let refuse = |problem| {
        Err(DebError::Name {
            member,
            entry: entry(),
            what: "path",
            problem,
        })
    };
    if name == b"." || name == b"./" {
        return Ok(None);
    }
    let path = name.strip_prefix(b"./").unwrap_or(name);
    let path = path.strip_suffix(b"/").unwrap_or(path);
    let Ok(path) = std::str::from_utf8(path) else {
        return refuse("is not UTF-8, which image descriptions cannot hold");
    };
    if path.contains('\n') {
        return refuse("holds a line feed");
    }
    let path = ImagePath::parse(path).map_err(|source| DebError::Path {
        member,
        entry: entry(),
        source,
    })?;
    limits.check_depth(path.as_str())?;
    Ok(Some(path))
}

/// The text of a symbolic link, checked.
pub(super) fn link_target(
    member: &'static str,
    name: &[u8],
    target: Vec<u8>,
) -> Result<String, DebError> {
    let problem = match target.len() {
        0 => "is empty",
        4096.. => "is longer than 4095 bytes",
        _ if target.contains(&0) => "holds a NUL",
        _ => match String::from_utf8(target) {
            Ok(target) => return Ok(target),
            Err(_) => "is not UTF-8, which image descriptions cannot hold",
        },
    };
    Err(DebError::Name {
        member,
        entry: Quoted::new(name),
        what: "link target",
        problem,
    })
}
