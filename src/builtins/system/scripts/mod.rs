//! What becomes of every maintainer script and trigger: covered by a rule, left out, or to be run.
//!
//! A script is followed by `shell` as dpkg would call it at a first installation, and each of its effects is
//! looked up: `commands` knows programs whatever package calls them, `claims` what the rules do for single packages.
//! A script that has an effect which is in neither is to be run, as is one that cannot be followed at all, so nothing is
//! passed over in silence. Which triggers are pending follows from what packages declare and scripts activate.
//!
//! The result is two files of the `control` output: the report, for people, and the commands that run what is left, for
//! the shell of the derivation after this one.

mod claims;
mod commands;
mod order;
mod triggers;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    Package, SystemError,
    root::{Root, Without},
    shell::{Effect, Script, World},
};
use triggers::Triggers;
pub(super) use triggers::interests;

/// The file of the `control` output that says what becomes of each script.
pub const SCRIPTS_FILE: &str = "scripts.json";
/// The file of the `control` output with the commands that run what no rule covers; empty when there is nothing.
pub const RUN_FILE: &str = "run";

const IN_PLACE: &str = "what it makes is in place";
const REMOVAL: &str = "only for an update or a removal of the package";
const ON_REQUEST: &str = "on request (base.leaveOutScripts)";
const NO_SHELL: &str = "the image has no /bin/sh to run it with";

/// What becomes of the scripts of all packages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scripts {
    /// By package, those that have any.
    pub packages: BTreeMap<String, Vec<ScriptOutcome>>,
    /// The version of this format.
    pub version: u32,
}

/// What becomes of one script. Parts of it may be covered and others left out; one that is run is run as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScriptOutcome {
    /// Its name, or `trigger` with what has activated it.
    pub script: String,
    /// The rules that do what it does. Without any of the three the script does nothing at a first installation.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub rules: BTreeSet<String>,
    /// What of it is left out, and why.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub left_out: BTreeSet<String>,
    /// Why it is run: the effects that no rule covers.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub run: BTreeSet<String>,
}

impl ScriptOutcome {
    fn of(script: &str) -> Self {
        Self {
            script: script.to_owned(),
            ..Self::default()
        }
    }
}

/// What is known about one effect.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    /// It changes nothing here.
    Nothing,
    /// A rule does it.
    Rule(&'static str),
    /// It is not wanted in an image.
    LeftOut(&'static str),
    /// It activates a trigger.
    Activates(String),
    /// No rule does it.
    Unknown,
}

/// How dpkg calls a script.
struct Call<'a> {
    package: &'a Package,
    /// The script's file in the control archive.
    file: &'a str,
    arguments: [&'a str; 2],
}

/// Classifies the scripts of all packages, as the rules have left the system.
///
/// Returns the report and the commands that are to be run.
pub(super) fn classify(
    root: &Root<'_>,
    left_out: &BTreeSet<String>,
) -> Result<(Scripts, Vec<u8>), SystemError> {
    let mut scripts = Scripts {
        version: 1,
        ..Scripts::default()
    };
    let mut triggers = Triggers::read(root)?;
    for package in root.packages() {
        let outcomes = of_package(root, package, &mut triggers)?;
        if !outcomes.is_empty() {
            scripts.packages.insert(package.name.clone(), outcomes);
        }
    }
    for (package, names) in triggers.pending() {
        let known = scripts.packages.entry(package.name.clone()).or_default();
        // What configures the package does what its triggers ask for, too.
        let configured = known
            .iter()
            .any(|outcome| outcome.script == "postinst" && !outcome.run.is_empty());
        let names = names.join(" ");
        let arguments = ["triggered", names.as_str()];
        let call = Call {
            package,
            file: "postinst",
            arguments,
        };
        if let Some(mut outcome) = follow(root, &call, &mut Vec::new())? {
            outcome.script = format!("trigger {names}");
            if configured {
                outcome.run.clear();
                outcome
                    .rules
                    .insert("its postinst, which is run".to_owned());
            }
            known.push(outcome);
        }
    }
    scripts.packages.retain(|_, outcomes| !outcomes.is_empty());
    if !root.exists("bin/sh") {
        leave_out(&mut scripts, NO_SHELL, |_| true);
    }
    leave_out(&mut scripts, ON_REQUEST, |package| {
        left_out.contains(package)
    });
    let run = order::commands(root, &scripts)?;
    Ok((scripts, run))
}

fn of_package<'a>(
    root: &Root<'a>,
    package: &'a Package,
    triggers: &mut Triggers<'a>,
) -> Result<Vec<ScriptOutcome>, SystemError> {
    let mut outcomes = Vec::new();
    for (file, arguments) in [
        ("config", ["configure", ""]),
        ("preinst", ["install", ""]),
        ("postinst", ["configure", ""]),
    ] {
        let mut activated = Vec::new();
        let call = Call {
            package,
            file,
            arguments,
        };
        let Some(mut outcome) = follow(root, &call, &mut activated)? else {
            continue;
        };
        if file == "config" {
            outcome = ScriptOutcome::of(file);
            outcome.left_out.insert(commands::DEBCONF.to_owned());
        }
        triggers.activate(activated);
        outcomes.push(outcome);
    }
    for file in ["prerm", "postrm"] {
        if root.control(package, file)?.is_some() {
            let mut outcome = ScriptOutcome::of(file);
            outcome.left_out.insert(REMOVAL.to_owned());
            outcomes.push(outcome);
        }
    }
    Ok(outcomes)
}

/// Looks every effect of a script up; none when the package has no such script.
fn follow(
    root: &Root<'_>,
    call: &Call<'_>,
    activated: &mut Vec<String>,
) -> Result<Option<ScriptOutcome>, SystemError> {
    let Some(text) = root.control(call.package, call.file)? else {
        return Ok(None);
    };
    let mut outcome = ScriptOutcome::of(call.file);
    let text = String::from_utf8_lossy(&text);
    if !is_shell(&text) {
        let first = text.lines().next().unwrap_or_default();
        outcome
            .run
            .insert(format!("is no script of sh: {first:.80}"));
        return Ok(Some(outcome));
    }
    let script = Script {
        text: &text,
        package: &call.package.name,
        arguments: &call.arguments,
    };
    // What comes before unpacking does not find the package's own files.
    let world = Without {
        root,
        rules: false,
        package: (call.file == "preinst").then_some(call.package),
    };
    match script.effects(&world) {
        Ok(effects) => {
            before_the_rules(root, call, &script, &effects, &mut outcome);
            for effect in effects {
                match verdict(&world, call, &effect) {
                    Verdict::Nothing => {}
                    Verdict::Rule(rule) => drop(outcome.rules.insert(rule.to_owned())),
                    Verdict::LeftOut(reason) => drop(outcome.left_out.insert(reason.to_owned())),
                    Verdict::Activates(name) => activated.push(name),
                    Verdict::Unknown => drop(outcome.run.insert(describe(&effect))),
                }
            }
        }
        Err(error) => drop(outcome.run.insert(format!("cannot be followed: {error}"))),
    }
    Ok(Some(outcome))
}

/// Names the rules because of which a script finds nothing to do any more.
fn before_the_rules(
    root: &Root<'_>,
    call: &Call<'_>,
    script: &Script<'_>,
    after: &[Effect],
    outcome: &mut ScriptOutcome,
) {
    let world = Without {
        root,
        rules: true,
        package: None,
    };
    for effect in script.effects(&world).unwrap_or_default() {
        match verdict(&world, call, &effect) {
            Verdict::Rule(rule) => drop(outcome.rules.insert(rule.to_owned())),
            Verdict::Unknown if !after.contains(&effect) => {
                outcome.rules.insert(IN_PLACE.to_owned());
            }
            _ => {}
        }
    }
}

fn verdict(world: &dyn World, call: &Call<'_>, effect: &Effect) -> Verdict {
    if let Some(claimed) = claims::verdict(&call.package.name, effect) {
        return claimed;
    }
    match effect {
        Effect::Call(words) => commands::verdict(world, words),
        Effect::Write(Some(target)) if target.starts_with("/dev/") => Verdict::Nothing,
        Effect::Write(_) | Effect::Unfollowed => Verdict::Unknown,
    }
}

fn is_shell(text: &str) -> bool {
    let first = text.lines().next().unwrap_or_default();
    let interpreter = first.strip_prefix("#!").unwrap_or_default().trim();
    let program = interpreter.split_whitespace().next().unwrap_or_default();
    [
        "/bin/sh",
        "/bin/bash",
        "/bin/dash",
        "/usr/bin/sh",
        "/usr/bin/bash",
    ]
    .contains(&program)
}

fn describe(effect: &Effect) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "…".to_owned());
    let described = match effect {
        Effect::Call(words) => {
            let words: Vec<String> = words.iter().take(4).map(text).collect();
            format!("calls {}", words.join(" "))
        }
        Effect::Write(target) => format!("writes {}", text(target)),
        Effect::Unfollowed => "does more than can be followed".to_owned(),
    };
    let described = described.replace(|letter: char| letter.is_control(), " ");
    described.trim_end().chars().take(120).collect()
}

/// Scripts of some packages are not run, for a reason.
fn leave_out(scripts: &mut Scripts, reason: &str, is_meant: impl Fn(&str) -> bool) {
    let packages = scripts.packages.iter_mut();
    let meant = packages.filter(|(package, _)| is_meant(package));
    let outcomes = meant.flat_map(|(_, outcomes)| outcomes);
    for outcome in outcomes.filter(|outcome| !outcome.run.is_empty()) {
        for what in std::mem::take(&mut outcome.run) {
            outcome.left_out.insert(format!("{reason}: {what}"));
        }
    }
}

impl Scripts {
    /// Those that are run, with the package.
    pub fn run(&self) -> impl Iterator<Item = (&str, &ScriptOutcome)> {
        let all = self.packages.iter();
        let all = all.flat_map(|(name, list)| list.iter().map(move |one| (name.as_str(), one)));
        all.filter(|(_, outcome)| !outcome.run.is_empty())
    }

    /// The canonical text, with a line feed at the end.
    pub(super) fn to_json(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec(self).expect("texts and lists always have a JSON form");
        text.push(b'\n');
        text
    }
}
