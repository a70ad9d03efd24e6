//! Versions and names as `compareVersions`, `splitVersion` and `parseDrvName` read them.
//!
//! A version is a row of components: runs of digits, or runs of anything else, separated by dots and dashes and by the
//! change from digits to other bytes. Only numbers that fit 32 bits are compared as numbers, as in Nix.

use std::cmp::Ordering;

/// The components of a version, from left to right; separators are dropped.
pub(crate) fn components(version: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = version;
    std::iter::from_fn(move || {
        let start = rest.iter().position(|byte| !is_separator(*byte))?;
        rest = &rest[start..];
        let digits = rest[0].is_ascii_digit();
        let end = rest
            .iter()
            .position(|byte| byte.is_ascii_digit() != digits || is_separator(*byte))
            .unwrap_or(rest.len());
        let (component, after) = rest.split_at(end);
        rest = after;
        Some(component)
    })
}

/// Which of two versions is the older one. `pre` comes before everything, a missing component before a number, a
/// number after any other text.
pub(crate) fn compare(left: &[u8], right: &[u8]) -> Ordering {
    let (mut left, mut right) = (components(left), components(right));
    loop {
        let (a, b) = (left.next(), right.next());
        if a.is_none() && b.is_none() {
            return Ordering::Equal;
        }
        let (a, b) = (a.unwrap_or_default(), b.unwrap_or_default());
        if is_less(a, b) {
            return Ordering::Less;
        }
        if is_less(b, a) {
            return Ordering::Greater;
        }
    }
}

/// Splits the name of a package from its version: at the first dash that no letter follows.
pub(crate) fn split_name(name: &[u8]) -> (&[u8], &[u8]) {
    let dash = name
        .windows(2)
        .position(|pair| pair[0] == b'-' && !pair[1].is_ascii_alphabetic());
    match dash {
        Some(dash) => (&name[..dash], &name[dash + 1..]),
        None => (name, b""),
    }
}

const fn is_separator(byte: u8) -> bool {
    matches!(byte, b'.' | b'-')
}

fn is_less(a: &[u8], b: &[u8]) -> bool {
    match (number(a), number(b)) {
        (Some(a), Some(b)) => a < b,
        (_, Some(_)) if a.is_empty() => true,
        _ if a == b"pre" && b != b"pre" => true,
        _ if b == b"pre" => false,
        (_, Some(_)) => true,
        (Some(_), _) => false,
        _ => a < b,
    }
}

fn number(component: &[u8]) -> Option<i32> {
    if !component.first()?.is_ascii_digit() {
        return None;
    }
    std::str::from_utf8(component).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_nix_orders_them() {
        let check = |left: &str, right: &str, expected| {
            assert_eq!(
                compare(left.as_bytes(), right.as_bytes()),
                expected,
                "{left} {right}"
            );
            assert_eq!(
                compare(right.as_bytes(), left.as_bytes()),
                expected.reverse(),
                "{right} {left}"
            );
        };
        check("1.0", "2.3", Ordering::Less);
        check("2.1", "2.3", Ordering::Less);
        check("2.3", "2.3", Ordering::Equal);
        check("2.5", "2.3", Ordering::Greater);
        check("3.1", "2.3", Ordering::Greater);
        check("2.3.1", "2.3", Ordering::Greater);
        check("2.3.1", "2.3a", Ordering::Greater);
        check("2.3pre1", "2.3", Ordering::Less);
        check("2.3pre3", "2.3pre12", Ordering::Less);
        check("2.3a", "2.3c", Ordering::Less);
        check("2.3pre1", "2.3c", Ordering::Less);
        check("2.3pre1", "2.3q", Ordering::Less);
        check("1..-2", "1.2", Ordering::Equal);
        check("", "", Ordering::Equal);
        check("", "pre", Ordering::Greater);
        check("", "a", Ordering::Less);
        check("01", "1", Ordering::Equal);
        check("2147483648", "3", Ordering::Less);
        check("2147483648", "10000000000", Ordering::Greater);
    }

    #[test]
    fn a_name_ends_where_a_dash_is_followed_by_no_letter() {
        let check = |text: &str, name: &str, version: &str| {
            assert_eq!(
                split_name(text.as_bytes()),
                (name.as_bytes(), version.as_bytes())
            );
        };
        check("nix-0.12pre12876", "nix", "0.12pre12876");
        check("a-b-c-1234pre5+git", "a-b-c", "1234pre5+git");
        check("a-", "a-", "");
        check("a--1", "a", "-1");
        check("-1", "", "1");
        check("", "", "");
    }

    #[test]
    fn components_are_digits_or_others() {
        let check = |version: &str, expected: &[&str]| {
            let found: Vec<&[u8]> = components(version.as_bytes()).collect();
            let expected: Vec<&[u8]> = expected.iter().map(|text| text.as_bytes()).collect();
            assert_eq!(found, expected);
        };
        check("1.2.3", &["1", "2", "3"]);
        check("1.2pre10-a_b", &["1", "2", "pre", "10", "a_b"]);
        check("-..-", &[]);
    }
}
