//! Reads what pip reads: `pip.conf` in its documented places, and environment variables.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use configparser::ini::{Ini, IniDefault};

use super::PipSettingsError;

/// The parts of a machine that hold settings: environment variables and files below a root.
pub struct Machine<'a> {
    variable: &'a dyn Fn(&str) -> Option<OsString>,
    root: &'a Path,
}

impl<'a> Machine<'a> {
    /// The machine this program runs on.
    pub fn current() -> Machine<'static> {
        fn variable(name: &str) -> Option<OsString> {
            std::env::var_os(name)
        }
        Machine {
            variable: &variable,
            root: Path::new("/"),
        }
    }

    /// A machine with these variables, and with files below `root`.
    pub fn new(variable: &'a dyn Fn(&str) -> Option<OsString>, root: &'a Path) -> Self {
        Self { variable, root }
    }

    /// The value of a variable; an empty one counts as unset.
    pub(in crate::mirrors) fn variable(&self, name: &str) -> Option<String> {
        (self.variable)(name)
            .and_then(|value| value.into_string().ok())
            .filter(|value| !value.is_empty())
    }

    pub(in crate::mirrors) fn folder(&self, name: &str) -> Option<PathBuf> {
        (self.variable)(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    }

    pub(in crate::mirrors) fn read(&self, path: &Path) -> Result<Option<String>, PipSettingsError> {
        let below = self.root.join(path.strip_prefix("/").unwrap_or(path));
        match std::fs::read(&below) {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
                ) =>
            {
                Ok(None)
            }
            Err(source) => Err(PipSettingsError::Unreadable {
                path: path.to_owned(),
                source,
            }),
        }
    }
}

/// The merged pip settings: a later file wins over an earlier one, section by section and key by key.
#[derive(Default)]
pub(super) struct PipConf(BTreeMap<(String, String), (PathBuf, String)>);

impl PipConf {
    pub(super) fn read(machine: &Machine<'_>) -> Result<Self, PipSettingsError> {
        let mut merged = Self::default();
        for path in pip_conf_files(machine) {
            if let Some(text) = machine.read(&path)? {
                merged.merge(&path, text)?;
            }
        }
        Ok(merged)
    }

    fn merge(&mut self, path: &Path, text: String) -> Result<(), PipSettingsError> {
        let mut defaults = IniDefault::default();
        defaults.multiline = true;
        defaults.enable_inline_comments = false;
        let mut ini = Ini::new_from_defaults(defaults);
        let sections = ini.read(text).map_err(|reason| PipSettingsError::Syntax {
            path: path.to_owned(),
            reason,
        })?;
        // Sorted, so that two spellings of one key in one file always give the same winner.
        for (section, values) in BTreeMap::from_iter(sections) {
            for (key, value) in BTreeMap::from_iter(values) {
                let Some(value) = value.filter(|value| !value.trim().is_empty()) else {
                    continue;
                };
                // pip takes `index_url` and `index-url` for the same option.
                let key = (section.clone(), key.replace('_', "-"));
                self.0.insert(key, (path.to_owned(), value));
            }
        }
        Ok(())
    }

    /// The value for `pip install`: its own section wins over `[global]`, whichever file either stands in.
    pub(super) fn value(&self, key: &str) -> Option<(PathBuf, String)> {
        ["install", "global"]
            .iter()
            .find_map(|section| self.0.get(&((*section).to_owned(), key.to_owned())))
            .cloned()
    }
}

/// pip's documented places on Linux, from the weakest to the strongest.
///
/// `PIP_CONFIG_FILE` naming the null device turns all of them off, and naming an existing file turns off the user's.
fn pip_conf_files(machine: &Machine<'_>) -> Vec<PathBuf> {
    let named = machine.folder("PIP_CONFIG_FILE");
    if named.as_deref() == Some(Path::new("/dev/null")) {
        return Vec::new();
    }
    let mut files: Vec<PathBuf> = Vec::new();
    let global = machine
        .variable("XDG_CONFIG_DIRS")
        .unwrap_or_else(|| "/etc/xdg".to_owned());
    files.extend(
        global
            .split(':')
            .filter(|folder| !folder.is_empty())
            .map(|folder| Path::new(folder).join("pip/pip.conf")),
    );
    files.push(PathBuf::from("/etc/pip.conf"));
    let named_exists = named
        .as_ref()
        .is_some_and(|path| matches!(machine.read(path), Ok(Some(_)) | Err(_)));
    if !named_exists {
        let home = machine.folder("HOME");
        files.extend(home.iter().map(|home| home.join(".pip/pip.conf")));
        let config = machine
            .folder("XDG_CONFIG_HOME")
            .or_else(|| home.map(|home| home.join(".config")));
        files.extend(config.map(|config| config.join("pip/pip.conf")));
    }
    files.extend(
        machine
            .folder("VIRTUAL_ENV")
            .map(|environment| environment.join("pip.conf")),
    );
    files.extend(named);
    files
}
