//! Control groups, where this machine lets us make one: they count all processes of a sandbox together (LIM-3).
//!
//! They are asked for only where nothing else counts: for memory, and for processes on kernels whose process namespaces
//! have no bound of their own.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::error::SandboxError;
use crate::request::Limits;

/// The first kernel whose process namespaces have their own bound on process numbers.
const BOUND_SINCE: (u32, u32) = (6, 14);

/// One group per hierarchy; they are removed in the end.
pub(super) struct ControlGroup {
    folders: Vec<PathBuf>,
    counts_processes: bool,
}

impl ControlGroup {
    /// Groups for these limits, if they are needed and this machine lets us.
    pub(super) fn for_limits(limits: &Limits) -> Option<Self> {
        let processes = (kernel() < BOUND_SINCE).then_some(limits.processes);
        if processes.is_none() && limits.memory.is_none() {
            return None;
        }
        let mut group = Self {
            folders: Vec::new(),
            counts_processes: false,
        };
        let memberships = fs::read_to_string("/proc/self/cgroup").ok()?;
        for line in memberships.lines() {
            let mut parts = line.splitn(3, ':').skip(1);
            let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else {
                continue;
            };
            let path = path.trim_start_matches('/');
            if controllers.is_empty() {
                for base in ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"] {
                    group.join(&Path::new(base).join(path), true, limits, processes);
                }
            } else if controllers == "pids" || controllers == "memory" {
                group.join(
                    &Path::new("/sys/fs/cgroup").join(controllers).join(path),
                    false,
                    limits,
                    processes,
                );
            }
        }
        (!group.folders.is_empty()).then_some(group)
    }

    /// Whether processes are counted.
    pub(super) fn counts_processes(&self) -> bool {
        self.counts_processes
    }

    fn join(&mut self, own: &Path, unified: bool, limits: &Limits, processes: Option<u32>) {
        let marker = if unified {
            "cgroup.controllers"
        } else {
            "cgroup.procs"
        };
        if !own.join(marker).exists() {
            return;
        }
        let folder = own.join(format!("cognix-{}-{:x}", std::process::id(), unique()));
        if fs::create_dir(&folder).is_err() {
            return;
        }
        let mut useful = false;
        if let Some(processes) = processes
            && fs::write(
                folder.join("pids.max"),
                (u64::from(processes) + 3).to_string(),
            )
            .is_ok()
        {
            self.counts_processes = true;
            useful = true;
        }
        if let Some(memory) = limits.memory {
            let file = if unified {
                "memory.max"
            } else {
                "memory.limit_in_bytes"
            };
            useful |= fs::write(folder.join(file), memory.to_string()).is_ok();
        }
        if useful {
            self.folders.push(folder);
        } else {
            let _ = fs::remove_dir(&folder);
        }
    }

    /// Takes a process in; what it starts later is in as well.
    pub(super) fn admit(&self, process: u32) -> Result<(), SandboxError> {
        for folder in &self.folders {
            let file = folder.join("cgroup.procs");
            match fs::write(&file, process.to_string()) {
                // Memory is bounded for each process in any case.
                Err(_) if !self.counts_processes => {}
                result => {
                    result.map_err(super::workspace::io_error("enter the control group", &file))?
                }
            }
        }
        Ok(())
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        let started = Instant::now();
        for folder in &self.folders {
            // The kernel takes a moment to forget the last process.
            while fs::remove_dir(folder).is_err() && started.elapsed() < Duration::from_secs(1) {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

/// Differs between groups of one process.
fn unique() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn kernel() -> (u32, u32) {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy().into_owned();
    let mut numbers = release
        .split(['.', '-'])
        .map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}
