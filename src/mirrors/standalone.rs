//! Where archives of standalone interpreters come from on this machine.
//!
//! ```text
//! --mirror python-build-standalone=URL  >  input url  >  UV_PYTHON_INSTALL_MIRROR  >  built in
//! ```
//!
//! An address is what uv's own setting means by it: the folder that holds one folder for each build. The built-in ones
//! are those that uv's library would ask, in its order; they are read from its list of downloads, of which nothing else
//! is used.

use std::str::FromStr;

use url::Url;
use uv_python::downloads::{ManagedPythonDownloadList, PythonDownloadRequest};

use super::apt_sources::{SourceChoice, join};
use super::pip_settings::{Machine, Origin, shown};

/// The name of the package source.
pub const STANDALONE: &str = "python-build-standalone";
/// uv's setting for the same thing.
pub const SETTING: &str = "UV_PYTHON_INSTALL_MIRROR";

/// Why it is not known where an interpreter's archive is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StandaloneError {
    /// An address that nothing can be fetched from. The value is not printed, because it may hold a password.
    #[error(
        "{origin} does not hold the address of {STANDALONE}: {reason}; expected something like https://HOST/PATH"
    )]
    Address {
        /// Where the value stands.
        origin: Origin,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The library has no address of its own.
    #[error(
        "no address is known for {STANDALONE}: say `--mirror {STANDALONE}=URL`, or set {SETTING}"
    )]
    NotConfigured,
    /// A path that leaves the package source.
    #[error("{path:?} is not a path below {STANDALONE}")]
    Path {
        /// The path.
        path: String,
    },
}

/// Where the archives are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandaloneSource {
    /// Best first, never empty.
    bases: Vec<Url>,
}

impl StandaloneSource {
    /// Reads the machine's settings as far as the choice leaves them open.
    pub fn discover(choice: &SourceChoice, machine: &Machine<'_>) -> Result<Self, StandaloneError> {
        let chosen = [
            (Origin::CommandLine, choice.command_line.clone()),
            (Origin::Input, choice.input.clone()),
            (Origin::Variable(SETTING), machine.variable(SETTING)),
        ];
        let chosen = chosen
            .into_iter()
            .find_map(|(origin, text)| Some((origin, text?)));
        let bases = match chosen {
            Some((origin, text)) => vec![address(&text, origin)?],
            None => built_in(),
        };
        if bases.is_empty() {
            return Err(StandaloneError::NotConfigured);
        }
        Ok(Self { bases })
    }

    /// Where a file of the package source can be fetched, best first.
    pub fn candidates(&self, path: &str) -> Result<Vec<Url>, StandaloneError> {
        let bases = self.bases.iter();
        let found: Option<Vec<Url>> = bases.map(|base| below(base, path)).collect();
        found.ok_or_else(|| StandaloneError::Path {
            path: path.to_owned(),
        })
    }

    /// The addresses as they may be printed.
    pub fn shown(&self) -> String {
        let bases: Vec<String> = self.bases.iter().map(shown).collect();
        bases.join(", ")
    }
}

/// The file's address. A plus sign is encoded as uv does it: object stores take a plain one for a blank.
fn below(base: &Url, path: &str) -> Option<Url> {
    let mut url = join(base, path)?;
    let encoded = url.path().replace('+', "%2B");
    url.set_path(&encoded);
    Some(url)
}

fn address(text: &str, origin: Origin) -> Result<Url, StandaloneError> {
    let reason = match Url::parse(text.trim()) {
        Ok(url) => match url.scheme() {
            "http" | "https" | "file" => return Ok(url),
            _ => "only http, https and file are supported",
        },
        Err(_) => "it is not an absolute address",
    };
    Err(StandaloneError::Address { origin, reason })
}

/// The addresses that uv's library has by itself: those of any archive, without build and file.
fn built_in() -> Vec<Url> {
    let request = PythonDownloadRequest::from_str("cpython-3.12-linux-x86_64-gnu");
    let list = ManagedPythonDownloadList::new_only_embedded();
    let (Ok(request), Ok(list)) = (request, list) else {
        return Vec::new();
    };
    let urls = list
        .iter_matching(&request)
        .next()
        .and_then(|download| download.download_urls(None, None).ok());
    let base = |url| {
        let mut url = Url::from(url);
        url.path_segments_mut().ok()?.pop().pop();
        Some(url)
    };
    urls.into_iter().flatten().filter_map(base).collect()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::path::Path;

    use super::*;

    const FILE: &str = "20260101/cpython-3.12.0+20260101-x86_64.tar.gz";

    fn discover(
        command_line: Option<&str>,
        input: Option<&str>,
        variable: Option<&str>,
    ) -> Result<Vec<String>, String> {
        let choice = SourceChoice {
            command_line: command_line.map(str::to_owned),
            input: input.map(str::to_owned),
        };
        let variables = |name: &str| variable.filter(|_| name == SETTING).map(OsString::from);
        let machine = Machine::new(&variables, Path::new("/nowhere"));
        let source = StandaloneSource::discover(&choice, &machine).map_err(|e| e.to_string())?;
        let urls = source.candidates(FILE).map_err(|e| e.to_string())?;
        Ok(urls.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn the_first_that_says_something_decides() {
        let (one, two, three) = (
            "http://one.example/",
            "file:///srv/two",
            "https://three.example/p",
        );
        let check = |choices: [Option<&str>; 3], expected: &str| {
            let [command_line, input, variable] = choices;
            let expected = format!("{expected}/20260101/cpython-3.12.0%2B20260101-x86_64.tar.gz");
            assert_eq!(discover(command_line, input, variable), Ok(vec![expected]));
        };
        check([Some(one), Some(two), Some(three)], "http://one.example");
        check([None, Some(two), Some(three)], "file:///srv/two");
        check([None, None, Some(three)], "https://three.example/p");
    }

    #[test]
    fn without_a_setting_the_library_decides() {
        let urls = discover(None, None, None).expect("the library has addresses");
        assert!(!urls.is_empty());
        for url in urls {
            assert!(url.starts_with("https://"), "{url}");
            assert!(
                url.ends_with(
                    "/releases/download/20260101/cpython-3.12.0%2B20260101-x86_64.tar.gz"
                ),
                "{url}"
            );
        }
    }

    #[test]
    fn sec_2_an_address_that_cannot_be_is_named_without_its_value() {
        let said =
            discover(Some("ftp://user:secret@one.example"), None, None).expect_err("refused");
        assert!(said.starts_with("the command line does not hold"), "{said}");
        assert!(!said.contains("secret"), "{said}");
        let said = discover(None, None, Some("one.example")).expect_err("refused");
        assert!(said.contains(SETTING), "{said}");
    }

    #[test]
    fn all_5_paths_stay_below() {
        let source = StandaloneSource {
            bases: vec![Url::parse("https://one.example/a").expect("an address")],
        };
        for path in ["../b", "", "a//b", "/etc/passwd", "a/./b"] {
            assert!(source.candidates(path).is_err(), "{path}");
        }
        let urls = source.candidates("x?y#z").expect("data, not syntax");
        assert_eq!(urls[0].as_str(), "https://one.example/a/x%3Fy%23z");
    }
}
