//! The runtime's `config.json`: the image's configuration in the words of the OCI runtime specification.

use oci_spec::runtime::{
    Linux, LinuxBuilder, LinuxCapabilitiesBuilder, LinuxIdMappingBuilder, LinuxNamespaceBuilder,
    LinuxNamespaceType, Mount, MountBuilder, ProcessBuilder, RootBuilder, Spec, SpecBuilder,
    UserBuilder, get_default_mounts,
};

use super::bundle::ROOT;
use super::{Bundle, ContainerError};

/// What a command is run with.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// The command's words.
    pub args: Vec<String>,
    /// `NAME=value`, in order.
    pub env: Vec<String>,
    /// The working directory inside.
    pub working_dir: String,
    /// Whether the command gets a terminal.
    pub terminal: bool,
    /// The caller's user and group id when it is not root: the container's root is then that user.
    pub rootless: Option<(u32, u32)>,
    /// Files of the machine that a command with the machine's network needs, as they are named on both sides.
    pub shared_files: Vec<String>,
}

/// Writes `config.json` into a bundle.
pub fn write_config(bundle: &Bundle, options: &RunOptions) -> Result<(), ContainerError> {
    let spec = spec(options).map_err(ContainerError::Config)?;
    spec.save(bundle.path().join("config.json"))
        .map_err(ContainerError::Config)
}

fn spec(options: &RunOptions) -> Result<Spec, oci_spec::OciSpecError> {
    let mut process = ProcessBuilder::default()
        .args(options.args.clone())
        .env(options.env.clone())
        .cwd(&options.working_dir)
        .terminal(options.terminal)
        .user(UserBuilder::default().uid(0_u32).gid(0_u32).build()?)
        .no_new_privileges(true)
        .capabilities(
            LinuxCapabilitiesBuilder::default()
                .bounding(capabilities())
                .effective(capabilities())
                .permitted(capabilities())
                .inheritable(none())
                .ambient(none())
                .build()?,
        )
        .build()?;
    // The default limits may be above the machine's own, and raising a limit needs a right that root may lack.
    process.set_rlimits(None);
    let mut spec = SpecBuilder::default()
        .process(process)
        .root(RootBuilder::default().path(ROOT).readonly(false).build()?)
        .mounts(mounts(options)?)
        .linux(linux(options)?)
        .build()?;
    // On the machine's network programs look up the machine's name, so the container has none of its own.
    spec.set_hostname(None);
    Ok(spec)
}

/// The library's default for these sets is not empty, and what is not permitted cannot be inherited.
fn none() -> std::collections::HashSet<oci_spec::runtime::Capability> {
    std::collections::HashSet::new()
}

/// What Docker grants by default, less what only matters for making devices and raw network traffic.
fn capabilities() -> std::collections::HashSet<oci_spec::runtime::Capability> {
    use oci_spec::runtime::Capability;
    [
        Capability::Chown,
        Capability::DacOverride,
        Capability::Fowner,
        Capability::Fsetid,
        Capability::Kill,
        Capability::NetBindService,
        Capability::Setgid,
        Capability::Setuid,
        Capability::SysChroot,
    ]
    .into_iter()
    .collect()
}

fn mounts(options: &RunOptions) -> Result<Vec<Mount>, oci_spec::OciSpecError> {
    // `sysfs` and `cgroup` need namespaces of their own kind, which an ordinary user does not get.
    let mut mounts: Vec<Mount> = get_default_mounts()
        .into_iter()
        .filter(|mount| !matches!(mount.typ().as_deref(), Some("sysfs" | "cgroup" | "mqueue")))
        .collect();
    // Libraries count processors there. What is mounted below it stays outside, unless the kernel insists: in a user
    // namespace it does, and there nothing of it can be written.
    let below = match options.rootless {
        None => "bind",
        Some(_) => "rbind",
    };
    mounts.push(shared("/sys", below)?);
    if options.rootless.is_some() {
        for mount in &mut mounts {
            // The terminal group of a Debian system has no counterpart in a namespace with one id.
            let kept = mount
                .options()
                .iter()
                .flatten()
                .filter(|option| !option.starts_with("gid="))
                .cloned()
                .collect();
            mount.set_options(Some(kept));
        }
    }
    for file in &options.shared_files {
        mounts.push(shared(file, "rbind")?);
    }
    Ok(mounts)
}

/// Something of the machine that the container can read, under the same name.
fn shared(path: &str, kind: &str) -> Result<Mount, oci_spec::OciSpecError> {
    MountBuilder::default()
        .destination(path)
        .source(path)
        .typ("bind")
        .options(
            [kind, "ro", "nosuid", "noexec", "nodev"]
                .map(str::to_owned)
                .to_vec(),
        )
        .build()
}

fn linux(options: &RunOptions) -> Result<Linux, oci_spec::OciSpecError> {
    let mut kinds = vec![
        LinuxNamespaceType::Pid,
        LinuxNamespaceType::Ipc,
        LinuxNamespaceType::Mount,
    ];
    kinds.extend(options.rootless.map(|_| LinuxNamespaceType::User));
    let namespaces = kinds
        .into_iter()
        .map(|kind| LinuxNamespaceBuilder::default().typ(kind).build())
        .collect::<Result<Vec<_>, _>>()?;
    let mut linux = LinuxBuilder::default().namespaces(namespaces).build()?;
    linux.set_resources(None);
    if let Some((user, group)) = options.rootless {
        let mapping = |id: u32| {
            LinuxIdMappingBuilder::default()
                .container_id(0_u32)
                .host_id(id)
                .size(1_u32)
                .build()
        };
        linux.set_uid_mappings(Some(vec![mapping(user)?]));
        linux.set_gid_mappings(Some(vec![mapping(group)?]));
    }
    Ok(linux)
}
