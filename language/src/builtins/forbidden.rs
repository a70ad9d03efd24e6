//! What a real Nix has and an evaluation of ours must not: whatever could give another value tomorrow.

use super::Builtin;
use crate::error::Fault;

macro_rules! forbidden {
    ($($name:literal, $parameters:expr, $reason:literal, $instead:literal;)*) => {
        pub(super) const BUILTINS: &[Builtin] = &[
            $(Builtin {
                name: $name,
                parameters: $parameters,
                doc: concat!("Fails: ", $reason, "."),
                function: |_, _, pos| Err(Fault::forbidden(
                    pos,
                    concat!("builtins.", $name, " is not available: ", $reason),
                ).hint($instead)),
            },)*
        ];
    };
}

/// Values of a real Nix that an evaluation must not see; asking for one fails.
pub(crate) const VALUES: &[Builtin] = &[
    Builtin {
        name: "currentTime",
        parameters: &["nothing"],
        doc: "Fails: the clock must not decide what is built.",
        function: |_, _, pos| {
            let message =
                "builtins.currentTime is not available: the clock must not decide what is built";
            Err(Fault::forbidden(pos, message).hint("write the time in cognix.nix"))
        },
    },
    Builtin {
        name: "currentSystem",
        parameters: &["nothing"],
        doc: "Fails: the machine must not decide what is built.",
        function: |_, _, pos| {
            let message = "builtins.currentSystem is not available: the machine must not decide what is built";
            Err(Fault::forbidden(pos, message).hint("use `cognix.system`, or write the system"))
        },
    },
];

forbidden! {
    "getEnv", &["name"], "the environment must not decide what is built",
        "write the value in cognix.nix, or give it to the image with `environment`";
    "fetchurl", &["arguments"], "an evaluation does not use the network",
        "use `cognix.fetchurl`, which is a derivation with a hash";
    "fetchTarball", &["arguments"], "an evaluation does not use the network",
        "name the archive among `inputs`, or use `cognix.fetchurl`";
    "fetchGit", &["arguments"], "an evaluation does not use the network",
        "name an archive of the revision among `inputs`, or use `cognix.fetchurl`";
    "fetchMercurial", &["arguments"], "an evaluation does not use the network",
        "name an archive of the revision among `inputs`, or use `cognix.fetchurl`";
    "fetchTree", &["arguments"], "an evaluation does not use the network",
        "name an archive of the tree among `inputs`, or use `cognix.fetchurl`";
    "fetchClosure", &["arguments"], "an evaluation does not look into stores",
        "use the derivation that makes the path";
    "getFlake", &["reference"], "an evaluation does not use the network",
        "use a `path` input";
    "exec", &["arguments"], "an evaluation starts no programs", "use a derivation";
}
