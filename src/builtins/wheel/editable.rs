//! `builtin:cognix-editable-1`: the model's own project, as an editable install leaves it in the virtual environment.
//!
//! | Attribute | Value |
//! |---|---|
//! | `project`, `version` | its name and version |
//! | `python` | `MAJOR.MINOR` |
//! | `folder` | where the project lies in the image |
//! | `importRoots` | JSON: the folders that its modules are imported from |
//! | `entryPoints` | `entry_points.txt`; empty for none |
//!
//! ```text
//! venv/bin/COMMAND                                            as a wheel's
//! venv/lib/python3.X/site-packages/NAME.pth                   the import roots, a line each
//! venv/lib/python3.X/site-packages/NAME-VERSION.dist-info/    METADATA, WHEEL, INSTALLER, RECORD, direct_url.json,
//!                                                             entry_points.txt where there are any
//! ```
//!
//! METADATA has the name and the version only: no build backend is asked what else it would say.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use cognix_derivations::Sha256;
use cognix_store::{BuildError, BuildRequest, Builder};

use super::{InstallTarget, WheelError, entry_points, record};

/// Installs the model's own project.
#[derive(Debug, Clone, Copy, Default)]
pub struct EditableBuilder;

impl Builder for EditableBuilder {
    fn name(&self) -> &str {
        "builtin:cognix-editable-1"
    }

    fn build(&self, request: &BuildRequest<'_>) -> Result<(), BuildError> {
        let wrong = |name: &str, reason: String| BuildError::Attribute {
            name: name.to_owned(),
            reason,
        };
        let python = request.env("python")?;
        let target = InstallTarget::for_python(python)
            .ok_or_else(|| wrong("python", format!("is {python:?}, expected MAJOR.MINOR")))?;
        let roots = request.env("importRoots")?;
        let roots: Vec<String> =
            serde_json::from_str(roots).map_err(|error| wrong("importRoots", error.to_string()))?;
        let project = Editable {
            name: request.env("project")?,
            version: request.env("version")?,
            folder: request.env("folder")?,
            import_roots: &roots,
            entry_points: request.env("entryPoints")?,
        };
        let files = project.files(&target).map_err(BuildError::failed)?;
        let out = request.output("out")?;
        write(&files, out).map_err(BuildError::io(out))
    }
}

/// A project that is installed where it lies.
struct Editable<'a> {
    name: &'a str,
    version: &'a str,
    folder: &'a str,
    import_roots: &'a [String],
    entry_points: &'a str,
}

/// Contents by path, and whether they may be executed.
type Files = BTreeMap<String, (Vec<u8>, bool)>;

impl Editable<'_> {
    fn files(&self, target: &InstallTarget) -> Result<Files, WheelError> {
        let name = escaped(self.name);
        let info = format!(
            "{}/{name}-{}.dist-info",
            target.site_packages(),
            self.version.replace('-', "_")
        );
        let roots: String = self
            .import_roots
            .iter()
            .map(|root| format!("{root}\n"))
            .collect();
        let metadata = format!(
            "Metadata-Version: 2.1\nName: {}\nVersion: {}\n",
            self.name, self.version
        );
        let url = url::Url::from_file_path(self.folder).map_err(|()| WheelError::Target {
            file: self.folder.to_owned(),
            problem: "the project's place is no absolute path".to_owned(),
        })?;
        let direct_url = format!("{{\"url\":\"{url}\",\"dir_info\":{{\"editable\":true}}}}");
        let texts = [
            (format!("{}/{name}.pth", target.site_packages()), roots),
            (format!("{info}/METADATA"), metadata),
            (
                format!("{info}/WHEEL"),
                "Wheel-Version: 1.0\nGenerator: cognix\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
                    .to_owned(),
            ),
            (format!("{info}/INSTALLER"), "cognix\n".to_owned()),
            (format!("{info}/direct_url.json"), direct_url),
        ];
        let mut files: Files = BTreeMap::new();
        files.extend(texts.map(|(path, text)| (path, (text.into_bytes(), false))));
        if !self.entry_points.is_empty() {
            let text = self.entry_points.as_bytes();
            files.insert(format!("{info}/entry_points.txt"), (text.to_owned(), false));
            for (name, text) in entry_points::commands("entry_points.txt", text, target)? {
                files.insert(format!("{}/{name}", target.scripts()), (text, true));
            }
        }
        for path in files.keys() {
            target.check(path, path)?;
        }
        let own = format!("{info}/RECORD");
        let listed = files.iter().map(|(path, (bytes, _))| {
            (
                target.record_path(path),
                Sha256::of(bytes),
                bytes.len() as u64,
            )
        });
        let record = record::write(target.record_path(&own), listed.collect());
        files.insert(own, (record, false));
        Ok(files)
    }
}

/// A name as it stands in the names of files.
fn escaped(name: &str) -> String {
    let parts = name.split(['-', '_', '.']).filter(|part| !part.is_empty());
    parts
        .map(str::to_ascii_lowercase)
        .collect::<Vec<_>>()
        .join("_")
}

fn write(files: &Files, out: &Path) -> std::io::Result<()> {
    for (path, (bytes, executable)) in files {
        let place = out.join(path);
        if let Some(folder) = place.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&place, bytes)?;
        let mode = if *executable { 0o755 } else { 0o644 };
        fs::set_permissions(&place, fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: InstallTarget = InstallTarget { python: (3, 11) };
    const INFO: &str = "venv/lib/python3.11/site-packages/my_model-1.2.0.dist-info";

    fn files(entry_points: &str) -> Result<Files, WheelError> {
        let roots = ["/src/src".to_owned()];
        let project = Editable {
            name: "My.Model",
            version: "1.2.0",
            folder: "/src",
            import_roots: &roots,
            entry_points,
        };
        project.files(&TARGET)
    }

    #[test]
    fn a_project_is_what_an_editable_install_leaves() {
        let files = files(
            "[console_scripts]\ntrain = my_model.cli:train\n\n[my.plugins]\none = my_model.one\n",
        );
        let files = files.expect("a project");
        let paths: Vec<&str> = files.keys().map(String::as_str).collect();
        let info = |name: &str| format!("{INFO}/{name}");
        assert_eq!(
            paths,
            [
                "venv/bin/train",
                &info("INSTALLER"),
                &info("METADATA"),
                &info("RECORD"),
                &info("WHEEL"),
                &info("direct_url.json"),
                &info("entry_points.txt"),
                "venv/lib/python3.11/site-packages/my_model.pth",
            ]
        );
        let text = |path: &str| String::from_utf8(files[path].0.clone()).expect("text");
        assert_eq!(
            text("venv/lib/python3.11/site-packages/my_model.pth"),
            "/src/src\n"
        );
        assert!(text("venv/bin/train").contains("from my_model.cli import train\n"));
        assert!(files["venv/bin/train"].1);
        assert_eq!(
            text(&info("direct_url.json")),
            "{\"url\":\"file:///src\",\"dir_info\":{\"editable\":true}}"
        );
        let record = text(&info("RECORD"));
        assert!(record.starts_with("../../../bin/train,sha256="), "{record}");
        assert!(
            record.contains("\nmy_model-1.2.0.dist-info/RECORD,,\n"),
            "{record}"
        );
    }

    #[test]
    fn commands_are_those_that_a_wheel_may_have() {
        for (entry_points, expected) in [
            (
                "[console_scripts]\npython = m:f\n",
                "has the name of an interpreter",
            ),
            ("[console_scripts]\na = m\n", "expected MODULE:FUNCTION"),
            (
                "[console_scripts]\n../a = m:f\n",
                "the name of a command is no path",
            ),
        ] {
            let error = files(entry_points).expect_err(entry_points).to_string();
            assert!(error.contains(expected), "{error}");
        }
        assert!(
            files("")
                .expect("no entry points")
                .keys()
                .all(|path| !path.ends_with("entry_points.txt"))
        );
    }
}
