//! What commands of `build.run` are told on the command line: secrets, and whether they have a network.

use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use cognix_store::ErrorKind;
use cognix_store::build::foreign::Secrets;

use super::limits::LimitArgs;
use super::printer::Printer;
use super::progress::Progress;
use super::project::{OpenProject, Work, default_jobs, pipeline_failure};
use super::{Failure, Global};
use crate::lock::Lock;
use crate::pipeline::{Project, Realisation, Recorded, Recording, SandboxOptions};

/// The largest secret, as with BuildKit.
const LARGEST: u64 = 500 << 10;

/// For every command that may have to run a command of `build.run`.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct StepArgs {
    /// Give a secret to the commands of build.run that mount it: id=NAME,src=FILE or id=NAME,env=VARIABLE (repeatable).
    ///
    /// Its value is part of no image, lock, log or store path.
    #[arg(long = "secret", value_name = "id=NAME,src=FILE|env=VARIABLE", value_parser = secret)]
    secrets: Vec<SecretArg>,
    /// Let commands of build.run have this machine's network, if the lock records what they make.
    #[arg(long)]
    allow_network: bool,
}

impl StepArgs {
    /// Reads the secrets.
    pub(super) fn sandbox(&self, limits: &LimitArgs) -> Result<SandboxOptions, Failure> {
        let mut secrets = Secrets::new();
        for secret in &self.secrets {
            secrets.insert(&secret.id, secret.read()?);
        }
        Ok(SandboxOptions {
            secrets,
            network: self.allow_network,
            ..limits.sandbox()
        })
    }

    /// Runs the commands of all images of a model that have no record yet, and records those that need a network. Does
    /// nothing unless the command line or the spec allows that. Says whether the lock has changed.
    pub(super) fn record(
        &self,
        project: &OpenProject,
        global: &Global,
        mut sandbox: SandboxOptions,
        lock: &mut Lock,
        printer: Printer,
    ) -> Result<bool, Failure> {
        let every = project.project.every().map_err(pipeline_failure)?;
        let allowed = self.allow_network || project.project.allows_network();
        if !allowed || !every.iter().any(Project::has_steps) {
            return Ok(false);
        }
        let store = global.open_store()?;
        sandbox.network = true;
        let work = Work::new()?;
        let progress = Arc::new(Progress::new(printer));
        let mirrors = project.find_mirrors(false)?;
        let recording = Recording {
            realisation: &|project| {
                Ok(Realisation {
                    store: store.clone(),
                    mirrors: mirrors(project)?,
                    jobs: default_jobs(),
                    events: Arc::clone(&progress) as _,
                    cancel: work.cancel.clone(),
                    sandbox: sandbox.clone(),
                })
            },
            store: &store,
            has_secret: &|id| sandbox.secrets.get(id).is_some(),
            skip: &|step: &Recorded| {
                printer.note(format!(
                    "{step} was not run: this machine is of another kind. If it needs a network, run `cognix lock \
                     --allow-network` on such a machine with this lock"
                ));
            },
            tell: &|step: &Recorded| {
                printer.note(format!(
                    "{step} failed without a network; running it with one"
                ));
            },
        };
        let recorded = work.run(project.project.record_steps(lock, &recording));
        progress.finish();
        let recorded = recorded?;
        for step in &recorded {
            printer.note(format!("recorded what {step} made"));
        }
        Ok(!recorded.is_empty())
    }
}

/// A secret's name and where its value is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct SecretArg {
    id: String,
    source: SecretSource,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum SecretSource {
    File(PathBuf),
    Variable(String),
    /// The variable of the secret's own name, or the file of that name.
    Either,
}

impl SecretArg {
    fn read(&self) -> Result<Vec<u8>, Failure> {
        match &self.source {
            SecretSource::Variable(name) => self.variable(name).ok_or_else(|| {
                let message = format!("secret {}: the variable {name} is not set", self.id);
                Failure::new(ErrorKind::Input, message)
            }),
            SecretSource::File(file) => self.file(file),
            SecretSource::Either => match self.variable(&self.id) {
                Some(value) => Ok(value),
                None => self.file(&PathBuf::from(&self.id)),
            },
        }
    }

    fn variable(&self, name: &str) -> Option<Vec<u8>> {
        use std::os::unix::ffi::OsStringExt;
        std::env::var_os(name).map(OsStringExt::into_vec)
    }

    fn file(&self, file: &PathBuf) -> Result<Vec<u8>, Failure> {
        let failed = |reason: String| {
            let message = format!("secret {}: {}: {reason}", self.id, file.display());
            Failure::new(ErrorKind::Input, message)
        };
        let open = std::fs::File::open(file).map_err(|error| failed(error.to_string()))?;
        let mut value = Vec::new();
        open.take(LARGEST + 1)
            .read_to_end(&mut value)
            .map_err(|error| failed(error.to_string()))?;
        if value.len() as u64 > LARGEST {
            return Err(failed(format!("it is larger than {} KiB", LARGEST >> 10)));
        }
        Ok(value)
    }
}

/// The words that Cog hands on to BuildKit: `type`, `id`, `src` or `source`, `env`.
fn secret(text: &str) -> Result<SecretArg, String> {
    let (mut kind, mut id, mut file, mut variable) = (None, None, None, None);
    for field in text.split(',') {
        let (key, value) = field
            .split_once('=')
            .ok_or_else(|| format!("expected KEY=VALUE, found {field:?}"))?;
        let place = match key.trim() {
            "type" => &mut kind,
            "id" => &mut id,
            "src" | "source" => &mut file,
            "env" => &mut variable,
            other => {
                return Err(format!(
                    "unknown key {other:?}; there are type, id, src and env"
                ));
            }
        };
        if place.replace(value.to_owned()).is_some() {
            return Err(format!("{key} stands there twice"));
        }
    }
    let id = id
        .filter(|id| !id.is_empty())
        .ok_or("id=NAME is missing".to_owned())?;
    let source = match (kind.as_deref(), file, variable) {
        (_, Some(_), Some(_)) => return Err("either src or env, not both".to_owned()),
        (None | Some("file"), Some(file), None) => SecretSource::File(PathBuf::from(file)),
        (None | Some("env"), None, Some(variable)) => SecretSource::Variable(variable),
        // As BuildKit has it: with this type, src names a variable.
        (Some("env"), Some(variable), None) => SecretSource::Variable(variable),
        (Some("env"), None, None) => SecretSource::Variable(id.clone()),
        (Some("file"), None, None) => SecretSource::File(PathBuf::from(&id)),
        (None, None, None) => SecretSource::Either,
        (Some("file"), None, Some(_)) => {
            return Err("type=file goes with src, not with env".to_owned());
        }
        (Some(other), ..) => return Err(format!("unknown type {other:?}; there are file and env")),
    };
    Ok(SecretArg { id, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_given_as_with_cog() {
        let file = |name: &str| SecretSource::File(PathBuf::from(name));
        let variable = |name: &str| SecretSource::Variable(name.to_owned());
        for (text, id, source) in [
            ("id=token,src=a/b", "token", file("a/b")),
            ("type=file,id=token,source=a=b", "token", file("a=b")),
            ("id=token,env=TOKEN", "token", variable("TOKEN")),
            ("type=env,id=token", "token", variable("token")),
            ("type=env,id=token,src=TOKEN", "token", variable("TOKEN")),
            ("type=file,id=token", "token", file("token")),
            ("id=token", "token", SecretSource::Either),
        ] {
            let id = id.to_owned();
            assert_eq!(secret(text), Ok(SecretArg { id, source }), "{text}");
        }
        for (text, words) in [
            ("token", "KEY=VALUE"),
            ("src=a", "id=NAME is missing"),
            ("id=,src=a", "id=NAME is missing"),
            ("id=a,id=b", "twice"),
            ("id=a,src=b,env=C", "not both"),
            ("id=a,mode=0400", "unknown key"),
            ("type=ssh,id=a", "unknown type"),
            ("type=file,id=a,env=B", "goes with src"),
        ] {
            let error = secret(text).expect_err(text);
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn sec_1_a_value_is_shown_as_a_mask() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let place = folder.path().join("token");
        std::fs::write(&place, "very secret").expect("writable");
        let secrets = vec![SecretArg {
            id: "token".to_owned(),
            source: SecretSource::File(place.clone()),
        }];
        let args = StepArgs {
            secrets,
            allow_network: false,
        };
        let sandbox = args.sandbox(&LimitArgs::default()).expect("readable");
        assert_eq!(sandbox.secrets.get("token"), Some(&b"very secret"[..]));
        assert!(!format!("{args:?} {sandbox:?}").contains("very"));
        std::fs::write(&place, vec![b'x'; 600 << 10]).expect("writable");
        let error = args.sandbox(&LimitArgs::default());
        let error = error.expect_err("too large").to_string();
        assert!(error.contains("larger than 500 KiB"), "{error}");
    }
}
