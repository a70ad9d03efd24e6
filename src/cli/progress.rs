//! Shows events while long work runs: bars on a terminal, plain lines elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cognix_derivations::StorePath;
use cognix_store::{Event, EventSink};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::printer::{Printer, Verbosity, size};

/// More bars than this scroll instead of helping.
const MOST_BARS: usize = 12;

/// The consumer of events for people.
#[derive(Debug)]
pub(super) struct Progress {
    printer: Printer,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    bars: Option<Bars>,
    totals: Totals,
    notices: Notices,
}

/// What was said already. A hundred downloads that wait for one broken mirror are one thing to tell.
#[derive(Debug, Default)]
struct Notices {
    said: BTreeSet<String>,
    about: BTreeMap<String, usize>,
}

/// How often the same kind of thing about the same place is told, unless all details are asked for.
const MOST_NOTICES: usize = 3;

/// What is known about the whole run.
#[derive(Debug, Default)]
struct Totals {
    fetches: usize,
    fetched: usize,
    bytes: u64,
    builds: usize,
    built: usize,
    received: BTreeMap<StorePath, u64>,
    finished_bytes: u64,
}

#[derive(Debug)]
struct Bars {
    all: MultiProgress,
    total: ProgressBar,
    each: BTreeMap<StorePath, ProgressBar>,
}

impl Progress {
    pub(super) fn new(printer: Printer) -> Self {
        let bars = printer.draws().then(Bars::new);
        Self {
            printer,
            state: Mutex::new(State {
                bars,
                ..State::default()
            }),
        }
    }

    /// A spinner for work that has no events; it goes away when dropped.
    pub(super) fn step(&self, text: &str) -> Step {
        let state = self.lock();
        let bar = state.bars.as_ref().map(|bars| bars.spinner(text));
        if bar.is_none() {
            self.printer.note(text);
        }
        Step { bar }
    }

    /// Takes all bars off the screen.
    pub(super) fn finish(&self) {
        if let Some(bars) = &self.lock().bars {
            bars.total.finish_and_clear();
            // The screen may be gone; nothing depends on it.
            let _ = bars.all.clear();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A spinner that is shown until it is dropped.
#[derive(Debug)]
pub(super) struct Step {
    bar: Option<ProgressBar>,
}

impl Drop for Step {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl EventSink for Progress {
    fn emit(&self, event: Event) {
        let mut state = self.lock();
        let State {
            bars,
            totals,
            notices,
        } = &mut *state;
        totals.take(&event);
        let notice = notices.take(&event, self.printer.verbosity);
        match bars {
            Some(bars) => bars.show(&event, notice, totals),
            None => match notice {
                Some(line) => self.printer.note(line),
                None => show_line(self.printer, &event, totals),
            },
        }
    }
}

impl Totals {
    fn take(&mut self, event: &Event) {
        match event {
            Event::Planned {
                fetches,
                fetch_bytes,
                builds,
                ..
            } => {
                (self.fetches, self.bytes, self.builds) = (*fetches, *fetch_bytes, *builds);
            }
            Event::FetchProgress {
                derivation,
                received,
                ..
            } => {
                self.received.insert(derivation.clone(), *received);
            }
            Event::FetchDone {
                derivation, bytes, ..
            } => {
                self.fetched += 1;
                self.finished_bytes += self.received.remove(derivation).unwrap_or(0).max(*bytes);
            }
            Event::BuildDone { .. } | Event::BuildCached { .. } => self.built += 1,
            _ => {}
        }
    }

    fn position(&self) -> u64 {
        self.finished_bytes + self.received.values().sum::<u64>()
    }

    fn text(&self) -> String {
        format!(
            "{}/{} fetched, {}/{} built",
            self.fetched, self.fetches, self.built, self.builds
        )
    }
}

impl Bars {
    fn new() -> Self {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10));
        let total = all.add(ProgressBar::no_length());
        total.set_style(style(
            "{wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {msg}",
        ));
        Self {
            all,
            total,
            each: BTreeMap::new(),
        }
    }

    fn spinner(&self, text: &str) -> ProgressBar {
        let bar = self
            .all
            .insert_before(&self.total, ProgressBar::new_spinner());
        bar.set_style(style("{spinner} {msg}"));
        bar.set_message(text.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        bar
    }

    fn show(&mut self, event: &Event, notice: Option<String>, totals: &Totals) {
        match event {
            Event::Planned { fetch_bytes, .. } => self.total.set_length(*fetch_bytes),
            Event::FetchStarted {
                derivation,
                name,
                size,
                ..
            } if self.each.len() < MOST_BARS => {
                let bar = self
                    .all
                    .insert_before(&self.total, ProgressBar::new(size.unwrap_or(0)));
                bar.set_style(style("  {bar:20} {bytes}/{total_bytes} {wide_msg}"));
                bar.set_message(name.clone());
                self.each.insert(derivation.clone(), bar);
            }
            Event::FetchProgress {
                derivation,
                received,
                ..
            } => {
                if let Some(bar) = self.each.get(derivation) {
                    bar.set_position(*received);
                }
            }
            Event::BuildStarted { derivation, name } if self.each.len() < MOST_BARS => {
                let bar = self.spinner(&format!("building {name}"));
                self.each.insert(derivation.clone(), bar);
            }
            Event::BuildLog {
                derivation,
                name,
                line,
            } => {
                if let Some(bar) = self.each.get(derivation) {
                    bar.set_message(format!("building {name}: {line}"));
                }
            }
            Event::FetchDone { derivation, .. }
            | Event::BuildDone { derivation, .. }
            | Event::BuildCached { derivation, .. }
            | Event::BuildFailed { derivation, .. } => {
                if let Some(bar) = self.each.remove(derivation) {
                    bar.finish_and_clear();
                    self.all.remove(&bar);
                }
            }
            _ => {}
        }
        if let Some(line) = notice {
            // Printing above the bars fails only when the terminal is gone.
            let _ = self.all.println(line);
        }
        self.total.set_position(totals.position());
        self.total.set_message(totals.text());
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .expect("the templates of this file are well formed")
        .progress_chars("=> ")
}

/// Without a terminal: a line when something big begins and ends, and for everything when asked for details.
fn show_line(printer: Printer, event: &Event, totals: &Totals) {
    match event {
        Event::Planned {
            fetches: 0,
            builds: 0,
            ..
        } => {}
        Event::Planned {
            fetches,
            fetch_bytes,
            builds,
            ..
        } => {
            printer.note(format!(
                "to fetch: {fetches} files, {}; to build: {builds} derivations",
                size(*fetch_bytes)
            ));
        }
        Event::FetchDone { name, bytes, .. } => {
            let line = format!("fetched {name}, {} ({})", size(*bytes), totals.text());
            if printer.verbosity >= Verbosity::Verbose
                || totals.fetched == totals.fetches
                || totals.fetched.is_multiple_of(10)
            {
                printer.note(line);
            }
        }
        Event::BuildDone { name, elapsed, .. } => {
            printer.detail(format!(
                "built {name} in {:.1} s ({})",
                elapsed.as_secs_f64(),
                totals.text()
            ));
        }
        Event::BuildCached { name, .. } => {
            printer.detail(format!("{name} was built before ({})", totals.text()))
        }
        Event::FetchStarted { name, url, .. } => {
            printer.detail(format!("fetching {name} from {url}"))
        }
        Event::BuildStarted { name, .. } => printer.detail(format!("building {name}")),
        Event::BuildLog { name, line, .. } => printer.detail(format!("{name}> {line}")),
        _ => {}
    }
}

impl Notices {
    /// What people want to know on a terminal and elsewhere alike.
    fn take(&mut self, event: &Event, verbosity: Verbosity) -> Option<String> {
        let (about, line) = notable(event)?;
        if !self.said.insert(line.clone()) {
            return None;
        }
        let seen = self.about.entry(about).or_default();
        *seen += 1;
        match *seen {
            _ if verbosity >= Verbosity::Verbose => Some(line),
            ..=MOST_NOTICES => Some(line),
            seen if seen == MOST_NOTICES + 1 => {
                Some("more of the same is not shown (--verbose shows all)".to_owned())
            }
            _ => None,
        }
    }
}

/// A line for people, and what it is about.
fn notable(event: &Event) -> Option<(String, String)> {
    match event {
        Event::FetchRetry {
            name,
            url,
            reason,
            wait,
            ..
        } => Some((
            format!("retry {}", place(url)),
            format!(
                "{name}: {reason}; trying again in {:.1} s",
                wait.as_secs_f64()
            ),
        )),
        Event::FetchRejected {
            name, url, reason, ..
        } => Some((
            format!("reject {}", place(url)),
            format!("{name}: {url} is given up: {reason}"),
        )),
        Event::WaitingForLock { .. } => Some((
            "lock".to_owned(),
            "waiting for another cognix that builds the same path".to_owned(),
        )),
        Event::WaitingForDatabase { .. } => Some((
            "database".to_owned(),
            "waiting for another process that writes to the store".to_owned(),
        )),
        _ => None,
    }
}

/// The server of a URL.
fn place(url: &str) -> &str {
    url.split('/').nth(2).unwrap_or(url)
}
