//! The links that `update-alternatives` would have made.
//!
//! Each package's script is followed for its calls; for every name the candidate with the highest priority whose file is
//! there wins, and of equal ones the path that sorts first, whatever order packages are installed in. Links are written
//! as Debian has them, `LINK -> /etc/alternatives/NAME -> PATH`, together with the state that the tool keeps, so that it
//! goes on from there when somebody runs it in the image.

use std::{cmp::Reverse, collections::BTreeMap};

use super::{
    SystemError,
    root::{Owner, Root},
    shell::{Script, Text, World},
};

const RULE: &str = "update-alternatives";

/// One group of links.
#[derive(Debug, Default, PartialEq, Eq)]
struct Group {
    /// Where the link is.
    link: String,
    /// The links that go along with it, by name.
    slaves: BTreeMap<String, String>,
    /// What may be behind it, by path.
    candidates: BTreeMap<String, Candidate>,
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Candidate {
    priority: i64,
    /// The files behind the slaves, by the slaves' names.
    slaves: BTreeMap<String, String>,
}

/// A call that installs a candidate.
#[derive(Debug, Default, PartialEq, Eq)]
struct Installation {
    link: String,
    name: String,
    path: String,
    candidate: Candidate,
    /// The slaves' links, by name.
    slaves: BTreeMap<String, String>,
}

/// Follows every package's script and adds the links.
pub(super) fn apply(root: &mut Root<'_>) -> Result<(), SystemError> {
    let mut groups = BTreeMap::new();
    for package in root.packages() {
        let Some(script) = root.control(package, "postinst")? else {
            continue;
        };
        let text = String::from_utf8_lossy(&script);
        if !text.contains(RULE) {
            continue;
        }
        for note in collect(&mut groups, root, &package.name, &text) {
            root.note(format!("{}: {note}", package.name));
        }
    }
    for (name, group) in &groups {
        add(root, name, group)?;
    }
    Ok(())
}

/// Takes a script's calls into the groups, and says what could not be taken.
fn collect(
    groups: &mut BTreeMap<String, Group>,
    world: &dyn World,
    package: &str,
    text: &str,
) -> Vec<String> {
    let script = Script {
        text,
        package,
        arguments: &["configure", ""],
    };
    let calls = match script.calls(RULE, world) {
        Ok(calls) => calls,
        Err(error) => return vec![format!("its script was not followed for {RULE}: {error}")],
    };
    let mut notes = Vec::new();
    for call in calls {
        match installation(&call) {
            Ok(None) => {}
            Ok(Some(installation)) => notes.extend(take(groups, world, installation)),
            Err(problem) => notes.push(format!("a call of {RULE} was left out: {problem}")),
        }
    }
    notes
}

fn take(
    groups: &mut BTreeMap<String, Group>,
    world: &dyn World,
    new: Installation,
) -> Option<String> {
    let Installation {
        link,
        name,
        path,
        candidate,
        slaves,
    } = new;
    if world.find(&path, true).is_none() {
        return Some(format!("the alternative {path} for {name} is not there"));
    }
    let group = groups.entry(name.clone()).or_insert_with(|| Group {
        link: link.clone(),
        ..Group::default()
    });
    if group.link != link {
        return Some(format!(
            "the alternative {name} is {} already and not {link}",
            group.link
        ));
    }
    for (slave, place) in slaves {
        group.slaves.entry(slave).or_insert(place);
    }
    group.candidates.insert(path, candidate);
    None
}

/// Reads the words of a call; none when it installs nothing.
fn installation(call: &[Text]) -> Result<Option<Installation>, String> {
    let mut words = call.iter();
    let mut installation = None;
    let mut slaves = BTreeMap::new();
    let mut behind = BTreeMap::new();
    while let Some(word) = words.next() {
        let mut next = |what: &str| match words.next() {
            Some(Some(word)) => Ok(word.clone()),
            Some(None) => Err(format!("its {what} is not known before the script runs")),
            None => Err(format!("its {what} is missing")),
        };
        match word.as_deref() {
            Some("--install") => {
                let (link, name, path, priority) = (
                    next("link")?,
                    next("name")?,
                    next("path")?,
                    next("priority")?,
                );
                let priority = priority
                    .parse()
                    .map_err(|_| format!("priority {priority:?} is no number"))?;
                let candidate = Candidate {
                    priority,
                    slaves: BTreeMap::new(),
                };
                installation = Some(Installation {
                    link,
                    name,
                    path,
                    candidate,
                    slaves: BTreeMap::new(),
                });
            }
            Some("--slave") => {
                let (link, name, path) = (
                    next("slave's link")?,
                    next("slave's name")?,
                    next("slave's path")?,
                );
                behind.insert(name.clone(), path);
                slaves.insert(name, link);
            }
            Some("--altdir" | "--admindir" | "--log" | "--root" | "--instdir") => {
                drop(next("folder")?)
            }
            Some("--quiet" | "--verbose" | "--force" | "--skip-auto" | "--debug") => {}
            // Everything else changes what earlier installations have made; after one there is nothing to change.
            Some(_) if installation.is_none() => return Ok(None),
            Some(other) => return Err(format!("its word {other:?} is not understood")),
            None => return Err("one of its words is not known before the script runs".to_owned()),
        }
    }
    let Some(mut installation) = installation else {
        return Ok(None);
    };
    let plain = |name: &String| !name.is_empty() && !name.contains(['/', ' ', '\t', '\n']);
    let absolute = |path: &String| path.starts_with('/') && !path.contains('\n');
    let names = slaves.keys().chain([&installation.name]);
    let paths = slaves
        .values()
        .chain(behind.values())
        .chain([&installation.link, &installation.path]);
    if !names.into_iter().all(plain) || !paths.into_iter().all(absolute) {
        return Err("names are plain and paths are absolute".to_owned());
    }
    installation.candidate.slaves = behind;
    installation.slaves = slaves;
    Ok(Some(installation))
}

fn add(root: &mut Root<'_>, name: &str, group: &Group) -> Result<(), SystemError> {
    let best = group
        .candidates
        .iter()
        .max_by_key(|(path, candidate)| (candidate.priority, Reverse(*path)));
    let Some((path, candidate)) = best else {
        return Ok(());
    };
    add_link(root, &group.link, name, path)?;
    for (slave, link) in &group.slaves {
        // A slave without a file has no link.
        if let Some(path) = candidate.slaves.get(slave).filter(|path| root.exists(path)) {
            add_link(root, link, slave, path)?;
        }
    }
    root.add_file(
        RULE,
        &format!("var/lib/dpkg/alternatives/{name}"),
        state(group),
        Owner::FILE,
    )
}

/// The two links of one name. A path that a package ships is left alone, as the tool itself would leave it.
fn add_link(root: &mut Root<'_>, link: &str, name: &str, path: &str) -> Result<(), SystemError> {
    if root.canonical(link, false).is_some() {
        root.note(format!(
            "the alternative {name} has no link: a package ships {link}"
        ));
        return Ok(());
    }
    root.add_link(RULE, &format!("etc/alternatives/{name}"), path)?;
    root.add_link(RULE, link, &format!("/etc/alternatives/{name}"))
}

/// The tool's own record of a group.
fn state(group: &Group) -> Vec<u8> {
    let mut lines = vec!["auto", group.link.as_str()];
    for (slave, link) in &group.slaves {
        lines.extend([slave.as_str(), link.as_str()]);
    }
    lines.push("");
    let priorities: Vec<String> = group
        .candidates
        .values()
        .map(|candidate| candidate.priority.to_string())
        .collect();
    for ((path, candidate), priority) in group.candidates.iter().zip(&priorities) {
        lines.extend([path.as_str(), priority.as_str()]);
        lines.extend(
            group
                .slaves
                .keys()
                .map(|slave| candidate.slaves.get(slave).map_or("", String::as_str)),
        );
    }
    lines.push("");
    let mut text = lines.join("\n");
    text.push('\n');
    text.into_bytes()
}
