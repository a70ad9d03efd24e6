//! Which text was signed by a key that we trust.
//!
//! A release file is one clear-signed message (RFC 9580, 7). Nothing outside the signed text is ever read, and the text
//! that is returned is the text that was hashed. A signature counts when its key is in the ring, could sign at that
//! time by its newest self-signature, is neither revoked nor expired, and the hash is SHA-256 or stronger.
//! One such signature is enough, since archives sign with an old and a new key while keys change.
//!
//! `verify_bindings` of the library is not used for keys: it fails for the whole key when one of many
//! certifications, also of strangers, does not verify. Here only a key's own signatures are looked at.

use pgp::composed::{CleartextSignedMessage, Deserializable, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureType, Subpacket, SubpacketData};
use pgp::types::{KeyDetails, Tag, VerifyingKey};

use super::error::DebianError;
use super::time;

/// The archive keys of bookworm and trixie; where they come from stands in `keys/README.md`.
const DEBIAN_KEYS: &[u8] = include_bytes!("keys/debian-archive.gpg");

/// The keys that may sign release files.
#[derive(Debug, Clone)]
pub struct TrustedKeys {
    keys: Vec<SignedPublicKey>,
}

impl TrustedKeys {
    /// Debian's own keys, as they were when this program was made.
    pub fn debian() -> Self {
        Self::parse(DEBIAN_KEYS).expect("the keys in this program are checked by a test")
    }

    /// Reads a key ring as `gpg --export` writes it, with or without `--armor`.
    pub fn parse(bytes: &[u8]) -> Result<Self, DebianError> {
        let unusable = |error: pgp::errors::Error| DebianError::Keyring(error.to_string());
        let keys = if bytes.trim_ascii_start().starts_with(b"-----BEGIN PGP") {
            let (keys, _) = SignedPublicKey::from_armor_many(bytes).map_err(unusable)?;
            keys.collect::<Result<Vec<_>, _>>().map_err(unusable)?
        } else {
            let keys = SignedPublicKey::from_bytes_many(bytes).map_err(unusable)?;
            keys.collect::<Result<Vec<_>, _>>().map_err(unusable)?
        };
        if keys.is_empty() {
            return Err(DebianError::Keyring("it holds no key".to_owned()));
        }
        Ok(Self { keys })
    }

    /// The keys of several rings, for an archive of one's own.
    pub fn of(rings: &[Vec<u8>]) -> Result<Self, DebianError> {
        let mut keys = Vec::new();
        for ring in rings {
            keys.append(&mut Self::parse(ring)?.keys);
        }
        Ok(Self { keys })
    }

    /// The fingerprints of the primary keys, in the order of the ring.
    pub fn fingerprints(&self) -> Vec<String> {
        self.keys
            .iter()
            .map(|key| format!("{:X}", key.fingerprint()))
            .collect()
    }

    /// The text of a clear-signed message that a key of this ring signed, with `\n` line ends.
    pub(super) fn verify(
        &self,
        release: &str,
        message: &[u8],
        judged: Judged,
    ) -> Result<String, DebianError> {
        let message = parse_message(release, message)?;
        let text = message.signed_text();
        let mut attempts = Vec::new();
        for signature in message.signatures() {
            match self.check(signature, &text, judged) {
                Ok(()) => return Ok(text.replace("\r\n", "\n")),
                Err(reason) => attempts.push(reason),
            }
        }
        if attempts.is_empty() {
            attempts.push("it holds no signature".to_owned());
        }
        Err(DebianError::Untrusted {
            release: release.to_owned(),
            attempts,
        })
    }

    fn check(&self, signature: &Signature, text: &str, judged: Judged) -> Result<(), String> {
        let issuer = issuer(signature);
        let candidates = self.keys.iter().flat_map(|key| {
            let subkeys = key.public_subkeys.iter().map(move |subkey| Signer {
                key,
                subkey: Some(subkey),
            });
            std::iter::once(Signer { key, subkey: None }).chain(subkeys)
        });
        let mut reason = format!("key {issuer} is not trusted");
        for signer in candidates.filter(|signer| signer.is_named_in(signature)) {
            match signer.check(signature, text, judged) {
                Ok(()) => return Ok(()),
                Err(refusal) => reason = format!("key {issuer}: {refusal}"),
            }
        }
        Err(reason)
    }
}

fn parse_message(release: &str, message: &[u8]) -> Result<CleartextSignedMessage, DebianError> {
    let refuse = |reason: String| DebianError::NotSigned {
        release: release.to_owned(),
        reason,
    };
    let text = std::str::from_utf8(message).map_err(|_| refuse("it is not text".to_owned()))?;
    if text.trim_start().starts_with('<') {
        return Err(refuse(
            "it is a web page; a proxy or a login page may stand in between".to_owned(),
        ));
    }
    if !text.starts_with("-----BEGIN PGP SIGNED MESSAGE-----") {
        let start = super::error::quoted(text.lines().next().unwrap_or_default());
        return Err(refuse(format!("it starts with {start}")));
    }
    if !text.trim_end().ends_with("-----END PGP SIGNATURE-----") {
        return Err(refuse(
            "it stops before the end of its signature".to_owned(),
        ));
    }
    let (message, _) =
        CleartextSignedMessage::from_string(text).map_err(|error| refuse(error.to_string()))?;
    Ok(message)
}

/// The moment at which keys and signatures must not have expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judged {
    /// Seconds since 1970.
    At(u64),
    /// When each signature says it was made: for what is trusted for another reason.
    WhenSigned,
}

/// A primary key, or a subkey with the primary key that vouches for it.
#[derive(Clone, Copy)]
struct Signer<'a> {
    key: &'a SignedPublicKey,
    subkey: Option<&'a SignedPublicSubKey>,
}

impl Signer<'_> {
    /// Whether the signature says that it is by this key; a signature that says nothing could be by any.
    fn is_named_in(&self, signature: &Signature) -> bool {
        let (fingerprint, key_id) = match self.subkey {
            Some(subkey) => (subkey.key.fingerprint(), subkey.key.legacy_key_id()),
            None => (
                self.key.primary_key.fingerprint(),
                self.key.primary_key.legacy_key_id(),
            ),
        };
        let (fingerprints, key_ids) = (signature.issuer_fingerprint(), signature.issuer_key_id());
        match fingerprints.is_empty() && key_ids.is_empty() {
            true => true,
            false => fingerprints.contains(&&fingerprint) || key_ids.contains(&&key_id),
        }
    }

    fn check(&self, signature: &Signature, text: &str, judged: Judged) -> Result<(), &'static str> {
        check_form(signature)?;
        let made = created(signature).ok_or("the signature does not say when it was made")?;
        let now = match judged {
            Judged::At(now) => now,
            Judged::WhenSigned => made,
        };
        if made > now.saturating_add(time::CLOCK_TOLERANCE) {
            return Err("the signature is from the future");
        }
        if expired(made, signature.signature_expiration_time(), now) {
            return Err("the signature has expired");
        }
        self.check_key(made, now)?;
        let verified = match self.subkey {
            Some(subkey) => signature.verify(&subkey.key, text.as_bytes()),
            None => signature.verify(&self.key.primary_key, text.as_bytes()),
        };
        verified.map_err(|_| "the signature does not fit the text")
    }

    /// Whether the key may sign, from its creation until now.
    fn check_key(&self, made: u64, now: u64) -> Result<(), &'static str> {
        let primary = &self.key.primary_key;
        let details = &self.key.details;
        if details
            .revocation_signatures
            .iter()
            .any(|revocation| revocation.verify_key(primary).is_ok())
        {
            return Err("it was revoked");
        }
        let of_users = details.users.iter().flat_map(|user| {
            let valid = |own: &&Signature| {
                own.verify_certification(primary, Tag::UserId, &user.id)
                    .is_ok()
            };
            user.signatures
                .iter()
                .filter(|own| own.is_certification() && is_by(own, primary))
                .filter(valid)
        });
        let direct = details
            .direct_signatures
            .iter()
            .filter(|own| own.verify_key(primary).is_ok());
        // Debian's keys also sign themselves to name who may revoke them; those signatures say neither what the key is
        // for nor when it expires, and must not hide the ones that do.
        let own = of_users
            .chain(direct)
            .filter(|own| says_what_for(own))
            .max_by_key(|own| created(own));
        let own = own.ok_or("it has no valid self-signature")?;
        check_lifetime(seconds(primary), own, made, now)?;
        match self.subkey {
            Some(subkey) => check_subkey(primary, subkey, made, now),
            None if own.key_flags().sign() => Ok(()),
            None => Err("it is not for signing"),
        }
    }
}

/// The signature covers text, with a hash that nobody can forge.
fn check_form(signature: &Signature) -> Result<(), &'static str> {
    if !matches!(
        signature.typ(),
        Some(SignatureType::Text | SignatureType::Binary)
    ) {
        return Err("the signature is not one over text");
    }
    match signature.hash_alg() {
        Some(
            HashAlgorithm::Sha256
            | HashAlgorithm::Sha384
            | HashAlgorithm::Sha512
            | HashAlgorithm::Sha3_256
            | HashAlgorithm::Sha3_512,
        ) => Ok(()),
        _ => Err("the signature uses a weak hash"),
    }
}

/// The primary key binds the subkey, and the subkey agrees (RFC 9580, 5.2.1.9), so that none can be adopted.
fn check_subkey<K>(
    primary: &K,
    subkey: &SignedPublicSubKey,
    made: u64,
    now: u64,
) -> Result<(), &'static str>
where
    K: VerifyingKey + pgp::ser::Serialize,
{
    let valid = |own: &&Signature| own.verify_subkey_binding(primary, &subkey.key).is_ok();
    let valid: Vec<_> = subkey.signatures.iter().filter(valid).collect();
    if valid
        .iter()
        .any(|own| own.typ() == Some(SignatureType::SubkeyRevocation))
    {
        return Err("it was revoked");
    }
    let own = valid
        .into_iter()
        .max_by_key(|own| created(own))
        .ok_or("its primary key does not vouch for it")?;
    let agrees = |back: &Signature| {
        back.verify_primary_key_binding(&subkey.key, primary)
            .is_ok()
    };
    if !own.key_flags().sign() || !own.embedded_signature().is_some_and(agrees) {
        return Err("it is not for signing");
    }
    check_lifetime(seconds(&subkey.key), own, made, now)
}

fn check_lifetime(born: u64, own: &Signature, made: u64, now: u64) -> Result<(), &'static str> {
    if made < born {
        return Err("the signature is older than the key");
    }
    match expired(born, own.key_expiration_time(), now) {
        true => Err("it has expired"),
        false => Ok(()),
    }
}

/// An absent time and zero both mean "never".
fn expired(start: u64, after: Option<pgp::types::Duration>, now: u64) -> bool {
    let after = after.map_or(0, |duration| u64::from(duration.as_secs()));
    after != 0 && start.saturating_add(after) <= now
}

fn is_by(signature: &Signature, key: &impl KeyDetails) -> bool {
    let (fingerprints, key_ids) = (signature.issuer_fingerprint(), signature.issuer_key_id());
    fingerprints.contains(&&key.fingerprint()) || key_ids.contains(&&key.legacy_key_id())
}

fn says_what_for(signature: &Signature) -> bool {
    let is_flags = |subpacket: &Subpacket| matches!(subpacket.data, SubpacketData::KeyFlags(_));
    signature
        .config()
        .is_some_and(|config| config.hashed_subpackets().any(is_flags))
}

fn created(signature: &Signature) -> Option<u64> {
    signature.created().map(|time| u64::from(time.as_secs()))
}

fn seconds(key: &impl KeyDetails) -> u64 {
    u64::from(key.created_at().as_secs())
}

fn issuer(signature: &Signature) -> String {
    match (
        signature.issuer_fingerprint().first(),
        signature.issuer_key_id().first(),
    ) {
        (Some(fingerprint), _) => format!("{fingerprint:X}"),
        (None, Some(key_id)) => key_id.to_string().to_uppercase(),
        (None, None) => "of an unnamed issuer".to_owned(),
    }
}

#[cfg(test)]
#[path = "signature_tests.rs"]
pub(super) mod tests;
