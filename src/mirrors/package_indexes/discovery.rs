//! Where the package indexes of a model are: what it names, looked up among what the machine and the command line say.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::mirrors::pip_settings::{IndexChoice, PipSettingsError, built_in};

/// What is at hand while addresses are looked for.
pub(super) struct Discovery<'a> {
    model: &'a ModelIndexes,
    mirrors: &'a BTreeMap<String, String>,
    pub(super) machine_indexes: MachineIndexes,
    pub(super) names: Names,
}

impl<'a> Discovery<'a> {
    pub(super) fn new(
        model: &'a ModelIndexes,
        mirrors: &'a BTreeMap<String, String>,
        machine: &Machine<'_>,
    ) -> Result<Self, PackageIndexesError> {
        let own = model.inputs.iter().find(|input| input.name == PYPI);
        let choice = IndexChoice {
            command_line: mirrors.get(PYPI).cloned(),
            input: own.and_then(|input| input.url.clone()),
        };
        let mut machine_indexes = MachineIndexes::discover(&choice, machine)?;
        machine_indexes.name_credentials(machine);
        Ok(Self {
            model,
            mirrors,
            machine_indexes,
            names: Names::new(model.inputs.iter().map(|input| input.name.as_str())),
        })
    }

    /// The address of a name that is not the machine's own.
    pub(super) fn address(
        &self,
        name: &str,
        written: Option<(&str, Origin)>,
    ) -> Result<Option<(PackageIndexUrl, Origin)>, PipSettingsError> {
        if let Some(text) = self.mirrors.get(name) {
            let url = PackageIndexUrl::parse(text, &Origin::CommandLine)?;
            return Ok(Some((url, Origin::CommandLine)));
        }
        if let Some((text, origin)) = written {
            return Ok(Some((PackageIndexUrl::parse(text, &origin)?, origin)));
        }
        let mut extra = self.machine_indexes.extra().iter();
        let named = extra.find(|index| index.name.as_deref() == Some(name));
        Ok(named.map(|index| (index.url.clone(), index.origin.clone())))
    }

    /// The inputs of `cognix.nix`, apart from those with a meaning of their own.
    pub(super) fn inputs(&self) -> Result<Vec<PackageIndex>, PackageIndexesError> {
        let inputs = self.model.inputs.iter();
        let inputs = inputs.filter(|input| ![PYPI, PYTORCH].contains(&input.name.as_str()));
        inputs.map(|input| self.input(input)).collect()
    }

    fn input(&self, input: &IndexInput) -> Result<PackageIndex, PackageIndexesError> {
        let name = input.name.clone();
        let written = input.url.as_deref().map(|url| (url, Origin::Input));
        let Some((url, origin)) = self.address(&name, written)? else {
            return Err(PackageIndexesError::NoAddress { name });
        };
        let package = |text: &String| {
            text.parse().map_err(|_| PackageIndexesError::Package {
                input: name.clone(),
                name: text.clone(),
            })
        };
        let packages = input
            .packages
            .iter()
            .map(package)
            .collect::<Result<BTreeSet<_>, _>>()?;
        let scope = if packages.is_empty() {
            Scope::Any
        } else {
            Scope::Pinned(packages)
        };
        Ok(PackageIndex {
            name,
            url,
            origin,
            scope,
        })
    }

    /// The input that has this address, if there is one.
    fn input_at(&self, url: &PackageIndexUrl) -> Option<&'a str> {
        let at = |input: &&IndexInput| {
            input
                .url
                .as_deref()
                .and_then(|text| Url::parse(text).ok())
                .is_some_and(|own| url.is_same(&own))
        };
        self.model
            .inputs
            .iter()
            .find(at)
            .map(|input| input.name.as_str())
    }

    /// What requirement files name, most important first; without the default index.
    pub(super) fn model_indexes(&mut self) -> Result<Vec<PackageIndex>, PackageIndexesError> {
        if self.model.no_index {
            return Ok(Vec::new());
        }
        let mut indexes = Vec::new();
        for text in &self.model.extra_indexes {
            let mut found = self.written(text, Scope::Torch)?;
            indexes.append(&mut found);
        }
        Ok(indexes)
    }

    /// The indexes behind an address in a requirement file. Those of torch get `torch` as their scope.
    fn written(
        &mut self,
        text: &str,
        torch: Scope,
    ) -> Result<Vec<PackageIndex>, PackageIndexesError> {
        if let Some(variant) = torch::variant(text) {
            return Ok(vec![self.torch(&variant, torch)?]);
        }
        let origin = Origin::Requirements;
        let url = PackageIndexUrl::parse(text, &origin)?;
        match self.input_at(&url) {
            Some(PYPI) => return Ok(self.own()),
            // An input is asked in its own place, for its own packages.
            Some(_) => return Ok(Vec::new()),
            None if url.is_same(built_in()) => return Ok(self.own()),
            None => {}
        }
        let name = self.names.of(url.url());
        let found = self.address(&name, Some((text, origin)))?;
        let indexes = found.into_iter().map(|(url, origin)| PackageIndex {
            name: name.clone(),
            url,
            origin,
            scope: Scope::Any,
        });
        Ok(indexes.collect())
    }

    fn torch(&self, variant: &str, scope: Scope) -> Result<PackageIndex, PackageIndexesError> {
        let input = self.model.inputs.iter().find(|input| input.name == PYTORCH);
        let written = input
            .and_then(|input| input.url.as_deref())
            .map(|url| (url, Origin::Input));
        let base = self.address(PYTORCH, written)?;
        let (base, origin) = match base {
            Some(found) => found,
            None => (
                PackageIndexUrl::parse(torch::base(), &Origin::BuiltIn)?,
                Origin::BuiltIn,
            ),
        };
        Ok(PackageIndex {
            name: if variant.is_empty() {
                PYTORCH.to_owned()
            } else {
                format!("{PYTORCH}/{variant}")
            },
            url: base.below(variant),
            origin,
            scope,
        })
    }

    /// The machine's own indexes, which are one source to a lock.
    fn own(&self) -> Vec<PackageIndex> {
        let is_input = |name: &str| {
            self.model.inputs.iter().any(|input| input.name == name) || name == PYTORCH
        };
        let extra = self.machine_indexes.extra().iter();
        let extra = extra.filter(|index| !index.name.as_deref().is_some_and(is_input));
        let extra = extra.map(|index| (&index.url, &index.origin));
        let default = (
            self.machine_indexes.default(),
            self.machine_indexes.origin(),
        );
        let own = extra.chain([default]).map(|(url, origin)| PackageIndex {
            name: PYPI.to_owned(),
            url: url.clone(),
            origin: origin.clone(),
            scope: Scope::Any,
        });
        own.collect()
    }

    /// Adds what is asked last.
    pub(super) fn add_default(
        &mut self,
        indexes: &mut Vec<PackageIndex>,
    ) -> Result<(), PackageIndexesError> {
        let model = self.model;
        let mut last = match &model.index {
            _ if model.no_index => Vec::new(),
            Some(text) => {
                let own = self.own();
                let mut extra = own;
                // What requirement files say replaces the machine's default index, not its extra ones.
                extra.pop();
                let mut written = self.written(text, Scope::Any)?;
                extra.append(&mut written);
                extra
            }
            None => self.own(),
        };
        if model.no_index {
            indexes.clear();
        }
        indexes.append(&mut last);
        let mut seen = BTreeSet::new();
        indexes.retain(|index| seen.insert((index.name.clone(), index.url.to_string())));
        let default = self.machine_indexes.default();
        if !indexes
            .iter()
            .any(|index| index.scope == Scope::Any && index.url.is_same(default.url()))
        {
            let own = self.own().into_iter();
            indexes.extend(own.map(|index| PackageIndex {
                scope: Scope::Sdk,
                ..index
            }));
        }
        Ok(())
    }
}
