//! Makes the library's errors fit to be printed.

use std::error::Error as StdError;

/// An error of the library with everything below it in one line, fit to be printed.
pub(crate) fn explain(error: &(dyn StdError + 'static)) -> String {
    let mut text = String::new();
    for error in std::iter::successors(Some(error), |&error| error.source()) {
        let line = clean(error.to_string().trim());
        if !line.is_empty() && !text.contains(&line) {
            text.push_str(if text.is_empty() { "" } else { ": " });
            text.push_str(&line);
        }
    }
    if text.contains("UnknownIssuer") {
        text.push_str(
            " (SSL_CERT_FILE may name a file with the certificate authorities to believe)",
        );
    }
    text
}

/// Text of the library without terminal colours, control characters, credentials and signed queries.
pub(crate) fn clean(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\u{1b}' => drop(characters.by_ref().find(char::is_ascii_alphabetic)),
            '\n' => plain.push(character),
            character if character.is_control() => plain.extend(character.escape_default()),
            character => plain.push(character),
        }
    }
    let mut shown = String::with_capacity(plain.len());
    let mut rest = plain.as_str();
    while let Some(start) = rest.find("://") {
        let (before, address) = rest.split_at(start + 3);
        let ends = |character: char| character.is_whitespace() || "`'\"()<>,".contains(character);
        let (address, after) = address.split_at(address.find(ends).unwrap_or(address.len()));
        let address = address.split('?').next().unwrap_or(address);
        let host = address.find('/').unwrap_or(address.len());
        shown.push_str(before);
        shown.push_str(address[..host].rsplit('@').next().unwrap_or_default());
        shown.push_str(&address[host..]);
        rest = after;
    }
    shown + rest
}
