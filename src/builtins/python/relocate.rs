//! Tells the interpreter's build settings where it lies.
//!
//! python-build-standalone compiles for a folder `/install`. Python itself asks where it is when it starts, but what it
//! tells those who build against it (`sysconfig`, `pkg-config`) are texts with that folder in them. uv rewrites them when
//! it installs an interpreter, so they are rewritten here too; nothing else of the archive is changed.

use std::io::Read;

use super::super::deb::tree::{NodeKind, TreeWriter};
use super::{PythonError, image_path};
use crate::layers::path::ImagePath;

/// The folder that the archive's texts name.
const COMPILED_FOR: &[u8] = b"/install";
/// The real texts have a tenth of this.
const LARGEST: u64 = 1 << 20;

/// Rewrites the settings of the interpreter below `prefix`.
pub(super) fn relocate(
    tree: &mut TreeWriter,
    prefix: &ImagePath,
    python: &str,
) -> Result<(), PythonError> {
    let settings = format!("{prefix}/lib/python{python}/_sysconfigdata_");
    let packages = format!("{prefix}/lib/pkgconfig/");
    let is_setting = |path: &str| {
        let is_in = |start: &str, end: &str| {
            let name = path
                .strip_prefix(start)
                .and_then(|rest| rest.strip_suffix(end));
            name.is_some_and(|name| !name.contains('/'))
        };
        is_in(&settings, ".py") || is_in(&packages, ".pc")
    };
    let found: Vec<String> = tree
        .nodes()
        .filter(|(path, kind)| *kind == NodeKind::File && is_setting(path.as_str()))
        .map(|(path, _)| path.as_str().to_owned())
        .collect();
    let to = format!("/{prefix}");
    for path in found {
        let path = image_path(&path)?;
        let mut text = Vec::new();
        let file = tree.open(&path)?;
        let read = file.take(LARGEST + 1).read_to_end(&mut text);
        read.map_err(|error| tree.io("read", &path, error))?;
        if text.len() as u64 > LARGEST {
            return Err(PythonError::Settings {
                path: path.as_str().to_owned(),
                limit: LARGEST,
            });
        }
        if let Some(text) = replaced(&text, to.as_bytes()) {
            tree.overwrite(&path, &text)?;
        }
    }
    Ok(())
}

/// The text with every mention of the folder replaced, whole path parts only; none when there is none.
fn replaced(text: &[u8], to: &[u8]) -> Option<Vec<u8>> {
    let mut result = Vec::new();
    let mut rest = text;
    let mut before = None;
    let mut changed = false;
    while let Some(&next) = rest.first() {
        let after = rest.get(COMPILED_FOR.len());
        if rest.starts_with(COMPILED_FOR) && starts_a_path(before) && ends_a_part(after.copied()) {
            result.extend_from_slice(to);
            rest = &rest[COMPILED_FOR.len()..];
            before = COMPILED_FOR.last().copied();
            changed = true;
        } else {
            result.push(next);
            before = Some(next);
            rest = &rest[1..];
        }
    }
    changed.then_some(result)
}

/// `-L/install/lib` starts one, `/usr/install` and `$(x)/install` do not.
fn starts_a_path(before: Option<u8>) -> bool {
    before.is_none_or(|byte| b"'\" =:,\t\n".contains(&byte) || b"LIR".contains(&byte))
}

fn ends_a_part(after: Option<u8>) -> bool {
    after.is_none_or(|byte| b"/'\" :,;\t\r\n".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_path_parts_are_replaced() {
        let check = |text: &str, expected: Option<&str>| {
            let found = replaced(text.as_bytes(), b"/opt/python");
            let found = found.map(|text| String::from_utf8(text).expect("UTF-8"));
            assert_eq!(found.as_deref(), expected, "{text}");
        };
        check(
            " 'BINDIR': '/install/bin',\n 'prefix': '/install',\n",
            Some(" 'BINDIR': '/opt/python/bin',\n 'prefix': '/opt/python',\n"),
        );
        check(
            "'CONFIG_ARGS': \"'--prefix=/install' 'LDFLAGS=-L/install/lib'\"",
            Some("'CONFIG_ARGS': \"'--prefix=/opt/python' 'LDFLAGS=-L/opt/python/lib'\""),
        );
        check("prefix=/install\n", Some("prefix=/opt/python\n"));
        check("/install", Some("/opt/python"));
        for other in [
            "'/usr/install'",
            "/installed",
            "-x/install/y",
            "",
            "$(DESTDIR)/install",
        ] {
            check(other, None);
        }
    }
}
