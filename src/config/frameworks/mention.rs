//! Which package a requirement line is about, and which version it speaks of.

use std::ops::Range;

use uv_pep508::{MarkerEnvironment, MarkerEnvironmentBuilder};

use super::super::python::PythonVersion;
use super::super::requirements::{RequirementKind, RequirementLine, parse, wheel_parts};
use super::version::Version;

/// A line that names a framework, for the image's platform.
#[derive(Debug, Clone)]
pub(super) struct Mention {
    /// Which line it is.
    pub(super) index: usize,
    /// The version behind the first comparison, whatever the comparison, as in Cog.
    pub(super) text: Option<String>,
    /// The same, if it is one that tables can be asked for.
    pub(super) version: Option<Version>,
    /// Where the version stands, if the line pins exactly it.
    pub(super) pin: Option<Range<usize>>,
}

/// The first line about a package whose marker lets it in.
pub(super) fn find(
    lines: &[RequirementLine],
    package: &str,
    python: &PythonVersion,
) -> Option<Mention> {
    let environment = environment(python)?;
    lines
        .iter()
        .enumerate()
        .filter(|(_, line)| line.name.as_deref() == Some(package))
        .find(|(_, line)| applies(line, &environment))
        .map(|(index, line)| Mention::new(index, line))
}

impl Mention {
    fn new(index: usize, line: &RequirementLine) -> Self {
        let (text, pin) = match line.kind {
            RequirementKind::Package => match written_version(&line.text) {
                Some((range, exact)) => {
                    let text = line.text[range.clone()].to_owned();
                    (Some(text), exact.then_some(range))
                }
                None => (None, None),
            },
            _ => (wheel_version(&line.text), None),
        };
        Self {
            index,
            version: text.as_deref().and_then(Version::parse),
            text,
            pin,
        }
    }
}

/// The place of the version behind the first comparison, and whether the line allows exactly that one.
fn written_version(text: &str) -> Option<(Range<usize>, bool)> {
    let comparison = |c: char| "=<>!~".contains(c);
    let requirement = text.split(';').next().unwrap_or_default();
    let operator = requirement.find(comparison)?;
    let behind = requirement[operator..].find(|c: char| !comparison(c))? + operator;
    let start = requirement[behind..].find(|c: char| !c.is_whitespace())? + behind;
    let end = requirement[start..]
        .find(|c: char| c == ',' || c == ')' || c.is_whitespace())
        .map_or(requirement.len(), |end| start + end);
    let is_equal = matches!(requirement[operator..behind].trim(), "==" | "===");
    let exact = is_equal && !requirement.contains(',') && !requirement[start..end].contains('*');
    (end > start).then_some((start..end, exact))
}

/// The version in the name of a wheel that a line points to.
fn wheel_version(text: &str) -> Option<String> {
    let target = text
        .split_whitespace()
        .find(|word| word.to_ascii_lowercase().contains(".whl"))?;
    let (_, version) = wheel_parts(target)?;
    Some(version.replace("%2B", "+").replace("%2b", "+"))
}

/// Whether the marker lets a line in; a line without one applies everywhere.
fn applies(line: &RequirementLine, environment: &MarkerEnvironment) -> bool {
    if line.kind != RequirementKind::Package {
        return true;
    }
    parse(line.without_hashes()).is_ok_and(|parsed| parsed.evaluate_markers(environment, &[]))
}

/// Whether a TensorFlow requirement asks for the CUDA libraries too.
pub(super) fn has_extra(line: &RequirementLine, extra: &str) -> bool {
    parse(line.without_hashes())
        .is_ok_and(|parsed| parsed.extras.iter().any(|name| name.as_ref() == extra))
}

/// Cog's platform. The patch part of the version is not known here, and no framework's marker asks for it.
fn environment(python: &PythonVersion) -> Option<MarkerEnvironment> {
    let (short, full) = (python.short(), format!("{}.0", python.short()));
    MarkerEnvironment::try_from(MarkerEnvironmentBuilder {
        implementation_name: "cpython",
        implementation_version: &full,
        os_name: "posix",
        platform_machine: "x86_64",
        platform_python_implementation: "CPython",
        platform_release: "",
        platform_system: "Linux",
        platform_version: "",
        python_full_version: &full,
        python_version: &short,
        sys_platform: "linux",
    })
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_as_cog_sees_them() {
        let cases = [
            ("torch==2.4.1", Some("2.4.1"), true),
            ("Torch[opt] == 2.4.1", Some("2.4.1"), true),
            ("torch (==2.4.1)", Some("2.4.1"), true),
            ("torch>=2.4,<3", Some("2.4"), false),
            ("torch<2.7.0", Some("2.7.0"), false),
            ("torch!=2.4.0", Some("2.4.0"), false),
            ("torch~=2.4.1", Some("2.4.1"), false),
            ("torch===2.4.0+cu118", Some("2.4.0+cu118"), true),
            ("torch==2.4.*", Some("2.4.*"), false),
            ("torch==2.4.1,!=2.4.0", Some("2.4.1"), false),
            ("torch ; python_version > '3.1'", None, false),
            ("torch", None, false),
        ];
        for (text, expected, exact) in cases {
            let found = written_version(text);
            let version = found.as_ref().map(|(range, _)| &text[range.clone()]);
            assert_eq!(version, expected, "{text}");
            assert_eq!(found.is_some_and(|(_, exact)| exact), exact, "{text}");
        }
        let wheel =
            "torch @ https://host.example/cu124/torch-2.4.1%2Bcu124-cp311-cp311-linux_x86_64.whl";
        assert_eq!(wheel_version(wheel).as_deref(), Some("2.4.1+cu124"));
        assert_eq!(
            wheel_version("torch @ git+https://host.example/torch"),
            None
        );
    }
}
