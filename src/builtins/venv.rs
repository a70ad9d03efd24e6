//! `builtin:cognix-venv-1`: the frame of the virtual environment that all wheels are installed into.
//!
//! ```text
//! venv/pyvenv.cfg                          makes /venv the prefix of the interpreter below
//! venv/bin/python3.11 -> HOME/python3.11   HOME is the recipe's: where the image has the interpreter
//! venv/bin/python3, python -> python3.11
//! venv/lib/python3.11/site-packages/       empty here; wheels bring what is in it
//! venv/lib64 -> lib
//! ```
//!
//! Left out: activation scripts, because the image's `PATH` already names `/venv/bin`, and pip, because nothing is
//! installed into a finished image.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use cognix_store::{BuildError, BuildRequest, Builder};

use super::wheel::{InstallTarget, VENV_PREFIX};
use crate::layers::path::ImagePath;

/// `builtin:cognix-venv-1`.
#[derive(Debug, Clone, Copy, Default)]
pub struct VenvBuilder;

impl Builder for VenvBuilder {
    fn name(&self) -> &str {
        "builtin:cognix-venv-1"
    }

    fn build(&self, request: &BuildRequest<'_>) -> Result<(), BuildError> {
        let python = request.env("python")?;
        if InstallTarget::for_python(python).is_none() {
            return Err(BuildError::Attribute {
                name: "python".to_owned(),
                reason: format!("is {python:?}, expected MAJOR.MINOR"),
            });
        }
        let home = request.env("home")?;
        let below = home.strip_prefix('/').map(ImagePath::parse);
        if !matches!(below, Some(Ok(_))) {
            return Err(BuildError::Attribute {
                name: "home".to_owned(),
                reason: format!("is {home:?}, expected an absolute path"),
            });
        }
        let out = request.output("out")?;
        write_frame(python, home, out).map_err(BuildError::io(out))
    }
}

/// Writes the frame for the interpreter in the directory `home` of the image; `out` must not exist.
fn write_frame(python: &str, home: &str, out: &Path) -> std::io::Result<()> {
    let venv = out.join(VENV_PREFIX);
    let bin = venv.join("bin");
    fs::create_dir_all(venv.join(format!("lib/python{python}/site-packages")))?;
    fs::create_dir(&bin)?;
    fs::write(
        venv.join("pyvenv.cfg"),
        format!("home = {home}\ninclude-system-site-packages = false\nversion = {python}\n"),
    )?;
    let interpreter = format!("python{python}");
    symlink(format!("{home}/{interpreter}"), bin.join(&interpreter))?;
    symlink(&interpreter, bin.join("python3"))?;
    symlink(&interpreter, bin.join("python"))?;
    symlink("lib", venv.join("lib64"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frame_names_the_interpreter_of_the_image() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let out = folder.path().join("out");
        write_frame("3.13", "/usr/bin", &out).expect("writable");
        let link = |path: &str| fs::read_link(out.join(path)).expect("a link");
        assert_eq!(
            link("venv/bin/python3.13"),
            Path::new("/usr/bin/python3.13")
        );
        assert_eq!(link("venv/bin/python"), Path::new("python3.13"));
        assert_eq!(link("venv/lib64"), Path::new("lib"));
        assert!(out.join("venv/lib/python3.13/site-packages").is_dir());
        let config = fs::read_to_string(out.join("venv/pyvenv.cfg")).expect("text");
        assert!(config.contains("home = /usr/bin\n"), "{config}");
    }
}
