//! Hints of errors about programs in sandboxes.

use std::io;
use std::time::Duration;

use cognix_derivations::StorePath;
use cognix_sandbox::{Outcome, SandboxError};
use cognix_store::build::foreign::ForeignError;
use cognix_store::realise::StepError;
use cognix_store::{BuildError, RealiseError};

use crate::pipeline::PipelineError;

/// The message with all its causes, and the hint.
fn said(name: &str, error: ForeignError) -> (String, String) {
    let path = format!("/nix/store/0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c-{name}.drv");
    let error = PipelineError::Realise(RealiseError::Failed {
        name: name.to_owned(),
        derivation: StorePath::parse(&path).expect("a store path"),
        chain: Vec::new(),
        source: StepError::Build(BuildError::Foreign(error)),
    });
    let mut message = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        message.push_str(&format!(": {error}"));
        cause = error.source();
    }
    (message, error.hint().unwrap_or_default())
}

fn refused() -> ForeignError {
    ForeignError::Unavailable(SandboxError::Unavailable {
        missing: "making a user namespace is refused".to_owned(),
        remedy: "allow them: `sysctl user.max_user_namespaces=10000`".to_owned(),
        source: io::Error::from_raw_os_error(28),
    })
}

#[test]
fn box_7_bytecode_can_be_left_out_where_no_sandbox_is_to_be_had() {
    let (message, hint) = said("numpy-bytecode", refused());
    assert!(
        message.contains("user.max_user_namespaces=10000"),
        "{message}"
    );
    assert!(hint.contains("`bytecode = false;` in cognix.nix"), "{hint}");
    let (message, hint) = said("run-1", refused());
    assert!(
        message.contains("user.max_user_namespaces=10000"),
        "{message}"
    );
    assert!(!hint.contains("bytecode"), "{hint}");
    let elsewhere = || ForeignError::System {
        system: "aarch64-linux".to_owned(),
        host: "x86_64-linux",
    };
    let (_, hint) = said("source-bytecode", elsewhere());
    assert!(hint.contains("`bytecode = false;`"), "{hint}");
    let (_, hint) = said("run-1", elsewhere());
    assert!(
        hint.contains("--platform") && !hint.contains("bytecode"),
        "{hint}"
    );
}

#[test]
fn lim_3_a_limit_names_its_option() {
    let limit = Duration::from_secs(1);
    let limited = |source| ForeignError::Limit {
        source,
        log: Vec::new(),
    };
    let ended = |outcome, line: &str| ForeignError::Ended {
        program: "/bin/sh".to_owned(),
        outcome,
        log: vec![line.to_owned()],
    };
    for (error, words) in [
        (
            limited(SandboxError::TimedOut { limit }),
            "--timeout TIME, or COGNIX_TIMEOUT",
        ),
        (
            limited(SandboxError::Silent { limit }),
            "--max-silent-time TIME, or COGNIX_MAX_SILENT_TIME",
        ),
        (
            limited(SandboxError::DiskFull { limit: 1 }),
            "--max-disk SIZE, or COGNIX_MAX_DISK",
        ),
        (ended(Outcome::Signalled(9), ""), "--max-memory"),
        (
            ended(
                Outcome::Exited(254),
                "sh: fork: retry: Resource temporarily unavailable",
            ),
            "--max-processes",
        ),
    ] {
        let (_, hint) = said("run-1", error);
        assert!(
            hint.contains(words) && hint.contains("cognix log"),
            "{hint}"
        );
    }
    let (_, hint) = said("run-1", ended(Outcome::Exited(1), "no"));
    assert!(!hint.contains("--max"), "{hint}");
}
