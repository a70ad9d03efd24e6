//! Finds the paths that several wheels bring, while there is still a choice.
//!
//! Every path of an image is in exactly one layer, and a wheel's layer should depend on the wheel alone. So the lock says
//! which paths a wheel leaves to another: the first by name keeps a path, the later ones omit it, which is right only
//! when all bring the same bytes. Different bytes are a conflict that no order of installing should settle silently.
//!
//! What a wheel holds comes from its RECORD and its entry points, of which installing makes commands; the build checks
//! both against the wheel, and the finished image is checked for paths in two layers, so a lie here is found there.

use std::collections::BTreeMap;

use cognix_derivations::Sha256;

use super::platform::PythonVersion;
use super::python::{RecordEntry, WheelContents};

/// What installing makes of `entry_points.txt`: the names of commands, and the digests of their texts.
pub type Commands<'a> = dyn Fn(&str) -> BTreeMap<String, Sha256> + 'a;

/// Two wheels bring different contents for one path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{first} and {second} both bring {path}, with different contents")]
pub struct PathConflict {
    /// The path in the image.
    pub path: String,
    /// The first owner.
    pub first: String,
    /// The second owner.
    pub second: String,
}

/// For each wheel that shares paths with an earlier one, the paths it leaves out.
pub(super) fn omitted_paths(
    contents: &BTreeMap<String, WheelContents>,
    python: PythonVersion,
    commands: &Commands<'_>,
) -> Result<BTreeMap<String, Vec<String>>, PathConflict> {
    let mut owners: BTreeMap<String, (&str, Option<Sha256>)> = BTreeMap::new();
    let mut omitted: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (wheel, contents) in contents {
        for (path, sha256) in paths(wheel, contents, python, commands) {
            match owners.get(&path) {
                None => {
                    owners.insert(path, (wheel, sha256));
                }
                Some((_, digest)) if digest.is_some() && *digest == sha256 => {
                    omitted.entry(wheel.clone()).or_default().push(path);
                }
                Some((first, _)) => {
                    return Err(PathConflict {
                        path,
                        first: (*first).to_owned(),
                        second: wheel.clone(),
                    });
                }
            }
        }
    }
    Ok(omitted)
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
        Some(("data", rest)) => format!("venv/{rest}"),
        Some(("headers", rest)) => format!("venv/include/site/python{python}/{wheel}/{rest}"),
        _ => format!("{site_packages}/{path}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PYTHON: PythonVersion = PythonVersion {
        major: 3,
        minor: 11,
    };

    fn wheel(name: &str, files: &[(&str, &str)]) -> (String, WheelContents) {
        with_commands(name, files, "")
    }

    /// The text of a command is its line here.
    fn commands(entry_points: &str) -> BTreeMap<String, Sha256> {
        let lines = entry_points.lines();
        let names = lines.map(|line| (line.split('=').next().unwrap_or(line), line));
        names
            .map(|(name, line)| (name.to_owned(), Sha256::of(line.as_bytes())))
            .collect()
    }

    fn with_commands(
        name: &str,
        files: &[(&str, &str)],
        entry_points: &str,
    ) -> (String, WheelContents) {
        let entry = |(path, body): &(&str, &str)| RecordEntry {
            path: (*path).to_owned(),
            sha256: Some(Sha256::of(body.as_bytes())),
            size: Some(body.len() as u64),
        };
        let contents = WheelContents {
            record: files.iter().map(entry).collect(),
            entry_points: entry_points.to_owned(),
        };
        (name.to_owned(), contents)
    }

    #[test]
    fn equal_contents_stay_with_the_first_owner() {
        let contents = BTreeMap::from([
            wheel(
                "cublas",
                &[("nvidia/__init__.py", ""), ("nvidia/cublas/lib.so", "a")],
            ),
            wheel(
                "cudnn",
                &[("nvidia/__init__.py", ""), ("nvidia/cudnn/lib.so", "b")],
            ),
        ]);
        let omitted =
            omitted_paths(&contents, PYTHON, &commands).expect("equal contents are no conflict");
        let expected = vec!["venv/lib/python3.11/site-packages/nvidia/__init__.py".to_owned()];
        assert_eq!(omitted, BTreeMap::from([("cudnn".to_owned(), expected)]));
    }

    #[test]
    fn rec_5_different_contents_name_both_owners() {
        let contents = BTreeMap::from([
            wheel("a", &[("tests/__init__.py", "1")]),
            wheel("b", &[("tests/__init__.py", "2")]),
        ]);
        let conflict = omitted_paths(&contents, PYTHON, &commands).expect_err("different contents");
        assert_eq!(
            (conflict.first.as_str(), conflict.second.as_str()),
            ("a", "b")
        );
    }

    #[test]
    fn data_schemes_meet_at_their_place_in_the_image() {
        let contents = BTreeMap::from([
            wheel(
                "a",
                &[
                    ("a-1.data/purelib/shared.py", "x"),
                    ("a-1.dist-info/RECORD", ""),
                ],
            ),
            wheel("b", &[("shared.py", "x")]),
        ]);
        let omitted =
            omitted_paths(&contents, PYTHON, &commands).expect("equal contents are no conflict");
        assert_eq!(
            omitted["b"],
            ["venv/lib/python3.11/site-packages/shared.py"]
        );
    }
    /// tensorflow and tensorboard both bring the command `tensorboard`.
    #[test]
    fn commands_are_paths_too() {
        let contents = BTreeMap::from([
            with_commands("tensorboard", &[], "tensorboard=tensorboard.main:run"),
            with_commands(
                "tensorflow",
                &[],
                "tensorboard=tensorboard.main:run\ntf=tf:main",
            ),
        ]);
        let omitted = omitted_paths(&contents, PYTHON, &commands).expect("the same command");
        assert_eq!(omitted["tensorflow"], ["venv/bin/tensorboard"]);

        let contents = BTreeMap::from([
            with_commands("one", &[], "tool=one:main"),
            with_commands("two", &[], "tool=two:main"),
        ]);
        let conflict = omitted_paths(&contents, PYTHON, &commands).expect_err("two commands");
        assert_eq!(conflict.path, "venv/bin/tool");
    }
}
