//! What installing a wheel means: which files come to lie where, and what is in them.
//!
//! The plan is a pure function of the archive's directory, its descriptions (METADATA, WHEEL, RECORD,
//! entry_points.txt) and the interpreter's version. It names contents instead of holding them, except for the few that
//! are generated, so it is made in milliseconds for the largest wheels, and two consumers follow it: the tree writer
//! and the layer splicer. Both compare what they read with the digests in the plan.
//!
//! | In the wheel | In the environment |
//! |---|---|
//! | everything else | `lib/python3.X/site-packages/` |
//! | `N-V.data/purelib/`, `platlib/` | `lib/python3.X/site-packages/` |
//! | `N-V.data/scripts/` | `bin/`, executable, `#!python` replaced |
//! | `N-V.data/headers/` | `include/site/python3.X/NAME/` |
//! | `N-V.data/data/` | the environment itself, where `lib64` is a link to `lib` |
//! | entry points | `bin/`, generated |
//!
//! In the `.dist-info` directory, INSTALLER and RECORD are generated. REQUESTED and direct_url.json say who asked for an
//! installation and from where; an image is nobody's request, so they are left out, also when a wheel brings them.
//! Directories are made as files need them; empty ones are not installed.

use std::{collections::BTreeSet, io::Read};

use cognix_derivations::Sha256;

use super::{
    InstallTarget, WheelError,
    archive::{ArchiveError, Member, WheelArchive, names},
    entry_points::{self, Commands},
    filename::WheelName,
    metadata::{self, Headers},
    record::{self, RecordPolicy},
};

/// The longest description, or script to be changed, that is read into memory.
const TEXT_LIMIT: u64 = 16 << 20;
/// Who installed the package, in the words of the file that says so.
const INSTALLER: &[u8] = b"cognix\n";

/// Everything that installing one wheel puts into an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstallPlan {
    /// The files, sorted by the bytes of their paths; no path occurs twice or lies below another.
    pub files: Vec<PlannedFile>,
}

/// One file to be installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedFile {
    /// Where it lies, relative to the root of the image.
    pub path: String,
    /// Where its bytes come from.
    pub content: Content,
    /// Whether it may be executed.
    pub executable: bool,
    /// Its length.
    pub size: u64,
    /// What its bytes must hash to; whoever reads them checks that.
    pub sha256: Sha256,
}

/// Where the bytes of a file come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// From the member with this index, unchanged.
    Member(usize),
    /// From the plan itself.
    Generated(Vec<u8>),
}

/// Plans the installation of a wheel, whose file name says what it must hold.
pub fn plan(
    archive: &WheelArchive,
    filename: &str,
    target: &InstallTarget,
    record: RecordPolicy,
) -> Result<InstallPlan, WheelError> {
    let wheel = Wheel::open(archive, filename, record)?;
    let commands = wheel.commands(target)?;
    let mut planner = Planner {
        wheel: &wheel,
        target,
        commands: &commands,
        files: Vec::new(),
    };
    for (index, member) in archive.members().iter().enumerate() {
        if !member.is_directory() {
            planner.add_member(index, member)?;
        }
    }
    for (name, text) in &commands {
        planner.add_generated(
            format!("{}/{name}", target.scripts()),
            name,
            text.clone(),
            true,
        )?;
    }
    planner.finish()
}

/// A wheel whose descriptions have been read and agree with each other.
struct Wheel<'a> {
    archive: &'a WheelArchive,
    name: WheelName,
    /// NAME-VERSION as the wheel's own directories spell it.
    stem: String,
    /// By member; none for directories and RECORD.
    digests: Vec<Option<Sha256>>,
}

impl<'a> Wheel<'a> {
    fn open(
        archive: &'a WheelArchive,
        filename: &str,
        record: RecordPolicy,
    ) -> Result<Self, WheelError> {
        let name = WheelName::parse(filename)?;
        let stem = find_dist_info(archive, &name)?;
        let digests = record::digests(archive, &format!("{stem}.dist-info/RECORD"), record)?;
        let wheel = Self {
            archive,
            name,
            stem,
            digests,
        };
        for (file, check) in [
            (
                "METADATA",
                &(|headers: &Headers<'_>| metadata::check_metadata(headers, &wheel.name))
                    as &dyn Fn(&Headers<'_>) -> Result<(), WheelError>,
            ),
            ("WHEEL", &metadata::check_wheel),
        ] {
            let path = wheel.dist_info(file);
            let index = archive
                .find(&path)
                .ok_or_else(|| WheelError::Absent { file: path.clone() })?;
            check(&Headers::parse(&path, &wheel.text(index)?))?;
        }
        Ok(wheel)
    }

    fn dist_info(&self, file: &str) -> String {
        format!("{}.dist-info/{file}", self.stem)
    }

    fn commands(&self, target: &InstallTarget) -> Result<Commands, WheelError> {
        let path = self.dist_info("entry_points.txt");
        match self.archive.find(&path) {
            None => Ok(Commands::new()),
            Some(index) => entry_points::commands(&path, &self.text(index)?, target),
        }
    }

    fn digest(&self, index: usize) -> Sha256 {
        self.digests[index].expect("the record lists every file that is installed")
    }

    /// A whole file, compared with the record.
    fn text(&self, index: usize) -> Result<Vec<u8>, WheelError> {
        let member = &self.archive.members()[index];
        if member.size() > TEXT_LIMIT {
            let (file, size) = (member.name().to_owned(), member.size());
            return Err(WheelError::TooLarge {
                file,
                size,
                limit: TEXT_LIMIT,
            });
        }
        let mut bytes = Vec::new();
        self.archive
            .read(index)
            .and_then(|mut content| content.read_to_end(&mut bytes))
            .map_err(ArchiveError::from_read)?;
        check_digest(member, &Sha256::of(&bytes), &self.digest(index))?;
        Ok(bytes)
    }

    /// The first bytes of a file, as far as they are asked for.
    fn start(&self, index: usize, bytes: u64) -> Result<Vec<u8>, WheelError> {
        let mut start = Vec::new();
        self.archive
            .read(index)
            .and_then(|content| content.take(bytes).read_to_end(&mut start))
            .map_err(ArchiveError::from_read)?;
        Ok(start)
    }
}

/// Compares the digest of a content with the one in the record, or in the plan, which has it from there.
pub(super) fn check_digest(
    member: &Member,
    found: &Sha256,
    expected: &Sha256,
) -> Result<(), WheelError> {
    if found == expected {
        return Ok(());
    }
    Err(WheelError::Mismatch {
        file: member.name().to_owned(),
        what: "sha256",
        found: record::encode(found),
        expected: record::encode(expected),
        record: "RECORD".to_owned(),
    })
}

/// The NAME-VERSION of the one directory that describes the wheel.
fn find_dist_info(archive: &WheelArchive, name: &WheelName) -> Result<String, WheelError> {
    let directories: BTreeSet<&str> = archive
        .members()
        .iter()
        .filter_map(|member| match member.name().split_once('/') {
            Some((first, _)) => Some(first),
            None => member.is_directory().then_some(member.name()),
        })
        .filter(|first| first.ends_with(".dist-info"))
        .collect();
    let stems: Vec<&str> = directories
        .iter()
        .filter_map(|directory| directory.strip_suffix(".dist-info"))
        .collect();
    match stems[..] {
        [stem] if name.is_stem(stem) => Ok(stem.to_owned()),
        [stem] => Err(WheelError::Identity {
            place: ".dist-info directory".to_owned(),
            found: stem.to_owned(),
            expected: name.to_string(),
        }),
        _ => Err(WheelError::DistInfo {
            found: directories.into_iter().map(str::to_owned).collect(),
            expected: format!("{}.dist-info", name.to_string().replace(' ', "-")),
        }),
    }
}

struct Planner<'a> {
    wheel: &'a Wheel<'a>,
    target: &'a InstallTarget,
    commands: &'a Commands,
    files: Vec<PlannedFile>,
}

impl Planner<'_> {
    fn add_member(&mut self, index: usize, member: &Member) -> Result<(), WheelError> {
        let name = member.name();
        let (directory, rest) = name.split_once('/').unwrap_or(("", name));
        if let Some(stem) = directory.strip_suffix(".data") {
            return self.add_data(index, member, stem, rest);
        }
        let generated = ["RECORD", "INSTALLER", "REQUESTED", "direct_url.json"];
        let is_own = directory.strip_suffix(".dist-info") == Some(&self.wheel.stem);
        if is_own && generated.contains(&rest) {
            return Ok(());
        }
        let path = format!("{}/{name}", self.target.site_packages());
        self.push(index, member, path, member.is_executable())
    }

    /// Adds a file of a `.data` directory, whose first level says where it goes.
    fn add_data(
        &mut self,
        index: usize,
        member: &Member,
        stem: &str,
        rest: &str,
    ) -> Result<(), WheelError> {
        let refused = |problem: String| WheelError::Target {
            file: member.name().to_owned(),
            problem,
        };
        if stem != self.wheel.stem {
            let expected = &self.wheel.stem;
            return Err(refused(format!(
                "its data directory should be {expected}.data"
            )));
        }
        let (scheme, rest) = rest.split_once('/').ok_or_else(|| {
            refused("it lies in the data directory, but in no scheme of it".to_owned())
        })?;
        let root = match scheme {
            "purelib" | "platlib" => self.target.site_packages(),
            "headers" => self.target.headers(&self.wheel.name.name),
            "data" => {
                let path = self.target.below_environment(rest);
                return self.push(index, member, path, member.is_executable());
            }
            "scripts" if rest.contains('/') => {
                return Err(refused("the name of a command is no path".to_owned()));
            }
            "scripts" => return self.add_script(index, member, rest),
            other => {
                return Err(refused(format!(
                    "{} is no scheme, expected purelib, platlib, headers, scripts or data",
                    super::archive::Quoted(other)
                )));
            }
        };
        self.push(
            index,
            member,
            format!("{root}/{rest}"),
            member.is_executable(),
        )
    }

    fn add_script(&mut self, index: usize, member: &Member, name: &str) -> Result<(), WheelError> {
        // Some tools put the scripts of their entry points into the wheel; the generated ones replace them.
        if self.commands.contains_key(entry_points::command_name(name)) {
            return Ok(());
        }
        let path = format!("{}/{name}", self.target.scripts());
        let start = self.wheel.start(index, entry_points::PLACEHOLDER_BYTES)?;
        if entry_points::wants_shebang(&start) {
            let text = entry_points::with_shebang(&self.wheel.text(index)?);
            return self.add_generated(path, member.name(), text, true);
        }
        self.push(index, member, path, true)
    }

    fn push(
        &mut self,
        index: usize,
        member: &Member,
        path: String,
        executable: bool,
    ) -> Result<(), WheelError> {
        self.target.check(&path, member.name())?;
        let (size, sha256) = (member.size(), self.wheel.digest(index));
        self.files.push(PlannedFile {
            path,
            content: Content::Member(index),
            executable,
            size,
            sha256,
        });
        Ok(())
    }

    fn add_generated(
        &mut self,
        path: String,
        file: &str,
        bytes: Vec<u8>,
        executable: bool,
    ) -> Result<(), WheelError> {
        self.target.check(&path, file)?;
        self.files.push(PlannedFile {
            path,
            executable,
            size: bytes.len() as u64,
            sha256: Sha256::of(&bytes),
            content: Content::Generated(bytes),
        });
        Ok(())
    }

    fn finish(mut self) -> Result<InstallPlan, WheelError> {
        let site_packages = self.target.site_packages();
        let [installer, own] = ["INSTALLER", "RECORD"]
            .map(|name| format!("{site_packages}/{}", self.wheel.dist_info(name)));
        self.add_generated(installer, "INSTALLER", INSTALLER.to_vec(), false)?;
        let listed = self
            .files
            .iter()
            .map(|file| (self.target.record_path(&file.path), file.sha256, file.size));
        let record = record::write(self.target.record_path(&own), listed.collect());
        self.add_generated(own, "RECORD", record, false)?;
        self.files.sort_by(|one, other| one.path.cmp(&other.path));
        let paths = self.files.iter().map(|file| file.path.as_str());
        let (first, second) = match names::conflict(paths, std::iter::empty()) {
            None => return Ok(InstallPlan { files: self.files }),
            Some(names::Conflict::Twice(path)) => (path, path),
            Some(names::Conflict::Below { file, name }) => (file, name),
        };
        Err(WheelError::Conflict {
            first: first.to_owned(),
            second: second.to_owned(),
        })
    }
}
