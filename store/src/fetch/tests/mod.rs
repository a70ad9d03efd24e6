mod content;
mod retrying;

use std::path::PathBuf;
use std::time::Instant;

use cognix_derivations::HashAlgorithm;

use super::server::{Reply, Request, Server};
use super::*;
use crate::events::Recorder;
use crate::realise::ErrorKind;

/// A place for a file, and what was told about it.
struct Bench {
    _folder: tempfile::TempDir,
    place: PathBuf,
    fetcher: Fetcher,
    recorder: Arc<Recorder>,
}

impl Bench {
    fn new(change: impl FnOnce(&mut FetchOptions)) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let recorder = Arc::new(Recorder::default());
        let mut options = FetchOptions {
            first_wait: Duration::from_millis(2),
            idle_timeout: Duration::from_secs(5),
            proxies: false,
            ..FetchOptions::default()
        };
        change(&mut options);
        Self {
            place: folder.path().join("file.part"),
            _folder: folder,
            fetcher: Fetcher::new(options, Arc::new(DirectOnly), recorder.clone()),
            recorder,
        }
    }

    async fn fetch(
        &self,
        urls: &[String],
        expected: &[u8],
        size: Option<u64>,
    ) -> Result<Fetched, FetchError> {
        self.fetch_until(urls, expected, size, &CancellationToken::new())
            .await
    }

    async fn fetch_until(
        &self,
        urls: &[String],
        expected: &[u8],
        size: Option<u64>,
        cancel: &CancellationToken,
    ) -> Result<Fetched, FetchError> {
        let derivation = StorePath::from_base_name("00000000000000000000000000000000-f.drv");
        let expected = NixHash::of(HashAlgorithm::Sha256, expected);
        let request = FetchRequest {
            derivation: &derivation.expect("valid"),
            name: "f",
            urls,
            expected: Some(&expected),
            size,
        };
        self.fetcher.fetch(request, &self.place, cancel).await
    }

    fn content(&self) -> Vec<u8> {
        std::fs::read(&self.place).expect("the file")
    }

    fn retries(&self) -> Vec<String> {
        let events = self.recorder.events().into_iter();
        events
            .filter_map(|event| match event {
                Event::FetchRetry { reason, .. } => Some(reason),
                _ => None,
            })
            .collect()
    }
}

fn file() -> Vec<u8> {
    (0..300_000_u32).flat_map(u32::to_le_bytes).collect()
}

/// Answers with a fixed list, one after the other, and then always with the last.
fn script(replies: Vec<Reply>) -> Server {
    Server::start(move |request| replies[request.number.min(replies.len() - 1)].clone())
}
