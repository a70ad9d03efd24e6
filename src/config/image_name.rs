//! The name of an image that the configuration does not name.

use std::path::Path;

const PREFIX: &str = "cog-";
/// With the prefix.
const MAX_LENGTH: usize = 30;

/// `cog-` and the folder's name in lower case, blanks as `-`, other characters dropped, at most 30 characters.
pub(super) fn of_folder(folder: &Path) -> String {
    let name = folder
        .file_name()
        .map(|name| name.to_string_lossy().to_lowercase())
        .unwrap_or_default();
    let name = name.replace(' ', "-");
    let allowed = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-';
    let short: String = name
        .chars()
        .filter(allowed)
        .take(MAX_LENGTH - PREFIX.len())
        .collect();
    let name = if short.starts_with(PREFIX) {
        short
    } else {
        format!("{PREFIX}{short}")
    };
    // Cog leaves a dash at the end, which no registry takes as a name.
    match name.trim_end_matches('-') {
        "cog" => "cog-model".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_names() {
        let cases = [
            ("/home/me/hello", "cog-hello"),
            ("/home/me/My Model", "cog-my-model"),
            ("/home/me/cog-hello", "cog-hello"),
            ("/home/me/weird_name!.v2", "cog-weirdnamev2"),
            (
                "/home/me/abcdefghijklmnopqrstuvwxyz0123456789",
                "cog-abcdefghijklmnopqrstuvwxyz",
            ),
            (
                "/home/me/cog-abcdefghijklmnopqrstuvwxyz",
                "cog-abcdefghijklmnopqrstuv",
            ),
            (
                "/home/me/abcdefghijklmnopqrstuvwxy z",
                "cog-abcdefghijklmnopqrstuvwxy",
            ),
            ("/", "cog-model"),
            ("/home/me/日本", "cog-model"),
        ];
        for (folder, expected) in cases {
            assert_eq!(of_folder(Path::new(folder)), expected, "{folder}");
        }
    }
}
