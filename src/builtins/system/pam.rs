//! `/etc/pam.d/common-*`: the lists that `pam-auth-update` puts together from the profiles that packages ship.
//!
//! Without them `su` and everything else that includes them fails. Every profile that is on by default takes part, in the
//! order of their priorities; a jump to the `end` of a block becomes the number of lines that are left of it. The tool's
//! own state is written too, so that it does not take its own work for a person's when somebody runs it in the image.

use std::{cmp::Reverse, collections::BTreeMap};

use super::{
    SystemError,
    root::{Node, Owner, Root},
};

const RULE: &str = "pam-auth-update";
const PROFILES: &str = "usr/share/pam-configs";
const TEMPLATES: &str = "usr/share/pam";
const STATE: &str = "var/lib/pam";
const PRIMARY: &str = "# here are the per-package modules (the \"Primary\" block)";
const FALLBACK: &str = "# here's the fallback if no module succeeds";
const ADDITIONAL: &str = "# and here are more per-package modules (the \"Additional\" block)";
const END: &str = "# end of pam-auth-update config";
/// What keeps the stack whole where a block has no module.
const NOTHING: &str = "[default=1]\t\t\tpam_permit.so";

/// A list, by the end of its file's name, and the prefix of its fields in a profile.
const LISTS: [(&str, &str); 5] = [
    ("auth", "Auth"),
    ("account", "Account"),
    ("password", "Password"),
    ("session", "Session"),
    ("session-noninteractive", "Session"),
];

/// A profile's fields, with the lines of those that have several.
struct Profile {
    name: String,
    fields: BTreeMap<String, Vec<String>>,
}

/// One list's modules of one block: the profile's name and its lines.
type Block<'a> = Vec<(&'a str, &'a [String])>;

/// Adds the lists and the state.
pub(super) fn apply(root: &mut Root<'_>) -> Result<(), SystemError> {
    if root.package("libpam-runtime").is_none() {
        return Ok(());
    }
    let profiles = profiles(root)?;
    let seen: String = profiles
        .iter()
        .flat_map(|profile| [profile.name.as_str(), "\n"])
        .collect();
    let enabled: Vec<&Profile> = profiles
        .iter()
        .filter(|profile| profile.value("Default") == "yes")
        .collect();
    for (list, prefix) in LISTS {
        let Some(template) = root.read(&format!("{TEMPLATES}/common-{list}"))? else {
            continue;
        };
        let noninteractive = list == "session-noninteractive";
        let takes_part = |profile: &&&Profile| {
            !(noninteractive && profile.value("Session-Interactive-Only") == "yes")
        };
        let taking_part: Vec<&Profile> = enabled.iter().filter(takes_part).copied().collect();
        let primary = block(&taking_part, prefix, "Primary");
        let additional = block(&taking_part, prefix, "Additional");
        let kind = prefix.to_ascii_lowercase();
        let text = fill(
            &String::from_utf8_lossy(&template),
            &kind,
            &primary,
            &additional,
        );
        let path = format!("etc/pam.d/common-{list}");
        if root.canonical(&path, false).is_none() {
            root.add_file(RULE, &path, text.into_bytes(), Owner::FILE)?;
            root.add_file(
                RULE,
                &format!("{STATE}/{list}"),
                state(&primary, &additional).into_bytes(),
                Owner::FILE,
            )?;
        }
    }
    match root.exists("var/lib/pam/seen") {
        true => Ok(()),
        false => root.add_file(RULE, "var/lib/pam/seen", seen.into_bytes(), Owner::FILE),
    }
}

/// Every profile, the highest priority first and of equal ones the last name.
fn profiles(root: &Root<'_>) -> Result<Vec<Profile>, SystemError> {
    let files = root
        .below(PROFILES)
        .filter(|(_, node)| **node != Node::Directory);
    let paths: Vec<_> = files.map(|(path, _)| path.clone()).collect();
    let mut profiles = Vec::new();
    for path in paths {
        let text = root.read(path.as_str())?.unwrap_or_default();
        profiles.push(Profile::parse(path.name(), &String::from_utf8_lossy(&text)));
    }
    profiles.sort_by_key(|profile| {
        Reverse((
            profile.value("Priority").parse().unwrap_or(0),
            profile.name.clone(),
        ))
    });
    Ok(profiles)
}

impl Profile {
    /// A field begins with its name and a colon; every other line belongs to the field before it.
    fn parse(name: &str, text: &str) -> Self {
        let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut current = String::new();
        for line in text.lines() {
            let field = line
                .split_once(':')
                .filter(|(name, _)| !name.is_empty() && !name.contains(char::is_whitespace));
            let value = match field {
                Some((name, value)) => {
                    name.trim_end_matches("-Final").clone_into(&mut current);
                    fields.insert(current.clone(), Vec::new());
                    value
                }
                None => line,
            };
            if !value.trim().is_empty() {
                fields
                    .entry(current.clone())
                    .or_default()
                    .push(value.trim().to_owned());
            }
        }
        Self {
            name: name.to_owned(),
            fields,
        }
    }

    fn lines(&self, field: &str) -> &[String] {
        self.fields.get(field).map_or(&[], Vec::as_slice)
    }

    fn value(&self, field: &str) -> &str {
        self.lines(field).first().map_or("", String::as_str)
    }
}

/// The modules of a block. The first one may have lines of its own, since nobody has asked for a password before it.
fn block<'a>(profiles: &[&'a Profile], prefix: &str, kind: &str) -> Block<'a> {
    let of_kind = profiles
        .iter()
        .filter(|profile| profile.value(&format!("{prefix}-Type")) == kind);
    let lines = |(position, profile): (usize, &&'a Profile)| {
        let initial = profile.lines(&format!("{prefix}-Initial"));
        let use_initial = position == 0 && !initial.is_empty();
        (
            profile.name.as_str(),
            if use_initial {
                initial
            } else {
                profile.lines(prefix)
            },
        )
    };
    of_kind.enumerate().map(lines).collect()
}

/// The template with both blocks in their places.
fn fill(template: &str, kind: &str, primary: &Block<'_>, additional: &Block<'_>) -> String {
    let mut text = String::new();
    let mut inside_block = false;
    for line in template.lines() {
        inside_block &= !line.starts_with(FALLBACK) && !line.starts_with(END);
        if inside_block {
            continue;
        }
        text.push_str(line);
        text.push('\n');
        if line.starts_with(PRIMARY) {
            if primary.is_empty() {
                text.push_str(&format!("{kind}\t{NOTHING}\n"));
            }
            push_block(&mut text, kind, primary, 0);
            inside_block = true;
        } else if line.starts_with(ADDITIONAL) {
            // A jump must not leave the stack, so it ends at the last line.
            push_block(&mut text, kind, additional, 1);
            inside_block = true;
        }
    }
    text
}

fn push_block(text: &mut String, kind: &str, block: &Block<'_>, behind: usize) {
    let lines: Vec<&String> = block.iter().flat_map(|(_, lines)| lines.iter()).collect();
    for (number, line) in lines.iter().enumerate() {
        let left = (lines.len() - number).saturating_sub(behind);
        text.push_str(&format!("{kind}\t{}\n", with_jumps(line, left)));
    }
}

/// The line with its jumps as numbers and one blank between options, as the tool writes it.
fn with_jumps(line: &str, left: usize) -> String {
    let control = match line.strip_prefix('[').and_then(|rest| rest.find(']')) {
        Some(end) => end + 2,
        None => line.find(char::is_whitespace).unwrap_or(line.len()),
    };
    let rest = line[control..].trim_start();
    let blanks = &line[control..line.len() - rest.len()];
    let (module, options) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let options: Vec<&str> = options.split_whitespace().collect();
    let jump = line[..control].replace("end", &left.to_string());
    format!("{jump}{blanks}{module} {}", options.join(" "))
}

fn state(primary: &Block<'_>, additional: &Block<'_>) -> String {
    let mut text = String::new();
    if primary.is_empty() {
        text.push_str(&format!("Module: null\n{NOTHING}\n"));
    }
    for (name, lines) in primary.iter().chain(additional) {
        text.push_str(&format!("Module: {name}\n{}\n", lines.join("\n")));
    }
    text
}
