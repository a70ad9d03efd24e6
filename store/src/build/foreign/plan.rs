//! The `sandbox` attribute: what a derivation says about the sandbox that it is built in.
//!
//! ```json
//! {"directory":"/","environment":{"PATH":"/usr/bin"},"identity":"root","network":true,"output":"changes",
//!  "root":[{"control":PATH,"tree":PATH},{"changes":PATH}],"secrets":[{"id":"token","target":"/run/secrets/token"}],"version":1}
//! ```
//!
//! Keys are sorted and what has its default is left out, so that one plan has one text: the text is part of the derivation's
//! hash. Recipes write it with references (paths or placeholders) as strings, builders read it with store paths. A key or a
//! version that this program does not know is refused: guessing what it meant would give another output under the same name.

use std::collections::{BTreeMap, BTreeSet};

use cognix_derivations::StorePath;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The attribute's name.
pub const ATTRIBUTE: &str = "sandbox";

/// The attribute that names a file of an input without which there is nothing to do: when it is empty, a program that
/// would leave changes is not run, and its changes are none. It needs no sandbox then, and no machine of its kind.
pub const UNLESS_EMPTY: &str = "unlessEmpty";

/// The version that this program writes and reads.
const VERSION: u64 = 1;

/// Where a program starts unless the plan says otherwise.
pub const BUILD_DIRECTORY: &str = "/build";

/// Where a secret lies unless the plan says otherwise.
const SECRETS: &str = "/run/secrets";

/// How a foreign program is run.
///
/// ```
/// use cognix_store::build::foreign::{Entry, Identity, OutputKind, Plan};
///
/// let plan = Plan {
///     root: vec![Entry::tree("/nix/store/…-base-files".to_owned())],
///     identity: Identity::Root,
///     output: OutputKind::Changes,
///     ..Plan::default()
/// };
/// assert!(plan.to_json().starts_with(r#"{"identity":"root","output":"changes","root":"#));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan<P = StorePath> {
    /// What the root is made of, bottom to top.
    pub root: Vec<Entry<P>>,
    /// All variables of the process; those that Nix sets and all attributes when absent.
    pub environment: Option<BTreeMap<String, String>>,
    /// Where the process starts.
    pub directory: String,
    /// Who the process is.
    pub identity: Identity,
    /// What becomes of the output.
    pub output: OutputKind,
    /// What the process is told and nobody else.
    pub secrets: Vec<SecretUse>,
    /// Whether the process asks for the machine's network.
    pub network: bool,
}

/// A part of a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry<P = StorePath> {
    /// A tree that lies at `/`.
    Tree {
        /// The tree.
        tree: P,
        /// A folder whose `modes.json` has the modes and owners that a store cannot hold.
        control: Option<P>,
    },
    /// The output of a build of [`OutputKind::Changes`].
    Changes(P),
}

impl<P> Entry<P> {
    /// A tree without modes of its own.
    pub const fn tree(tree: P) -> Self {
        Self::Tree {
            tree,
            control: None,
        }
    }
}

/// Who a process is inside its sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Identity {
    /// User 1000 of group 100, as in Nix's builds.
    #[default]
    Builder,
    /// Root, as in a container.
    Root,
}

/// What a build leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputKind {
    /// What the program writes to the paths of its outputs. The root is read-only.
    #[default]
    Out,
    /// The difference that the program makes to the root: `tree/` and `changes.json`.
    Changes,
}

/// A secret that a process gets to know. Its value is no part of the derivation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretUse {
    /// The variable that holds it, where one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<String>,
    /// What it is called.
    pub id: String,
    /// The file that holds it; `/run/secrets/ID` when neither a file nor a variable is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

impl SecretUse {
    /// The file that holds it.
    pub fn file(&self) -> Option<String> {
        match (&self.target, &self.env) {
            (Some(target), _) => Some(target.clone()),
            (None, Some(_)) => None,
            (None, None) => Some(format!("{SECRETS}/{}", self.id)),
        }
    }
}

/// A text is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// Made by a newer cognix.
    #[error(
        "has version {found}, and this cognix knows version {VERSION}: a newer cognix is needed"
    )]
    Version {
        /// The version.
        found: u64,
    },
    /// Not the shape of a plan.
    #[error("cannot be read")]
    Json(#[source] serde_json::Error),
    /// A value that no sandbox can have.
    #[error("is not valid: {0}")]
    Invalid(String),
}

impl<P> Default for Plan<P> {
    fn default() -> Self {
        Self {
            root: Vec::new(),
            environment: None,
            directory: BUILD_DIRECTORY.to_owned(),
            identity: Identity::default(),
            output: OutputKind::default(),
            secrets: Vec::new(),
            network: false,
        }
    }
}

impl<P: Serialize> Plan<P> {
    /// The attribute's text.
    pub fn to_json(&self) -> String {
        let root = self.root.iter().map(|entry| match entry {
            Entry::Tree { tree, control } => EntryShape {
                changes: None,
                control: control.as_ref(),
                tree: Some(tree),
            },
            Entry::Changes(changes) => EntryShape {
                changes: Some(changes),
                control: None,
                tree: None,
            },
        });
        let shape = Shape {
            directory: (self.directory != BUILD_DIRECTORY).then(|| self.directory.clone()),
            environment: self.environment.clone(),
            identity: self.identity,
            network: self.network,
            output: self.output,
            root: root.collect(),
            secrets: self.secrets.clone(),
            version: VERSION,
        };
        serde_json::to_string(&shape).expect("strings, lists and maps of strings are always JSON")
    }
}

impl<P: DeserializeOwned> Plan<P> {
    /// Reads the attribute's text.
    pub fn parse(text: &str) -> Result<Self, PlanError> {
        #[derive(Deserialize)]
        struct Version {
            version: u64,
        }
        // The version comes first: the rest of another version need not be of this shape.
        let Version { version } = serde_json::from_str(text).map_err(PlanError::Json)?;
        if version != VERSION {
            return Err(PlanError::Version { found: version });
        }
        let shape: Shape<P> = serde_json::from_str(text).map_err(PlanError::Json)?;
        let root = shape
            .root
            .into_iter()
            .map(entry)
            .collect::<Result<_, _>>()?;
        let plan = Self {
            root,
            environment: shape.environment,
            directory: shape
                .directory
                .unwrap_or_else(|| BUILD_DIRECTORY.to_owned()),
            identity: shape.identity,
            output: shape.output,
            secrets: shape.secrets,
            network: shape.network,
        };
        plan.check_values().map_err(PlanError::Invalid)?;
        Ok(plan)
    }
}

fn entry<P>(shape: EntryShape<P>) -> Result<Entry<P>, PlanError> {
    match shape {
        EntryShape {
            tree: Some(tree),
            control,
            changes: None,
        } => Ok(Entry::Tree { tree, control }),
        EntryShape {
            tree: None,
            control: None,
            changes: Some(changes),
        } => Ok(Entry::Changes(changes)),
        _ => Err(PlanError::Invalid(
            "an entry of root has either a tree, with or without control, or changes".to_owned(),
        )),
    }
}

impl<P> Plan<P> {
    fn check_values(&self) -> Result<(), String> {
        check_path("directory", &self.directory)?;
        for name in self.environment.iter().flat_map(BTreeMap::keys) {
            check_variable("environment", name)?;
        }
        let values = self.environment.iter().flat_map(BTreeMap::iter);
        for (name, value) in values {
            if value.contains('\0') {
                return Err(format!("environment: the value of {name} holds a NUL"));
            }
        }
        let mut ids = BTreeSet::new();
        for secret in &self.secrets {
            if secret.id.is_empty() || secret.id.contains(['/', '\0']) || secret.id == ".." {
                return Err(format!("secrets: {:?} is no name of a secret", secret.id));
            }
            if !ids.insert((&secret.id, &secret.target, &secret.env)) {
                return Err(format!("secrets: {} stands there twice", secret.id));
            }
            if let Some(target) = &secret.target {
                check_path("secrets: target", target)?;
            }
            if let Some(name) = &secret.env {
                check_variable("secrets: env", name)?;
            }
        }
        Ok(())
    }
}

/// A path in the sandbox: absolute, and nothing in it leads upward.
fn check_path(key: &str, path: &str) -> Result<(), String> {
    let plain = |part: &str| !matches!(part, "." | "..") && !part.contains('\0');
    match path.strip_prefix('/') {
        Some(rest) if rest.split('/').all(plain) => Ok(()),
        _ => Err(format!(
            "{key}: {path:?} is no absolute path without . and .."
        )),
    }
}

fn check_variable(key: &str, name: &str) -> Result<(), String> {
    match name.is_empty() || name.contains(['=', '\0']) {
        false => Ok(()),
        true => Err(format!("{key}: {name:?} is no name of a variable")),
    }
}

/// The attribute as it is written; fields in the order of their names.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Shape<P> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    directory: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    environment: Option<BTreeMap<String, String>>,
    #[serde(default, skip_serializing_if = "is_default")]
    identity: Identity,
    #[serde(default, skip_serializing_if = "is_default")]
    network: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    output: OutputKind,
    root: Vec<EntryShape<P>>,
    #[serde(default = "Vec::new", skip_serializing_if = "Vec::is_empty")]
    secrets: Vec<SecretUse>,
    version: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryShape<P> {
    #[serde(default = "Option::default", skip_serializing_if = "Option::is_none")]
    changes: Option<P>,
    #[serde(default = "Option::default", skip_serializing_if = "Option::is_none")]
    control: Option<P>,
    #[serde(default = "Option::default", skip_serializing_if = "Option::is_none")]
    tree: Option<P>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "/nix/store/00000000000000000000000000000000-a";
    const B: &str = "/nix/store/11111111111111111111111111111111-b";

    fn path(text: &str) -> StorePath {
        StorePath::parse(text).expect("a store path")
    }

    #[test]
    fn a_plan_has_one_text() {
        let small = format!(r#"{{"root":[{{"tree":"{A}"}}],"version":1}}"#);
        let plan: Plan = Plan::parse(&small).expect("a plan");
        assert_eq!(plan.to_json(), small);
        assert_eq!(plan.directory, "/build");
        assert_eq!(plan.root, [Entry::tree(path(A))]);
        let large = Plan {
            root: vec![
                Entry::Tree {
                    tree: path(A),
                    control: Some(path(B)),
                },
                Entry::Changes(path(B)),
            ],
            environment: Some(BTreeMap::from([("A".to_owned(), String::new())])),
            directory: "/".to_owned(),
            identity: Identity::Root,
            output: OutputKind::Changes,
            secrets: vec![SecretUse {
                env: None,
                id: "token".to_owned(),
                target: None,
            }],
            network: true,
        };
        let text = large.to_json();
        assert_eq!(
            text,
            format!(
                r#"{{"directory":"/","environment":{{"A":""}},"identity":"root","network":true,"output":"changes","root":[{{"control":"{B}","tree":"{A}"}},{{"changes":"{B}"}}],"secrets":[{{"id":"token"}}],"version":1}}"#
            )
        );
        assert_eq!(Plan::parse(&text).expect("what was written"), large);
    }

    #[test]
    fn what_a_plan_does_not_know_is_refused() {
        for (text, message) in [
            ("", "cannot be read"),
            (r#"{"root":[]}"#, "cannot be read"),
            (r#"{"root":[],"version":2,"new":1}"#, "newer cognix"),
            (r#"{"new":1,"root":[],"version":1}"#, "cannot be read"),
            (r#"{"root":[{"tree":"/x"}],"version":1}"#, "cannot be read"),
            (r#"{"root":[{}],"version":1}"#, "either a tree"),
            (
                r#"{"directory":"build","root":[],"version":1}"#,
                "directory",
            ),
            (
                r#"{"directory":"/a/../b","root":[],"version":1}"#,
                "directory",
            ),
            (
                r#"{"environment":{"A=B":""},"root":[],"version":1}"#,
                "variable",
            ),
            (
                r#"{"environment":{"A":"\u0000"},"root":[],"version":1}"#,
                "NUL",
            ),
            (
                r#"{"root":[],"secrets":[{"id":"../x"}],"version":1}"#,
                "secret",
            ),
            (
                r#"{"root":[],"secrets":[{"id":"x"},{"id":"x"}],"version":1}"#,
                "twice",
            ),
            (
                r#"{"root":[],"secrets":[{"id":"x","target":"x"}],"version":1}"#,
                "target",
            ),
            (
                r#"{"identity":"nobody","root":[],"version":1}"#,
                "cannot be read",
            ),
        ] {
            let error = Plan::<StorePath>::parse(text).expect_err(text);
            assert!(error.to_string().contains(message), "{text}: {error}");
        }
    }

    #[test]
    fn a_secret_lies_where_it_is_said_or_in_its_usual_place() {
        let secret = |target: Option<&str>, env: Option<&str>| SecretUse {
            env: env.map(str::to_owned),
            id: "token".to_owned(),
            target: target.map(str::to_owned),
        };
        assert_eq!(
            secret(None, None).file().as_deref(),
            Some("/run/secrets/token")
        );
        assert_eq!(secret(Some("/x"), Some("T")).file().as_deref(), Some("/x"));
        assert_eq!(secret(None, Some("T")).file(), None);
    }
}
