//! Names for package indexes that have none.

use std::collections::{BTreeMap, BTreeSet};

use url::Url;

use super::{PYPI, PYTORCH};
use crate::mirrors::pip_settings::shown;

/// The names that are taken, and the addresses behind those that were made here.
pub(super) struct Names(BTreeMap<String, Option<String>>);

impl Names {
    pub(super) fn new<'a>(inputs: impl Iterator<Item = &'a str>) -> Self {
        let taken = inputs.chain([PYPI, PYTORCH]);
        Self(taken.map(|name| (name.to_owned(), None)).collect())
    }

    /// All names.
    pub(super) fn all(self) -> BTreeSet<String> {
        self.0.into_keys().collect()
    }

    /// The name of an address: host, port and path, in the letters that names have. Another address with the same
    /// letters gets a number.
    pub(super) fn of(&mut self, url: &Url) -> String {
        let address = shown(url).trim_end_matches('/').to_owned();
        let text = format!(
            "{} {} {}",
            url.host_str().unwrap_or_default(),
            url.port().map(|port| port.to_string()).unwrap_or_default(),
            url.path()
        );
        let words = text
            .split(|c: char| !c.is_ascii_alphanumeric())
            .filter(|word| !word.is_empty());
        let name = words.collect::<Vec<_>>().join("-").to_ascii_lowercase();
        let numbered = (2..).map(|number| format!("{name}-{number}"));
        for name in std::iter::once(name.clone()).chain(numbered) {
            match self.0.get(&name) {
                Some(Some(own)) if *own == address => return name,
                Some(_) => {}
                None => {
                    self.0.insert(name.clone(), Some(address));
                    return name;
                }
            }
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_addresses() {
        let mut names = Names::new(["my-index-test"].into_iter());
        for (address, expected) in [
            ("https://index.test/simple/", "index-test-simple"),
            ("https://index.test/simple", "index-test-simple"),
            ("https://index.test/Simple", "index-test-simple-2"),
            ("https://index.test:8443/simple", "index-test-8443-simple"),
            ("https://my.index.test", "my-index-test-2"),
            ("http://[::1]/a%20b//c", "1-a-20b-c"),
        ] {
            let url = Url::parse(address).expect("an address");
            assert_eq!(names.of(&url), expected, "{address}");
        }
    }
}
