//! A commit with the commits of its submodules, as pip and uv take them: all of them, however deep.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;

use url::Url;

use super::fetch::Remote;
use super::tree::{Checkout, Entry, Kind};
use super::{GitError, address, command, tree};

/// How deep submodules may have submodules.
const MAX_DEPTH: usize = 16;

/// What `.gitmodules` says about one.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Submodule {
    path: Option<String>,
    url: Option<String>,
}

/// Fetches a commit and those of its submodules.
pub(super) async fn gather(
    folder: &Path,
    repository: &str,
    commit: &str,
) -> Result<Checkout, GitError> {
    let mut checkout = Checkout::default();
    add(&mut checkout, folder, repository, commit, "", 0).await?;
    Ok(checkout)
}

type Added<'a> = Pin<Box<dyn Future<Output = Result<(), GitError>> + Send + 'a>>;

fn add<'a>(
    checkout: &'a mut Checkout,
    folder: &'a Path,
    repository: &'a str,
    commit: &'a str,
    below: &'a str,
    depth: usize,
) -> Added<'a> {
    Box::pin(async move {
        let wrong = |reason: String| GitError::Tree {
            repository: repository.to_owned(),
            commit: commit.to_owned(),
            reason,
        };
        if depth > MAX_DEPTH {
            let reason = format!("its submodules nest more than {MAX_DEPTH} deep");
            return Err(wrong(reason));
        }
        let remote = Remote::new(folder, repository);
        let objects = remote.fetch(commit).await?;
        let entries = tree::list(&objects, repository, commit).await?;
        let mut modules = None;
        for (path, entry) in entries {
            let Kind::Submodule = entry.kind else {
                let path = [below.as_bytes(), &path].concat();
                let objects = objects.clone();
                checkout.entries.insert(path, Entry { objects, ..entry });
                continue;
            };
            let path = String::from_utf8_lossy(&path).into_owned();
            let modules = match &mut modules {
                Some(modules) => modules,
                None => modules.insert(read(&objects, repository, commit).await?),
            };
            let module = modules.values().find(|module| {
                let known = module.path.as_deref();
                known.map(|known| known.trim_end_matches('/')) == Some(path.as_str())
            });
            let url = module.and_then(|module| module.url.as_deref());
            let url = url.ok_or_else(|| {
                wrong(format!(
                    "{path} is a submodule, and its .gitmodules names no address for it"
                ))
            })?;
            let url = join(repository, url).map_err(|reason| {
                wrong(format!("the address of its submodule {path}: {reason}"))
            })?;
            let below = format!("{below}{path}/");
            checkout.folders.push(below.clone());
            add(checkout, folder, &url, &entry.object, &below, depth + 1).await?;
        }
        Ok(())
    })
}

/// Reads `.gitmodules` of a commit, by git's own reader.
async fn read(
    objects: &Path,
    repository: &str,
    commit: &str,
) -> Result<BTreeMap<String, Submodule>, GitError> {
    let blob = format!("{commit}:.gitmodules");
    let arguments = [
        "config",
        "--no-includes",
        "--blob",
        &blob,
        "--null",
        "--get-regexp",
        r"^submodule\..*\.(path|url)$",
    ];
    let listed = command::output(Some(objects), repository, &arguments).await?;
    let mut modules: BTreeMap<String, Submodule> = BTreeMap::new();
    let listed = listed.unwrap_or_default();
    for item in listed.split(|byte| *byte == 0) {
        let item = String::from_utf8_lossy(item);
        let Some((key, value)) = item.split_once('\n') else {
            continue;
        };
        let Some((name, what)) = key.rsplit_once('.') else {
            continue;
        };
        let module = modules.entry(name.to_owned()).or_default();
        match what {
            "path" => module.path = Some(value.to_owned()),
            _ => module.url = Some(value.to_owned()),
        }
    }
    Ok(modules)
}

/// The address of a submodule, which may be relative to that of its parent.
fn join(parent: &str, url: &str) -> Result<String, String> {
    let address = match url {
        relative if relative.starts_with("./") || relative.starts_with("../") => {
            let mut base = Url::parse(parent).map_err(|error| error.to_string())?;
            let path = format!("{}/", base.path().trim_end_matches('/'));
            base.set_path(&path);
            let joined = base.join(relative).map_err(|error| error.to_string())?;
            joined.to_string()
        }
        // The short form of secure shells.
        short if !short.contains("://") => {
            let (host, path) = short
                .split_once(':')
                .filter(|(host, path)| !host.contains('/') && !path.starts_with(':'))
                .ok_or_else(|| format!("{url:?} is not an address of another machine"))?;
            format!("ssh://{host}/{}", path.trim_start_matches('/'))
        }
        whole => whole.to_owned(),
    };
    let mut parsed = address::repository_url(&address)?;
    if parsed.password().is_some() || (parsed.scheme() != "ssh" && !parsed.username().is_empty()) {
        // Whoever may read it has credentials of their own.
        parsed
            .set_password(None)
            .map_err(|()| "no host".to_owned())?;
        parsed.set_username("").map_err(|()| "no host".to_owned())?;
    }
    Ok(parsed.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_submodules_may_be_relative() {
        for (parent, url, expected) in [
            (
                "https://h.test/a/b.git",
                "../c.git",
                Ok("https://h.test/a/c.git"),
            ),
            ("https://h.test/a/b", "./c", Ok("https://h.test/a/b/c")),
            (
                "https://h.test/a",
                "https://u:p@i.test/x",
                Ok("https://i.test/x"),
            ),
            (
                "https://h.test/a",
                "git@i.test:x/y.git",
                Ok("ssh://git@i.test/x/y.git"),
            ),
            ("https://h.test/a", "ext::sh -c id", Err("not an address")),
            ("https://h.test/a", "file:///etc", Err("its scheme is file")),
            ("https://h.test/a", "/srv/x.git", Err("not an address")),
        ] {
            match (join(parent, url), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{url}"),
                (Err(message), Err(expected)) => assert!(message.contains(expected), "{message}"),
                (found, _) => panic!("{url}: {found:?}"),
            }
        }
    }
}
