//! What the caller and the sandbox's own processes say to each other: an order in, reports out.
//!
//! Both sides are the same program at the same moment, so the form needs no version.

use std::ffi::OsString;
use std::io::{self, Read, Write};

use crate::record::Inode;
use serde::{Deserialize, Serialize};

/// The name (argument 0) under which the program is started as a sandbox's first process.
pub(crate) const NAME: &str = "cognix-sandbox-first";

/// All that the inside needs; every path of the host is absolute or relative to the staging folder.
#[derive(Serialize, Deserialize)]
pub(crate) struct Order {
    /// The workspace, where the caller has laid out what is mounted.
    pub(crate) staging: OsString,
    pub(crate) root: Composition,
    /// Whether the root stays writable and its changes are kept.
    pub(crate) writable: bool,
    pub(crate) mounts: Vec<Binding>,
    pub(crate) secrets: Vec<SecretFile>,
    /// User and group inside.
    pub(crate) user: (u32, u32),
    /// Whether the caller is the real root.
    pub(crate) host_root: bool,
    /// Whether root is emulated.
    pub(crate) emulate: bool,
    /// Modes and owners in the trees that are not ordinary.
    pub(crate) modes: Vec<Owned>,
    pub(crate) program: OsString,
    pub(crate) args: Vec<OsString>,
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) directory: OsString,
    pub(crate) host_network: bool,
    pub(crate) processes: u32,
    /// Whether a control group already counts processes.
    pub(crate) counted: bool,
    pub(crate) memory: Option<u64>,
    pub(crate) disk: Option<u64>,
    pub(crate) first_pid: Option<u32>,
    pub(crate) cores: Option<usize>,
    pub(crate) umask: u32,
    pub(crate) random_addresses: bool,
}

/// How the root comes to be.
#[derive(Serialize, Deserialize)]
pub(crate) enum Composition {
    /// Overlays over links in the staging folder, bottom first. `groups` are overlays of their own, because the kernel
    /// takes at most 500 trees at once; `layers` names links and groups.
    Overlay {
        groups: Vec<Vec<String>>,
        layers: Vec<String>,
    },
    /// The caller has composed the root as a folder.
    Folder,
}

/// The mode and the owner that something has in truth.
#[derive(Serialize, Deserialize)]
pub(crate) struct Owned {
    pub(crate) path: OsString,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// A file or folder that is bound into the root.
#[derive(Serialize, Deserialize)]
pub(crate) struct Binding {
    pub(crate) source: OsString,
    pub(crate) target: OsString,
    pub(crate) writable: bool,
    /// Whether a target that cannot be made is left out: a link that leads nowhere.
    pub(crate) optional: bool,
}

/// A secret that is a file.
#[derive(Serialize, Deserialize)]
pub(crate) struct SecretFile {
    pub(crate) target: OsString,
    pub(crate) mode: u32,
    pub(crate) value: Vec<u8>,
}

/// What the inside tells.
#[derive(Serialize, Deserialize)]
pub(crate) enum Report {
    /// The first process of the new namespace, as the host counts.
    First(i32),
    /// These mount points were made in a composed folder.
    Made(Vec<OsString>),
    /// A symlink was given to somebody: its inode and time of birth on the disk, user and group.
    Symlink { identity: Inode, owner: (u32, u32) },
    /// Nothing was run, or the program could not be started.
    Failed(Failure),
    /// The program ended, with this wait status.
    Ended(i32),
}

/// A step of setting up that failed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Failure {
    pub(crate) cause: Cause,
    pub(crate) attempted: String,
    pub(crate) errno: i32,
}

/// What a failed step means for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Cause {
    /// Something in the request is wrong.
    Setup,
    /// The program cannot be started.
    Program,
    UserNamespace,
    Namespace,
    Mount,
    Overlay,
    Proc,
    Network,
    Filter,
    ProcessCount,
}

/// A step of setting up.
pub(crate) type Step<T> = Result<T, Failure>;

/// Says what was tried when a step fails.
pub(crate) trait Attempt<T> {
    fn or_fail(self, cause: Cause, attempted: impl FnOnce() -> String) -> Step<T>;
}

impl<T, E: Into<io::Error>> Attempt<T> for Result<T, E> {
    fn or_fail(self, cause: Cause, attempted: impl FnOnce() -> String) -> Step<T> {
        self.map_err(|error| Failure {
            cause,
            attempted: attempted(),
            errno: error.into().raw_os_error().unwrap_or(libc::EIO),
        })
    }
}

impl Order {
    /// Writes the order; the pipe stays open afterwards, and its end is the sandbox's end.
    pub(crate) fn send(&self, pipe: &mut impl Write) -> io::Result<()> {
        let text = serde_json::to_vec(self)?;
        pipe.write_all(&(text.len() as u64).to_le_bytes())?;
        pipe.write_all(&text)?;
        pipe.flush()
    }

    /// Reads exactly one order.
    pub(crate) fn receive(pipe: &mut impl Read) -> io::Result<Self> {
        let mut length = [0; 8];
        pipe.read_exact(&mut length)?;
        let mut text = Vec::new();
        pipe.take(u64::from_le_bytes(length))
            .read_to_end(&mut text)?;
        Ok(serde_json::from_slice(&text)?)
    }
}

impl Report {
    /// One line; short lines are written at once, so that several processes can share a pipe.
    pub(crate) fn line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }
}
