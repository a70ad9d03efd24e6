//! What builders say while they work.
//!
//! A log is kept where Nix keeps it, as plain text, so that `nix log` finds it: `nix/var/log/nix/drvs/AB/CDEF….drv` for the
//! derivation as it was built, and under the name that it has in its graph. It is written aside and renamed when the build
//! has ended, whether it failed or not.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use cognix_derivations::StorePath;

use crate::events::{Event, EventSink};
use crate::layout::Layout;

/// More of a line than this tells a person nothing new.
const SHOWN: usize = 400;

/// Takes what a builder says, line by line.
pub trait BuildLog: Sync + fmt::Debug {
    /// The build has a log from now on, even if nothing is said.
    fn begin(&self) {}

    /// Takes one line, without its line feed.
    fn line(&self, line: &[u8]);
}

/// Keeps nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unlogged;

impl BuildLog for Unlogged {
    fn line(&self, _line: &[u8]) {}
}

/// A line as it may be shown: no control characters, nothing that is not text, and not too long.
pub(crate) fn visible(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    // What a program says last on a line that it writes over and over is what stays on a terminal.
    let text = text.trim_end_matches('\r');
    let text = text.rsplit('\r').next().unwrap_or_default();
    let mut shown = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\t' => shown.push_str("    "),
            '\u{1b}' => skip_sequence(&mut characters),
            character if character.is_control() => {}
            character => shown.push(character),
        }
        if shown.len() > SHOWN {
            shown.push('…');
            break;
        }
    }
    shown
}

/// Drops the rest of a terminal's control sequence, such as the one that changes the colour.
fn skip_sequence(characters: &mut std::str::Chars<'_>) {
    if characters.as_str().starts_with('[') {
        characters.next();
        for character in characters.by_ref() {
            if matches!(character, '@'..='~') {
                return;
            }
        }
    }
}

/// The log of one build on its way to its place.
pub(crate) struct LogFile<'a> {
    events: &'a dyn EventSink,
    derivation: StorePath,
    name: String,
    path: PathBuf,
    file: Mutex<Option<BufWriter<File>>>,
}

/// Makes the names of logs unique that are just being moved.
static NEXT: AtomicU64 = AtomicU64::new(0);

impl<'a> LogFile<'a> {
    /// A log that is written to this place first. Nothing is there before something is said.
    pub(crate) fn new(
        events: &'a dyn EventSink,
        derivation: &StorePath,
        name: &str,
        path: PathBuf,
    ) -> Self {
        Self {
            events,
            derivation: derivation.clone(),
            name: name.to_owned(),
            path,
            file: Mutex::default(),
        }
    }

    fn with_file(&self, work: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if file.is_none() {
            *file = File::create(&self.path).ok().map(BufWriter::new);
        }
        // A log that cannot be written is no reason to fail: the result does not depend on it.
        if let Some(file) = &mut *file {
            let _ = work(file);
        }
    }

    /// Puts the log where it is looked for, under each of these derivations. Errors are no reason for a build to fail.
    pub(crate) fn publish(self, layout: &Layout, derivations: &[&StorePath]) {
        let file = self
            .file
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        let Some(file) = file else {
            return;
        };
        if file.into_inner().is_err() {
            return;
        }
        for derivation in derivations {
            let _ = put(&self.path, &layout.build_log(derivation));
        }
        let _ = fs::remove_file(&self.path);
    }
}

/// Links a file into its place, in place of what is there.
fn put(from: &Path, place: &Path) -> io::Result<()> {
    let folder = place.parent().unwrap_or(place);
    fs::create_dir_all(folder)?;
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let aside = folder.join(format!(".tmp-{}-{number}", std::process::id()));
    if fs::hard_link(from, &aside).is_err() {
        fs::copy(from, &aside)?;
    }
    fs::rename(&aside, place).inspect_err(|_| {
        let _ = fs::remove_file(&aside);
    })?;
    // Renaming a link onto another one of the same file does nothing.
    match fs::remove_file(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

impl BuildLog for LogFile<'_> {
    fn begin(&self) {
        self.with_file(|_| Ok(()));
    }

    fn line(&self, line: &[u8]) {
        self.with_file(|file| {
            file.write_all(line)?;
            file.write_all(b"\n")
        });
        self.events.emit(Event::BuildLog {
            derivation: self.derivation.clone(),
            name: self.name.clone(),
            line: visible(line),
        });
    }
}

impl fmt::Debug for LogFile<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("LogFile").field(&self.path).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::Recorder;

    #[test]
    fn all_4_what_a_program_says_cannot_move_the_cursor() {
        let long = "x".repeat(1000);
        for (line, shown) in [
            ("plain", "plain"),
            ("a\tb", "a    b"),
            ("\u{1b}[31mred\u{1b}[0m and \u{1b}bold\u{7}", "red and bold"),
            (" 10%\r 20%\r100%", "100%"),
            ("dos\r", "dos"),
            (&long, &format!("{}…", "x".repeat(SHOWN + 1))),
        ] {
            assert_eq!(visible(line.as_bytes()), shown);
        }
        assert_eq!(visible(b"\xff"), "\u{fffd}");
    }

    #[test]
    fn a_log_lies_where_nix_looks_for_it() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let layout = Layout::new(folder.path());
        let path = |name: &str| {
            StorePath::from_base_name(&format!("abcdfghijklmnpqrsvwxyz0123456789-{name}.drv"))
                .expect("a path")
        };
        let (one, other) = (path("one"), path("other"));
        let recorder = Recorder::default();
        for text in ["first", "second"] {
            let log = LogFile::new(&recorder, &one, "one", folder.path().join("log"));
            log.begin();
            log.line(text.as_bytes());
            log.publish(&layout, &[&one, &other]);
        }
        let place = folder
            .path()
            .join("nix/var/log/nix/drvs/ab/cdfghijklmnpqrsvwxyz0123456789-one.drv");
        assert_eq!(fs::read_to_string(place).expect("a log"), "second\n");
        let place = layout.build_log(&other);
        assert_eq!(fs::read_to_string(&place).expect("a log"), "second\n");
        let entries = fs::read_dir(place.parent().expect("a folder")).expect("list");
        assert_eq!(entries.count(), 2);
        assert_eq!(recorder.events().len(), 2);
    }
}
