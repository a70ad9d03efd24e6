//! Lines of a requirements file.
//!
//! A line keeps everything that means something: markers, extras, hashes and the fragment of a URL. (Cog cuts a line at
//! its first `#`, also inside a URL, and drops what follows a pin; we follow pip.) What a line asks for is decided by
//! whoever resolves it; here it is only told apart which *kind* of line it is.

use super::position::Position;

/// The largest requirements file that is read.
pub(super) const MAX_BYTES: usize = 16 * 1024 * 1024;

/// A requirements file of the project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequirementsFile {
    /// The path as `build.python_requirements` names it.
    pub path: String,
    /// The whole text.
    pub text: String,
}

/// One requirement or option, with continued lines joined and comments gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequirementLine {
    /// What the line says.
    pub text: String,
    /// The file it stands in: a requirements file, or `cog.yaml` for an item of `python_packages`.
    pub file: String,
    /// The line it starts in.
    pub line: u32,
    /// The column it starts in.
    pub column: u32,
}

/// What kind of line it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequirementKind {
    /// A package by its name, chosen from an index.
    Package,
    /// A package by its name with `--hash` options.
    HashedPackage,
    /// A file behind a URL, or a named package `@` one.
    Url,
    /// A version control URL, such as `git+https://…`.
    Repository,
    /// A wheel or source archive of the project.
    LocalFile,
    /// `-e`: a folder to be installed in place.
    Editable,
    /// `-r` and `-c`: another file.
    Include,
    /// Any other option of pip, such as `--extra-index-url`.
    Option,
    /// `${NAME}`: a value from the environment, which a lock cannot depend on.
    Variable,
}

impl RequirementLine {
    /// Where the line starts.
    pub fn position(&self) -> Position {
        Position {
            line: self.line,
            column: self.column,
        }
    }

    /// The kind of the line.
    pub fn kind(&self) -> RequirementKind {
        let text = self.text.as_str();
        let first = text.split_whitespace().next().unwrap_or_default();
        if has_variable(text) {
            return RequirementKind::Variable;
        }
        if first.starts_with('-') {
            return option_kind(first);
        }
        if let Some((_, target)) = text
            .split_once('@')
            .filter(|(name, _)| is_name_with_extras(name.trim()))
        {
            return url_kind(target.trim());
        }
        let is_path = ["/", "./", "../"]
            .iter()
            .any(|start| first.starts_with(start))
            || first == "."
            || first == "..";
        if is_path
            || first.contains("://")
            || first.to_ascii_lowercase().starts_with("file:")
            || is_archive(first)
        {
            return url_kind(first);
        }
        match text
            .split_whitespace()
            .any(|word| word.starts_with("--hash"))
        {
            true => RequirementKind::HashedPackage,
            false => RequirementKind::Package,
        }
    }

    /// The normalised name of the package; `None` for lines that do not start with one.
    pub fn package(&self) -> Option<String> {
        let kind = self.kind();
        let named = matches!(
            kind,
            RequirementKind::Package | RequirementKind::HashedPackage
        ) || self.text.contains('@')
            && is_name_with_extras(self.text.split('@').next().unwrap_or_default().trim());
        named.then(|| leading_name(&self.text)).flatten()
    }

    /// The version that the line speaks of: the one after its first comparison, whatever the comparison.
    pub fn version(&self) -> Option<String> {
        self.package()?;
        let (requirement, _) = self.text.split_once(';').unwrap_or((&self.text, ""));
        let start = requirement.find(['=', '<', '>', '!', '~'])?;
        let version = requirement[start..].trim_start_matches(['=', '<', '>', '!', '~', ' ']);
        let end = version
            .find(|c: char| c == ',' || c == ')' || c.is_whitespace())
            .unwrap_or(version.len());
        (end > 0).then(|| version[..end].to_owned())
    }
}

/// Splits a file into its lines, by pip's rules.
pub(super) fn lines(text: &str, file: &str) -> Vec<RequirementLine> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut found = Vec::new();
    let mut open: Option<RequirementLine> = None;
    for (index, raw) in text.lines().enumerate() {
        let comment = raw.trim_start().starts_with('#');
        let (part, continued) = match raw.strip_suffix('\\') {
            Some(part) if !comment => (part, true),
            _ => (raw, false),
        };
        let mut line = open.take().unwrap_or_else(|| RequirementLine {
            text: String::new(),
            file: file.to_owned(),
            line: super::position::saturate(index + 1),
            column: super::position::saturate(
                raw.chars().take_while(|c| c.is_whitespace()).count() + 1,
            ),
        });
        // A comment between continued lines ends the requirement, and is no part of its last word.
        line.text.push_str(if comment { " #" } else { part });
        if continued {
            open = Some(line);
        } else {
            found.push(line);
        }
    }
    found.extend(open);
    for line in &mut found {
        line.text = without_comment(&line.text).trim().to_owned();
    }
    found.retain(|line| !line.text.is_empty() && line.text != "-e .");
    found
}

/// A comment starts the line, or follows white space: `pkg @ https://host/x#egg=x` has none.
fn without_comment(text: &str) -> &str {
    let mut before = None;
    for (index, c) in text.char_indices() {
        if c == '#' && before.is_none_or(char::is_whitespace) {
            return &text[..index];
        }
        before = Some(c);
    }
    text
}

fn option_kind(option: &str) -> RequirementKind {
    let is = |short: &str, long: &str| {
        (option.starts_with(short) && !option.starts_with("--"))
            || option.split('=').next() == Some(long)
    };
    if is("-r", "--requirement") || is("-c", "--constraint") {
        RequirementKind::Include
    } else if is("-e", "--editable") {
        RequirementKind::Editable
    } else {
        RequirementKind::Option
    }
}

fn url_kind(target: &str) -> RequirementKind {
    match target.split_once("://") {
        Some((scheme, _)) if scheme.contains('+') => RequirementKind::Repository,
        Some((scheme, _)) if !scheme.eq_ignore_ascii_case("file") => RequirementKind::Url,
        _ => RequirementKind::LocalFile,
    }
}

fn is_archive(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    [".whl", ".zip", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz"]
        .iter()
        .any(|suffix| text.ends_with(suffix))
}

/// `${NAME}` with an upper-case name, which pip replaces.
fn has_variable(text: &str) -> bool {
    text.split("${").skip(1).any(|rest| {
        let name = rest.split('}').next().unwrap_or_default();
        rest.contains('}')
            && !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
    })
}

fn leading_name(text: &str) -> Option<String> {
    let end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')))
        .unwrap_or(text.len());
    (end > 0).then(|| normalise(&text[..end]))
}

fn is_name_with_extras(text: &str) -> bool {
    let (name, extras) = text
        .split_once('[')
        .map_or((text, None), |(name, extras)| (name.trim(), Some(extras)));
    let name_is_valid = !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    name_is_valid && extras.is_none_or(|extras| extras.trim_end().ends_with(']'))
}

/// The one spelling of a package's name: lower case, runs of `-`, `_` and `.` as one `-`.
pub(super) fn normalise(name: &str) -> String {
    let mut normal = String::with_capacity(name.len());
    for part in name.split(['-', '_', '.']).filter(|part| !part.is_empty()) {
        if !normal.is_empty() {
            normal.push('-');
        }
        normal.push_str(&part.to_ascii_lowercase());
    }
    normal
}
