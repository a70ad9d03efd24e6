//! The hash of a certificate's subject, under which OpenSSL finds it in a folder.
//!
//! It is the first four bytes, little-endian, of the SHA-1 over the subject's parts in canonical form: texts of the
//! usual kinds as UTF-8, in lower case as far as they are ASCII, without blanks at the ends and with single blanks inside;
//! everything else as it stands; without the outermost header. Only this is read of a certificate; nothing is verified,
//! because the package that ships it was.

use data_encoding::BASE64;
use sha1::{Digest as _, Sha1};

/// What the links need to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Certificate {
    /// The name of its hash link, as a number.
    pub(super) subject_hash: u32,
    /// The certificate itself, by which two are told apart.
    bytes: Vec<u8>,
}

/// Why a text is no certificate.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Problem(pub(super) &'static str);

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const UTF8: u8 = 0x0c;
const PRINTABLE: u8 = 0x13;
const T61: u8 = 0x14;
const IA5: u8 = 0x16;
const VISIBLE: u8 = 0x1a;
const UNIVERSAL: u8 = 0x1c;
const BMP: u8 = 0x1e;

impl Certificate {
    /// Reads the one certificate of a PEM file.
    pub(super) fn from_pem(text: &[u8]) -> Result<Self, Problem> {
        const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
        const END: &str = "-----END CERTIFICATE-----";
        let text = String::from_utf8_lossy(text);
        let (_, after) = text
            .split_once(BEGIN)
            .ok_or(Problem("no certificate in PEM form"))?;
        let (body, rest) = after
            .split_once(END)
            .ok_or(Problem("the certificate's end is missing"))?;
        if rest.contains(BEGIN) {
            return Err(Problem("more than one certificate"));
        }
        let body: Vec<u8> = body
            .bytes()
            .filter(|byte| !byte.is_ascii_whitespace())
            .collect();
        let bytes = BASE64
            .decode(&body)
            .map_err(|_| Problem("the certificate is not base64"))?;
        let subject_hash =
            subject_hash(&bytes).ok_or(Problem("the certificate's subject cannot be read"))?;
        Ok(Self {
            subject_hash,
            bytes,
        })
    }
}

/// One value of DER: its tag, its contents, and all of it.
struct Value<'a> {
    tag: u8,
    contents: &'a [u8],
    whole: &'a [u8],
}

/// Takes the first value off.
fn take<'a>(input: &mut &'a [u8]) -> Option<Value<'a>> {
    let (&tag, rest) = input.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (length, rest) = rest
            .split_at_checked(usize::from(first & 0x7f))
            .filter(|(length, _)| length.len() <= 4)?;
        (
            length
                .iter()
                .fold(0, |value, byte| value << 8 | usize::from(*byte)),
            rest,
        )
    };
    let (contents, rest) = rest.split_at_checked(length)?;
    let whole = &input[..input.len() - rest.len()];
    *input = rest;
    Some(Value {
        tag,
        contents,
        whole,
    })
}

fn take_tagged<'a>(input: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    take(input)
        .filter(|value| value.tag == tag)
        .map(|value| value.contents)
}

/// The subject is the sixth field of the certificate's inner part, or the fifth where the version is left out.
fn subject_hash(mut certificate: &[u8]) -> Option<u32> {
    const VERSION: u8 = 0xa0;
    let mut outer = take_tagged(&mut certificate, SEQUENCE)?;
    let mut fields = take_tagged(&mut outer, SEQUENCE)?;
    if fields.first() == Some(&VERSION) {
        take(&mut fields)?;
    }
    for _serial_algorithm_issuer_validity in 0..4 {
        take(&mut fields)?;
    }
    let subject = take_tagged(&mut fields, SEQUENCE)?;
    let digest = Sha1::digest(canonical_name(subject)?);
    Some(u32::from_le_bytes([
        digest[0], digest[1], digest[2], digest[3],
    ]))
}

fn canonical_name(mut name: &[u8]) -> Option<Vec<u8>> {
    let mut canonical = Vec::new();
    while !name.is_empty() {
        let mut set = take_tagged(&mut name, SET)?;
        let mut attributes = Vec::new();
        while !set.is_empty() {
            let mut attribute = take_tagged(&mut set, SEQUENCE)?;
            let kind = take(&mut attribute)?;
            let value = take(&mut attribute)?;
            let value = match text(&value) {
                Some(text) => encode(UTF8, squeeze(&text?).as_bytes()),
                None => value.whole.to_vec(),
            };
            attributes.push(encode(SEQUENCE, &[kind.whole, &value].concat()));
        }
        // A set has no order of its own, so DER gives it one.
        attributes.sort();
        canonical.extend(encode(SET, &attributes.concat()));
    }
    Some(canonical)
}

/// The text of a value of the usual kinds; none for another kind, and none inside when it is not the text it says.
fn text(value: &Value<'_>) -> Option<Option<String>> {
    let contents = value.contents;
    let latin = || Some(contents.iter().copied().map(char::from).collect());
    Some(match value.tag {
        UTF8 => String::from_utf8(contents.to_vec()).ok(),
        PRINTABLE | T61 | IA5 | VISIBLE => latin(),
        BMP => wide(contents, 2),
        UNIVERSAL => wide(contents, 4),
        _ => return None,
    })
}

fn wide(contents: &[u8], width: usize) -> Option<String> {
    let character = |bytes: &[u8]| {
        let number = bytes
            .iter()
            .fold(0, |value, byte| value << 8 | u32::from(*byte));
        char::from_u32(number).filter(|_| bytes.len() == width)
    };
    contents.chunks(width).map(character).collect()
}

fn squeeze(text: &str) -> String {
    let blank = |next: char| next.is_ascii_whitespace() || next == '\x0b';
    let words: Vec<&str> = text.split(blank).filter(|word| !word.is_empty()).collect();
    words.join(" ").to_ascii_lowercase()
}

fn encode(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = contents.len();
    let mut encoded = vec![tag];
    if length < 0x80 {
        encoded.push(length as u8);
    } else {
        let bytes: Vec<u8> = length
            .to_be_bytes()
            .into_iter()
            .skip_while(|byte| *byte == 0)
            .collect();
        encoded.push(0x80 | bytes.len() as u8);
        encoded.extend(bytes);
    }
    encoded.extend_from_slice(contents);
    encoded
}
