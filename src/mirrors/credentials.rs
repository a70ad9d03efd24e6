//! Who this machine says it is to package indexes.
//!
//! A name and a password come from the address in the machine's own settings, from `UV_INDEX_<NAME>_USERNAME` and
//! `UV_INDEX_<NAME>_PASSWORD`, or from the netrc file, in this order. They are kept apart from addresses, print as a
//! mask, and are put on a request for exactly the scheme, host and port that they belong to.

use std::fmt;
use std::path::PathBuf;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use super::pip_settings::{Machine, PipSettingsError};

/// A user's name and password, as an address spells them: percent-encoded.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Credentials {
    username: String,
    password: Option<String>,
}

impl Credentials {
    /// The user part of an address, if it has one.
    pub(super) fn of(url: &Url) -> Option<Self> {
        let (username, password) = (url.username(), url.password());
        (!username.is_empty() || password.is_some()).then(|| Self {
            username: username.to_owned(),
            password: password.map(str::to_owned),
        })
    }

    /// What uv's variables say about the index of a name.
    pub(super) fn of_index(name: &str, machine: &Machine<'_>) -> Option<Self> {
        let name: String = name
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() {
                    c.to_ascii_uppercase()
                } else {
                    '_'
                }
            })
            .collect();
        let username = machine.variable(&format!("UV_INDEX_{name}_USERNAME"));
        let password = machine.variable(&format!("UV_INDEX_{name}_PASSWORD"));
        (username.is_some() || password.is_some())
            .then(|| Self::plain(&username.unwrap_or_default(), password.as_deref()))
    }

    fn plain(username: &str, password: Option<&str>) -> Self {
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        Self {
            username: encoded(username),
            password: password.map(encoded),
        }
    }

    /// Puts them on an address that has none.
    pub(super) fn apply(&self, url: &mut Url) {
        if url.username().is_empty() && url.password().is_none() {
            // Neither call can fail for an http or https address, which has a host.
            let _ = url.set_username(&self.username);
            let _ = url.set_password(self.password.as_deref());
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Credentials(****)")
    }
}

/// The machine's netrc file: names and passwords by host.
///
/// An entry for every host (`default`) is not used: a password goes to hosts that were named.
#[derive(Default)]
pub(super) struct Netrc(uv_netrc::Netrc);

impl Netrc {
    /// Reads the file that NETRC names, or `.netrc` in the home folder; without one there are no entries.
    pub(super) fn read(machine: &Machine<'_>) -> Result<Self, PipSettingsError> {
        let home = machine.folder("HOME");
        let named = machine
            .folder("NETRC")
            .map(|path| match (&home, path.strip_prefix("~")) {
                (Some(home), Ok(below)) => home.join(below),
                _ => path,
            });
        let files = named
            .into_iter()
            .chain(home.map(|home| home.join(".netrc")));
        for path in files {
            if let Some(text) = machine.read(&path)? {
                return Self::parse(&text, path);
            }
        }
        Ok(Self::default())
    }

    fn parse(text: &str, path: PathBuf) -> Result<Self, PipSettingsError> {
        // What the parser says may quote the file, so it is not repeated.
        let failed = |_| PipSettingsError::Netrc { path };
        text.parse().map(Self).map_err(failed)
    }

    /// What the file says for a host.
    pub(super) fn of(&self, url: &Url) -> Option<Credentials> {
        let host = url.host_str().filter(|host| *host != "default")?;
        let entry = self.0.hosts.get(host)?;
        let password = Some(entry.password.as_str()).filter(|password| !password.is_empty());
        Some(Credentials::plain(&entry.login, password))
    }
}

impl fmt::Debug for Netrc {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Netrc({} hosts)", self.0.hosts.len())
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    #[test]
    fn sec_1_credentials_print_as_a_mask() {
        let url = Url::parse("https://me:hunter2@index.test/simple").expect("an address");
        let credentials = Credentials::of(&url).expect("a user part");
        assert_eq!(format!("{credentials:?}"), "Credentials(****)");
        let netrc = "machine index.test login me password hunter2\n";
        let netrc = Netrc::parse(netrc, PathBuf::new()).expect("valid");
        assert_eq!(format!("{netrc:?}"), "Netrc(1 hosts)");
    }

    #[test]
    fn variables_and_netrc_files_are_encoded_for_addresses() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("my.netrc");
        std::fs::write(
            &file,
            "machine index.test login me password p%2f@:x\ndefault login all password all\n",
        )
        .expect("a file");
        let variable = |name: &str| match name {
            "NETRC" => Some(OsString::from("/my.netrc")),
            "UV_INDEX_MY_CO_USERNAME" => Some(OsString::from("a b")),
            _ => None,
        };
        let machine = Machine::new(&variable, folder.path());
        let applied = |credentials: Option<Credentials>, url: &str| {
            let mut url = Url::parse(url).expect("an address");
            credentials.expect("credentials").apply(&mut url);
            url.to_string()
        };
        let netrc = Netrc::read(&machine).expect("a valid file");
        let index = Url::parse("https://index.test/simple").expect("an address");
        assert_eq!(
            applied(netrc.of(&index), "https://index.test/a"),
            "https://me:p%252f%40%3Ax@index.test/a"
        );
        assert_eq!(
            applied(
                Credentials::of_index("my-co", &machine),
                "https://index.test/a"
            ),
            "https://a%20b@index.test/a"
        );
        let other = Url::parse("https://other.test/simple").expect("an address");
        assert_eq!(netrc.of(&other), None);
        assert_eq!(Credentials::of_index("other", &machine), None);
        assert_eq!(Credentials::of(&index), None);
    }

    #[test]
    fn sec_1_a_broken_netrc_file_is_named_and_not_quoted() {
        let error = Netrc::parse("machine a login b passwort hunter2", PathBuf::from("/n"));
        let error = error.expect_err("a misspelt word");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        assert!(error.to_string().contains("/n"), "{error}");
    }
}
