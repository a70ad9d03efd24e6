//! From the name of a suite to verified indexes: `InRelease`, its signature, the hashes in it, the `Packages` files.
//!
//! Every step is checked against its parent before it is used or kept. Suites and their indexes are fetched at the same
//! time, decompressing and hashing happen on blocking threads, and results keep the order that was asked for.

use std::io::Read as _;

use cognix_derivations::Sha256;
use futures::future::try_join_all;

use super::DebianContext;
use super::cache::SuiteCache;
use super::error::{ArchiveError, DebianError, FileSum};
use super::packages::PackageIndex;
use super::release::{Release, Wanted};
use super::signature::Judged;
use super::{DebianRequest, SuiteSource, time};
use crate::mirrors::apt_sources::is_path_below;

/// Release files are about 150 kB.
const RELEASE_LIMIT: u64 = 16 << 20;
/// The most memory that decompressing may take; the strongest preset of xz needs 65 MiB.
const XZ_MEMORY: u64 = 256 << 20;

/// A suite whose release file was verified, with its indexes.
pub(super) struct Suite {
    pub(super) date: u64,
    pub(super) in_release_sha256: Sha256,
    pub(super) indexes: Vec<PackageIndex>,
}

/// Reads all suites of a request.
pub(super) async fn read(
    request: &DebianRequest,
    context: &DebianContext<'_>,
) -> Result<Vec<Suite>, DebianError> {
    try_join_all(
        request
            .sources
            .iter()
            .map(|source| read_suite(request, source, context)),
    )
    .await
}

async fn read_suite(
    request: &DebianRequest,
    source: &SuiteSource,
    context: &DebianContext<'_>,
) -> Result<Suite, DebianError> {
    let reader = SuiteReader::new(request, source, context)?;
    let (release, in_release_sha256) = reader.release(request).await?;
    let architecture = request.architecture.as_str();
    let has_all = |component: &str| {
        let path = index_path(component, "all");
        release.all_apart && release.file(&path).is_some()
    };
    let wanted = source.components.iter().flat_map(|component| {
        let all = has_all(component).then_some((component, "all"));
        [(component, architecture)].into_iter().chain(all)
    });
    let reading =
        wanted.map(|(component, architecture)| reader.index(&release, component, architecture));
    let indexes = try_join_all(reading).await?;
    Ok(Suite {
        date: release.date,
        in_release_sha256,
        indexes,
    })
}

fn index_path(component: &str, architecture: &str) -> String {
    format!("{component}/binary-{architecture}/Packages")
}

struct SuiteReader<'a> {
    source: &'a SuiteSource,
    context: &'a DebianContext<'a>,
    address: String,
    label: String,
    cache: SuiteCache,
}

impl<'a> SuiteReader<'a> {
    fn new(
        request: &DebianRequest,
        source: &'a SuiteSource,
        context: &'a DebianContext<'a>,
    ) -> Result<Self, DebianError> {
        let label = format!("{} {}", source.input, source.suite);
        let names = [
            ("suite", &source.suite),
            ("architecture", &request.architecture),
        ];
        let components = source
            .components
            .iter()
            .map(|component| ("component", component));
        for (field, name) in names.into_iter().chain(components) {
            if name.contains('/') || !is_path_below(name) {
                let (found, expected) = (name.clone(), "one plain name".to_owned());
                return Err(DebianError::Release {
                    release: label,
                    field,
                    found,
                    expected,
                });
            }
        }
        let address = context.archive.address(&source.input).unwrap_or_default();
        let cache = context.cache.suite(&address, &source.suite);
        Ok(Self {
            source,
            context,
            address,
            label,
            cache,
        })
    }

    /// The release file: served, verified, and not older than the newest one seen.
    async fn release(&self, request: &DebianRequest) -> Result<(Release, Sha256), DebianError> {
        let cached = self.cache.release()?;
        let bytes = match self.context.offline {
            true => cached
                .clone()
                .ok_or_else(|| self.offline("the release file"))?,
            false => {
                let path = format!("dists/{}/InRelease", self.source.suite);
                self.fetch(&path, RELEASE_LIMIT)
                    .await?
                    .ok_or_else(|| self.missing(path))?
            }
        };
        let sum = FileSum::of(&bytes);
        if let Some(pinned) = self.source.pinned
            && pinned != sum.sha256
        {
            let expected = FileSum {
                size: sum.size,
                sha256: pinned,
            };
            return Err(self.mismatch("InRelease", expected, sum));
        }
        let release = self.verified(&bytes)?;
        let SuiteSource { suite, pinned, .. } = self.source;
        let wanted = Wanted {
            suite,
            architecture: &request.architecture,
            components: &self.source.components,
        };
        release.check(wanted, self.context.now, pinned.is_some())?;
        if cached.as_ref() != Some(&bytes) && pinned.is_none() {
            self.refuse_going_back(&release, cached.as_deref())?;
            self.cache.keep_release(&bytes)?;
            self.cache
                .prune(|name| name.parse().is_ok_and(|sha256| release.names(sha256)))?;
        }
        Ok((release, sum.sha256))
    }

    fn verified(&self, bytes: &[u8]) -> Result<Release, DebianError> {
        // A release that is pinned by its hash is of the past, and its keys may have expired since.
        let judged = match self.source.pinned {
            Some(_) => Judged::WhenSigned,
            None => Judged::At(self.context.now),
        };
        let keys = self.context.keys_of(&self.source.input);
        let text = keys.verify(&self.label, bytes, judged)?;
        Release::parse(&self.label, &text)
    }

    fn refuse_going_back(
        &self,
        release: &Release,
        cached: Option<&[u8]>,
    ) -> Result<(), DebianError> {
        // A cached file that does not verify (any more) says nothing about the past.
        let Some(seen) = cached.and_then(|bytes| self.verified(bytes).ok()) else {
            return Ok(());
        };
        match release.date < seen.date {
            false => Ok(()),
            true => Err(DebianError::BackInTime {
                release: self.label.clone(),
                found: time::to_rfc3339(release.date),
                seen: time::to_rfc3339(seen.date),
            }),
        }
    }

    /// One component's index, from the cache or fetched.
    async fn index(
        &self,
        release: &Release,
        component: &str,
        architecture: &str,
    ) -> Result<PackageIndex, DebianError> {
        let path = index_path(component, architecture);
        let sum = release.file(&path).ok_or_else(|| self.unlisted(&path))?;
        let cache = self.cache.clone();
        let bytes = match blocking(move || cache.index(sum)).await? {
            Some(bytes) => bytes,
            None if self.context.offline => return Err(self.offline("an index")),
            None => self.fetch_index(release, &path, sum).await?,
        };
        let label = format!("{} {component}", self.source.suite);
        let text = String::from_utf8(bytes).map_err(|_| DebianError::Stanza {
            index: label.clone(),
            package: "of unknown name".to_owned(),
            field: "encoding",
            found: "bytes that are not UTF-8".to_owned(),
        })?;
        let mut suites: Vec<_> = release.names_of_suite().map(str::to_owned).collect();
        if !suites.contains(&self.source.suite) {
            suites.push(self.source.suite.clone());
        }
        Ok(PackageIndex {
            label,
            input: self.source.input.clone(),
            suites,
            preference: release.preference,
            text,
        })
    }

    async fn fetch_index(
        &self,
        release: &Release,
        path: &str,
        sum: FileSum,
    ) -> Result<Vec<u8>, DebianError> {
        let compressions = [Compression::Xz, Compression::Gzip, Compression::None];
        let listed = compressions.into_iter().find_map(|compression| {
            let path = format!("{path}{}", compression.suffix());
            release.file(&path).map(|sum| (compression, path, sum))
        });
        let (compression, compressed_path, compressed_sum) =
            listed.ok_or_else(|| self.unlisted(path))?;
        let served = self
            .fetch_listed(release, &compressed_path, compressed_sum)
            .await?;
        let cache = self.cache.clone();
        let (label, path) = (self.label.clone(), path.to_owned());
        blocking(move || {
            let actual = FileSum::of(&served);
            if actual != compressed_sum && served.trim_ascii_start().starts_with(b"<") {
                return Err(DebianError::WebPage {
                    release: label,
                    path: compressed_path,
                });
            }
            if actual != compressed_sum {
                let (release, path) = (label, compressed_path);
                return Err(DebianError::Mismatch {
                    release,
                    path,
                    expected: compressed_sum,
                    actual,
                });
            }
            let bytes = compression.decompress(served, sum.size).map_err(|source| {
                let (release, path) = (label.clone(), compressed_path);
                DebianError::Compression {
                    release,
                    path,
                    source,
                }
            })?;
            let actual = FileSum::of(&bytes);
            if actual != sum {
                return Err(DebianError::Mismatch {
                    release: label,
                    path,
                    expected: sum,
                    actual,
                });
            }
            cache.keep_index(sum, &bytes)?;
            Ok(bytes)
        })
        .await
    }

    /// A file that the release names: by its hash where the archive offers that, else by its name.
    async fn fetch_listed(
        &self,
        release: &Release,
        path: &str,
        sum: FileSum,
    ) -> Result<Vec<u8>, DebianError> {
        let folder = format!("dists/{}", self.source.suite);
        if release.by_hash {
            let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
            let by_hash = format!("{folder}/{parent}/by-hash/SHA256/{}", sum.sha256);
            if let Some(bytes) = self.fetch(&by_hash, sum.size).await? {
                return Ok(bytes);
            }
        }
        let by_name = format!("{folder}/{path}");
        self.fetch(&by_name, sum.size)
            .await?
            .ok_or_else(|| self.missing(by_name))
    }

    async fn fetch(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>, DebianError> {
        let failed = |source: ArchiveError| DebianError::Fetch {
            input: self.source.input.clone(),
            base: self.address.clone(),
            path: path.to_owned(),
            source,
        };
        self.context
            .archive
            .fetch(&self.source.input, path, limit)
            .await
            .map_err(failed)
    }

    fn offline(&self, what: &'static str) -> DebianError {
        DebianError::Offline {
            suite: self.source.suite.clone(),
            what,
        }
    }

    fn missing(&self, path: String) -> DebianError {
        DebianError::Missing {
            input: self.source.input.clone(),
            base: self.address.clone(),
            path,
        }
    }

    fn unlisted(&self, path: &str) -> DebianError {
        DebianError::Unlisted {
            release: self.label.clone(),
            path: path.to_owned(),
        }
    }

    fn mismatch(&self, path: &str, expected: FileSum, actual: FileSum) -> DebianError {
        DebianError::Mismatch {
            release: self.label.clone(),
            path: path.to_owned(),
            expected,
            actual,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compression {
    Xz,
    Gzip,
    None,
}

impl Compression {
    fn suffix(self) -> &'static str {
        match self {
            Self::Xz => ".xz",
            Self::Gzip => ".gz",
            Self::None => "",
        }
    }

    /// The original bytes, of which the release file says how many there are; one more shows that it is wrong.
    fn decompress(self, bytes: Vec<u8>, size: u64) -> std::io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        match self {
            Self::Xz => {
                let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, 0)?;
                liblzma::read::XzDecoder::new_stream(&bytes[..], stream)
                    .take(size + 1)
                    .read_to_end(&mut plain)?;
            }
            Self::Gzip => {
                flate2::read::GzDecoder::new(&bytes[..])
                    .take(size + 1)
                    .read_to_end(&mut plain)?;
            }
            Self::None => plain = bytes,
        }
        Ok(plain)
    }
}

/// Runs work that computes or touches the disk without holding up the network.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DebianError> + Send + 'static,
) -> Result<T, DebianError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| DebianError::Interrupted)?
}
