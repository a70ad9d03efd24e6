//! `images.NAME`: what one image changes.

use std::collections::BTreeMap;

use cognix_language::Value;

use super::decode;
use super::error::{SpecError, SpecReason};
use super::evaluate::Session;
use super::keys::Keys;
use super::settings::PartialLayers;
use super::variant::{DEFAULT_VARIANT, Pin, Torch, TorchMode, Variant};

type Read<T> = Result<T, SpecError>;

/// Reads one image; without keys, the one of a spec that names none.
pub(super) fn variant<'e, 'a>(
    session: &Session<'e, 'a>,
    image: Option<&Keys<'e, 'a>>,
) -> Read<Variant> {
    let overrides = overrides(session, image)?;
    let Some(keys) = image else {
        return Ok(Variant {
            pins: overrides.pins,
            has_derivations: overrides.replaces,
            torch: overrides.torch,
            ..Variant::unchanged(DEFAULT_VARIANT)
        });
    };
    keys.only_known()?;
    let name = keys.path.rsplit('.').next().unwrap_or_default();
    let extra = keys.items("extraPackages", "a list of derivations")?;
    let extra_packages = extra.map_or(0, |extra| extra.len());
    Ok(Variant {
        name: name.to_owned(),
        python: keys.text("python")?,
        packages: keys.texts("packages")?.unwrap_or_default(),
        system_packages: keys.texts("systemPackages")?.unwrap_or_default(),
        gpu: keys.boolean("gpu")?,
        cuda: keys.text("cuda")?,
        cudnn: keys.text("cudnn")?,
        torch: torch(keys)?.or(overrides.torch),
        base: decode::base(keys)?,
        layers: layers(keys)?,
        bytecode: keys.boolean("bytecode")?,
        platforms: keys.parsed_list("platforms", decode::platform)?,
        environment: keys
            .text_map("environment", |key, name| match is_variable(name) {
                true => Ok(name.to_owned()),
                false => Err(SpecReason::Variable {
                    key,
                    found: name.to_owned(),
                }),
            })?
            .unwrap_or_default(),
        pins: overrides.pins,
        has_derivations: overrides.replaces || extra_packages > 0,
        extra_packages,
    })
}

fn is_variable(name: &str) -> bool {
    let starts = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'_';
    let continues = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.as_bytes().first().is_some_and(starts) && name.bytes().all(continues)
}

fn torch(image: &Keys<'_, '_>) -> Read<Option<Torch>> {
    let Some(keys) = image.keys("torch")? else {
        return Ok(None);
    };
    keys.only_known()?;
    let mode = keys.parsed("mode", |key, text| match text.as_str() {
        "wheel" => Ok(TorchMode::Wheel),
        "source" => Ok(TorchMode::Source),
        _ => Err(SpecReason::TorchMode { key, found: text }),
    })?;
    Ok(Some(Torch {
        mode: mode.unwrap_or_default(),
        version: keys.text("version")?,
        gpu_archs: keys.parsed_list("gpuArchs", gpu_arch)?.unwrap_or_default(),
    }))
}

/// A compute capability: `5.2`, `9.0a`.
fn gpu_arch(key: String, text: String) -> Result<String, SpecReason> {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_arch = text.split_once('.').is_some_and(|(major, minor)| {
        digits(major) && digits(minor.trim_end_matches(|c: char| c.is_ascii_lowercase()))
    });
    match is_arch {
        true => Ok(text),
        false => Err(SpecReason::GpuArch { key, found: text }),
    }
}

/// `layers`, and `compression` as its recipes.
fn layers(image: &Keys<'_, '_>) -> Read<PartialLayers> {
    let layers = decode::layers(image)?;
    let Some(keys) = image.keys("compression")? else {
        return Ok(layers);
    };
    keys.only_known()?;
    Ok(PartialLayers {
        tree: keys.text("tree")?,
        wheel: keys.text("wheel")?,
        ..layers
    })
}

/// What overrides say before anything is locked.
#[derive(Default)]
struct Overrides {
    pins: BTreeMap<String, Pin>,
    torch: Option<Torch>,
    /// Whether some package comes from a derivation.
    replaces: bool,
}

fn overrides<'e, 'a>(session: &Session<'e, 'a>, image: Option<&Keys<'e, 'a>>) -> Read<Overrides> {
    let mut overrides = Overrides::default();
    let Some(overridden) = session.overridden(image)? else {
        return Ok(overrides);
    };
    for attr in session.evaluator.by_name(overridden.attrs) {
        let name = session.evaluator.name_text(attr.name).into_owned();
        let Some(one) = overridden.keys(&name)? else {
            continue;
        };
        if let Some(torch) = one.keys("torch")? {
            overrides.torch = Some(Torch {
                mode: TorchMode::Source,
                version: torch.text("version")?,
                gpu_archs: torch.parsed_list("gpuArchs", gpu_arch)?.unwrap_or_default(),
            });
            continue;
        }
        overrides.replaces |= one.boolean("isChanged")?.unwrap_or_default();
        let Some(pinned) = one.keys("pinned")? else {
            continue;
        };
        for attr in session.evaluator.by_name(pinned.attrs) {
            let key = session.evaluator.name_text(attr.name);
            if !["version", "url", "sha256"].contains(&key.as_ref()) {
                let reason = SpecReason::UnknownKey {
                    key: format!("overrides.{name}.override: {key}"),
                    known: "sha256, url, version".to_owned(),
                    nearest: None,
                };
                return Err(pinned.error(attr.pos, reason));
            }
        }
        let missing = |key: &str| {
            let key = format!("overrides.{name}: {key}");
            pinned.error(attr.pos, SpecReason::Missing { key })
        };
        let pin = match (pinned.text("version")?, pinned.text("url")?) {
            (None, None) => continue,
            (_, Some(url)) => Pin::Url {
                url,
                sha256: pinned
                    .parsed("sha256", decode::digest)?
                    .ok_or_else(|| missing("sha256"))?,
            },
            (Some(version), None) => Pin::Version(version),
        };
        overrides.pins.insert(name, pin);
    }
    Ok(overrides)
}

/// Whether a value is a derivation.
pub(super) fn is_derivation(session: &Session<'_, '_>, value: Value<'_>) -> bool {
    let Value::Attrs(attrs) = value else {
        return false;
    };
    attrs.get(session.evaluator.symbol("drvPath")).is_some()
}
