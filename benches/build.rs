//! What a user waits for who changed nothing, or one line: `cognix build` as a process, from start to exit.
//!
//! The first build fills a store of its own below the target folder, and needs the machine's package sources; it is not
//! measured. All others run with a proxy that answers nobody and counts who asks, so that a request, if there were one,
//! would be counted and would fail.

mod support;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use support::{HEAD, Problem, Samples, because, finish, machine, ratio, shown, succeed, table};
use tempfile::TempDir;

/// How often each is measured, after how many runs that are not.
const WARM_UP: usize = 3;
const UNCHANGED: usize = 20;
const EDITS: usize = 10;

/// What is asked of either.
const BUDGETS: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(100)];
/// BuildKit's time for either on such a machine, as stated; it is not measured here, because it needs a daemon.
const BUILDKIT: Duration = Duration::from_millis(250);

/// The line of the example's program that edits change.
const EDITED: &str = "self.greeting =";

fn main() -> ExitCode {
    finish(measure())
}

fn measure() -> Result<String, Problem> {
    let bench = Bench::new()?;
    let first = bench.build(None)?;
    let proxy = DeadProxy::start()?;
    let unchanged_build = || match bench.build(Some(&proxy))? {
        again if again == first => Ok(()),
        again => Err(format!("nothing changed, but {first} became {again}")),
    };
    for _ in 0..WARM_UP {
        unchanged_build()?;
    }
    let mut unchanged = Samples::default();
    for _ in 0..UNCHANGED {
        unchanged.time(unchanged_build)?;
    }
    let mut edited = Samples::default();
    let mut digests = vec![first.clone()];
    for round in 0..EDITS {
        bench.edit(round)?;
        let digest = edited.time(|| bench.build(Some(&proxy)))?;
        if digests.contains(&digest) {
            return Err(format!("a line changed, but the image is {digest} again"));
        }
        digests.push(digest);
    }
    Ok(report(&unchanged, &edited, proxy.requests()))
}

fn report(unchanged: &Samples, edited: &Samples, requests: usize) -> String {
    let mut head = vec![""];
    head.extend(HEAD);
    head.extend(["budget", "of it", "BuildKit", "of it"]);
    let mut rows = vec![head.into_iter().map(str::to_owned).collect::<Vec<_>>()];
    for (name, samples, budget) in [
        ("nothing changed", unchanged, BUDGETS[0]),
        ("one line of predict.py changed", edited, BUDGETS[1]),
    ] {
        let median = samples.median();
        let mut row = vec![name.to_owned()];
        row.extend(samples.cells());
        row.extend([
            shown(budget),
            ratio(median, budget),
            shown(BUILDKIT),
            ratio(median, BUILDKIT),
        ]);
        rows.push(row);
    }
    format!(
        "\ncognix build of examples/hello, the whole process, to the digest\n{}\n\n{}\n  \
         network requests: {requests}\n  BuildKit: on such a machine, as stated\n",
        machine(),
        table(&rows)
    )
}

/// A copy of the example, and the store that it is built in.
struct Bench {
    project: PathBuf,
    /// Removed at the end, with the copy inside: several may measure at the same time.
    _folder: TempDir,
    store: PathBuf,
    program: String,
}

impl Bench {
    fn new() -> Result<Self, Problem> {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/hello");
        let folder = tempfile::tempdir_in(target).map_err(because("cannot make a folder"))?;
        let project = folder.path().join("hello");
        copy_files(&example, &project).map_err(because("cannot copy the example"))?;
        let program = std::fs::read_to_string(project.join("predict.py"))
            .map_err(because("cannot read the example"))?;
        Ok(Self {
            project,
            _folder: folder,
            store: target.join("bench-store"),
            program,
        })
    }

    /// Builds, through the proxy if there is one, and returns the image's digest.
    fn build(&self, proxy: Option<&DeadProxy>) -> Result<String, Problem> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cognix"));
        command
            .arg("build")
            .arg(&self.project)
            .env("COGNIX_STORE", &self.store);
        if let Some(proxy) = proxy {
            proxy.apply(&mut command);
        }
        let output = succeed(&mut command)?;
        let text = String::from_utf8_lossy(&output.stdout);
        text.lines()
            .next()
            .filter(|line| line.starts_with("sha256:"))
            .map(str::to_owned)
            .ok_or_else(|| format!("expected a digest, found {text:?}"))
    }

    /// Changes one line into one that was never there before, in this run or another.
    fn edit(&self, round: usize) -> Result<(), Problem> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |now| now.as_nanos());
        let (before, rest) = self
            .program
            .split_once(EDITED)
            .ok_or_else(|| format!("predict.py has no line with {EDITED:?}"))?;
        let after = rest.split_once('\n').map_or("", |(_, after)| after);
        let line = format!("{EDITED} \"hello {now} {round}\"\n");
        let edited = format!("{before}{line}{after}");
        std::fs::write(self.project.join("predict.py"), edited)
            .map_err(because("cannot edit the copy"))
    }
}

fn copy_files(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

/// Takes connections, counts them and closes them.
struct DeadProxy {
    address: String,
    requests: Arc<AtomicUsize>,
}

impl DeadProxy {
    fn start() -> Result<Self, Problem> {
        let failed = || because("cannot listen on loopback");
        let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(failed())?;
        let address = format!("http://{}", listener.local_addr().map_err(failed())?);
        let requests = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&requests);
        std::thread::spawn(move || {
            listener.incoming().for_each(|_| {
                counter.fetch_add(1, Ordering::Relaxed);
            });
        });
        Ok(Self { address, requests })
    }

    /// Leaves a program no other way out.
    fn apply(&self, command: &mut Command) {
        for name in ["http_proxy", "https_proxy", "all_proxy"] {
            command.env(name, &self.address);
            command.env(name.to_uppercase(), &self.address);
        }
        command.env_remove("no_proxy").env_remove("NO_PROXY");
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}
