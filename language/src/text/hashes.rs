//! Hashes as texts: what `hashString` and `convertHash` take and give.

use cognix_derivations::{HashAlgorithm, NixHash, nixbase32};

/// Why a text names no algorithm, no format or no hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HashError {
    /// Only these four are part of the language.
    #[error("unknown hash algorithm '{0}', expected 'md5', 'sha1', 'sha256' or 'sha512'")]
    Algorithm(String),
    /// A format that does not exist.
    #[error("unknown hash format '{0}', expected 'base16', 'nix32', 'base32', 'base64' or 'sri'")]
    Format(String),
    /// Neither the text nor the caller says which algorithm it is.
    #[error("hash '{0}' does not include an algorithm, nor is one given with it")]
    NoAlgorithm(String),
    /// The text and the caller disagree.
    #[error("hash '{text}' should have the algorithm '{expected}'")]
    OtherAlgorithm {
        /// The text as it was given.
        text: String,
        /// What the caller asked for.
        expected: HashAlgorithm,
    },
    /// Wrong length or wrong characters.
    #[error("'{text}' is not a hash of the algorithm '{algorithm}'")]
    Malformed {
        /// The text as it was given.
        text: String,
        /// What it should be a hash of.
        algorithm: HashAlgorithm,
    },
}

/// How a hash is spelt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HashFormat {
    /// Hexadecimal digits.
    Base16,
    /// The alphabet of store paths.
    Nix32,
    /// Base64 with padding.
    Base64,
    /// The algorithm, a dash, base64.
    Sri,
}

/// Which algorithm a name means.
pub(crate) fn algorithm(name: &str) -> Result<HashAlgorithm, HashError> {
    match name {
        "md5" => Ok(HashAlgorithm::Md5),
        "sha1" => Ok(HashAlgorithm::Sha1),
        "sha256" => Ok(HashAlgorithm::Sha256),
        "sha512" => Ok(HashAlgorithm::Sha512),
        _ => Err(HashError::Algorithm(name.to_owned())),
    }
}

/// Which format a name means.
pub(crate) fn format(name: &str) -> Result<HashFormat, HashError> {
    match name {
        "base16" => Ok(HashFormat::Base16),
        "nix32" | "base32" => Ok(HashFormat::Nix32),
        "base64" => Ok(HashFormat::Base64),
        "sri" => Ok(HashFormat::Sri),
        _ => Err(HashError::Format(name.to_owned())),
    }
}

/// Reads a hash in any spelling. Where the text names no algorithm, `expected` must; where both do, they must agree.
pub(crate) fn parse(text: &str, expected: Option<HashAlgorithm>) -> Result<NixHash, HashError> {
    let (named, separator, rest) = match text.find(':').or_else(|| text.find('-')) {
        Some(at) => (
            Some(algorithm(&text[..at])?),
            &text[at..=at],
            &text[at + 1..],
        ),
        None => (None, ":", text),
    };
    let algorithm = match (named, expected) {
        (None, None) => return Err(HashError::NoAlgorithm(text.to_owned())),
        (Some(named), Some(expected)) if named != expected => {
            return Err(HashError::OtherAlgorithm {
                text: text.to_owned(),
                expected,
            });
        }
        (Some(algorithm), _) | (None, Some(algorithm)) => algorithm,
    };
    let malformed = || HashError::Malformed {
        text: text.to_owned(),
        algorithm,
    };
    let spelt = if separator == "-" {
        std::format!("{algorithm}-{}", with_padding(rest))
    } else {
        std::format!("{algorithm}:{rest}")
    };
    let hash: NixHash = spelt.parse().map_err(|_| malformed())?;
    // Behind a colon, base64 is recognised by its length, which padding is part of.
    let length = hash.as_bytes().len();
    let unpadded = (length * 4).div_ceil(3);
    let is_unpadded = separator == ":" && rest.len() == unpadded && !length.is_multiple_of(3);
    if hash.algorithm() == algorithm && !is_unpadded {
        Ok(hash)
    } else {
        Err(malformed())
    }
}

/// Base64 with exactly the padding that it needs: SRI is read with any.
fn with_padding(base64: &str) -> String {
    let digits = base64.split('=').next().unwrap_or_default();
    let width = digits.len().next_multiple_of(4);
    std::format!("{digits:=<width$}")
}

/// Writes a hash; only SRI names the algorithm.
pub(crate) fn write(hash: &NixHash, format: HashFormat) -> String {
    match format {
        HashFormat::Base16 => hash.to_hex(),
        HashFormat::Nix32 => nixbase32::encode(hash.as_bytes()),
        HashFormat::Sri => hash.to_sri(),
        HashFormat::Base64 => {
            let sri = hash.to_sri();
            sri.split_once('-')
                .map_or(sri.clone(), |(_, base64)| base64.to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    const NIX32: &str = "1b8m03r63zqhnjf7l5wnldhh7c134ap5vpj0850ymkq1iyzicy5s";
    const BASE64: &str = "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";

    #[test]
    fn every_spelling_is_read_and_written() {
        let hash = NixHash::of(HashAlgorithm::Sha256, b"abc");
        let sri = std::format!("sha256-{BASE64}");
        for (format, text) in [
            (HashFormat::Base16, HEX),
            (HashFormat::Nix32, NIX32),
            (HashFormat::Base64, BASE64),
            (HashFormat::Sri, &sri),
        ] {
            assert_eq!(write(&hash, format), text);
            assert_eq!(parse(text, Some(HashAlgorithm::Sha256)), Ok(hash.clone()));
        }
        for text in [HEX, NIX32, BASE64] {
            assert_eq!(
                parse(&std::format!("sha256:{text}"), None),
                Ok(hash.clone())
            );
        }
        for sri in [
            sri.as_str(),
            sri.trim_end_matches('='),
            &std::format!("{sri}="),
        ] {
            assert_eq!(parse(sri, None), Ok(hash.clone()));
        }
        for text in [BASE64.trim_end_matches('='), "", "abc"] {
            assert!(
                parse(&std::format!("sha256:{text}"), None).is_err(),
                "{text}"
            );
        }
        assert!(parse(&std::format!("sha256-{HEX}"), None).is_err());
        assert!(parse(&std::format!("sha256:z{}", &NIX32[1..]), None).is_err());
    }

    #[test]
    fn algorithms_must_be_known_and_agree() {
        let check = |text: &str, expected, message: &str| {
            assert_eq!(parse(text, expected).unwrap_err().to_string(), message);
        };
        check(
            "abc",
            None,
            "hash 'abc' does not include an algorithm, nor is one given with it",
        );
        check(
            "md5:abc",
            Some(HashAlgorithm::Sha256),
            "hash 'md5:abc' should have the algorithm 'sha256'",
        );
        check(
            "sha256:abc",
            None,
            "'sha256:abc' is not a hash of the algorithm 'sha256'",
        );
        check(
            "foo-abc",
            None,
            "unknown hash algorithm 'foo', expected 'md5', 'sha1', 'sha256' or 'sha512'",
        );
    }
}
