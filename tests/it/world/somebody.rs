//! Somebody else: an ordinary user with a home, a copy of a project and a copy of the program.
//!
//! Needs root, to become somebody else, and `setpriv` of Debian's util-linux.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{COGNIX, succeed};
use crate::build::copy_in_reverse;

/// A user that owns nothing.
const NOBODY: &str = "65534";

/// That user's own place.
pub(crate) struct Somebody {
    place: PathBuf,
}

impl Somebody {
    /// Gives the user an empty folder, with a copy of the project whose files were written in another order.
    pub(crate) fn new(place: &Path, project: &Path) -> Self {
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(place, open).expect("our own folder");
        let somebody = Self {
            place: place.to_owned(),
        };
        std::fs::copy(COGNIX, somebody.path("cognix")).expect("writable");
        copy_in_reverse(project, &somebody.project());
        let owner = format!("{NOBODY}:{NOBODY}");
        succeed(Command::new("chown").args(["-R", &owner]).arg(place));
        somebody
    }

    /// Something in the user's place.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.place.join(name)
    }

    /// The copy of the project.
    pub(crate) fn project(&self) -> PathBuf {
        self.path("model")
    }

    /// The program, run by the user with a mask and a store of its own, and without the environment of the tests.
    pub(crate) fn cognix(&self) -> Command {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "--"])
            .args(["sh", "-c", "umask 077; exec \"$@\"", "sh"])
            .arg(self.path("cognix"))
            .arg("--store")
            .arg(self.path("store"))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path("home"));
        command
    }
}
