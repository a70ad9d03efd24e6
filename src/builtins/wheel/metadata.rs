//! The two small files that say what a wheel is: METADATA and WHEEL.
//!
//! Both are headers as in mail, `Key: value`, up to the first empty line. Only the headers that decide something are
//! read; a description in METADATA may be in any encoding.

use super::{WheelError, archive::Quoted, filename::WheelName};

/// The headers of METADATA or WHEEL.
pub(super) struct Headers<'a> {
    file: &'a str,
    lines: Vec<(String, String)>,
}

impl<'a> Headers<'a> {
    /// Reads the headers of a file; `file` is its path, for errors.
    pub(super) fn parse(file: &'a str, bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let mut lines: Vec<(String, String)> = Vec::new();
        for line in text.lines().take_while(|line| !line.is_empty()) {
            // A line that begins with white space continues the value before it.
            if line.starts_with([' ', '\t']) {
                if let Some((_, value)) = lines.last_mut() {
                    value.push(' ');
                    value.push_str(line.trim());
                }
            } else if let Some((key, value)) = line.split_once(':') {
                lines.push((key.to_ascii_lowercase(), value.trim().to_owned()));
            }
        }
        Self { file, lines }
    }

    /// The value of a header that must be there; repeated ones must agree.
    pub(super) fn required(&self, key: &str) -> Result<&str, WheelError> {
        let wanted = key.to_ascii_lowercase();
        let mut values = self
            .lines
            .iter()
            .filter(|(key, _)| *key == wanted)
            .map(|(_, value)| value.as_str());
        let first = values
            .next()
            .ok_or_else(|| self.malformed(format!("has no {key}")))?;
        match values.find(|value| *value != first) {
            None => Ok(first),
            Some(other) => Err(self.malformed(format!(
                "says {key} twice, {} and {}",
                Quoted(first),
                Quoted(other)
            ))),
        }
    }

    fn malformed(&self, problem: String) -> WheelError {
        WheelError::Malformed {
            file: self.file.to_owned(),
            line: None,
            problem,
        }
    }
}

/// Checks that METADATA names the package and version of the file name.
pub(super) fn check_metadata(headers: &Headers<'_>, wheel: &WheelName) -> Result<(), WheelError> {
    let (name, version) = (headers.required("Name")?, headers.required("Version")?);
    if wheel.is(name, version) {
        return Ok(());
    }
    Err(WheelError::Identity {
        place: "METADATA".to_owned(),
        found: format!("{name} {version}"),
        expected: wheel.to_string(),
    })
}

/// Checks that WHEEL describes a wheel of the one version that exists.
pub(super) fn check_wheel(headers: &Headers<'_>) -> Result<(), WheelError> {
    let version = headers.required("Wheel-Version")?;
    let major = version.split('.').next().unwrap_or_default();
    if major != "1" {
        return Err(headers.malformed(format!(
            "Wheel-Version is {}, expected major version 1",
            Quoted(version)
        )));
    }
    // Pure or not, the files go to the one site-packages directory of the environment; a wheel that does not say is
    // still broken.
    let pure = headers.required("Root-Is-Purelib")?;
    if !["true", "false"].contains(&pure.to_ascii_lowercase().as_str()) {
        return Err(headers.malformed(format!(
            "Root-Is-Purelib is {}, expected true or false",
            Quoted(pure)
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(text: &str) -> Result<(), String> {
        let wheel = WheelName::parse("my_pkg-1.0-py3-none-any.whl").expect("a valid name");
        check_metadata(&Headers::parse("METADATA", text.as_bytes()), &wheel)
            .map_err(|error| error.to_string())
    }

    fn wheel(text: &str) -> Result<(), String> {
        check_wheel(&Headers::parse("WHEEL", text.as_bytes())).map_err(|error| error.to_string())
    }

    #[test]
    fn rec_1_metadata() {
        assert_eq!(
            metadata("Metadata-Version: 2.1\nname: My.Pkg\nVERSION:\n 1.0.0\n"),
            Ok(())
        );
        assert_eq!(
            metadata("Name: my-pkg\r\nVersion: 1\r\n\r\nName: other\r\n"),
            Ok(())
        );
        assert_eq!(
            metadata("Name: my-pkg\n"),
            Err("`METADATA`: has no Version".to_owned())
        );
        assert_eq!(
            metadata("\nName: my-pkg\n"),
            Err("`METADATA`: has no Name".to_owned())
        );
        assert_eq!(
            metadata("Name: my-pkg\nName: other\nVersion: 1.0\n"),
            Err("`METADATA`: says Name twice, `my-pkg` and `other`".to_owned())
        );
        assert_eq!(
            metadata("Name: other\nVersion: 2\n"),
            Err("wheel is my-pkg 1.0 by its file name, but its METADATA says `other 2`".to_owned())
        );
    }

    #[test]
    fn rec_1_wheel_version() {
        assert_eq!(wheel("Wheel-Version: 1.0\nRoot-Is-Purelib: true\n"), Ok(()));
        // A wheel of the mkl family repeats its version.
        assert_eq!(
            wheel("Wheel-Version: 1.9\nWheel-Version: 1.9\nRoot-Is-Purelib: False\n"),
            Ok(())
        );
        assert_eq!(
            wheel("Wheel-Version: 2.0\nRoot-Is-Purelib: true\n"),
            Err("`WHEEL`: Wheel-Version is `2.0`, expected major version 1".to_owned())
        );
        assert_eq!(
            wheel("Root-Is-Purelib: true\n"),
            Err("`WHEEL`: has no Wheel-Version".to_owned())
        );
        assert_eq!(
            wheel("Wheel-Version: 1.0\n"),
            Err("`WHEEL`: has no Root-Is-Purelib".to_owned())
        );
        assert_eq!(
            wheel("Wheel-Version: 1.0\nRoot-Is-Purelib: maybe\n"),
            Err("`WHEEL`: Root-Is-Purelib is `maybe`, expected true or false".to_owned())
        );
    }
}
