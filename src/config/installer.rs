//! Whether the commands of a model run pip.
//!
//! Every image of Cog has pip, because Cog installs with it. Here nothing does, so an image has it where a requirement or a
//! command names it.

use super::model::Build;
use super::position::Position;
use super::requirements::{Install, RequirementKind, RequirementLine};

/// Requires pip where a command runs it and nothing else requires it.
pub(super) fn require(build: &Build, file_name: &str, install: &mut Install) {
    let names_pip = |line: &RequirementLine| line.name.as_deref() == Some("pip");
    if install.requirements.iter().any(names_pip) {
        return;
    }
    let run = build.run.iter();
    let run = run.map(|item| (item.value.command.as_str(), item.position));
    let pre_install = build.pre_install.iter();
    let pre_install = pre_install.map(|item| (item.value.as_str(), item.position));
    let first = run
        .chain(pre_install)
        .find(|(command, _)| runs_pip(command));
    install
        .requirements
        .extend(first.map(|(_, position)| requirement(file_name, position)));
}

fn requirement(file_name: &str, position: Position) -> RequirementLine {
    RequirementLine {
        text: "pip".to_owned(),
        file: file_name.to_owned(),
        line: position.line,
        column: position.column,
        kind: RequirementKind::Package,
        name: Some("pip".to_owned()),
        own_index: false,
    }
}

/// Whether pip is one of the words: `pip`, `pip3`, `pip3.11`, with or without a folder, or what stands behind `-m`.
fn runs_pip(command: &str) -> bool {
    let separates = |c: char| c.is_whitespace() || ";&|()`$\"'".contains(c);
    command.split(separates).any(|word| {
        let name = word.rsplit('/').next().unwrap_or(word);
        name.strip_prefix("pip")
            .is_some_and(|version| version.chars().all(|c| c.is_ascii_digit() || c == '.'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pip_is_recognised_as_a_program() {
        for command in [
            "pip install x",
            "apt-get update && pip3 install x",
            "/venv/bin/pip3.11 install x",
            "python -m pip install x",
            "sh -c 'pip install x'",
            "(cd /opt;pip install .)",
        ] {
            assert!(runs_pip(command), "{command}");
        }
        for command in [
            "pipx install x",
            "echo pipeline",
            "uv sync",
            "cat pip.conf",
            "",
        ] {
            assert!(!runs_pip(command), "{command}");
        }
    }
}
