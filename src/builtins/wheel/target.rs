//! Where the files of a wheel go: the places in the virtual environment, and the names that belong to others there.

use super::WheelError;

/// The virtual environment's directory, below the root of the image.
pub const VENV_PREFIX: &str = "venv";

/// The interpreter of the environment, as the first line of a script names it.
pub(super) const SHEBANG: &str = "#!/venv/bin/python";

/// Names of interpreters; those of Python also occur with a version.
const INTERPRETERS: [&str; 4] = ["python", "pythonw", "pypy", "graalpy"];

/// The environment that a wheel is installed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InstallTarget {
    /// Major and minor version of the interpreter.
    pub python: (u8, u8),
}

impl InstallTarget {
    /// The environment of a Python whose version is written `MAJOR.MINOR`.
    pub fn for_python(version: &str) -> Option<Self> {
        let (major, minor) = version.split_once('.')?;
        let number = |text: &str| {
            let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
            text.parse().ok().filter(|_| is_plain || text == "0")
        };
        Some(Self {
            python: (number(major)?, number(minor)?),
        })
    }

    /// The one directory from which packages are imported, pure ones and others.
    pub fn site_packages(&self) -> String {
        let (major, minor) = self.python;
        format!("{VENV_PREFIX}/lib/python{major}.{minor}/site-packages")
    }

    /// The directory of commands.
    pub fn scripts(&self) -> String {
        format!("{VENV_PREFIX}/bin")
    }

    /// The directory of a package's C headers.
    pub(super) fn headers(&self, package: &str) -> String {
        let (major, minor) = self.python;
        format!("{VENV_PREFIX}/include/site/python{major}.{minor}/{package}")
    }

    /// A path of the environment itself. Its `lib64` is a link to `lib`, and a directory there would be in its way.
    pub(super) fn below_environment(&self, path: &str) -> String {
        match path.strip_prefix("lib64/") {
            Some(rest) => format!("{VENV_PREFIX}/lib/{rest}"),
            None => format!("{VENV_PREFIX}/{path}"),
        }
    }

    /// A path in the environment as the installed RECORD names it: relative to the directory of packages, by the
    /// shortest way.
    pub(super) fn record_path(&self, path: &str) -> String {
        let site_packages = self.site_packages();
        let parts = || site_packages.split('/').zip(path.split('/'));
        let shared: Vec<usize> = parts()
            .take_while(|(one, other)| one == other)
            .map(|(part, _)| part.len() + 1)
            .collect();
        let upwards = site_packages.split('/').count() - shared.len();
        let below = path.get(shared.iter().sum()..).unwrap_or_default();
        "../".repeat(upwards) + below
    }

    /// Refuses to replace the interpreter and what makes the directory an environment.
    pub(super) fn check(&self, path: &str, file: &str) -> Result<(), WheelError> {
        let reserved = |problem: &str| {
            Err(WheelError::Target {
                file: file.to_owned(),
                problem: problem.to_owned(),
            })
        };
        if let Some(problem) = super::archive::names::problem(path) {
            return reserved(&format!("its place {problem}"));
        }
        let Some(below) = path
            .strip_prefix(VENV_PREFIX)
            .and_then(|rest| rest.strip_prefix('/'))
        else {
            return reserved("its place is outside the environment");
        };
        if below.eq_ignore_ascii_case("pyvenv.cfg") {
            return reserved("it would replace the environment's configuration");
        }
        if below == "lib64" {
            return reserved("it would replace the environment's link to `lib`");
        }
        match below.split_once('/') {
            Some((directory, name)) if directory == "bin" && is_interpreter(name) => {
                reserved("it has the name of an interpreter")
            }
            _ => Ok(()),
        }
    }
}

/// Whether a command of this name would be taken for an interpreter, on any system.
fn is_interpreter(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let name = name.strip_suffix(".exe").unwrap_or(&name);
    let name = name.strip_suffix(".py").unwrap_or(name);
    INTERPRETERS.iter().any(|interpreter| {
        let Some(version) = name.strip_prefix(interpreter) else {
            return false;
        };
        // `python3`, `python3.13t`, `pypy2.7`; but `python-config` and `pythonic` are other things.
        let version = version.strip_suffix('t').unwrap_or(version);
        version
            .split('.')
            .all(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: InstallTarget = InstallTarget { python: (3, 11) };

    #[test]
    fn versions() {
        let python = |text| InstallTarget::for_python(text).map(|target| target.python);
        assert_eq!(python("3.11"), Some((3, 11)));
        assert_eq!(python("4.0"), Some((4, 0)));
        for text in ["3", "3.11.2", "3.011", "+3.11", "3.", "3.999", ""] {
            assert_eq!(python(text), None, "{text}");
        }
    }

    #[test]
    fn places() {
        assert_eq!(TARGET.site_packages(), "venv/lib/python3.11/site-packages");
        assert_eq!(
            TARGET.headers("greenlet"),
            "venv/include/site/python3.11/greenlet"
        );
        assert_eq!(
            TARGET.record_path("venv/lib/python3.11/site-packages/a/b.py"),
            "a/b.py"
        );
        assert_eq!(TARGET.record_path("venv/bin/tool"), "../../../bin/tool");
        assert_eq!(TARGET.record_path("venv/lib/python3.11/x"), "../x");
        assert_eq!(TARGET.record_path("venv/lib/libx.so"), "../../libx.so");
        assert_eq!(TARGET.record_path("venv/library"), "../../../library");
    }

    #[test]
    fn rec_4_interpreter_names_in_any_letter_case() {
        for name in [
            "python",
            "Python",
            "PYTHON3",
            "python3.11",
            "python3.13t",
            "pythonw",
            "python.exe",
            "python.py",
            "pypy3",
            "PyPy",
            "graalpy",
            "python2.7",
        ] {
            let error = TARGET
                .check(&format!("venv/bin/{name}"), "x")
                .expect_err(name);
            assert_eq!(
                error.to_string(),
                "`x` cannot be installed: it has the name of an interpreter"
            );
        }
        for name in [
            "python-config",
            "ipython",
            "ipython3",
            "pythonic",
            "pypyr",
            "t",
            "bpython",
        ] {
            TARGET.check(&format!("venv/bin/{name}"), "x").expect(name);
        }
        TARGET
            .check("venv/lib/python3.11/site-packages/bin/python", "x")
            .expect("not a command");
    }

    #[test]
    fn rec_4_results_stay_inside_the_environment() {
        let message = |path: &str| TARGET.check(path, "x").map_err(|error| error.to_string());
        let refused = |problem: &str| Err(format!("`x` cannot be installed: {problem}"));
        assert_eq!(message("venv/share/man/man1/isympy.1"), Ok(()));
        assert_eq!(
            message("etc/passwd"),
            refused("its place is outside the environment")
        );
        assert_eq!(
            message("venvx/a"),
            refused("its place is outside the environment")
        );
        assert_eq!(
            message("venv/../etc/passwd"),
            refused("its place has a part that is `.` or `..`")
        );
        assert_eq!(
            message("venv/lib64"),
            refused("it would replace the environment's link to `lib`")
        );
        assert_eq!(
            message("venv/PyVenv.cfg"),
            refused("it would replace the environment's configuration")
        );
    }
}
