//! What programs may use that a build runs: options, and variables of the same names.
//!
//! The names and their meaning are Nix's where Nix has them. None of this is part of a derivation: a limit decides whether
//! something is built, never what comes out.

use std::time::Duration;

use clap::Args;

use crate::pipeline::SandboxOptions;

/// What help calls them.
const HEADING: &str = "Limits of programs that a build runs";

/// For every command that may have to run a program of a build.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct LimitArgs {
    /// End a program that runs longer; 0 for no limit [default: 6h].
    ///
    /// Seconds, or a number with s, m, h or d.
    #[arg(long, env = "COGNIX_TIMEOUT", value_name = "TIME", value_parser = time, help_heading = HEADING, hide_env_values = true)]
    timeout: Option<Duration>,
    /// End a program that writes nothing for so long; 0 for no limit [default: 1h].
    #[arg(
        long,
        env = "COGNIX_MAX_SILENT_TIME",
        value_name = "TIME",
        value_parser = time,
        help_heading = HEADING, hide_env_values = true
    )]
    max_silent_time: Option<Duration>,
    /// Keep so much of a program's log; 0 for all of it [default: 64M].
    ///
    /// Bytes, or a number with K, M, G or T. The program goes on when more comes.
    #[arg(
        long,
        env = "COGNIX_MAX_BUILD_LOG_SIZE",
        value_name = "SIZE",
        value_parser = size,
        help_heading = HEADING, hide_env_values = true
    )]
    max_build_log_size: Option<u64>,
    /// How many processes and threads a program may have [default: 4096].
    #[arg(
        long,
        env = "COGNIX_MAX_PROCESSES",
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(300..),
        help_heading = HEADING, hide_env_values = true
    )]
    max_processes: Option<u32>,
    /// How much memory a program may have; 0 for no limit [default: 0].
    #[arg(long, env = "COGNIX_MAX_MEMORY", value_name = "SIZE", value_parser = size, help_heading = HEADING, hide_env_values = true)]
    max_memory: Option<u64>,
    /// How much a program may keep on the disk; 0 for no limit [default: 0].
    #[arg(long, env = "COGNIX_MAX_DISK", value_name = "SIZE", value_parser = size, help_heading = HEADING, hide_env_values = true)]
    max_disk: Option<u64>,
    /// How many cores a program is told that it has (NIX_BUILD_CORES); 0 for all of the machine [default: 0].
    #[arg(long, env = "COGNIX_CORES", value_name = "N", help_heading = HEADING, hide_env_values = true)]
    cores: Option<u16>,
}

impl LimitArgs {
    /// Sets what is asked for.
    pub(super) fn apply(&self, options: &mut SandboxOptions) {
        let limits = &mut options.limits;
        let unlimited = |time: Duration| match time.is_zero() {
            true => Duration::MAX,
            false => time,
        };
        if let Some(time) = self.timeout {
            limits.time = unlimited(time);
        }
        if let Some(time) = self.max_silent_time {
            limits.silence = unlimited(time);
        }
        if let Some(size) = self.max_build_log_size {
            limits.log = if size == 0 { u64::MAX } else { size };
        }
        if let Some(processes) = self.max_processes {
            limits.processes = processes;
        }
        limits.memory = self.max_memory.filter(|size| *size > 0);
        limits.disk = self.max_disk.filter(|size| *size > 0);
        options.cores = self.cores.map(usize::from).filter(|cores| *cores > 0);
    }

    /// The usual options of a sandbox, without secrets and without a network.
    pub(super) fn sandbox(&self) -> SandboxOptions {
        let mut options = SandboxOptions::default();
        self.apply(&mut options);
        options
    }
}

fn time(text: &str) -> Result<Duration, String> {
    let units = [("s", 1), ("m", 60), ("h", 3600), ("d", 86400)];
    let expected = "expected seconds, or a number with s, m, h or d";
    number(text, &units, expected).map(Duration::from_secs)
}

fn size(text: &str) -> Result<u64, String> {
    let units = [
        ("K", 1 << 10),
        ("M", 1 << 20),
        ("G", 1 << 30),
        ("T", 1 << 40),
    ];
    number(
        text,
        &units,
        "expected bytes, or a number with K, M, G or T",
    )
}

/// A whole number, with one of some units or none.
fn number(text: &str, units: &[(&str, u64)], expected: &str) -> Result<u64, String> {
    let of_unit = units.iter().find_map(|(unit, factor)| {
        let digits = text.strip_suffix(unit)?;
        Some((digits, *factor))
    });
    let (digits, factor) = of_unit.unwrap_or((text, 1));
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = is_number.then(|| digits.parse::<u64>().ok()).flatten();
    let number = number.and_then(|number| number.checked_mul(factor));
    number.ok_or_else(|| expected.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lim_3_limits_have_options() {
        let args = LimitArgs {
            timeout: time("90m").ok(),
            max_silent_time: time("0").ok(),
            max_build_log_size: size("2M").ok(),
            max_processes: Some(512),
            max_memory: size("4G").ok(),
            max_disk: size("0").ok(),
            cores: Some(3),
        };
        let options = args.sandbox();
        let limits = &options.limits;
        assert_eq!(limits.time, Duration::from_secs(5400));
        assert_eq!(limits.silence, Duration::MAX);
        assert_eq!((limits.log, limits.processes), (2 << 20, 512));
        assert_eq!((limits.memory, limits.disk), (Some(4 << 30), None));
        assert_eq!(options.cores, Some(3));
        let usual = LimitArgs::default().sandbox();
        let expected = SandboxOptions::default();
        assert_eq!(format!("{usual:?}"), format!("{expected:?}"));
    }

    #[test]
    fn times_and_sizes_are_whole_numbers_with_a_unit() {
        for (text, seconds) in [("0", 0), ("7", 7), ("7s", 7), ("2h", 7200), ("1d", 86400)] {
            assert_eq!(time(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for (text, bytes) in [("0", 0), ("7", 7), ("1K", 1024), ("3T", 3 << 40)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in [
            "",
            "h",
            "-1",
            "+1",
            "1.5h",
            "1 h",
            "1w",
            "99999999999999999999",
            "9999999999999999d",
        ] {
            let error = time(text).expect_err(text);
            assert!(error.contains("expected seconds"), "{text}: {error}");
        }
        for text in ["", "K", "1k", "1KB", "99999999T"] {
            let error = size(text).expect_err(text);
            assert!(error.contains("expected bytes"), "{text}: {error}");
        }
    }
}
