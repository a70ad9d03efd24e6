//! Paths as texts: absolute, without `.`, `..`, empty parts or an ending slash. Nothing is looked at on disk.

/// An absolute path from one that may be relative to a folder.
pub(crate) fn absolute(folder: &str, path: &str) -> String {
    match path.starts_with('/') {
        true => canonical(path),
        false => canonical(&format!("{folder}/{path}")),
    }
}

/// Removes empty parts and `.`, and what `..` takes back; `..` above the root stays at the root.
pub(crate) fn canonical(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let mut text = String::with_capacity(path.len());
    for part in &parts {
        text.push('/');
        text.push_str(part);
    }
    if text.is_empty() {
        text.push('/');
    }
    text
}

/// The folder of an absolute path.
pub(crate) fn parent(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((folder, _)) => folder,
    }
}

/// The last part of an absolute path; empty for the root.
pub(crate) fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

/// What stands below a folder: `""` for itself, `None` for what is elsewhere.
pub(crate) fn below<'p>(folder: &str, path: &'p str) -> Option<&'p str> {
    let rest = path.strip_prefix(folder.trim_end_matches('/'))?;
    match rest {
        "" => Some(""),
        rest => rest.strip_prefix('/'),
    }
}
