//! Asks a registry which image a tag is: the digest of its manifest, by the OCI distribution protocol.
//!
//! A registry that wants a token first says where to get one; it is asked for without credentials. The digest is that of
//! the bytes that came, so a registry cannot name one and send another.

use std::fmt;
use std::str::FromStr;

use cognix_derivations::Sha256;
use reqwest::StatusCode;
use reqwest::header::{ACCEPT, WWW_AUTHENTICATE};
use url::{Host, Url};

use super::InputError;
use crate::lock::debian::HttpArchive;

/// What a tag may be: images, and indexes of images for several platforms.
const MEDIA_TYPES: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";
/// The largest manifest that registries take.
const MAX_MANIFEST: usize = 4 << 20;
/// The largest answer with a token.
const MAX_TOKEN: usize = 1 << 20;

/// An image of a registry: `HOST/NAME:TAG`, or with a digest `HOST/NAME@sha256:HEX`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageReference {
    /// The registry, perhaps with a port.
    pub host: String,
    /// The image's name there.
    pub name: String,
    /// The tag, `latest` where none is named.
    pub tag: String,
    /// The digest that is named.
    pub digest: Option<Sha256>,
}

/// A text that names no image of a registry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} {problem}; write registry.example/name:tag")]
pub struct ReferenceError {
    found: String,
    problem: &'static str,
}

impl FromStr for ImageReference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let wrong = |problem| ReferenceError {
            found: text.chars().take(200).collect(),
            problem,
        };
        let (rest, digest) = match text.split_once('@') {
            None => (text, None),
            Some((rest, digest)) => {
                let hex = digest.strip_prefix("sha256:");
                let digest = hex.and_then(|hex| hex.parse().ok());
                let digest = digest.ok_or_else(|| wrong("has no SHA-256 digest behind its @"))?;
                (rest, Some(digest))
            }
        };
        let (host, path) = rest
            .split_once('/')
            .filter(|(host, _)| host.contains(['.', ':']) || *host == "localhost")
            .ok_or_else(|| wrong("names no registry"))?;
        let (name, tag) = path.rsplit_once(':').unwrap_or((path, "latest"));
        let part = |part: &str| {
            let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
            part.starts_with(|c: char| c.is_ascii_alphanumeric()) && part.chars().all(fits)
        };
        let in_tag = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if !name.split('/').all(part) {
            return Err(wrong("has no name that an image can have"));
        }
        if tag.is_empty() || !tag.chars().all(in_tag) {
            return Err(wrong("has no tag that an image can have"));
        }
        Ok(Self {
            host: host.to_owned(),
            name: name.to_owned(),
            tag: tag.to_owned(),
            digest,
        })
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}:{}", self.host, self.name, self.tag)?;
        match self.digest {
            Some(digest) => write!(formatter, "@sha256:{digest}"),
            None => Ok(()),
        }
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The digest of the manifest that a tag names now.
pub(super) async fn digest(input: &str, image: &ImageReference) -> Result<Sha256, InputError> {
    let asked = ask(image).await;
    asked.map_err(|source| InputError::Unavailable {
        name: input.to_owned(),
        address: image.to_string(),
        source,
    })
}

async fn ask(image: &ImageReference) -> Result<Sha256, Failure> {
    let client = HttpArchive::client()?;
    let scheme = if is_loopback(&image.host) {
        "http"
    } else {
        "https"
    };
    let (host, name, tag) = (&image.host, &image.name, &image.tag);
    let url = Url::parse(&format!("{scheme}://{host}/v2/{name}/manifests/{tag}"))?;
    let request = || client.get(url.clone()).header(ACCEPT, MEDIA_TYPES);
    let mut answer = request().send().await?;
    if answer.status() == StatusCode::UNAUTHORIZED {
        let challenge = answer.headers().get(WWW_AUTHENTICATE);
        let challenge = challenge.and_then(|value| value.to_str().ok());
        let place = challenge.and_then(|text| token_place(text, name));
        let place = place.ok_or("the registry wants to know who is asking")?;
        let token = token(&client, place).await?;
        answer = request().bearer_auth(token).send().await?;
    }
    match answer.status() {
        StatusCode::NOT_FOUND => return Err("the registry has no such image".into()),
        status if !status.is_success() => return Err(format!("the registry says {status}").into()),
        _ => {}
    }
    let bytes = read(answer, MAX_MANIFEST).await?;
    // A web page is no manifest.
    serde_json::from_slice::<serde_json::Value>(&bytes)?;
    Ok(Sha256::of(&bytes))
}

/// A registry on this machine is spoken to without TLS, as all tools do.
fn is_loopback(host: &str) -> bool {
    let url = Url::parse(&format!("http://{host}/"));
    match url.as_ref().ok().and_then(Url::host) {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Where a challenge sends those who want a token: `Bearer realm="…",service="…",scope="…"`.
fn token_place(challenge: &str, name: &str) -> Option<Url> {
    let (kind, parameters) = challenge.trim().split_once(' ')?;
    if !kind.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let parameter = |wanted: &str| {
        let start = format!("{wanted}=\"");
        let at = parameters.find(&start)? + start.len();
        parameters[at..].split('"').next()
    };
    let mut url = Url::parse(parameter("realm")?).ok()?;
    if !matches!(url.scheme(), "http" | "https") {
        return None;
    }
    let scope = format!("repository:{name}:pull");
    let mut pairs = url.query_pairs_mut();
    if let Some(service) = parameter("service") {
        pairs.append_pair("service", service);
    }
    pairs.append_pair("scope", parameter("scope").unwrap_or(&scope));
    drop(pairs);
    Some(url)
}

async fn token(client: &reqwest::Client, place: Url) -> Result<String, Failure> {
    let answer = client.get(place).send().await?.error_for_status()?;
    let bytes = read(answer, MAX_TOKEN).await?;
    let value: serde_json::Value = serde_json::from_slice(&bytes)?;
    let token = ["token", "access_token"]
        .iter()
        .find_map(|key| value.get(key)?.as_str());
    Ok(token.ok_or("the registry gives no token")?.to_owned())
}

async fn read(mut answer: reqwest::Response, limit: usize) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if bytes.len() + chunk.len() > limit {
            return Err(format!("the answer has more than {limit} bytes").into());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}
