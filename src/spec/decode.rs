//! From evaluated values to a [`Spec`]: what each key takes.

use std::collections::BTreeMap;

use cognix_derivations::Sha256;
use cognix_language::Pos;

use super::architecture::Architecture;
use super::archives::archives;
use super::error::{SpecError, SpecReason};
use super::keys::Keys;
use super::settings::{BaseTier, InputKind, PartialBase, PartialInput, PartialLayers, Spec};

/// The largest number of layers that every engine takes, and the smallest that makes sense.
const BUDGET: std::ops::RangeInclusive<i64> = 1..=126;

type Read<T> = Result<T, SpecError>;

/// Reads a whole file apart from its outputs.
pub(super) fn spec(root: &Keys<'_, '_>) -> Read<Spec> {
    root.only_known()?;
    let wheels = root.keys("wheels")?;
    if let Some(wheels) = &wheels {
        wheels.only_known()?;
    }
    let wheels = wheels.as_ref();
    let texts = |key| wheels.map_or(Ok(None), |wheels| wheels.texts(key));
    Ok(Spec {
        description: root.text("description")?,
        inputs: match root.keys("inputs")? {
            Some(inputs) => inputs.each(input)?,
            None => Default::default(),
        },
        base: base(root)?,
        layers: layers(root)?,
        platforms: root.parsed_list("platforms", platform)?,
        waivers: wheels.map_or(Ok(None), |wheels| wheels.parsed_list("waivers", digest))?,
        no_binary: wheels.map_or(Ok(None), |wheels| wheels.parsed_list("noBinary", no_binary))?,
        build_packages: texts("buildPackages")?,
        run_network: match root.keys("run")? {
            Some(run) => {
                run.only_known()?;
                run.boolean("network")?
            }
            None => None,
        },
        bytecode: root.boolean("bytecode")?,
        has_outputs: root.has("outputs"),
    })
}

/// A package's name in its one spelling, or `:all:`.
fn no_binary(key: String, text: String) -> Result<String, SpecReason> {
    if text == ":all:" {
        return Ok(text);
    }
    match text.parse::<uv_normalize::PackageName>() {
        Ok(name) => Ok(name.to_string()),
        Err(_) => Err(SpecReason::PackageName { key, found: text }),
    }
}

/// Whether a name can stand in a URL of a lock and in a file's name.
pub(super) fn is_plain_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let word = |word: &str| !word.is_empty() && word.bytes().all(plain);
    name.len() <= 100 && name.split('-').all(word)
}

fn input(keys: &Keys<'_, '_>, name: &str, pos: Pos) -> Read<PartialInput> {
    if !is_plain_name(name) {
        let found = name.to_owned();
        return Err(keys.error(
            pos,
            SpecReason::Name {
                what: "input",
                found,
            },
        ));
    }
    keys.only_known()?;
    let place = keys.evaluator.place(pos);
    let place = place.map(|place| (place.file, place.line, place.column));
    Ok(PartialInput {
        kind: keys.parsed("type", |key, text| {
            let mut kinds = InputKind::ALL.into_iter();
            let known = kinds.find(|kind| kind.name() == text);
            known.ok_or(SpecReason::InputKind { key, found: text })
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
        sha256: keys.parsed("sha256", digest)?,
        path: keys.path_value("path")?,
        reference: keys.text("reference")?,
        digest: keys.parsed("digest", digest)?,
        follows: keys.text("follows")?,
        place: place.unwrap_or((super::FILE_NAME.to_owned(), 1, 1)),
    })
}

/// The hash of each suite's release file.
fn releases(keys: &Keys<'_, '_>) -> Read<BTreeMap<String, Sha256>> {
    let mut releases = BTreeMap::new();
    for attr in keys.evaluator.by_name(keys.attrs) {
        let suite = keys.evaluator.name_text(attr.name);
        if let Some(sha256) = keys.parsed(&suite, digest)? {
            releases.insert(suite.into_owned(), sha256);
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
    let hex = text.strip_prefix("sha256:").unwrap_or(&text);
    hex.parse()
        .map_err(|_| SpecReason::Digest { key, found: text })
}

/// The `base` section of a file or of an image.
pub(super) fn base(around: &Keys<'_, '_>) -> Read<PartialBase> {
    let Some(keys) = around.keys("base")? else {
        return Ok(PartialBase::default());
    };
    keys.only_known()?;
    Ok(PartialBase {
        tier: keys.parsed("tier", |key, text| {
            let known = BaseTier::ALL.into_iter().find(|tier| tier.name() == text);
            known.ok_or(SpecReason::BaseTier { key, found: text })
        })?,
        packages: keys.texts("packages")?,
        recommends: keys.boolean("recommends")?,
        leave_out_scripts: keys.texts("leaveOutScripts")?,
    })
}

/// The `layers` section of a file or of an image.
pub(super) fn layers(around: &Keys<'_, '_>) -> Read<PartialLayers> {
    let Some(keys) = around.keys("layers")? else {
        return Ok(PartialLayers::default());
    };
    keys.only_known()?;
    let recipes = keys.keys("recipes")?;
    if let Some(recipes) = &recipes {
        recipes.only_known()?;
    }
    let recipe = |name| match &recipes {
        Some(recipes) => recipes.text(name),
        None => Ok(None),
    };
    Ok(PartialLayers {
        budget: keys.number("budget", BUDGET)?,
        conflicts: keys.text_map("conflicts", |key, name| {
            let path = name.strip_prefix('/').unwrap_or(name);
            let is_plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
            match path.split('/').all(is_plain) {
                true => Ok(path.to_owned()),
                false => Err(SpecReason::ImagePath {
                    key,
                    found: name.to_owned(),
                }),
            }
        })?,
        grouping: keys.text("grouping")?,
        tree: recipe("tree")?,
        wheel: recipe("wheel")?,
    })
}
