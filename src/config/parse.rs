//! From the text of a `cog.yaml` to a [`Model`].

use super::decode::Decoder;
use super::finding::{ConfigErrors, Finding};
use super::model::Model;
use super::position::Spanned;
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
    let draft = draft(text, file_name);
    if !draft.errors.is_empty() {
        return Err(ConfigErrors::new(draft.errors, draft.warnings));
    }
    let (model, mut warnings) = (draft.model, draft.warnings);
    warnings.sort_by(Finding::by_place);
    Ok(Parsed { model, warnings })
}

/// What a text says, as far as it can be understood.
#[derive(Debug)]
pub(super) struct Draft {
    /// Counts only without errors.
    pub(super) model: Model,
    /// The file that the build section names, also when the rest of the section is wrong.
    pub(super) python_requirements: Option<Spanned<String>>,
    pub(super) errors: Vec<Finding>,
    pub(super) warnings: Vec<Finding>,
}

/// Reads everything that a text says, with all mistakes.
pub(super) fn draft(text: &str, file_name: &str) -> Draft {
    let mut decoder = Decoder::new(file_name);
    let mut model = Model::default();
    match yaml::read(text) {
        Err(error) => decoder.error("", error.position, error.reason),
        Ok(document) => {
            for mistake in document.mistakes {
                decoder.error("", mistake.position, mistake.reason);
            }
            if let Some(root) = document.root.filter(|root| !root.is_null()) {
                model = sections::model(&mut decoder, &root);
            }
            note_python(&mut decoder, &model);
        }
    }
    Draft {
        model,
        python_requirements: decoder.python_requirements,
        errors: decoder.errors,
        warnings: decoder.warnings,
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
