//! The commands that run what no rule covers: first what comes before unpacking, then the configuration of packages after
//! that of those they depend on, then triggers.

use std::collections::BTreeMap;

use super::Scripts;
use crate::builtins::system::{SystemError, database, root::Root};

/// One line per script for the shell, or nothing. The function that they call is the derivation's.
pub(super) fn commands(root: &Root<'_>, scripts: &Scripts) -> Result<Vec<u8>, SystemError> {
    let (mut before, mut triggers) = (String::new(), String::new());
    let mut configure = BTreeMap::new();
    for (package, outcome) in scripts.run() {
        let name = match root.package(package) {
            Some(package) => database::name(root, package)?,
            None => continue,
        };
        let (file, arguments) = match outcome.script.strip_prefix("trigger ") {
            Some(names) => ("postinst", format!("triggered {}", quoted(names))),
            None if outcome.script == "preinst" => ("preinst", "install".to_owned()),
            None => ("postinst", "configure ''".to_owned()),
        };
        let line = format!("maintainer_script {} {file} {arguments}\n", quoted(&name));
        match outcome.script.as_str() {
            "preinst" => before.push_str(&line),
            "postinst" => drop(configure.insert(package, line)),
            _ => triggers.push_str(&line),
        }
    }
    let mut text = before;
    for package in by_dependency(root)? {
        if let Some(line) = configure.get(package.as_str()) {
            text.push_str(line);
        }
    }
    text.push_str(&triggers);
    Ok(text.into_bytes())
}

/// A word of the shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// All packages, each after those that it depends on; where they depend on each other, by name.
fn by_dependency(root: &Root<'_>) -> Result<Vec<String>, SystemError> {
    let mut needs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut providers: BTreeMap<String, String> = BTreeMap::new();
    for package in root.packages() {
        let stanza = database::Stanza::of(root, package)?;
        for name in names(&stanza, "Provides") {
            providers
                .entry(name)
                .or_insert_with(|| package.name.clone());
        }
        let mut wanted = names(&stanza, "Pre-Depends");
        wanted.extend(names(&stanza, "Depends"));
        needs.insert(package.name.clone(), wanted);
    }
    let mut ordered = Vec::new();
    let mut seen = BTreeMap::new();
    for package in needs.keys() {
        visit(package, &needs, &providers, &mut seen, &mut ordered);
    }
    Ok(ordered)
}

/// Goes down without recursion, since a chain of dependencies has no bound.
fn visit(
    package: &str,
    needs: &BTreeMap<String, Vec<String>>,
    providers: &BTreeMap<String, String>,
    seen: &mut BTreeMap<String, ()>,
    ordered: &mut Vec<String>,
) {
    let mut stack = vec![(package.to_owned(), 0)];
    if seen.insert(package.to_owned(), ()).is_some() {
        return;
    }
    while let Some((name, at)) = stack.pop() {
        let Some(next) = needs.get(&name).and_then(|wanted| wanted.get(at)) else {
            ordered.push(name);
            continue;
        };
        stack.push((name, at + 1));
        let real = if needs.contains_key(next) {
            Some(next)
        } else {
            providers.get(next)
        };
        if let Some(real) = real
            && seen.insert(real.clone(), ()).is_none()
        {
            stack.push((real.clone(), 0));
        }
    }
}

/// The names in a field of dependencies, every alternative one.
fn names(stanza: &database::Stanza, field: &str) -> Vec<String> {
    let value = stanza.get(field).unwrap_or_default();
    let names = value.split([',', '|']).filter_map(|relation| {
        let name = relation.split_whitespace().next()?;
        let name = name.split([':', '(']).next()?;
        (!name.is_empty()).then(|| name.to_owned())
    });
    names.collect()
}
