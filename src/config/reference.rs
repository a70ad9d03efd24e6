//! References into a model's code: `file.py:Name`.

use super::reason::Reason;

/// A class or function in a file of the project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The text of the file.
    pub text: String,
    /// The path of the Python file, relative to the project.
    pub file: String,
    /// The class or function.
    pub name: String,
}

impl Reference {
    /// Splits at the one `.py:`; an empty part passes here, as in Cog, and is refused when an image is built.
    pub(super) fn parse(text: &str, example: &'static str) -> Result<Self, Reason> {
        let parts: Vec<&str> = text.split(".py:").collect();
        let [file, name] = parts.as_slice() else {
            return Err(Reason::ReferenceForm {
                found: text.to_owned(),
                example,
            });
        };
        if file.starts_with('/') || file.split('/').any(|part| part == "..") {
            return Err(Reason::OutsideProject {
                path: format!("{file}.py"),
            });
        }
        Ok(Self {
            text: text.to_owned(),
            file: format!("{file}.py"),
            name: (*name).to_owned(),
        })
    }

    /// Whether both parts say something.
    pub(super) fn is_complete(&self) -> bool {
        !self.name.is_empty() && !self.file.trim_end_matches(".py").is_empty()
    }
}
