//! `[build-system]` of pyproject.toml (PEP 518 and 517), and what holds without it.

use serde::Deserialize;

/// The backend of sources that name none, and what it needs.
const LEGACY_BACKEND: &str = "setuptools.build_meta:__legacy__";
const LEGACY_REQUIRES: &str = "setuptools>=40.8.0";

/// How a source wants to be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BuildSystem {
    pub(super) requires: Vec<String>,
    pub(super) backend: String,
    pub(super) backend_path: Vec<String>,
}

#[derive(Deserialize)]
struct Document {
    #[serde(rename = "build-system")]
    build_system: Option<Table>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Table {
    requires: Option<Vec<String>>,
    build_backend: Option<String>,
    #[serde(default)]
    backend_path: Vec<String>,
}

/// Reads the table; the error says what is wrong with it.
pub(super) fn read(pyproject: Option<&str>) -> Result<BuildSystem, String> {
    let legacy = || BuildSystem {
        requires: vec![LEGACY_REQUIRES.to_owned()],
        backend: LEGACY_BACKEND.to_owned(),
        backend_path: Vec::new(),
    };
    let Some(text) = pyproject else {
        return Ok(legacy());
    };
    let document: Document = toml::from_str(text)
        .map_err(|error| format!("its pyproject.toml cannot be read: {}", error.message()))?;
    let Some(table) = document.build_system else {
        return Ok(legacy());
    };
    let requires = table
        .requires
        .ok_or("its pyproject.toml has a [build-system] without `requires`")?;
    let Some(backend) = table.build_backend else {
        return Ok(BuildSystem {
            requires,
            ..legacy()
        });
    };
    let is_name = |text: &str| {
        let part = |part: &str| {
            let starts = |c: char| c.is_alphabetic() || c == '_';
            part.starts_with(starts) && part.chars().all(|c| c.is_alphanumeric() || c == '_')
        };
        text.split('.').all(part)
    };
    if !backend.split(':').all(is_name) || backend.matches(':').count() > 1 {
        return Err(format!(
            "its build-backend is {backend:?}, expected MODULE or MODULE:OBJECT"
        ));
    }
    let inside = |path: &str| {
        !path.starts_with('/') && path.split('/').all(|part| part != "..") && !path.contains('\0')
    };
    if let Some(outside) = table.backend_path.iter().find(|path| !inside(path)) {
        return Err(format!("its backend-path {outside:?} leads out of it"));
    }
    Ok(BuildSystem {
        requires,
        backend,
        backend_path: table.backend_path,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_without_a_backend_have_the_one_of_old() {
        for text in [None, Some(""), Some("[project]\nname = \"a\"\n")] {
            let found = read(text).expect("sound");
            assert_eq!(found.backend, LEGACY_BACKEND);
            assert_eq!(found.requires, [LEGACY_REQUIRES]);
        }
        let found = read(Some("[build-system]\nrequires = [\"setuptools<60\"]")).expect("sound");
        assert_eq!(found.backend, LEGACY_BACKEND);
        assert_eq!(found.requires, ["setuptools<60"]);
    }

    #[test]
    fn the_table_says_it_all() {
        let text = "[build-system]\nrequires = []\nbuild-backend = \"own.build:api\"\nbackend-path = [\"tools\"]\n";
        let found = read(Some(text)).expect("sound");
        assert_eq!(
            (found.backend.as_str(), found.requires.len()),
            ("own.build:api", 0)
        );
        assert_eq!(found.backend_path, ["tools"]);
    }

    #[test]
    fn what_cannot_be_a_build_system_is_told() {
        for (text, expected) in [
            ("[build-system", "cannot be read"),
            (
                "[build-system]\nbuild-backend = \"a\"",
                "without `requires`",
            ),
            (
                "[build-system]\nrequires = []\nbuild-backend = \"a b\"",
                "expected MODULE",
            ),
            (
                "[build-system]\nrequires = []\nbuild-backend = \"a\"\nbackend-path = [\"../x\"]",
                "leads out of it",
            ),
        ] {
            let message = read(Some(text)).expect_err(text);
            assert!(message.contains(expected), "{message}");
        }
    }
}
