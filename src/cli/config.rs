//! `cognix config`: the model as it was understood.

use clap::Args;
use serde_json::Value;

use super::Failure;
use super::printer::{Format, Printer};
use super::project::{ProjectArgs, VariantArg, pipeline_failure, warn};
use crate::pipeline::PipelineError;
use cognix_store::ErrorKind;

/// Show cog.yaml as it was understood, or every mistake in it.
#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    #[command(flatten)]
    project: ProjectArgs,
    /// Show it as this variant of cognix.nix changes it.
    #[arg(long, value_name = "NAME")]
    variant: Option<String>,
}

impl ConfigArgs {
    /// Mistakes are this command's result, so they are printed here and only the status is left.
    pub(super) fn run(&self, printer: Printer) -> Result<u8, Failure> {
        let variant = VariantArg {
            variant: self.variant.clone(),
        };
        match self.project.load(&variant) {
            Ok(loaded) => {
                loaded
                    .warnings
                    .iter()
                    .for_each(|warning| warn(printer, warning));
                if !loaded.unsupported.is_empty() && printer.format == Format::Text {
                    printer.note("valid, but no image can be made of it yet:");
                    loaded.unsupported.iter().for_each(|finding| {
                        printer.note(format!("  {finding}"));
                    });
                }
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
    let mut lines = String::new();
    for (key, value) in report.as_object().into_iter().flatten() {
        match (key.as_str(), value) {
            ("version" | "warnings" | "unsupported", _) => {}
            ("install", Value::Object(parts)) => {
                for (part, value) in parts {
                    lines += &line(&format!("install {}", part.replace('_', " ")), value);
                }
            }
            _ => lines += &line(key, value),
        }
    }
    lines
}

fn line(key: &str, value: &Value) -> String {
    let is_empty = match value {
        Value::Null | Value::Bool(false) => key != "gpu",
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    };
    if is_empty {
        return String::new();
    }
    let value = match value {
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Object(map) => {
            let pairs = map
                .iter()
                .map(|(name, value)| format!("{name}={}", plain(value)));
            pairs.collect::<Vec<_>>().join(", ")
        }
        value => plain(value),
    };
    format!("{key:<21} {value}\n")
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}
