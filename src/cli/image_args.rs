//! What somebody wants an image to say beside what follows from its files, and the times in it.

use std::path::Path;
use std::process::Command;

use clap::Args;
use cognix_store::ErrorKind;

use super::Failure;
use crate::layers::Timestamp;
use crate::pipeline::ImageOptions;

/// The variable that many tools take a time from.
const SOURCE_DATE_EPOCH: &str = "SOURCE_DATE_EPOCH";
/// What Cog writes, and reads again.
const RESERVED: [&str; 2] = ["run.cog.", "org.cogmodel."];

/// Each of them changes the image's digest, and is the same digest wherever it is asked for.
#[derive(Debug, Default, Args)]
pub(super) struct ImageArgs {
    /// Add a label (repeatable); one of org.opencontainers.image.* is an annotation too.
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = pair)]
    labels: Vec<(String, String)>,
    /// Add an annotation to the manifest (repeatable).
    #[arg(long = "annotation", value_name = "KEY=VALUE", value_parser = pair)]
    annotations: Vec<(String, String)>,
    /// Label the image with the commit and the version of the project's git repository, as Cog does.
    ///
    /// The values are GITHUB_SHA and GITHUB_REF_NAME where they are set. Without this option they are left out, so that
    /// the same files give the same digest in every checkout.
    #[arg(long)]
    git_labels: bool,
    /// When the image was created and its files changed [default: SOURCE_DATE_EPOCH, or 315532800, the start of 1980].
    #[arg(long, value_name = "SECONDS")]
    timestamp: Option<String>,
}

impl ImageArgs {
    /// The options for a project in this folder.
    pub(super) fn options(&self, project: &Path) -> Result<ImageOptions, Failure> {
        let mut options = ImageOptions {
            timestamp: self.timestamp()?,
            ..ImageOptions::default()
        };
        if self.git_labels {
            options.labels.extend(git_labels(project)?);
        }
        options.labels.extend(self.labels.iter().cloned());
        options.annotations.extend(self.annotations.iter().cloned());
        Ok(options)
    }

    fn timestamp(&self) -> Result<Option<Timestamp>, Failure> {
        let variable = std::env::var(SOURCE_DATE_EPOCH).ok();
        let (name, text) = match (&self.timestamp, variable) {
            (Some(text), _) => ("--timestamp", text.clone()),
            // An empty variable is how a script unsets one for a single command.
            (None, Some(text)) if !text.is_empty() => (SOURCE_DATE_EPOCH, text),
            _ => return Ok(None),
        };
        let parsed = text.parse::<Timestamp>().map(Some);
        parsed.map_err(|error| Failure::new(ErrorKind::Input, format!("{name}: {error}")))
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    if key.is_empty() || key.contains(char::is_whitespace) {
        return Err("a key has at least one character, and no blanks".to_owned());
    }
    if let Some(prefix) = RESERVED.iter().find(|prefix| key.starts_with(*prefix)) {
        return Err(format!(
            "keys that begin with {prefix} are written from cog.yaml"
        ));
    }
    Ok((key.to_owned(), value.to_owned()))
}

/// Commit and version, as Cog finds them.
fn git_labels(project: &Path) -> Result<Vec<(String, String)>, Failure> {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let revision = variable("GITHUB_SHA").or_else(|| git(project, &["rev-parse", "HEAD"]));
    let revision = revision.ok_or_else(|| {
        let message = format!(
            "--git-labels: there is no commit to name: {} is in no git repository that git can read",
            project.display()
        );
        Failure::new(ErrorKind::Input, message)
            .hint("commit the project, set GITHUB_SHA, or use --label org.opencontainers.image.revision=…")
    })?;
    let version =
        variable("GITHUB_REF_NAME").or_else(|| git(project, &["describe", "--tags", "--dirty"]));
    let labels = [("revision", Some(revision)), ("version", version)];
    Ok(labels
        .into_iter()
        .filter_map(|(name, value)| Some((format!("org.opencontainers.image.{name}"), value?)))
        .collect())
}

/// What a command of git says about a folder, if it says anything.
fn git(project: &Path, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("git");
    let output = command.arg("-C").arg(project).args(arguments).output();
    let output = output.ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_key_and_value() {
        assert_eq!(pair("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert_eq!(pair("a="), Ok(("a".to_owned(), String::new())));
        for (text, words) in [
            ("a", "KEY=VALUE"),
            ("=b", "at least one"),
            ("a b=c", "no blanks"),
            ("run.cog.version=1", "cog.yaml"),
        ] {
            let error = pair(text).expect_err(text);
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
