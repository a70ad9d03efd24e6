//! What kind of requirement a text is: a package of an index, or a thing that it points to itself.

use std::str::FromStr;

use super::RequirementReason;

/// A requirement, taken apart as far as its kind needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shape<'t> {
    /// A package of an index, with its normalised name.
    Package { name: String },
    /// Something that the text points to.
    Pointer {
        /// `name[extras]` before an `@`, if there is one.
        label: Option<&'t str>,
        /// The address or path.
        target: &'t str,
        /// `[extras]` and a marker behind it, as they are written.
        rest: &'t str,
    },
}

/// Where a pointer leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    Repository,
    /// `http` or `https`.
    Web,
    /// A path, perhaps out of a `file:` address.
    Path(String),
    /// Another kind of address.
    Other,
}

/// Tells the kinds apart; what is no requirement at all is told why.
pub(super) fn shape(text: &str) -> Result<Shape<'_>, RequirementReason> {
    let label = text.split_once('@').filter(|(label, _)| is_label(label));
    if let Some((label, pointer)) = label {
        let (target, rest) = cut(pointer.trim());
        return Ok(Shape::Pointer {
            label: Some(label.trim_end()),
            target,
            rest,
        });
    }
    let first = text.split_whitespace().next().unwrap_or_default();
    if is_path(first)
        || first.contains("://")
        || first.starts_with("git+")
        || is_file_url(first)
        || is_archive(cut(first).0)
    {
        let (target, rest) = cut(text);
        return Ok(Shape::Pointer {
            label: None,
            target,
            rest,
        });
    }
    let parsed = parse(text);
    parsed.map(|requirement| Shape::Package {
        name: requirement.name.to_string(),
    })
}

/// A package requirement by the standard (PEP 508).
pub(in super::super) fn parse(
    text: &str,
) -> Result<uv_pep508::Requirement<uv_pep508::VerbatimUrl>, RequirementReason> {
    uv_pep508::Requirement::from_str(text).map_err(|error| RequirementReason::Syntax {
        line: text.to_owned(),
        why: error.message.to_string().replace('\n', " "),
    })
}

pub(super) fn target(text: &str) -> Target {
    if is_file_url(text) {
        let path = url::Url::parse(text)
            .ok()
            .and_then(|url| url.to_file_path().ok());
        return match path {
            Some(path) => Target::Path(path.to_string_lossy().into_owned()),
            None => Target::Other,
        };
    }
    match text.split_once("://").map(|(scheme, _)| scheme) {
        Some(scheme) if scheme.contains('+') => Target::Repository,
        None if text.starts_with("git+") => Target::Repository,
        Some(scheme)
            if ["http", "https"]
                .iter()
                .any(|web| scheme.eq_ignore_ascii_case(web)) =>
        {
            Target::Web
        }
        Some(_) => Target::Other,
        None => Target::Path(text.to_owned()),
    }
}

/// Whether the address or path ends in a wheel.
pub(super) fn is_wheel(target: &str) -> bool {
    let path = target.split(['?', '#']).next().unwrap_or_default();
    path.to_ascii_lowercase().ends_with(".whl")
}

/// Cuts extras and a marker off a path or address.
fn cut(text: &str) -> (&str, &str) {
    let end = text.find([' ', '\t']).unwrap_or(text.len());
    let end = text[..end].find(';').unwrap_or(end);
    let target = &text[..end];
    let end = match target.rfind('[') {
        // `x.whl[extra]`; brackets elsewhere are part of the address.
        Some(open) if target.ends_with(']') && is_archive(&target[..open]) => open,
        _ => end,
    };
    text.split_at(end)
}

fn is_path(text: &str) -> bool {
    matches!(text, "." | "..")
        || ["/", "./", "../"]
            .iter()
            .any(|start| text.starts_with(start))
}

fn is_file_url(text: &str) -> bool {
    text.get(..5)
        .is_some_and(|start| start.eq_ignore_ascii_case("file:"))
}

fn is_archive(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    [".whl", ".zip", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz"]
        .iter()
        .any(|suffix| text.ends_with(suffix))
}

/// `name` or `name[extras]`, possibly followed by blanks.
fn is_label(text: &str) -> bool {
    let text = text.trim();
    let (name, extras) = text
        .split_once('[')
        .map_or((text, None), |(name, extras)| (name.trim(), Some(extras)));
    let name_is_valid = !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    name_is_valid && extras.is_none_or(|extras| extras.ends_with(']'))
}

/// `${NAME}` with an upper-case name, which pip replaces.
pub(super) fn has_variable(text: &str) -> bool {
    text.split("${").skip(1).any(|rest| {
        let name = rest.split('}').next().unwrap_or_default();
        rest.contains('}')
            && !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
    })
}

/// The package of a pointer: its label, or the first part of a wheel's file name.
pub(super) fn pointer_name(label: Option<&str>, target: &str) -> Option<String> {
    match label {
        Some(label) => Some(normalise(
            label.split('[').next().unwrap_or_default().trim(),
        )),
        None if is_wheel(target) => wheel_parts(target).map(|(name, _)| normalise(name)),
        None => egg(target).map(normalise),
    }
}

/// The package that the fragment of a repository's address names: `#egg=NAME`.
fn egg(target: &str) -> Option<&str> {
    let (_, fragment) = target.split_once('#')?;
    let egg = fragment
        .split('&')
        .find_map(|part| part.strip_prefix("egg="))?;
    let name = egg.split(['[', '-']).next().unwrap_or_default();
    (target.starts_with("git+") && !name.is_empty()).then_some(name)
}

/// Name and version of a wheel's file name.
pub(in super::super) fn wheel_parts(target: &str) -> Option<(&str, &str)> {
    let path = target.split(['?', '#']).next().unwrap_or_default();
    let file = path.rsplit('/').next().unwrap_or_default();
    let mut parts = file.split('-');
    Some((parts.next()?, parts.next()?)).filter(|_| parts.count() >= 3)
}

/// The one spelling of a package's name: lower case, runs of `-`, `_` and `.` as one `-`.
pub(in super::super) fn normalise(name: &str) -> String {
    let mut normal = String::with_capacity(name.len());
    for part in name.split(['-', '_', '.']).filter(|part| !part.is_empty()) {
        if !normal.is_empty() {
            normal.push('-');
        }
        normal.push_str(&part.to_ascii_lowercase());
    }
    normal
}
