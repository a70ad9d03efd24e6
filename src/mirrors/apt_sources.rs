//! Where Debian packages come from on this machine.
//!
//! An input's address is taken from the command line, else from the `url` of the input in `cognix.nix`, else from apt's
//! own sources (`sources.list`, and `*.list` and `*.sources` beside it). Of apt's sources only addresses are used: which
//! suites an image needs is decided by the image, not by the machine that builds it.
//!
//! The address found is not trusted. Whatever it serves must carry a signature of a trusted key, so that a wrong guess
//! among several sources can fail a lock, never change it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use url::Url;

/// The name of the input that serves Debian's suites.
pub const DEBIAN: &str = "debian";
/// The name of the input that serves Debian's security suites.
pub const DEBIAN_SECURITY: &str = "debian-security";

/// Why it is not known where Debian packages come from.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AptError {
    /// Nobody says where the archive is; likely this is not a Debian machine.
    #[error(
        "no address is known for the package source {input:?}: say `--mirror {input}=URL`, or set `inputs.{input}.url` \
         in cognix.nix; apt's sources in {apt} name no {what}"
    )]
    NotConfigured {
        /// The input's name.
        input: String,
        /// Where apt's sources were looked for.
        apt: PathBuf,
        /// What was looked for.
        what: &'static str,
    },
    /// An address that cannot be fetched from.
    #[error(
        "the address of the package source {input:?} in {place} is no http or https URL: {text:?}"
    )]
    Address {
        /// The input's name.
        input: String,
        /// Where it was written.
        place: &'static str,
        /// What was written.
        text: String,
    },
    /// A `mirror://` URL of an input that has no address, or with a path that leaves the archive.
    #[error("{url:?} is not a file of a Debian archive that is known here")]
    NoMirror {
        /// The URL.
        url: String,
    },
    /// apt's sources are there but cannot be read.
    #[error("cannot read apt's sources: {path}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// The addresses that somebody chose for an input, in order of precedence.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceChoice {
    /// From the command line.
    pub command_line: Option<String>,
    /// From `cognix.nix`.
    pub input: Option<String>,
}

/// The addresses of Debian archives by input name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DebianSources {
    bases: BTreeMap<String, Url>,
}

impl DebianSources {
    /// Finds the address of every input in `choices`; `apt` is the folder of apt's settings.
    ///
    /// Without a choice, `debian-security` is apt's security archive, and any other input is apt's Debian archive.
    pub fn discover(
        choices: &BTreeMap<String, SourceChoice>,
        apt: &Path,
    ) -> Result<Self, AptError> {
        let mut bases = BTreeMap::new();
        let mut entries = None;
        for (input, choice) in choices {
            let base = match chosen(input, choice)? {
                Some(base) => base,
                None => {
                    let entries = match &mut entries {
                        Some(entries) => entries,
                        none => none.insert(apt_entries(apt)?),
                    };
                    let (kind, what) = match input.as_str() {
                        DEBIAN_SECURITY => (Kind::Security, "Debian security archive"),
                        _ => (Kind::Base, "Debian archive"),
                    };
                    best(entries, kind).ok_or_else(|| AptError::NotConfigured {
                        input: input.clone(),
                        apt: apt.to_owned(),
                        what,
                    })?
                }
            };
            bases.insert(input.clone(), base);
        }
        Ok(Self { bases })
    }

    /// The addresses by input name.
    pub fn bases(&self) -> &BTreeMap<String, Url> {
        &self.bases
    }

    /// Where a file of a lock (`mirror://debian/pool/…`) can be fetched.
    ///
    /// Archives keep only the newest version of a package. A server that answers 404 to such an address means that the
    /// pinned version is gone and that the model must be locked again.
    pub fn candidates(&self, url: &str) -> Result<Vec<Url>, AptError> {
        let parts = url
            .strip_prefix("mirror://")
            .and_then(|rest| rest.split_once('/'));
        let found = parts.and_then(|(input, path)| join(self.bases.get(input)?, path));
        found
            .map(|url| vec![url])
            .ok_or_else(|| AptError::NoMirror {
                url: url.to_owned(),
            })
    }
}

/// The address of a file below an archive's address; `None` for a path that would leave it.
///
/// The path is data, never syntax: `?`, `#` and `%` in it are encoded.
pub fn join(base: &Url, path: &str) -> Option<Url> {
    if !is_path_below(path) {
        return None;
    }
    let mut url = base.clone();
    url.path_segments_mut()
        .ok()?
        .pop_if_empty()
        .extend(path.split('/'));
    Some(url)
}

/// Whether a path stays below the folder that it is joined to: relative, with no empty, `.` or `..` part (ALL-5).
pub fn is_path_below(path: &str) -> bool {
    let plain = |part: &str| !matches!(part, "" | "." | "..") && part.len() <= 255;
    path.len() <= 4095
        && !path.contains(|c: char| c.is_control() || c == '\\')
        && path.split('/').all(plain)
}

fn chosen(input: &str, choice: &SourceChoice) -> Result<Option<Url>, AptError> {
    let places = [
        ("--mirror", &choice.command_line),
        ("cognix.nix", &choice.input),
    ];
    let Some((place, text)) = places
        .into_iter()
        .find_map(|(place, text)| Some((place, text.as_ref()?)))
    else {
        return Ok(None);
    };
    match web_address(text) {
        Some(url) => Ok(Some(url)),
        None => Err(AptError::Address {
            input: input.to_owned(),
            place,
            text: text.clone(),
        }),
    }
}

fn web_address(text: &str) -> Option<Url> {
    Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.host().is_some())
}

/// One suite at one address.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    base: Url,
    suite: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Base,
    Security,
}

/// The likeliest archive of a kind.
///
/// Other archives use Debian's codenames for suites of their own. Debian's is the one that has an updates suite as well;
/// if several have, or none has, the one that calls itself `debian`, and else the first.
fn best(entries: &[Entry], kind: Kind) -> Option<Url> {
    let candidates = entries
        .iter()
        .filter(|entry| suite_kind(&entry.suite) == Some(kind));
    let has_updates = |base: &Url| {
        entries
            .iter()
            .any(|entry| entry.base == *base && entry.suite.ends_with("-updates"))
    };
    let is_named = |base: &Url| {
        let name = base
            .path()
            .trim_end_matches('/')
            .rsplit('/')
            .next()
            .unwrap_or_default();
        name == "debian" || name == "debian-security"
    };
    candidates
        .map(|entry| &entry.base)
        .min_by_key(|base| (!has_updates(base), !is_named(base)))
        .cloned()
}

/// Which of Debian's archives a suite stands in; `None` for suites that are not Debian's.
fn suite_kind(suite: &str) -> Option<Kind> {
    const RELEASES: [&str; 11] = [
        "oldoldstable",
        "oldstable",
        "stable",
        "testing",
        "unstable",
        "bullseye",
        "bookworm",
        "trixie",
        "forky",
        "duke",
        "sid",
    ];
    let (release, rest) = suite.split_at(suite.find(['-', '/']).unwrap_or(suite.len()));
    match rest.trim_end_matches('/') {
        _ if !RELEASES.contains(&release) => None,
        "" | "-updates" | "-proposed-updates" | "-backports" | "-backports-sloppy" => {
            Some(Kind::Base)
        }
        "-security" | "/updates" => Some(Kind::Security),
        _ => None,
    }
}

/// apt's sources in apt's order; files that are not there are no error.
fn apt_entries(apt: &Path) -> Result<Vec<Entry>, AptError> {
    let mut entries = Vec::new();
    if let Some(text) = read(&apt.join("sources.list"))? {
        one_line_entries(&text, &mut entries);
    }
    let folder = apt.join("sources.list.d");
    let mut files = match fs_err::read_dir(&folder) {
        Ok(found) => found
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<Vec<_>, _>>(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
    .map_err(|source| AptError::Io {
        path: folder,
        source,
    })?;
    files.sort();
    for file in files {
        let add = match file.extension().and_then(|extension| extension.to_str()) {
            Some("list") => one_line_entries,
            Some("sources") => stanza_entries,
            _ => continue,
        };
        if let Some(text) = read(&file)? {
            add(&text, &mut entries);
        }
    }
    Ok(entries)
}

fn read(path: &Path) -> Result<Option<String>, AptError> {
    match fs_err::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(AptError::Io {
            path: path.to_owned(),
            source,
        }),
    }
}

/// `deb [OPTIONS] URI SUITE COMPONENT…`, a line each. Lines that are something else are for others to judge.
fn one_line_entries(text: &str, entries: &mut Vec<Entry>) {
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let Some(rest) = line
            .strip_prefix("deb")
            .filter(|rest| rest.starts_with(char::is_whitespace))
        else {
            continue;
        };
        let rest = rest.trim_start();
        let rest = match rest.strip_prefix('[') {
            Some(options) => options.split_once(']').map_or("", |(_, rest)| rest),
            None => rest,
        };
        let mut words = rest.split_whitespace();
        if let (Some(uri), Some(suite)) = (words.next(), words.next()) {
            add(
                &[uri],
                &[suite],
                words.any(|component| component == "main"),
                entries,
            );
        }
    }
}

/// Stanzas with `Types`, `URIs`, `Suites`, `Components` and perhaps `Enabled: no`.
fn stanza_entries(text: &str, entries: &mut Vec<Entry>) {
    let mut fields: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let mut last = String::new();
    for line in text.lines().chain([""]) {
        if line.starts_with('#') {
            continue;
        }
        if line.trim().is_empty() {
            let field = |name: &str| fields.get(name).map_or(&[][..], Vec::as_slice);
            let enabled = !matches!(field("enabled"), ["no" | "false" | "off" | "0", ..]);
            if enabled && field("types").contains(&"deb") {
                add(
                    field("uris"),
                    field("suites"),
                    field("components").contains(&"main"),
                    entries,
                );
            }
            fields.clear();
        } else if line.starts_with([' ', '\t']) {
            fields
                .entry(last.clone())
                .or_default()
                .extend(line.split_whitespace());
        } else if let Some((name, value)) = line.split_once(':') {
            last = name.trim().to_ascii_lowercase();
            fields.insert(last.clone(), value.split_whitespace().collect());
        }
    }
}

/// Debian's archives have a component `main`; addresses of other kinds (discs, files) are passed over.
fn add(uris: &[&str], suites: &[&str], has_main: bool, entries: &mut Vec<Entry>) {
    if !has_main {
        return;
    }
    for base in uris.iter().filter_map(|uri| web_address(uri)) {
        entries.extend(suites.iter().map(|suite| Entry {
            base: base.clone(),
            suite: (*suite).to_owned(),
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choices(debian: SourceChoice) -> BTreeMap<String, SourceChoice> {
        [
            (DEBIAN.to_owned(), debian),
            (DEBIAN_SECURITY.to_owned(), SourceChoice::default()),
        ]
        .into()
    }

    fn discover(files: &[(&str, &str)], debian: SourceChoice) -> Result<Vec<String>, String> {
        let apt = tempfile::tempdir().expect("a temporary folder");
        fs_err::create_dir(apt.path().join("sources.list.d")).expect("a new folder");
        for (name, text) in files {
            fs_err::write(apt.path().join(name), text).expect("a new file");
        }
        let sources = DebianSources::discover(&choices(debian), apt.path());
        let sources = sources.map_err(|error| {
            error
                .to_string()
                .replace(&apt.path().display().to_string(), "APT")
        })?;
        Ok(sources.bases().values().map(ToString::to_string).collect())
    }

    fn check(files: &[(&str, &str)], debian: &str, security: &str) {
        let expected = [debian.to_owned(), security.to_owned()];
        assert_eq!(
            discover(files, SourceChoice::default()).as_deref(),
            Ok(&expected[..]),
            "{files:?}"
        );
    }

    const LINES: &str = "# a comment\n\ndeb-src http://src.example/debian bookworm main\n\
        deb [arch=amd64 signed-by=/k.gpg] http://one.example/debian trixie main contrib # note\n\
        deb http://one.example/security trixie-security main\n";

    #[test]
    fn one_line_format() {
        check(
            &[("sources.list", LINES)],
            "http://one.example/debian",
            "http://one.example/security",
        );
        let old = "deb http://one.example/debian/ stable main\ndeb http://one.example/s bullseye/updates main\n";
        check(
            &[("sources.list", old)],
            "http://one.example/debian/",
            "http://one.example/s",
        );
    }

    #[test]
    fn stanza_format() {
        let text = "Types: deb deb-src\n# a comment\nURIs: https://two.example/debian\nSuites: bookworm\n bookworm-updates\n\
            Components: main\n\nEnabled: no\nTypes: deb\nURIs: https://off.example/debian\nSuites: bookworm\n\
            Components: main\n\ntypes: deb\nuris: https://two.example/debian-security\nsuites: bookworm-security\n\
            components: main";
        let expected = (
            "https://two.example/debian",
            "https://two.example/debian-security",
        );
        check(
            &[("sources.list.d/debian.sources", text)],
            expected.0,
            expected.1,
        );
    }

    #[test]
    fn archives_of_others_are_told_apart() {
        let others = "deb https://tool.example/linux/debian bookworm stable\ndeb https://php.example/php bookworm main\n\
            deb https://db.example/apt bookworm-pgdg main\ndeb https://js.example nodistro main\n\
            deb cdrom:[Debian]/ bookworm main\ndeb https://ubuntu.example/ubuntu noble main\n";
        let debian = "deb http://one.example/mirror bookworm-updates main\ndeb http://one.example/mirror bookworm main\n\
            deb http://one.example/mirror-s bookworm-security main\n";
        let files = [
            ("sources.list", others),
            ("sources.list.d/debian.list", debian),
        ];
        check(
            &files,
            "http://one.example/mirror",
            "http://one.example/mirror-s",
        );
        let plain = debian
            .replace("-updates", "")
            .replace("/mirror ", "/debian ");
        let files = [
            ("sources.list", others),
            ("sources.list.d/debian.list", &plain),
        ];
        check(
            &files,
            "http://one.example/debian",
            "http://one.example/mirror-s",
        );
    }

    #[test]
    fn the_command_line_wins_over_the_spec_and_the_spec_over_apt() {
        let mut choice = SourceChoice {
            command_line: Some("https://first.example/d".to_owned()),
            input: Some("https://second.example/d".to_owned()),
        };
        let files = [("sources.list", LINES)];
        let found =
            |choice: &SourceChoice| discover(&files, choice.clone()).map(|bases| bases[0].clone());
        assert_eq!(found(&choice).as_deref(), Ok("https://first.example/d"));
        choice.command_line = None;
        assert_eq!(found(&choice).as_deref(), Ok("https://second.example/d"));
        choice.input = Some("ftp://third.example/d".to_owned());
        let error = found(&choice).expect_err("ftp is not fetched from");
        assert_eq!(
            error,
            "the address of the package source \"debian\" in cognix.nix is no http or https URL: \"ftp://third.example/d\""
        );
    }

    #[test]
    fn without_any_setting_the_error_names_the_settings() {
        let error = discover(&[], SourceChoice::default()).expect_err("nothing is configured");
        assert_eq!(
            error,
            "no address is known for the package source \"debian\": say `--mirror debian=URL`, or set \
             `inputs.debian.url` in cognix.nix; apt's sources in APT name no Debian archive"
        );
        let without_security = [(
            "sources.list",
            "deb http://one.example/debian trixie main\n",
        )];
        let error =
            discover(&without_security, SourceChoice::default()).expect_err("no security archive");
        assert!(
            error.contains("debian-security=URL") && error.ends_with("no Debian security archive"),
            "{error}"
        );
    }

    #[test]
    fn all_5_candidates_stay_below_the_archive() {
        let base = Url::parse("http://one.example/debian/").expect("a URL");
        let sources = DebianSources {
            bases: [(DEBIAN.to_owned(), base)].into(),
        };
        let found = |url: &str| {
            sources
                .candidates(url)
                .map(|urls| urls[0].to_string())
                .map_err(|error| error.to_string())
        };
        assert_eq!(
            found("mirror://debian/pool/main/g/g++/g++_1~2+b1_amd64.deb").as_deref(),
            Ok("http://one.example/debian/pool/main/g/g++/g++_1~2+b1_amd64.deb")
        );
        assert_eq!(
            found("mirror://debian/a?b#c%2e").as_deref(),
            Ok("http://one.example/debian/a%3Fb%23c%252e")
        );
        for url in [
            "mirror://debian/../x",
            "mirror://debian/pool/../../x",
            "mirror://debian//etc/x",
            "mirror://debian/",
            "mirror://debian/a\\b",
            "mirror://other/pool/x",
            "http://one.example/pool/x",
        ] {
            assert!(found(url).is_err(), "{url}");
        }
    }
}
