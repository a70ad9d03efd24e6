//! `cognix config`: the model as it was understood.

use clap::Args;
use serde_json::Value;

use super::Failure;
use super::printer::{Format, Printer};
use super::project::{ProjectArgs, pipeline_failure, warn};
use crate::pipeline::PipelineError;
use cognix_store::ErrorKind;

/// Show cog.yaml as it was understood, or every mistake in it.
#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    #[command(flatten)]
    project: ProjectArgs,
}

impl ConfigArgs {
    /// Mistakes are this command's result, so they are printed here and only the status is left.
    pub(super) fn run(&self, printer: Printer) -> Result<u8, Failure> {
        match self.project.load() {
            Ok(loaded) => {
                loaded
                    .warnings
                    .iter()
                    .for_each(|warning| warn(printer, warning));
                let value = serde_json::to_value(loaded.report())
                    .map_err(|error| Failure::new(ErrorKind::Internal, error))?;
                printer.result(&value, || text(&value))?;
                Ok(0)
            }
            Err(PipelineError::Config(errors)) if printer.format == Format::Json => {
                printer.result(&errors, String::new)?;
                Ok(ErrorKind::Configuration.exit_code())
            }
            Err(error) => Err(pipeline_failure(error)),
        }
    }
}

/// A line per key; what is not set is left out.
fn text(report: &Value) -> String {
    let lines = report
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, _)| !matches!(key.as_str(), "version" | "warnings"));
    let shown = lines.filter_map(|(key, value)| {
        let value = match value {
            Value::Null => return None,
            Value::String(text) => text.clone(),
            Value::Array(items) if items.is_empty() => return None,
            Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
            Value::Object(map) if map.is_empty() => return None,
            Value::Object(map) => map
                .iter()
                .map(|(name, value)| format!("{name}={}", plain(value)))
                .collect::<Vec<_>>()
                .join(", "),
            other => other.to_string(),
        };
        Some(format!("{key:<16} {value}\n"))
    });
    shown.collect()
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}
