//! `cognix plan --why PACKAGE`: who asked for a package, why in this version, and why this file.

use std::collections::BTreeMap;

use serde_json::json;

use super::Failure;
use super::printer::Printer;
use super::project::{OpenProject, Work};
use crate::lock::why::{Chain, OtherFiles, Why};
use crate::lock::{Lock, PackageKind};

/// How many packages are named for one requirement.
const NAMES: usize = 3;

/// Explains one package of a lock.
pub(super) fn run(
    project: &OpenProject,
    lock: &Lock,
    name: &str,
    printer: Printer,
) -> Result<(), Failure> {
    let architecture = project.architecture();
    // What the index said when the lock was made is good enough, and nobody waits for it.
    let mirrors = project.mirrors(true)?;
    let why = Work::new()?.run(project.project.why(lock, architecture, name, &mirrors))?;
    let mut value = serde_json::to_value(&why).map_err(std::io::Error::from)?;
    value["version"] = json!(1);
    value["platform"] = json!(architecture);
    value["variant"] = json!(project.project.variant());
    Ok(printer.result(&value, || {
        let kind = match why.kind {
            PackageKind::Wheel => "a Python package",
            PackageKind::Deb => "a Debian package",
        };
        format!(
            "{} {}, {kind} for {architecture}\n{}{}{}",
            why.name,
            why.version,
            asked(&why),
            limits(&why),
            file(&why)
        )
    })?)
}

fn asked(why: &Why) -> String {
    let mut text = "\nasked for by\n".to_owned();
    for Chain { root, through } in &why.asked_by {
        text.push_str(&format!("  {}  ({})\n", root.text, root.place));
        for (depth, step) in through.iter().enumerate() {
            let indent = "  ".repeat(depth + 2);
            text.push_str(&format!(
                "{indent}{} {} asks for {}\n",
                step.name, step.version, step.asks
            ));
        }
    }
    if why.more_chains > 0 {
        text.push_str(&format!("  and {} more ways\n", why.more_chains));
    }
    text
}

fn limits(why: &Why) -> String {
    let mut text = "\nthis version\n".to_owned();
    let mut by_text: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for limit in &why.limits {
        by_text.entry(&limit.text).or_default().push(&limit.by);
    }
    let lengths = by_text.keys().map(|text| text.chars().count());
    let width = lengths.max().unwrap_or(0);
    for (text_of_limit, by) in &by_text {
        let more = match by.len().saturating_sub(NAMES) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let names = by[..by.len().min(NAMES)].join(", ");
        text.push_str(&format!("  {text_of_limit:width$}  (from {names}{more})\n"));
    }
    let all = match why.limits.len() {
        0 => "nobody limits it: ",
        _ => "",
    };
    let newest = match &why.exclude_newer {
        Some(moment) => format!("the newest that fits of what was uploaded before {moment}"),
        None => "the newest that fits of what the archive had".to_owned(),
    };
    text.push_str(&format!(
        "  {all}{newest}, or the one that an earlier lock had\n"
    ));
    if why.yanked {
        text.push_str(
            "  it was withdrawn since, and is there because it is pinned or was locked before\n",
        );
    }
    text
}

fn file(why: &Why) -> String {
    let mut text = format!("\nthis file\n  {}\n  from {}\n", why.file, why.url);
    if let Some(build) = &why.build {
        text.push_str(&format!(
            "  built with {}, because {}\n  with {}\n",
            build.backend,
            build.reason,
            build.requires.join(", ")
        ));
        return text;
    }
    if let Some(tag) = &why.tag {
        text.push_str(&format!("  fits as {tag}\n"));
    }
    match (why.kind, why.other_files) {
        (PackageKind::Deb, _) => {}
        (_, None) => text.push_str(
            "  what else its release has is not known here: the index page is not in the cache\n",
        ),
        (_, Some(OtherFiles { fitting: 0, foreign: 0 })) => {
            text.push_str("  the only wheel of its release\n");
        }
        (_, Some(OtherFiles { fitting: 0, foreign })) => text.push_str(&format!(
            "  no other of its release fits; {foreign} are for other systems or Pythons\n"
        )),
        (_, Some(OtherFiles { fitting, foreign })) => text.push_str(&format!(
            "  its release has {fitting} more that fit less well, and {foreign} for other systems or Pythons\n"
        )),
    }
    text
}
