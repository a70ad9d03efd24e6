//! The package indexes that a project's file defines, and which packages come from which.
//!
//! An index that is asked for any package is an `--extra-index-url`, or `--index-url` where it stands in the default's place.
//! One that is explicit is asked for the packages that name it, and for no others. Those of torch are known already: they
//! are asked first for torch's packages.

use std::collections::BTreeMap;

use super::super::NamedIndex;
use super::super::read::Role;
use super::document::Item;
use super::{ProjectReason, Scope};

/// Names in a lock that mean other indexes.
const RESERVED: [&str; 2] = ["pypi", "pytorch"];

/// The indexes of a file by name.
#[derive(Debug, Default)]
pub(super) struct Indexes {
    addresses: BTreeMap<String, Address>,
}

#[derive(Debug, Clone)]
struct Address {
    /// Nothing for the machine's own.
    url: Option<String>,
    /// Whether any package is looked for there anyway.
    general: bool,
}

/// Reads `[[tool.uv.index]]` and `[[tool.poetry.source]]`, and tells the general ones to the reader.
pub(super) fn read(scope: &mut Scope<'_, '_>, document: &Item<'_>) -> Indexes {
    let mut found = Indexes::default();
    for index in document
        .get("tool.uv.index")
        .iter()
        .flat_map(Item::one_or_many)
    {
        uv_index(scope, &index, &mut found);
    }
    let sources: Vec<Item<'_>> = document
        .get("tool.poetry.source")
        .iter()
        .flat_map(Item::one_or_many)
        .collect();
    for source in &sources {
        poetry_source(scope, source, &mut found);
    }
    found
}

fn uv_index(scope: &mut Scope<'_, '_>, index: &Item<'_>, found: &mut Indexes) {
    let Some(url) = index.get("url") else {
        return scope.wrong(index, "a table with a url");
    };
    let Some(address) = scope.text(&url) else {
        return;
    };
    let explicit = index.flag_of("explicit") == Some(true);
    if index.text_of("format") == Some("flat") {
        if explicit {
            let what = "a flat index that is explicit".to_owned();
            let way_out = "remove explicit, so that every package is looked for there too";
            return scope.refuse(index, ProjectReason::NotHonoured { what, way_out });
        }
        scope.line(&url, &format!("--find-links {address}"), Role::Requirements);
        return;
    }
    if !explicit {
        let option = match index.flag_of("default") == Some(true) {
            true => "--index-url",
            false => "--extra-index-url",
        };
        scope.line(&url, &format!("{option} {address}"), Role::Requirements);
    }
    if let Some(name) = index.text_of("name") {
        let address = Address {
            url: Some(super::super::super::credentials::cleaned(address)),
            general: !explicit,
        };
        found.addresses.insert(name.to_lowercase(), address);
    }
}

/// Poetry asks its primary sources for every package; as soon as there is one, the public index is not asked any more
/// unless it is named as well.
fn poetry_source(scope: &mut Scope<'_, '_>, source: &Item<'_>, found: &mut Indexes) {
    let Some(name) = source.text_of("name") else {
        return scope.wrong(source, "a table with a name");
    };
    let priority = source
        .text_of("priority")
        .unwrap_or("primary")
        .to_ascii_lowercase();
    let url = source.get("url");
    let address = match &url {
        Some(url) => scope.text(url),
        None => None,
    };
    let general = priority != "explicit";
    let known = Address {
        url: address.map(super::super::super::credentials::cleaned),
        general,
    };
    found.addresses.insert(name.to_lowercase(), known);
    let (Some(url), Some(address)) = (url, address) else {
        return;
    };
    match priority.as_str() {
        "explicit" => {}
        "primary" | "default" => {
            scope.line(
                &url,
                &format!("--extra-index-url {address}"),
                Role::Requirements,
            );
        }
        other => {
            let what = format!("the priority {other}");
            let way_out = "give the source the priority explicit, and the dependencies that need it source = its name";
            scope.refuse(source, ProjectReason::NotHonoured { what, way_out });
        }
    }
}

impl Indexes {
    /// Lets a package come from one of them.
    pub(super) fn pin(&self, scope: &mut Scope<'_, '_>, package: &str, name: &Item<'_>) {
        let Some(text) = scope.text(name) else { return };
        let wanted = text.to_lowercase();
        let Some(address) = self.addresses.get(&wanted) else {
            // Poetry knows the public index without being told.
            if wanted != "pypi" {
                scope.error(
                    name,
                    ProjectReason::UnknownIndex {
                        name: text.to_owned(),
                    },
                );
            }
            return;
        };
        let Some(url) = &address.url else { return };
        if uv_torch_backend(url) {
            // What is torch's is looked for there first.
            let place = scope.place(name, Role::Requirements);
            if !address.general {
                scope.reader.index("--extra-index-url", url.clone(), &place);
            }
            return;
        }
        let indexes = &mut scope.reader.found.install.options.indexes;
        let other = indexes
            .iter()
            .find(|index| index.packages.contains(package) && index.url != *url);
        if let Some(other) = other {
            let reason = ProjectReason::TwoIndexes {
                package: package.to_owned(),
                first: other.name.clone(),
                second: text.to_owned(),
            };
            return scope.refuse(name, reason);
        }
        let known = indexes.iter().position(|index| index.url == *url);
        let at = known.unwrap_or_else(|| {
            indexes.push(NamedIndex {
                name: input_name(&wanted),
                url: url.clone(),
                packages: Default::default(),
            });
            indexes.len() - 1
        });
        indexes[at].packages.insert(package.to_owned());
    }
}

/// The name of an index as a lock can have it.
fn input_name(name: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || c == '-' || c == '_' {
            c
        } else {
            '-'
        }
    };
    let name: String = name.chars().map(plain).collect();
    match RESERVED.contains(&name.as_str()) || !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        true => format!("index-{name}"),
        false => name,
    }
}

/// Whether an address is one of torch's, whose last part names the build.
fn uv_torch_backend(url: &str) -> bool {
    let trimmed = url.trim_end_matches('/');
    let mut parts = trimmed.rsplit('/');
    let build = parts.next().unwrap_or_default();
    let is_build = build.parse::<uv_torch::TorchBackend>().is_ok();
    is_build && parts.next() == Some("whl")
}
