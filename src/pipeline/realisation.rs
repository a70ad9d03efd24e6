//! Making outputs exist, and making them again to compare.

use std::collections::BTreeSet;
use std::sync::Arc;

use cognix_derivations::{DerivationGraph, StorePath};
use cognix_sandbox::{Limits, Sandbox};
use cognix_store::build::foreign::{self, ForeignBuilder, ForeignError, MachineNetwork, Secrets};
use cognix_store::realise::plan::Action;
use cognix_store::realise::{self, Checked, StepError};
use cognix_store::{
    BuildError, CancellationToken, ErrorKind, EventSink, FetchOptions, RealiseError, Realised,
    Realiser, Store,
};

use super::{PipelineError, steps};
use crate::builtins;
use crate::mirrors::Mirrors;
use crate::recipes::Instantiated;

const USER_AGENT: &str = concat!("cognix/", env!("CARGO_PKG_VERSION"));

/// What realising needs.
pub struct Realisation {
    /// Where outputs go.
    pub store: Store,
    /// Where files come from.
    pub mirrors: Mirrors,
    /// How many builds run at once.
    pub jobs: usize,
    /// Who is told.
    pub events: Arc<dyn EventSink>,
    /// Ends the work early.
    pub cancel: CancellationToken,
    /// What programs that are none of ours get, beside what their derivations say.
    pub sandbox: SandboxOptions,
}

/// What whoever runs a build gives to the programs in it. None of it is part of a derivation.
#[derive(Debug, Clone, Default)]
pub struct SandboxOptions {
    /// Values that derivations ask for by name.
    pub secrets: Secrets,
    /// Whether derivations that ask for the network have it.
    pub network: bool,
    /// What a program may use.
    pub limits: Limits,
    /// How many cores a program is told that it has; those of the machine where nothing is said.
    pub cores: Option<usize>,
}

impl Realisation {
    /// Makes the image exist.
    pub async fn image(self, instantiated: &Instantiated) -> Result<Realised, PipelineError> {
        let targets = [(instantiated.image.clone(), "out".to_owned())];
        let realised = self.outputs(&instantiated.graph, &targets).await;
        let realised = realised.map_err(|error| explain(error, instantiated));
        let realised = realised.map_err(|error| steps::explain(error, instantiated));
        realised.map_err(|error| failed_script(error, instantiated))
    }

    /// Makes some outputs of a graph exist.
    pub async fn outputs(
        self,
        graph: &DerivationGraph,
        targets: &[(StorePath, String)],
    ) -> Result<Realised, PipelineError> {
        let realiser = self.realiser();
        check_systems(&realiser.store, graph, targets)?;
        let realised = realiser.realise(graph, targets).await?;
        if realised.stats.built > 0 {
            // The derivations too, so that a real Nix can show and copy what an output came from.
            realiser.store.add_derivations(graph)?;
        }
        Ok(realised)
    }

    /// Builds derivations again and compares. What they make and what they need is made first where it is missing;
    /// `ready` is called in between.
    pub async fn check(
        self,
        graph: &DerivationGraph,
        derivations: &[StorePath],
        ready: impl FnOnce(),
        tell: impl FnMut(Checked),
    ) -> Result<(), PipelineError> {
        let realiser = self.realiser();
        let mut targets = BTreeSet::new();
        for derivation in derivations.iter().filter_map(|path| graph.get(path)) {
            let own = derivation.outputs().keys();
            targets.extend(own.map(|output| (derivation.path(), output.clone())));
            for (input, outputs) in derivation.input_derivations() {
                targets.extend(outputs.iter().map(|output| (input.clone(), output.clone())));
            }
        }
        let targets: Vec<_> = targets.into_iter().collect();
        check_systems(&realiser.store, graph, &targets)?;
        realiser.realise(graph, &targets).await?;
        ready();
        Ok(realiser.check(graph, derivations, tell).await?)
    }

    fn realiser(self) -> Realiser {
        let SandboxOptions {
            secrets,
            network,
            limits,
            cores,
        } = self.sandbox;
        let foreign = ForeignBuilder {
            sandbox: Sandbox::current(),
            secrets,
            network: network.then(MachineNetwork::of_this_process),
            limits,
            cores,
        };
        Realiser {
            store: self.store,
            builders: builtins::all().with_foreign(foreign),
            mirrors: Arc::new(self.mirrors),
            jobs: self.jobs,
            events: self.events,
            cancel: self.cancel,
            fetch: FetchOptions {
                user_agent: USER_AGENT.to_owned(),
                ..FetchOptions::default()
            },
        }
    }
}

/// Refuses derivations that another kind of machine builds, before anything is fetched for them. What is there already may
/// have been made anywhere.
fn check_systems(
    store: &Store,
    graph: &DerivationGraph,
    targets: &[(StorePath, String)],
) -> Result<(), PipelineError> {
    for step in realise::plan(graph, targets, store)?.steps {
        if let Action::Build { builder } = step.action
            && !builder.starts_with("builtin:")
            && let Some(derivation) = graph.get(&step.derivation)
            // Whether it has anything to do is known only when its inputs are there.
            && !derivation.env().contains_key(foreign::UNLESS_EMPTY)
        {
            let checked = foreign::check_system(derivation.system());
            let derivation = step.name;
            checked.map_err(|source| PipelineError::System { derivation, source })?;
        }
    }
    Ok(())
}

/// Says what cannot be had when it is the interpreter, since there are ways around that.
fn explain(error: PipelineError, instantiated: &Instantiated) -> PipelineError {
    match (error, &instantiated.interpreter) {
        (
            PipelineError::Realise(
                source @ RealiseError::Failed {
                    source: StepError::Fetch(_),
                    ..
                },
            ),
            Some(interpreter),
        ) if source.kind() == ErrorKind::Unavailable
            && source.derivation() == Some(&interpreter.derivation) =>
        {
            PipelineError::Interpreter {
                version: interpreter.version.clone(),
                url: interpreter.url.clone(),
                source,
            }
        }
        (error, _) => error,
    }
}

/// Names the maintainer script that failed. The end of the log has a line about it: `PACKAGE: SCRIPT failed with …`.
fn failed_script(error: PipelineError, instantiated: &Instantiated) -> PipelineError {
    let system = instantiated.system.as_ref();
    let PipelineError::Realise(source) = error else {
        return error;
    };
    let named = match &source {
        RealiseError::Failed {
            derivation,
            source: StepError::Build(BuildError::Foreign(ForeignError::Ended { log, .. })),
            ..
        } if system.is_some_and(|system| system.scripts == *derivation) => {
            log.iter().rev().find_map(|line| failure_in(line))
        }
        _ => None,
    };
    match named {
        Some((package, script)) => PipelineError::Script {
            package,
            script,
            source: Box::new(source),
        },
        None => PipelineError::Realise(source),
    }
}

/// The package and the script that a line of the log tells of.
fn failure_in(line: &str) -> Option<(String, String)> {
    let (before, _) = line.split_once(" failed with exit status ")?;
    let (package, script) = before.split_once(": ")?;
    let package = package.split(':').next()?;
    let is_word = |text: &str| !text.is_empty() && !text.contains(char::is_whitespace);
    (is_word(package) && is_word(script)).then(|| (package.to_owned(), script.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::failure_in;

    #[test]
    fn the_log_names_the_script_that_failed() {
        let found = failure_in("libc6:amd64: postinst failed with exit status 1");
        assert_eq!(found, Some(("libc6".to_owned(), "postinst".to_owned())));
        for line in [
            "postinst failed",
            "a b: postinst failed with exit status 1",
            "",
        ] {
            assert_eq!(failure_in(line), None, "{line}");
        }
    }
}
