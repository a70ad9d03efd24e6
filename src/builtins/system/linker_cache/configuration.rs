//! Which directories the loader searches: `/etc/ld.so.conf` with what it includes, then those built into Debian's glibc.

use crate::{
    builtins::system::{
        SystemError,
        root::{Node, Root},
        shell,
    },
    lock::Architecture,
};

/// Files that include each other go no deeper.
const DEPTH_MAX: usize = 10;

/// Every directory in order, as it was written, repetitions included.
pub(super) fn search_paths(
    root: &Root<'_>,
    architecture: Architecture,
) -> Result<Vec<String>, SystemError> {
    let mut paths = Vec::new();
    read(root, "/etc/ld.so.conf", &mut paths, 0)?;
    let triplet = architecture.triplet();
    paths.extend([format!("/lib/{triplet}"), format!("/usr/lib/{triplet}")]);
    paths.extend(["/lib", "/usr/lib"].map(str::to_owned));
    Ok(paths)
}

fn read(
    root: &Root<'_>,
    file: &str,
    paths: &mut Vec<String>,
    depth: usize,
) -> Result<(), SystemError> {
    let text = root.read(file)?.unwrap_or_default();
    for line in String::from_utf8_lossy(&text).lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        match line
            .strip_prefix("include")
            .filter(|rest| rest.starts_with([' ', '\t']))
        {
            Some(patterns) => {
                for pattern in patterns
                    .split([' ', '\t'])
                    .filter(|pattern| !pattern.is_empty() && depth < DEPTH_MAX)
                {
                    for file in expand(root, pattern) {
                        read(root, &file, paths, depth + 1)?;
                    }
                }
            }
            None => {
                // What follows an equals sign is a kind of library that no system has had for decades.
                let path = line
                    .split('=')
                    .next()
                    .unwrap_or_default()
                    .trim_end()
                    .trim_end_matches('/');
                if path.starts_with('/') {
                    paths.push(path.to_owned());
                }
            }
        }
    }
    Ok(())
}

/// The files that fit a pattern in the last part of a path, sorted.
fn expand(root: &Root<'_>, pattern: &str) -> Vec<String> {
    let Some((folder, pattern)) = pattern.rsplit_once('/') else {
        return Vec::new();
    };
    let Some(place) = root.canonical(folder, true) else {
        return Vec::new();
    };
    let fits = |name: &str| !name.starts_with('.') && shell::pattern_matches(pattern, name);
    root.children(&place)
        .filter(|(name, node)| **node != Node::Directory && fits(name))
        .map(|(name, _)| format!("{folder}/{name}"))
        .collect()
}
