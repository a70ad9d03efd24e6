//! What to run, on which root, with which rights and limits.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// One program to be run.
///
/// Everything that the program can see is named here: nothing is taken from the caller's environment, folders or
/// descriptors.
#[derive(Debug, Clone)]
pub struct Request {
    /// The trees that make up the root, bottom first. Hundreds are fine.
    ///
    /// Below them lies a skeleton: `/dev`, `/proc`, `/sys`, `/tmp`, `/build`, and `/etc/{passwd,group,hosts}` where no
    /// tree has them.
    pub root: Vec<Lower>,
    /// Whether the root can be written to.
    pub access: Access,
    /// Files and folders of the host that are bound into the root, in this order.
    pub mounts: Vec<Mount>,
    /// Who the program is.
    pub identity: Identity,
    /// The program: a path inside the root, or a name that is looked up in the `PATH` of [`Request::env`].
    pub program: OsString,
    /// Its arguments, without its own name.
    pub args: Vec<OsString>,
    /// Exactly its environment, apart from secrets.
    pub env: BTreeMap<OsString, OsString>,
    /// Where it starts; must exist inside the root.
    pub directory: PathBuf,
    /// What only the program may know.
    pub secrets: Vec<Secret>,
    /// What it can reach.
    pub network: Network,
    /// What it may use.
    pub limits: Limits,
    /// Conditions that must not matter, changed on purpose.
    pub variation: Option<Variation>,
    /// A folder for this run alone, on a file system that holds extended attributes; made if missing, with mode 0700.
    /// After the run it holds what [`Access::Changes`] left, and nothing otherwise.
    pub workspace: PathBuf,
}

impl Request {
    /// A request for `program` without arguments: an empty read-only root, a builder's identity, no network, default
    /// limits, `/build` as the folder it starts in.
    #[must_use]
    pub fn new(program: impl Into<OsString>, workspace: impl Into<PathBuf>) -> Self {
        Self {
            root: Vec::new(),
            access: Access::ReadOnly,
            mounts: Vec::new(),
            identity: Identity::Builder,
            program: program.into(),
            args: Vec::new(),
            env: BTreeMap::new(),
            directory: PathBuf::from("/build"),
            secrets: Vec::new(),
            network: Network::None,
            limits: Limits::default(),
            variation: None,
            workspace: workspace.into(),
        }
    }
}

/// One tree of a root. It is never written to, whatever the program does.
#[derive(Debug, Clone, Default)]
pub struct Lower {
    /// A folder of the host.
    pub tree: PathBuf,
    /// What this tree takes away from the trees below it, as paths relative to the root.
    pub removed: Vec<PathBuf>,
    /// The real modes and owners of what is in the tree, as paths relative to the root, where they are not the ordinary
    /// ones: 0644, or 0755 for directories and executable files, owned by 0:0. Trees of a store cannot hold them.
    /// Paths that the tree does not have are ignored.
    pub modes: BTreeMap<PathBuf, Mode>,
}

impl Lower {
    /// A tree that takes nothing away and has ordinary modes.
    #[must_use]
    pub fn new(tree: impl Into<PathBuf>) -> Self {
        Self {
            tree: tree.into(),
            ..Self::default()
        }
    }
}

/// A mode and an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode {
    /// The permission bits, with set-id and sticky bits.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

/// Whether the root can be written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Only `/tmp`, `/build`, `/dev/shm` and writable mounts can be written to.
    ReadOnly,
    /// Everything can be written to, and the difference is told: [`Finished::changes`](crate::Finished::changes). Its
    /// bytes stay in the workspace, which the caller then removes (see [`Sandbox::clean`](crate::Sandbox::clean)).
    Changes,
}

/// A file or a folder of the host that is bound into the root.
#[derive(Debug, Clone)]
pub struct Mount {
    /// What is bound; links are followed.
    pub source: PathBuf,
    /// Where it appears, an absolute path inside the root. Links on the way are followed inside the root, never out of
    /// it. What is missing is made: beside the root's trees where the root is meant, and inside the source of another
    /// mount where the target lies in one that is writable; both disappear afterwards.
    pub target: PathBuf,
    /// Whether the program may write to it.
    pub writable: bool,
}

/// Who the program is, inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// User 1000 in group 100, without any capability; set-id modes are refused.
    Builder,
    /// User 0 with the usual small set of capabilities of a container. Owners, set-id modes and changes of identity are
    /// emulated, in the same way whoever runs the sandbox.
    Root,
}

/// Something that only the program may know.
#[derive(Clone)]
pub struct Secret {
    /// Where the program finds it.
    pub place: SecretPlace,
    /// The value. It is never written to a disk.
    pub value: Vec<u8>,
}

/// Where the program finds a secret.
#[derive(Debug, Clone)]
pub enum SecretPlace {
    /// A file in memory at this absolute path.
    File {
        /// The path inside the root.
        target: PathBuf,
        /// Its permission bits; 0400 is usual.
        mode: u32,
    },
    /// A variable of the environment.
    Variable(OsString),
}

/// The value is shown as a mask.
impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Secret")
            .field("place", &self.place)
            .field("value", &"***")
            .finish()
    }
}

/// What the program can reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// A loopback interface of its own, and nothing else.
    None,
    /// What the host can reach, with the host's resolver.
    Host,
}

/// What a program may use. Every limit ends it, except that a log which is too long is cut.
#[derive(Debug, Clone)]
pub struct Limits {
    /// How long it may run.
    pub time: Duration,
    /// How long it may say nothing.
    pub silence: Duration,
    /// How many bytes of its log are passed on; the rest is dropped with a mark.
    pub log: u64,
    /// How many bytes of one line are passed on; the rest of the line is dropped with a mark.
    pub line: usize,
    /// How many processes and threads there may be at once. The kernel counts in a way that cannot be evaded, but not
    /// below 300.
    pub processes: u32,
    /// How much address space each process may have, in bytes, and all together where the machine can count that.
    pub memory: Option<u64>,
    /// How many bytes the program may keep on the disk.
    pub disk: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(6 * 3600),
            silence: Duration::from_secs(3600),
            log: 64 << 20,
            line: 64 << 10,
            processes: 4096,
            memory: None,
            disk: None,
        }
    }
}

/// Conditions that must not matter for a result, changed on purpose to see whether they do.
#[derive(Debug, Clone, Default)]
pub struct Variation {
    /// The number of the program's process, at least 2.
    pub first_pid: Option<u32>,
    /// On how many cores it may run.
    pub cores: Option<usize>,
    /// The mask for new files; 022 otherwise.
    pub umask: Option<u32>,
    /// Whether programs are loaded at random addresses; otherwise they are not.
    pub random_addresses: bool,
}
