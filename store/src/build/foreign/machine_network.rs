//! What a program with the machine's network has to know of the machine: its proxies, and whom it trusts.
//!
//! Nix passes the same on to derivations with a fixed output (`impureEnvVars`, of which `lib.fetchers.proxyImpureEnvVars`
//! of nixpkgs names those for proxies). What such a program makes is compared with a recorded hash, so none of it can
//! change a result without being noticed.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use cognix_sandbox::{Mount, Request};
use url::Url;

/// Variables that name proxies.
const PROXIES: [&str; 10] = [
    "http_proxy",
    "https_proxy",
    "ftp_proxy",
    "all_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "FTP_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
];

/// Variables that name a file of certificates on the machine; the first that is set counts.
const CERTIFICATES: [&str; 2] = ["NIX_SSL_CERT_FILE", "SSL_CERT_FILE"];

/// Variables that name it to programs: OpenSSL, Nix, curl, git, pip, requests, Node.
const TRUST: [&str; 7] = [
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "NIX_SSL_CERT_FILE",
    "NODE_EXTRA_CA_CERTS",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_FILE",
];

/// Where the certificates are inside.
const INSIDE: &str = "/run/machine-certificates.crt";

/// How this machine reaches the network.
#[derive(Clone, Default)]
pub struct MachineNetwork {
    proxies: BTreeMap<OsString, OsString>,
    certificates: Option<PathBuf>,
}

impl MachineNetwork {
    /// As the variables of this process say.
    pub fn of_this_process() -> Self {
        Self::new(|name| std::env::var_os(name))
    }

    fn new(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let proxies = PROXIES.into_iter();
        let proxies = proxies.filter_map(|name| Some((name.into(), set(name)?)));
        let mut files = CERTIFICATES.into_iter().filter_map(set).map(PathBuf::from);
        Self {
            proxies: proxies.collect(),
            certificates: files.find(|file| file.is_file()),
        }
    }

    /// Tells a program, but for what its derivation says itself.
    pub(super) fn tell(&self, request: &mut Request) {
        let mut told = self.proxies.clone();
        if let Some(certificates) = &self.certificates {
            request.mounts.push(Mount {
                source: certificates.clone(),
                target: PathBuf::from(INSIDE),
                writable: false,
            });
            told.extend(TRUST.map(|name| (name.into(), INSIDE.into())));
        }
        for (name, value) in told {
            request.env.entry(name).or_insert(value);
        }
    }

    /// The passwords of proxies.
    pub(super) fn passwords(&self) -> impl Iterator<Item = Vec<u8>> {
        let proxies = self.proxies.values().filter_map(|value| value.to_str());
        let proxies = proxies.filter_map(|value| Url::parse(value).ok());
        proxies.filter_map(|url| Some(url.password()?.as_bytes().to_vec()))
    }
}

/// Names only, because an address of a proxy may hold a password.
impl fmt::Debug for MachineNetwork {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("MachineNetwork")
            .field("proxies", &self.proxies.keys())
            .field("certificates", &self.certificates)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(variables: &[(&str, &str)]) -> MachineNetwork {
        MachineNetwork::new(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.into())
        })
    }

    #[test]
    fn a_program_is_told_of_proxies_and_certificates() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let path = file.path().to_str().expect("UTF-8");
        let machine = machine(&[
            ("https_proxy", "http://proxy:3128"),
            ("SSL_CERT_FILE", path),
        ]);
        let mut request = Request::new("/bin/sh", "/nowhere");
        request.env.insert("PIP_CERT".into(), "/its/own".into());
        machine.tell(&mut request);
        let told = |name: &str| {
            request
                .env
                .get(&OsString::from(name))
                .map(OsString::as_os_str)
        };
        assert_eq!(told("https_proxy"), Some("http://proxy:3128".as_ref()));
        assert_eq!(told("SSL_CERT_FILE"), Some(INSIDE.as_ref()));
        assert_eq!(told("PIP_CERT"), Some("/its/own".as_ref()));
        assert_eq!(request.mounts.len(), 1);
        assert_eq!(request.mounts[0].source, file.path());
    }

    #[test]
    fn nothing_is_told_where_there_is_nothing_to_tell() {
        let machine = machine(&[("SSL_CERT_FILE", "/no/such/file"), ("http_proxy", "")]);
        let mut request = Request::new("/bin/sh", "/nowhere");
        machine.tell(&mut request);
        assert!(request.env.is_empty());
        assert!(request.mounts.is_empty());
    }

    #[test]
    fn sec_1_passwords_of_proxies_are_not_shown() {
        let machine = machine(&[("ALL_PROXY", "http://me:hunter2@proxy:3128")]);
        assert_eq!(machine.passwords().collect::<Vec<_>>(), [b"hunter2"]);
        assert!(!format!("{machine:?}").contains("hunter2"));
    }
}
