//! Entry points: the commands that a package wants, and the small programs that run them.
//!
//! entry_points.txt has sections of `NAME = MODULE:FUNCTION` lines; `console_scripts` and `gui_scripts` become commands,
//! which are the same thing on Linux. The text of a command is the one that uv writes, so that both install alike.

use std::collections::BTreeMap;

use cognix_derivations::Sha256;

use super::{InstallTarget, WheelError, archive::Quoted, target::SHEBANG};

/// What one command runs.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Reference {
    module: String,
    function: String,
}

/// The commands of a wheel: their names and texts.
pub(super) type Commands = BTreeMap<String, Vec<u8>>;

/// Reads entry_points.txt; `file` is its path, for errors.
pub(super) fn commands(
    file: &str,
    bytes: &[u8],
    target: &InstallTarget,
) -> Result<Commands, WheelError> {
    let malformed = |line, problem| WheelError::Malformed {
        file: file.to_owned(),
        line,
        problem,
    };
    let text = str::from_utf8(bytes).map_err(|_| malformed(None, "is not UTF-8".to_owned()))?;
    let mut references = BTreeMap::new();
    let mut section = "";
    for (line, number) in text.lines().zip(1..) {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            section = name.trim();
        } else if ["console_scripts", "gui_scripts"].contains(&section) {
            let (name, reference) =
                parse_line(line).map_err(|problem| malformed(Some(number), problem))?;
            match references.insert(name.clone(), reference.clone()) {
                Some(other) if other != reference => {
                    let problem = format!("defines {} again, differently", Quoted(&name));
                    return Err(malformed(Some(number), problem));
                }
                _ => {}
            }
        }
    }
    version_pip(&mut references, target);
    for name in references.keys() {
        if name.contains('/') {
            let problem = "the name of a command is no path".to_owned();
            return Err(WheelError::Target {
                file: name.clone(),
                problem,
            });
        }
    }
    Ok(references
        .into_iter()
        .map(|(name, reference)| (name, reference.launcher()))
        .collect())
}

/// The commands of a wheel by name, with the digests of their texts. What cannot be read has none; installing says why.
pub fn command_digests(entry_points: &str, target: &InstallTarget) -> BTreeMap<String, Sha256> {
    let commands = commands("entry_points.txt", entry_points.as_bytes(), target);
    let commands = commands.unwrap_or_default().into_iter();
    commands
        .map(|(name, text)| (name, Sha256::of(&text)))
        .collect()
}

/// Reads `NAME = MODULE:FUNCTION [EXTRAS]`. Extras say when the command can run, not whether it is installed.
fn parse_line(line: &str) -> Result<(String, Reference), String> {
    let (name, value) = line
        .split_once('=')
        .ok_or_else(|| format!("{} has no value", Quoted(line)))?;
    let (name, value) = (name.trim(), value.trim());
    let object = match value.strip_suffix(']').map(|value| value.split_once('[')) {
        None => value,
        Some(Some((object, _))) => object.trim_end(),
        Some(None) => "",
    };
    let is_dotted = |text: &str| {
        text.split('.').all(|part| {
            !part.is_empty()
                && part
                    .chars()
                    .all(|each| each.is_alphanumeric() || "_-".contains(each))
        })
    };
    let reference = object
        .split_once(':')
        .map(|(module, function)| (module.trim(), function.trim()));
    match reference {
        Some((module, function)) if is_dotted(module) && is_dotted(function) => {
            let reference = Reference {
                module: module.to_owned(),
                function: function.to_owned(),
            };
            Ok((name.to_owned(), reference))
        }
        _ => Err(format!(
            "{} is {}, expected MODULE:FUNCTION",
            Quoted(name),
            Quoted(value)
        )),
    }
}

/// pip's wheel names a command for the Python that built it; every installer makes it the one for which it installs.
fn version_pip(references: &mut BTreeMap<String, Reference>, target: &InstallTarget) {
    references.retain(|name, _| {
        name.strip_prefix("pip3.")
            .is_none_or(|minor| minor.parse::<u8>().is_err())
    });
    if let Some(pip) = references.get("pip3").cloned() {
        references.insert(format!("pip3.{}", target.python.1), pip);
    }
}

impl Reference {
    fn launcher(&self) -> Vec<u8> {
        let Self { module, function } = self;
        let imported = function.split('.').next().unwrap_or(function);
        format!(
            r#"{SHEBANG}
# -*- coding: utf-8 -*-
import sys
from {module} import {imported}
if __name__ == "__main__":
    if sys.argv[0].endswith("-script.pyw"):
        sys.argv[0] = sys.argv[0][:-11]
    elif sys.argv[0].endswith(".exe"):
        sys.argv[0] = sys.argv[0][:-4]
    sys.exit({function}())
"#
        )
        .into_bytes()
    }
}

/// What a script of the wheel begins with when it wants to be run by the interpreter it is installed for.
const PLACEHOLDER: &[u8] = b"#!python";

/// Whether a script's first bytes ask for its first line to be replaced; as many as the placeholder has are enough.
pub(super) fn wants_shebang(start: &[u8]) -> bool {
    start.starts_with(PLACEHOLDER)
}

/// How many bytes of a script [`wants_shebang`] needs.
pub(super) const PLACEHOLDER_BYTES: u64 = PLACEHOLDER.len() as u64;

/// Replaces a script's first line, `#!python` or `#!pythonw` with whatever follows.
pub(super) fn with_shebang(script: &[u8]) -> Vec<u8> {
    let line_end = script
        .iter()
        .position(|byte| *byte == b'\n')
        .map_or(script.len(), |end| end + 1);
    [SHEBANG.as_bytes(), b"\n", &script[line_end..]].concat()
}

/// The command that a script in the wheel would be, were it made from an entry point: Windows has several files for one.
pub(super) fn command_name(script: &str) -> &str {
    [".exe", "-script.py", ".pya"]
        .iter()
        .find_map(|ending| script.strip_suffix(ending))
        .unwrap_or(script)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: InstallTarget = InstallTarget { python: (3, 11) };

    fn names(text: &str) -> Result<Vec<String>, String> {
        commands("entry_points.txt", text.as_bytes(), &TARGET)
            .map(|commands| commands.into_keys().collect())
            .map_err(|error| error.to_string())
    }

    fn check(text: &str, expected: &[&str]) {
        assert_eq!(names(text).expect(text), expected, "{text}");
    }

    fn refused(text: &str, expected: &str) {
        assert_eq!(names(text).expect_err(text), expected, "{text}");
    }

    #[test]
    fn sections_and_spellings() {
        check("", &[]);
        check(
            "[console_scripts]\na = m:f\n\n[gui_scripts]\nb=m.n : f.g [x,y]\n[pytest11]\nc\n",
            &["a", "b"],
        );
        check(
            "  [console_scripts]\n  # no\n  ; no\n  a = m:f[x]\n",
            &["a"],
        );
        check(
            "[console_scripts]\na = m:f\n[gui_scripts]\na = m:f\n",
            &["a"],
        );
    }

    #[test]
    fn pip_is_versioned() {
        check(
            "[console_scripts]\npip = p:m\npip3 = p:m\npip3.8 = p:m\npip3.x = p:m\n",
            &["pip", "pip3", "pip3.11", "pip3.x"],
        );
    }

    #[test]
    fn rec_4_entry_points() {
        let malformed =
            |line: u8, problem: &str| format!("`entry_points.txt`, line {line}: {problem}");
        refused("[console_scripts]\na\n", &malformed(2, "`a` has no value"));
        refused(
            "[console_scripts]\na = m\n",
            &malformed(2, "`a` is `m`, expected MODULE:FUNCTION"),
        );
        refused(
            "[console_scripts]\na = m:f()\n",
            &malformed(2, "`a` is `m:f()`, expected MODULE:FUNCTION"),
        );
        refused(
            "[console_scripts]\na = os;x:f\n",
            &malformed(2, "`a` is `os;x:f`, expected MODULE:FUNCTION"),
        );
        refused(
            "[console_scripts]\na = m:f\na = m:g\n",
            &malformed(3, "defines `a` again, differently"),
        );
        refused(
            "[console_scripts]\n../a = m:f\n",
            "`../a` cannot be installed: the name of a command is no path",
        );
        let error = commands("entry_points.txt", b"\xff", &TARGET).expect_err("no text");
        assert_eq!(error.to_string(), "`entry_points.txt`: is not UTF-8");
    }

    /// The text below the first line was written by uv 0.13.8 for the same entry point.
    #[test]
    fn launchers_are_those_of_uv() {
        let commands = commands(
            "e",
            b"[console_scripts]\ncommand = package.module:object.function\n",
            &TARGET,
        )
        .expect("well-formed");
        let text = str::from_utf8(&commands["command"]).expect("text");
        assert_eq!(
            text,
            "#!/venv/bin/python\n\
             # -*- coding: utf-8 -*-\n\
             import sys\n\
             from package.module import object\n\
             if __name__ == \"__main__\":\n    \
                 if sys.argv[0].endswith(\"-script.pyw\"):\n        \
                     sys.argv[0] = sys.argv[0][:-11]\n    \
                 elif sys.argv[0].endswith(\".exe\"):\n        \
                     sys.argv[0] = sys.argv[0][:-4]\n    \
                 sys.exit(object.function())\n"
        );
    }

    #[test]
    fn shebangs() {
        assert!(wants_shebang(b"#!python\nx"));
        assert!(wants_shebang(b"#!pythonw -E\r\nx"));
        assert!(!wants_shebang(b"#!/usr/bin/python\nx"));
        assert!(!wants_shebang(b"#!pyth"));
        assert_eq!(with_shebang(b"#!python\nx\n"), b"#!/venv/bin/python\nx\n");
        assert_eq!(
            with_shebang(b"#!pythonw -E\r\nx\n"),
            b"#!/venv/bin/python\nx\n"
        );
        assert_eq!(with_shebang(b"#!python"), b"#!/venv/bin/python\n");
    }
}
