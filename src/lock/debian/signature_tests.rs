use pgp::composed::{
    EncryptionCaps, KeyType, SecretKeyParamsBuilder, SignedSecretKey, SubkeyParamsBuilder,
};
use pgp::packet::SignatureConfig;
use pgp::ser::Serialize;
use pgp::types::{Password, Timestamp};

use super::*;

/// A release file of the real archive; see `testdata/README.md`.
const GOLDEN: &str = include_str!("testdata/bookworm-security.InRelease");
/// Between its date and its expiry.
const GOLDEN_NOW: u64 = 1_795_132_800;
/// A day after the January in which the bookworm keys expire.
const YEAR_2031: u64 = 1_926_700_000;

const TEXT: &str = "Codename: test\nDate: today\n- dashes\n-- more\n last\n";

fn verify(keys: &TrustedKeys, message: &str, now: u64) -> Result<String, String> {
    keys.verify("debian test", message.as_bytes(), Judged::At(now))
        .map_err(|error| error.to_string())
}

#[test]
fn the_ring_holds_the_keys_that_its_readme_names() {
    let expected = [
        "B8B80B5B623EAB6AD8775C45B7C5D7D6350947F8",
        "05AB90340C0C5E797F44A8C8254CF3B5AEC0A8F0",
        "4D64FEC119C2029067D6E791F8D2585B8783D481",
        "04B54C3CDCA79751B16BC6B5225629DF75B188BD",
        "5E04A1E3223A19A20706E20F9904613D4CCE68C6",
        "41587F7DB8C774BCCF131416762F67A0B2C39DE4",
    ];
    assert_eq!(TrustedKeys::debian().fingerprints(), expected);
    let readme = include_str!("keys/README.md");
    assert!(
        expected
            .iter()
            .all(|fingerprint| readme.contains(fingerprint))
    );
}

/// RSA and Ed25519 alike: self-signatures, bindings and back signatures of the real keys hold until 2031.
#[test]
fn every_real_key_can_sign_today_and_not_for_ever() {
    let keys = TrustedKeys::debian();
    for key in &keys.keys {
        let mut signers = vec![Signer { key, subkey: None }];
        signers.extend(key.public_subkeys.iter().map(|subkey| Signer {
            key,
            subkey: Some(subkey),
        }));
        for signer in signers {
            assert_eq!(
                signer.check_key(GOLDEN_NOW, GOLDEN_NOW),
                Ok(()),
                "{:X}",
                key.fingerprint()
            );
            assert_eq!(
                signer.check_key(GOLDEN_NOW, 2 * GOLDEN_NOW),
                Err("it has expired")
            );
        }
    }
}

#[test]
fn idx_4_the_real_keys_verify_a_real_release_file() {
    let text = verify(&TrustedKeys::debian(), GOLDEN, GOLDEN_NOW)
        .expect("signed by the security key of bookworm");
    assert!(
        text.starts_with("Origin: Debian\nLabel: Debian-Security\nSuite: oldstable-security\n"),
        "{text}"
    );
    assert!(
        GOLDEN.contains(text.trim_end()),
        "only the signed text, and all of it"
    );
}

#[test]
fn idx_4_expired_keys_do_not_count_except_for_a_pinned_release() {
    let keys = TrustedKeys::debian();
    let error = verify(&keys, GOLDEN, YEAR_2031).expect_err("the bookworm key has expired");
    assert!(
        error.contains("key B0CAB9266E8C3929798B3EEEBDE6D2B9216EC7A8: it has expired"),
        "{error}"
    );
    assert!(
        error.contains("key ED541312A33F1128F10B1C6C54404762BBB6E853 is not trusted"),
        "{error}"
    );
    assert!(
        keys.verify("debian test", GOLDEN.as_bytes(), Judged::WhenSigned)
            .is_ok()
    );
    let error = verify(&keys, GOLDEN, GOLDEN_NOW - 7 * 86_400).expect_err("before it was made");
    assert!(
        error.contains("the signature is from the future"),
        "{error}"
    );
}

#[test]
fn idx_4_a_changed_text_is_refused() {
    let error = verify(
        &TrustedKeys::debian(),
        &GOLDEN.replacen("Version: 12", "Version: 13", 1),
        GOLDEN_NOW,
    );
    let error = error.expect_err("changed");
    assert!(
        error.contains(
            "key B0CAB9266E8C3929798B3EEEBDE6D2B9216EC7A8: the signature does not fit the text"
        ),
        "{error}"
    );
}

#[test]
fn idx_4_only_the_signed_text_counts() {
    let keys = TrustedKeys::debian();
    for (changed, reason) in [
        (
            format!("Codename: evil\n\n{GOLDEN}"),
            "it starts with `Codename: evil`",
        ),
        (
            format!("{GOLDEN}\nCodename: evil\n"),
            "it stops before the end of its signature",
        ),
        (
            format!("{GOLDEN}{GOLDEN}"),
            "is not a clear-signed release file",
        ),
        (
            GOLDEN.replacen("\n\n", "\nCodename: evil\n\n", 1),
            "is not a clear-signed release file",
        ),
    ] {
        let error = verify(&keys, &changed, GOLDEN_NOW).expect_err(reason);
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn idx_1_other_documents_are_named() {
    let keys = TrustedKeys::debian();
    for (document, reason) in [
        (
            "<!DOCTYPE html><html>login</html>",
            "it is a web page; a proxy or a login page may stand in between",
        ),
        ("Origin: Debian\n", "it starts with `Origin: Debian`"),
        ("", "it starts with ``"),
    ] {
        let error = verify(&keys, document, GOLDEN_NOW).expect_err(reason);
        assert_eq!(
            error,
            format!("debian test is not a clear-signed release file: {reason}")
        );
    }
    let error = keys
        .verify("debian test", &[0xff, 0xfe], Judged::WhenSigned)
        .expect_err("not text");
    assert!(error.to_string().ends_with("it is not text"));
}

#[test]
fn all_2_a_truncated_message_is_refused() {
    let keys = TrustedKeys::debian();
    for end in (0..GOLDEN.trim_end().len()).step_by(997) {
        assert!(
            verify(&keys, &GOLDEN[..end], GOLDEN_NOW).is_err(),
            "cut at {end}"
        );
    }
}

#[test]
fn fresh_keys_of_both_kinds_sign_and_verify() {
    for owner in [rsa_key(), &secret_key(KeyType::Ed25519Legacy, true)] {
        let stranger = secret_key(KeyType::Ed25519Legacy, true);
        let message = signed(owner, TEXT);
        let text = verify(&ring(owner), &message, now()).expect("signed by the owner");
        assert_eq!(
            text.trim_end(),
            "Codename: test\nDate: today\n- dashes\n-- more\n last"
        );
        let armored = SignedPublicKey::from(owner.clone())
            .to_armored_bytes(Default::default())
            .expect("a key has a text");
        let both = TrustedKeys::of(&[public(&stranger), armored]).expect("two rings of one");
        assert!(verify(&both, &message, now()).is_ok());
        let error = verify(&ring(&stranger), &message, now()).expect_err("signed by a stranger");
        assert!(error.contains("is not trusted"), "{error}");
    }
}

/// A certificate that only vouches for others must not sign itself.
#[test]
fn a_key_that_is_not_for_signing_does_not_count() {
    let owner = secret_key(KeyType::Ed25519Legacy, false);
    let message = sign_with_primary(&owner, TEXT, pgp::crypto::hash::HashAlgorithm::Sha256);
    let error = verify(&ring(&owner), &message, now()).expect_err("the primary key only certifies");
    assert!(error.ends_with("it is not for signing"), "{error}");
    assert!(
        verify(&ring(&owner), &signed(&owner, TEXT), now()).is_ok(),
        "its subkey is for signing"
    );
}

#[test]
fn weak_hashes_do_not_count() {
    let owner = rsa_key();
    let message = sign_with_primary(owner, TEXT, pgp::crypto::hash::HashAlgorithm::Sha224);
    let error = verify(&ring(owner), &message, now()).expect_err("a short hash");
    assert!(error.ends_with("the signature uses a weak hash"), "{error}");
}

#[test]
fn a_ring_without_keys_is_refused() {
    assert!(TrustedKeys::parse(b"").is_err());
    assert!(TrustedKeys::parse(GOLDEN.as_bytes()).is_err());
}

fn now() -> u64 {
    u64::from(Timestamp::now().as_secs())
}

/// Made once, because searching for primes takes seconds without optimisation.
fn rsa_key() -> &'static SignedSecretKey {
    static KEY: std::sync::OnceLock<SignedSecretKey> = std::sync::OnceLock::new();
    KEY.get_or_init(|| secret_key(KeyType::Rsa(2048), true))
}

/// A primary key with one subkey for signing; the primary signs too if asked.
pub(in crate::lock::debian) fn secret_key(
    primary: KeyType,
    primary_signs: bool,
) -> SignedSecretKey {
    let mut subkey = SubkeyParamsBuilder::default();
    subkey
        .key_type(KeyType::Ed25519Legacy)
        .can_sign(true)
        .can_encrypt(EncryptionCaps::None);
    let mut key = SecretKeyParamsBuilder::default();
    key.key_type(primary)
        .can_certify(true)
        .can_sign(primary_signs)
        .can_encrypt(EncryptionCaps::None)
        .primary_user_id("Test archive <archive@test.example>".into())
        .subkeys(vec![subkey.build().expect("complete parameters")]);
    let key = key.build().expect("complete parameters");
    key.generate(rand::thread_rng()).expect("a key can be made")
}

/// Signs as archives do: with the subkey of keys that have a certify-only primary, else with the primary.
pub(in crate::lock::debian) fn signed(key: &SignedSecretKey, text: &str) -> String {
    if key.details.users[0].signatures[0].key_flags().sign() {
        return sign_with_primary(key, text, pgp::crypto::hash::HashAlgorithm::Sha512);
    }
    let subkey = &key.secret_subkeys[0].key;
    let message =
        CleartextSignedMessage::sign(rand::thread_rng(), text, subkey, &Password::empty());
    armored(message.expect("the subkey can sign"))
}

fn sign_with_primary(
    key: &SignedSecretKey,
    text: &str,
    hash: pgp::crypto::hash::HashAlgorithm,
) -> String {
    let primary = &key.primary_key;
    let mut config = SignatureConfig::from_key(rand::thread_rng(), primary, SignatureType::Text)
        .expect("a signing key");
    config.hash_alg = hash;
    let subpackets = [
        SubpacketData::SignatureCreationTime(Timestamp::now()),
        SubpacketData::IssuerFingerprint(primary.fingerprint()),
    ];
    let regular = |data| Subpacket::regular(data).expect("a plain subpacket");
    config.hashed_subpackets = subpackets.into_iter().map(regular).collect();
    let message = CleartextSignedMessage::new(text, config, primary, &Password::empty());
    armored(message.expect("the primary key can sign"))
}

fn armored(message: CleartextSignedMessage) -> String {
    message.to_armored_string(Default::default()).expect("text")
}

fn public(key: &SignedSecretKey) -> Vec<u8> {
    SignedPublicKey::from(key.clone())
        .to_bytes()
        .expect("a key has bytes")
}

pub(in crate::lock::debian) fn ring(key: &SignedSecretKey) -> TrustedKeys {
    TrustedKeys::parse(&public(key)).expect("a ring of one")
}
