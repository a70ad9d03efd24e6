//! From literal values to a [`Spec`]: which keys there are, and what each takes.

use std::collections::BTreeMap;

use cognix_derivations::Sha256;

use super::architecture::Architecture;
use super::archives::archives;
use super::error::{SpecError, SpecReason};
use super::literal::{Content, Document, Set, Value};
use super::settings::{BaseTier, InputKind, PartialBase, PartialInput, PartialLayers, Spec};

/// The largest number of layers that every engine takes, and the smallest that makes sense.
const BUDGET: std::ops::RangeInclusive<i64> = 1..=126;

/// Reads the whole file.
pub(super) fn spec(document: &Document<'_>) -> Result<Spec, SpecError> {
    let root = Keys {
        document,
        path: String::new(),
        set: &document.root,
    };
    root.only(&[
        "description",
        "inputs",
        "platforms",
        "base",
        "layers",
        "wheels",
        "outputs",
    ])?;
    Ok(Spec {
        description: root.text("description")?,
        inputs: match root.keys("inputs")? {
            Some(inputs) => inputs.each(input)?,
            None => Default::default(),
        },
        base: root
            .keys("base")?
            .map(|keys| base(&keys))
            .transpose()?
            .unwrap_or_default(),
        layers: root
            .keys("layers")?
            .map(|keys| layers(&keys))
            .transpose()?
            .unwrap_or_default(),
        platforms: root.parsed_list("platforms", platform)?,
        waivers: match root.keys("wheels")? {
            Some(wheels) => {
                wheels.only(&["waivers"])?;
                wheels.parsed_list("waivers", digest)?
            }
            None => None,
        },
        has_outputs: document.root.contains_key("outputs"),
    })
}

fn input(keys: &Keys<'_>, name: &str, offset: usize) -> Result<PartialInput, SpecError> {
    let valid = |word: &str| {
        !word.is_empty()
            && word
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    if !name.split('-').all(valid) {
        return Err(keys.document.error(
            offset,
            SpecReason::InputName {
                found: name.to_owned(),
            },
        ));
    }
    keys.only(&[
        "type",
        "url",
        "suites",
        "components",
        "keys",
        "releases",
        "archives",
        "packages",
    ])?;
    let place = keys
        .document
        .error(offset, SpecReason::Missing { key: String::new() });
    Ok(PartialInput {
        kind: keys.parsed("type", |key, text| match text.as_str() {
            "pypi" => Ok(InputKind::Pypi),
            "debian" => Ok(InputKind::Debian),
            "url" => Ok(InputKind::Url),
            _ => Err(SpecReason::InputKind { key, found: text }),
        })?,
        url: keys.parsed("url", address)?,
        suites: keys.texts("suites")?,
        components: keys.texts("components")?,
        keys: keys.paths("keys")?,
        releases: keys
            .keys("releases")?
            .map(|keys| releases(&keys))
            .transpose()?,
        archives: archives(keys)?,
        packages: keys.texts("packages")?,
        place: (place.file, place.line, place.column),
    })
}

/// The hash of each suite's release file.
fn releases(keys: &Keys<'_>) -> Result<BTreeMap<String, Sha256>, SpecError> {
    let mut releases = BTreeMap::new();
    for suite in keys.set.keys() {
        if let Some(sha256) = keys.parsed(suite, digest)? {
            releases.insert(suite.clone(), sha256);
        }
    }
    Ok(releases)
}

/// An address without a trailing slash and without anything secret.
fn address(key: String, text: String) -> Result<String, SpecReason> {
    let Ok(url) = url::Url::parse(&text) else {
        return Err(SpecReason::Url { key, found: text });
    };
    if !url.username().is_empty() || url.password().is_some() {
        // The text itself is not shown: it holds what should not be seen.
        return Err(SpecReason::Credentials { key });
    }
    match url.scheme() {
        "http" | "https" if url.has_host() => {}
        "file" => {}
        _ => return Err(SpecReason::Url { key, found: text }),
    }
    Ok(text.trim_end_matches('/').to_owned())
}

pub(super) fn platform(key: String, text: String) -> Result<Architecture, SpecReason> {
    text.parse()
        .map_err(|_| SpecReason::Platform { key, found: text })
}

pub(super) fn digest(key: String, text: String) -> Result<Sha256, SpecReason> {
    text.parse()
        .map_err(|_| SpecReason::Digest { key, found: text })
}

fn base(keys: &Keys<'_>) -> Result<PartialBase, SpecError> {
    keys.only(&["packages", "recommends", "tier"])?;
    Ok(PartialBase {
        tier: keys.parsed("tier", |key, text| {
            let known = BaseTier::ALL.into_iter().find(|tier| tier.name() == text);
            known.ok_or(SpecReason::BaseTier { key, found: text })
        })?,
        packages: keys.texts("packages")?,
        recommends: keys.boolean("recommends")?,
    })
}

fn layers(keys: &Keys<'_>) -> Result<PartialLayers, SpecError> {
    keys.only(&["budget", "conflicts", "grouping", "recipes"])?;
    let recipes = keys.keys("recipes")?;
    if let Some(recipes) = &recipes {
        recipes.only(&["tree", "wheel"])?;
    }
    let recipe = |name| {
        recipes
            .as_ref()
            .map(|recipes| recipes.text(name))
            .transpose()
            .map(Option::flatten)
    };
    Ok(PartialLayers {
        budget: keys.number("budget", BUDGET)?,
        conflicts: keys
            .keys("conflicts")?
            .map(|rules| rules.each_path())
            .transpose()?,
        grouping: keys.text("grouping")?,
        tree: recipe("tree")?,
        wheel: recipe("wheel")?,
    })
}

/// A set of keys, with the path to it.
pub(super) struct Keys<'d> {
    pub(super) document: &'d Document<'d>,
    pub(super) path: String,
    pub(super) set: &'d Set,
}

impl<'d> Keys<'d> {
    pub(super) fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// Refuses keys that do not exist: a misspelt one would silently do nothing.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), SpecError> {
        match self
            .set
            .iter()
            .find(|(key, _)| !known.contains(&key.as_str()))
        {
            None => Ok(()),
            Some((key, value)) => {
                let reason = SpecReason::UnknownKey {
                    key: self.path_of(key),
                    known: known.join(", "),
                };
                Err(self.document.error(value.key_offset, reason))
            }
        }
    }

    pub(super) fn wrong(&self, key: &str, value: &Value, expected: &'static str) -> SpecError {
        let (key, found) = (self.path_of(key), value.content.describe());
        let reason = match value.content {
            Content::Expression(found) => SpecReason::NotLiteral { key, found },
            _ => SpecReason::WrongType {
                key,
                expected,
                found,
            },
        };
        self.document.error(value.offset, reason)
    }

    fn keys(&self, key: &str) -> Result<Option<Self>, SpecError> {
        match self.set.get(key) {
            None => Ok(None),
            Some(Value {
                content: Content::Set(set),
                ..
            }) => Ok(Some(Keys {
                document: self.document,
                path: self.path_of(key),
                set,
            })),
            Some(value) => Err(self.wrong(key, value, "a set")),
        }
    }

    /// Reads every value of the set, each a set itself.
    fn each<T, C: FromIterator<(String, T)>>(
        &self,
        read: impl Fn(&Self, &str, usize) -> Result<T, SpecError>,
    ) -> Result<C, SpecError> {
        let entries = self
            .set
            .iter()
            .filter_map(|(name, value)| match self.keys(name) {
                Ok(keys) => {
                    keys.map(|keys| Ok((name.clone(), read(&keys, name, value.key_offset)?)))
                }
                Err(error) => Some(Err(error)),
            });
        entries.collect()
    }

    fn text(&self, key: &str) -> Result<Option<String>, SpecError> {
        match self.set.get(key) {
            None => Ok(None),
            Some(Value {
                content: Content::Text(text),
                ..
            }) => Ok(Some(text.clone())),
            Some(value) => Err(self.wrong(key, value, "a string")),
        }
    }

    pub(super) fn parsed<T>(
        &self,
        key: &str,
        parse: impl FnOnce(String, String) -> Result<T, SpecReason>,
    ) -> Result<Option<T>, SpecError> {
        let (Some(text), Some(value)) = (self.text(key)?, self.set.get(key)) else {
            return Ok(None);
        };
        parse(self.path_of(key), text)
            .map(Some)
            .map_err(|reason| self.document.error(value.offset, reason))
    }

    fn texts(&self, key: &str) -> Result<Option<Vec<String>>, SpecError> {
        let Some(value) = self.set.get(key) else {
            return Ok(None);
        };
        let Content::List(items) = &value.content else {
            return Err(self.wrong(key, value, "a list of strings"));
        };
        let texts = items.iter().map(|item| match &item.content {
            Content::Text(text) => Ok(text.clone()),
            _ => Err(self.wrong(key, item, "a list of strings")),
        });
        texts.collect::<Result<_, _>>().map(Some)
    }

    /// Reads a list of strings that each mean something.
    fn parsed_list<T>(
        &self,
        key: &str,
        parse: impl Fn(String, String) -> Result<T, SpecReason>,
    ) -> Result<Option<Vec<T>>, SpecError> {
        let (Some(texts), Some(value)) = (self.texts(key)?, self.set.get(key)) else {
            return Ok(None);
        };
        let Content::List(items) = &value.content else {
            return Err(self.wrong(key, value, "a list of strings"));
        };
        let parsed = texts.into_iter().zip(items).map(|(text, item)| {
            parse(self.path_of(key), text)
                .map_err(|reason| self.document.error(item.offset, reason))
        });
        parsed.collect::<Result<_, _>>().map(Some)
    }

    /// Every key, which is a path in the image, with its text. The path may begin at the root or be relative to it.
    fn each_path(&self) -> Result<BTreeMap<String, String>, SpecError> {
        let mut texts = BTreeMap::new();
        for (key, value) in self.set {
            let path = key.strip_prefix('/').unwrap_or(key);
            let is_plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
            let owner = self.text(key)?.unwrap_or_default();
            if !path.split('/').all(is_plain) || texts.insert(path.to_owned(), owner).is_some() {
                let (key, found) = (self.path.clone(), key.clone());
                let reason = SpecReason::ImagePath { key, found };
                return Err(self.document.error(value.key_offset, reason));
            }
        }
        Ok(texts)
    }

    /// Files beside the spec or below, relative to it.
    fn paths(&self, key: &str) -> Result<Option<Vec<String>>, SpecError> {
        let Some(value) = self.set.get(key) else {
            return Ok(None);
        };
        let Content::List(items) = &value.content else {
            return Err(self.wrong(key, value, "a list of paths"));
        };
        let paths = items.iter().map(|item| {
            let Content::Path(written) = &item.content else {
                return Err(self.wrong(key, item, "a list of paths"));
            };
            let below = written.strip_prefix("./").unwrap_or(written);
            if below.split('/').any(|part| matches!(part, "" | "." | "..")) {
                let reason = SpecReason::PathOutside {
                    key: self.path_of(key),
                    found: written.clone(),
                };
                return Err(self.document.error(item.offset, reason));
            }
            Ok(below.to_owned())
        });
        paths.collect::<Result<_, _>>().map(Some)
    }

    fn boolean(&self, key: &str) -> Result<Option<bool>, SpecError> {
        match self.set.get(key) {
            None => Ok(None),
            Some(Value {
                content: Content::Boolean(value),
                ..
            }) => Ok(Some(*value)),
            Some(value) => Err(self.wrong(key, value, "true or false")),
        }
    }

    fn number(
        &self,
        key: &str,
        range: std::ops::RangeInclusive<i64>,
    ) -> Result<Option<u32>, SpecError> {
        let Some(value) = self.set.get(key) else {
            return Ok(None);
        };
        let Content::Integer(found) = value.content else {
            return Err(self.wrong(key, value, "a number"));
        };
        match u32::try_from(found) {
            Ok(number) if range.contains(&found) => Ok(Some(number)),
            _ => {
                let (least, most) = range.into_inner();
                let reason = SpecReason::Range {
                    key: self.path_of(key),
                    least,
                    most,
                    found,
                };
                Err(self.document.error(value.offset, reason))
            }
        }
    }
}
