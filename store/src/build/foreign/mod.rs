//! Programs that are none of ours, run in a sandbox.
//!
//! A derivation says in its attribute `sandbox` what the program's root is made of and what becomes of its work; see
//! [`Plan`]. One without the attribute has an empty root, as with a real Nix: what it needs are its inputs. The closure of
//! the inputs is visible below `/nix/store` in every build, and nothing else of the store is.
//!
//! ```text
//! STAGING/sandbox/    the sandbox's own folder
//! STAGING/store/      /nix/store inside: a place for each input, and where outputs are written
//! STAGING/build/      /build inside, where attributes are passed as files
//! ```
//!
//! How a program is kept apart is the sandbox's business; this room knows what a derivation means. It decides nothing about
//! the store: outputs are checked, named and registered afterwards, like those of every builder.

mod changes;
mod demands;
mod environment;
mod error;
mod machine_network;
mod plan;
mod record;
mod root;
mod secrets;
mod structured_attributes;

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use cognix_derivations::{STORE_DIR, StorePath};
use cognix_sandbox::{
    Access, Changes, Finished, Limits, Mount, Network, Request, Sandbox, Secret, SecretPlace,
    Variation,
};

pub use error::ForeignError;
pub use machine_network::MachineNetwork;
pub use plan::{
    ATTRIBUTE, BUILD_DIRECTORY, Entry, Identity, OutputKind, Plan, PlanError, SecretUse,
    UNLESS_EMPTY,
};
pub use record::{CHANGES_FILE, CHANGES_TREE, ChangesRecord, Owned, RecordError};
pub use secrets::Secrets;

use super::{BuildError, BuildRequest, Builder, visible};
use secrets::Needles;

/// How many lines of a log a message repeats.
const LAST_LINES: usize = 15;

/// Only the process itself reads its secrets.
const SECRET_MODE: u32 = 0o400;

/// The number of the first process in a rebuild; in a build it is a small one.
const OTHER_PID: u32 = 321;

/// The machine's kind, as derivations call it.
pub const fn host_system() -> &'static str {
    if cfg!(target_arch = "aarch64") {
        "aarch64-linux"
    } else {
        "x86_64-linux"
    }
}

/// Runs programs in sandboxes.
#[derive(Debug, Clone)]
pub struct ForeignBuilder {
    /// What starts sandboxes.
    pub sandbox: Sandbox,
    /// The values that derivations ask for by name.
    pub secrets: Secrets,
    /// The network that derivations have which ask for it; they fail where it is none.
    pub network: Option<MachineNetwork>,
    /// What a program may use.
    pub limits: Limits,
    /// How many cores a program is told that it has; those of the machine where nothing is said.
    pub cores: Option<usize>,
}

impl ForeignBuilder {
    /// Without secrets and without a network, with the usual limits.
    pub fn new(sandbox: Sandbox) -> Self {
        Self {
            sandbox,
            secrets: Secrets::new(),
            network: None,
            limits: Limits::default(),
            cores: None,
        }
    }
}

impl Builder for ForeignBuilder {
    /// Derivations call it by the paths of programs.
    fn name(&self) -> &str {
        "foreign"
    }

    fn build(&self, request: &BuildRequest<'_>) -> Result<(), BuildError> {
        let plan = read_plan(request)?;
        if is_needless(request, &plan)? {
            return changes::write(&Changes::default(), &[], request.output("out")?);
        }
        check_system(request.derivation.system())?;
        demands::check(request.derivation)?;
        let place = Place::make(request)?;
        let prepared = self.prepare(request, &plan, &place)?;
        request.log.begin();
        let mut needles = self.secrets.needles(prepared.ids());
        if prepared.plan.network {
            let passwords = self.network.iter().flat_map(MachineNetwork::passwords);
            needles.extend(passwords);
        }
        let mut last = Tail::default();
        let finished = self.sandbox.run(
            &prepared.request,
            &|| request.cancel.is_cancelled(),
            &mut |line| {
                let line = needles.mask(line);
                request.log.line(&line);
                last.push(&line);
            },
        );
        let finished = finished.map_err(|error| match request.cancel.is_cancelled() {
            true => BuildError::Cancelled,
            false => ForeignError::of(error, last.lines()).into(),
        })?;
        if !finished.outcome.success() {
            let program = request.derivation.builder_name().to_owned();
            let (outcome, log) = (finished.outcome, last.lines());
            return Err(ForeignError::Ended {
                program,
                outcome,
                log,
            }
            .into());
        }
        match plan.output {
            OutputKind::Out => place.take_outputs(request)?,
            OutputKind::Changes => take_changes(request, &prepared.request, &finished)?,
        }
        Sandbox::clean(&place.sandbox).map_err(ForeignError::Sandbox)?;
        refuse_secrets(request, &needles)
    }
}

/// What a derivation says about its sandbox.
pub fn plan_of(derivation: &cognix_derivations::Derivation) -> Result<Plan, BuildError> {
    let reason = |reason: String| BuildError::Attribute {
        name: ATTRIBUTE.to_owned(),
        reason,
    };
    let text = match derivation.env().get(ATTRIBUTE) {
        Some(text) => {
            let text = std::str::from_utf8(text).map_err(|_| reason("is not UTF-8".to_owned()))?;
            Some(text.to_owned())
        }
        None => structured_attributes::text_of(derivation, ATTRIBUTE),
    };
    let Some(text) = text else {
        return Ok(Plan::default());
    };
    Plan::parse(&text).map_err(|error| {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        let cause = cause.map_or_else(String::new, |cause| format!(": {cause}"));
        reason(format!("{error}{cause}"))
    })
}

/// Whether there is nothing to do, as [`UNLESS_EMPTY`] has it.
fn is_needless(request: &BuildRequest<'_>, plan: &Plan) -> Result<bool, BuildError> {
    let text = request.derivation.env().get(UNLESS_EMPTY);
    let Some(text) = text.filter(|_| plan.output == OutputKind::Changes) else {
        return Ok(false);
    };
    let refuse = |reason: &str| BuildError::Attribute {
        name: UNLESS_EMPTY.to_owned(),
        reason: reason.to_owned(),
    };
    let text = std::str::from_utf8(text).map_err(|_| refuse("is not UTF-8"))?;
    let below = text
        .strip_prefix(STORE_DIR)
        .and_then(|rest| rest.strip_prefix('/'));
    let (name, file) = below
        .and_then(|rest| rest.split_once('/'))
        .filter(|(_, file)| !file.is_empty() && !file.contains('/'))
        .ok_or_else(|| refuse("is no file right below an input"))?;
    let path = StorePath::from_base_name(name).map_err(|_| refuse("names no store path"))?;
    let place = request.input(&path)?.join(file);
    let metadata = fs::symlink_metadata(&place);
    let metadata = metadata.map_err(|source| BuildError::Io {
        path: place,
        source,
    })?;
    Ok(metadata.is_file() && metadata.len() == 0)
}

fn read_plan(request: &BuildRequest<'_>) -> Result<Plan, BuildError> {
    let plan = plan_of(request.derivation)?;
    let single = request.outputs.len() == 1 && request.outputs.contains_key("out");
    match plan.output == OutputKind::Changes && !single {
        true => Err(ForeignError::Outputs.into()),
        false => Ok(plan),
    }
}

/// Refuses what another kind of machine builds.
pub fn check_system(system: &str) -> Result<(), ForeignError> {
    match host_system() {
        host if host == system => Ok(()),
        host => Err(ForeignError::System {
            system: system.to_owned(),
            host,
        }),
    }
}

/// A request, and the secrets in it.
struct Prepared<'p> {
    request: Request,
    plan: &'p Plan,
}

impl Prepared<'_> {
    fn ids(&self) -> impl Iterator<Item = &str> {
        self.plan.secrets.iter().map(|secret| secret.id.as_str())
    }
}

impl ForeignBuilder {
    fn prepare<'p>(
        &self,
        request: &BuildRequest<'_>,
        plan: &'p Plan,
        place: &Place,
    ) -> Result<Prepared<'p>, BuildError> {
        let derivation = request.derivation;
        let cores = cores(request, self.cores);
        let told = environment::tell(derivation, plan, cores)?;
        let mut mounts = place.mounts(request, plan)?;
        if !told.files.is_empty() {
            mounts.push(place.build_folder(&told.files)?);
        }
        let program = derivation.builder_name();
        let mut request = Request {
            root: root::lowers(request, plan)?,
            access: match plan.output {
                OutputKind::Out => Access::ReadOnly,
                OutputKind::Changes => Access::Changes,
            },
            mounts,
            identity: match plan.identity {
                Identity::Builder => cognix_sandbox::Identity::Builder,
                Identity::Root => cognix_sandbox::Identity::Root,
            },
            args: told.args,
            env: told.env,
            directory: PathBuf::from(&plan.directory),
            secrets: self.secrets_for(plan)?,
            limits: self.limits.clone(),
            variation: request.is_rebuild.then_some(Variation {
                first_pid: Some(OTHER_PID),
                cores: Some(1),
                // The mask is fixed in every sandbox, and archives that programs write hold its modes.
                umask: None,
                random_addresses: true,
            }),
            ..Request::new(program, &place.sandbox)
        };
        if plan.network {
            let network = self.network.as_ref().ok_or(ForeignError::Network)?;
            request.network = Network::Host;
            network.tell(&mut request);
        }
        Ok(Prepared { request, plan })
    }

    fn secrets_for(&self, plan: &Plan) -> Result<Vec<Secret>, ForeignError> {
        let mut secrets = Vec::new();
        for wanted in &plan.secrets {
            let value = self.secrets.get(&wanted.id);
            let value = value.ok_or_else(|| ForeignError::MissingSecret {
                id: wanted.id.clone(),
            })?;
            let file = wanted.file().map(|target| SecretPlace::File {
                target: PathBuf::from(target),
                mode: SECRET_MODE,
            });
            let variable = wanted.env.as_ref();
            let variable = variable.map(|name| SecretPlace::Variable(name.into()));
            secrets.extend(file.into_iter().chain(variable).map(|place| Secret {
                place,
                value: value.to_vec(),
            }));
        }
        Ok(secrets)
    }
}

/// How many cores a program is told that it has. A rebuild is told another number than a build, and has one.
fn cores(request: &BuildRequest<'_>, said: Option<usize>) -> usize {
    match (request.is_rebuild, said.unwrap_or(request.cores)) {
        (false, cores) => cores,
        (true, 1) => 2,
        (true, _) => 1,
    }
}

/// The folders of one build.
struct Place {
    folder: PathBuf,
    sandbox: PathBuf,
    store: PathBuf,
}

impl Place {
    fn make(request: &BuildRequest<'_>) -> Result<Self, BuildError> {
        let folder = request.folder()?;
        let place = Self {
            sandbox: folder.join("sandbox"),
            store: folder.join("store"),
            folder,
        };
        make_folder(&place.store)?;
        Ok(place)
    }

    /// What is visible below the store's folder. Outputs are written there too, unless there are none.
    fn mounts(&self, request: &BuildRequest<'_>, plan: &Plan) -> Result<Vec<Mount>, BuildError> {
        let mut mounts = vec![Mount {
            source: self.store.clone(),
            target: PathBuf::from(STORE_DIR),
            writable: plan.output == OutputKind::Out,
        }];
        let inputs: Vec<StorePath> = request.derivation.input_sources().iter().cloned().collect();
        let closure = request.store.closure(&inputs).map_err(BuildError::failed)?;
        for path in closure {
            let real = request.store.real_path(&path);
            let shown = self.store.join(path.as_base_name());
            let metadata = fs::symlink_metadata(&real).map_err(BuildError::io(&real))?;
            // A link cannot be bound: it is the same link there.
            let made = if metadata.is_symlink() {
                fs::read_link(&real).and_then(|target| symlink(target, &shown))
            } else if metadata.is_dir() {
                fs::create_dir(&shown)
            } else {
                fs::File::create_new(&shown).map(drop)
            };
            made.map_err(BuildError::io(&shown))?;
            if !metadata.is_symlink() {
                mounts.push(Mount {
                    source: real,
                    target: PathBuf::from(path.to_string()),
                    writable: false,
                });
            }
        }
        Ok(mounts)
    }

    /// The folder of the build with files in it.
    fn build_folder(&self, files: &BTreeMap<String, Vec<u8>>) -> Result<Mount, BuildError> {
        let folder = self.folder.join("build");
        make_folder(&folder)?;
        for (name, contents) in files {
            let file = folder.join(name);
            fs::write(&file, contents).map_err(BuildError::io(&file))?;
        }
        Ok(Mount {
            source: folder,
            target: PathBuf::from(BUILD_DIRECTORY),
            writable: true,
        })
    }

    /// Moves the outputs to where the store looks for them. No process is left that could write to them.
    fn take_outputs(&self, request: &BuildRequest<'_>) -> Result<(), BuildError> {
        for (name, target) in request.outputs {
            let Some(path) = request.derivation.scratch_path(name) else {
                continue;
            };
            let made = self.store.join(path.as_base_name());
            match fs::symlink_metadata(&made) {
                Ok(metadata) => {
                    if metadata.is_dir() {
                        // Only a writable folder can be moved into another.
                        let mode = metadata.permissions().mode() | 0o700;
                        fs::set_permissions(&made, fs::Permissions::from_mode(mode))
                            .map_err(BuildError::io(&made))?;
                    }
                    fs::rename(&made, target).map_err(BuildError::io(&made))?;
                }
                // The store says which one is missing.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(BuildError::io(&made)(error)),
            }
        }
        Ok(())
    }
}

fn make_folder(folder: &Path) -> Result<(), BuildError> {
    let mut builder = fs::DirBuilder::new();
    builder
        .mode(0o755)
        .create(folder)
        .map_err(BuildError::io(folder))
}

fn take_changes(
    request: &BuildRequest<'_>,
    sandbox: &Request,
    finished: &Finished,
) -> Result<(), BuildError> {
    let changes = finished.changes.clone().unwrap_or_default();
    for socket in &changes.sockets {
        let line = format!("cognix: the socket /{} is left out", socket.display());
        request.log.line(line.as_bytes());
    }
    changes::write(&changes, &sandbox.root, request.output("out")?)
}

fn refuse_secrets(request: &BuildRequest<'_>, needles: &Needles) -> Result<(), BuildError> {
    for output in request.outputs.values() {
        if fs::symlink_metadata(output).is_err() {
            continue;
        }
        let found = needles.find_below(output).map_err(BuildError::io(output))?;
        if let Some(found) = found {
            let path = found.strip_prefix(output).unwrap_or(&found).to_owned();
            return Err(ForeignError::SecretInOutput { path }.into());
        }
    }
    Ok(())
}

/// The end of a log.
#[derive(Default)]
struct Tail(VecDeque<String>);

impl Tail {
    fn push(&mut self, line: &[u8]) {
        if self.0.len() == LAST_LINES {
            self.0.pop_front();
        }
        self.0.push_back(visible(line));
    }

    fn lines(&self) -> Vec<String> {
        self.0.iter().cloned().collect()
    }
}
