//! Asks the build backends of sources while a lock is made: a derivation like any other, realised in a store.

use std::sync::Arc;

use cognix_store::{CancellationToken, EventSink, Store};
use futures::future::BoxFuture;

use super::{PipelineError, Realisation, SandboxOptions};
use crate::lock::python::{BackendAnswer, BackendError, BackendQuestion};
use crate::lock::{BuildRoom, Sandbox};
use crate::mirrors::Mirrors;
use crate::recipes;

/// Where build backends run. The store is opened when the first one is asked.
pub struct Workshop {
    /// Opens the store.
    pub open: Box<dyn Fn() -> Result<Store, PipelineError> + Send + Sync>,
    /// How many builds run at once.
    pub jobs: usize,
    /// Who is told.
    pub events: Arc<dyn EventSink>,
    /// What backends may use. They have no secrets and no network.
    pub sandbox: SandboxOptions,
}

/// A workshop, and where one image's files come from.
pub(super) struct ImageWorkshop<'a> {
    pub(super) workshop: &'a Workshop,
    pub(super) mirrors: Box<dyn Fn() -> Result<Mirrors, PipelineError> + Send + Sync + 'a>,
    pub(super) cancel: CancellationToken,
}

impl ImageWorkshop<'_> {
    async fn answer(
        &self,
        room: BuildRoom<'_>,
        question: &BackendQuestion<'_>,
    ) -> Result<BackendAnswer, PipelineError> {
        let (graph, derivation) = recipes::ask_backend(room, question)?;
        let store = (self.workshop.open)()?;
        let target = (derivation, "out".to_owned());
        let realisation = Realisation {
            store: store.clone(),
            mirrors: (self.mirrors)()?,
            jobs: self.workshop.jobs,
            events: Arc::clone(&self.workshop.events),
            cancel: self.cancel.clone(),
            sandbox: self.workshop.sandbox.clone(),
        };
        let realised = realisation.outputs(&graph, std::slice::from_ref(&target));
        let realised = realised.await?;
        let wrong = |reason: String| PipelineError::Record {
            path: target.0.to_string(),
            reason,
        };
        let path = realised.outputs.get(&target);
        let path = path.ok_or_else(|| wrong("it was not realised".to_owned()))?;
        let text = fs_err::read(store.real_path(path))?;
        serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))
    }
}

impl Sandbox for ImageWorkshop<'_> {
    fn ask<'a>(
        &'a self,
        room: BuildRoom<'a>,
        question: &'a BackendQuestion<'a>,
    ) -> BoxFuture<'a, Result<BackendAnswer, BackendError>> {
        Box::pin(async move {
            let answer = self.answer(room, question).await;
            answer.map_err(|error| BackendError(Box::new(error)))
        })
    }
}
