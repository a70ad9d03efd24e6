use std::io::{Read, Write};

use proptest::prelude::*;

use super::*;

const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[test]
fn one_text_per_digest_in_data() {
    let digest = Sha256::of(b"");
    assert_eq!(digest.to_string(), EMPTY);
    assert_eq!(
        serde_json::to_string(&digest).unwrap(),
        format!("\"{EMPTY}\"")
    );
    assert_eq!(
        serde_json::from_str::<Sha256>(&format!("\"{EMPTY}\"")).unwrap(),
        digest
    );
    for text in [
        digest.to_sri(),
        EMPTY.to_uppercase(),
        format!("sha256:{EMPTY}"),
    ] {
        assert!(
            serde_json::from_str::<Sha256>(&format!("\"{text}\"")).is_err(),
            "{text}"
        );
        assert_eq!(text.parse::<Sha256>().unwrap(), digest, "{text}");
    }
}

#[test]
fn other_algorithms_are_named() {
    let error = "sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709"
        .parse::<Sha256>()
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("a digest of sha1, expected sha256"),
        "{error}"
    );
}

/// ALL-4: what is quoted from outside is short and escaped.
#[test]
fn all_4_quotes_are_short() {
    let error = "\u{1b}[31m".repeat(1000).parse::<Sha256>().unwrap_err();
    assert!(error.to_string().len() < 1000);
    assert!(!error.to_string().contains('\u{1b}'));
}

#[test]
fn blake3_has_its_own_type_and_text() {
    let digest = Blake3::of(b"");
    assert_eq!(
        digest.to_string(),
        "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
    );
    assert_eq!(digest.to_string().parse::<Blake3>().unwrap(), digest);
    let mut hasher = Blake3Hasher::new();
    hasher.update(b"");
    assert_eq!(hasher.finish(), digest);
}

proptest! {
    #[test]
    fn streams_hash_what_passes(bytes: Vec<u8>, cut in 0usize..64) {
        let cut = cut.min(bytes.len());
        let mut writer = HashingWriter::new(Vec::new());
        writer.write_all(&bytes[..cut]).unwrap();
        writer.write_all(&bytes[cut..]).unwrap();
        let (written, digest, count) = writer.finish();
        prop_assert_eq!((&written, count), (&bytes, bytes.len() as u64));
        prop_assert_eq!(digest, Sha256::of(&bytes));

        let mut reader = HashingReader::new(bytes.as_slice());
        let mut read = Vec::new();
        reader.read_to_end(&mut read).unwrap();
        let (_, digest, count) = reader.finish();
        prop_assert_eq!((&read, count), (&bytes, bytes.len() as u64));
        prop_assert_eq!(digest, Sha256::of(&bytes));
    }

    #[test]
    fn texts_are_read_back(bytes: [u8; 32]) {
        let digest = Sha256::from_bytes(bytes);
        for text in [digest.to_string(), digest.to_sri(), digest.to_nixbase32(), NixHash::from(digest).to_string()] {
            prop_assert_eq!(text.parse::<Sha256>().unwrap(), digest);
        }
    }

    #[test]
    fn nixbase32_is_read_back(bytes: Vec<u8>) {
        let text = crate::nixbase32::encode(&bytes);
        prop_assert_eq!(text.len(), crate::nixbase32::encoded_len(bytes.len()));
        prop_assert_eq!(crate::nixbase32::decode(&text).unwrap(), bytes);
    }

    /// Canonical: no two texts for the same bytes.
    #[test]
    fn nixbase32_has_one_text_per_value(text in "[0-9a-df-np-sv-z]{0,60}") {
        if let Ok(bytes) = crate::nixbase32::decode(&text) {
            prop_assert_eq!(crate::nixbase32::encode(&bytes), text);
        }
    }
}
