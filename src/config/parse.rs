//! From the text of a `cog.yaml` to a [`Model`].

use super::decode::Decoder;
use super::finding::{ConfigErrors, Finding};
use super::model::Model;
use super::python::PythonVersion;
use super::reason::Reason;
use super::{sections, yaml};

/// A model, and what was noticed while reading it.
#[derive(Debug)]
pub struct Parsed {
    /// What the file says.
    pub model: Model,
    /// Deprecated and unknown keys, and values that choose less than they seem to.
    pub warnings: Vec<Finding>,
}

/// Reads a configuration; `file_name` is only shown.
///
/// An error holds everything that is wrong with the text, not just the first mistake, unless the text is no YAML.
pub fn parse(text: &str, file_name: &str) -> Result<Parsed, ConfigErrors> {
    let mut decoder = Decoder::new(file_name);
    let document = match yaml::read(text) {
        Ok(document) => document,
        Err(error) => {
            decoder.error("", error.position, error.reason);
            return Err(ConfigErrors::new(decoder.errors, decoder.warnings));
        }
    };
    for mistake in document.mistakes {
        decoder.error("", mistake.position, mistake.reason);
    }
    let model = match document.root {
        Some(root) if !root.is_null() => sections::model(&mut decoder, &root),
        _ => Model::default(),
    };
    note_python(&mut decoder, &model);
    if decoder.errors.is_empty() {
        let mut warnings = decoder.warnings;
        warnings.sort_by(Finding::by_place);
        Ok(Parsed { model, warnings })
    } else {
        Err(ConfigErrors::new(decoder.errors, decoder.warnings))
    }
}

/// Says aloud which Python is used where the file does not decide it fully.
fn note_python(decoder: &mut Decoder<'_>, model: &Model) {
    let Some(build) = &model.build else {
        if decoder.errors.is_empty() {
            let reason = Reason::PythonDefault {
                used: PythonVersion::DEFAULT,
            };
            decoder.warning_without_place("build.python_version", reason);
        }
        return;
    };
    let python = &build.python_version;
    if python.has_patch() {
        let reason = Reason::PythonPatch {
            found: python.text.clone(),
            used: python.short(),
        };
        decoder.warning("build.python_version", python.position, reason);
    }
}
