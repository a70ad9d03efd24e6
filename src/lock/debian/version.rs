//! The order of Debian versions, as Debian policy 5.6.12 defines it and dpkg applies it.
//!
//! A version is `[epoch:]upstream[-revision]`. Parts are compared by alternating runs: first the longest prefix
//! without digits, in which `~` sorts before the end of the part, letters before other characters; then the longest
//! prefix of digits, as a number. Numbers are compared as text of digits, so that no length overflows.
//! The syntax is not checked here: what stands in a signed index is taken as it is.

use std::cmp::Ordering;

use super::relation::Operator;

/// Compares two versions; an absent epoch is zero, an absent revision sorts like `0`.
pub fn compare(left: &str, right: &str) -> Ordering {
    let (left, right) = (Parts::of(left), Parts::of(right));
    compare_part(left.epoch, right.epoch)
        .then_with(|| compare_part(left.upstream, right.upstream))
        .then_with(|| compare_part(left.revision, right.revision))
}

/// Whether a version meets a constraint such as `>= 2.36`.
pub fn satisfies(version: &str, operator: Operator, bound: &str) -> bool {
    let order = compare(version, bound);
    match operator {
        Operator::Earlier => order.is_lt(),
        Operator::EarlierOrEqual => order.is_le(),
        Operator::Equal => order.is_eq(),
        Operator::LaterOrEqual => order.is_ge(),
        Operator::Later => order.is_gt(),
    }
}

struct Parts<'a> {
    epoch: &'a [u8],
    upstream: &'a [u8],
    revision: &'a [u8],
}

impl<'a> Parts<'a> {
    fn of(version: &'a str) -> Self {
        let (epoch, rest) = version.split_once(':').unwrap_or(("", version));
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
        Self {
            epoch: epoch.as_bytes(),
            upstream: upstream.as_bytes(),
            revision: revision.as_bytes(),
        }
    }
}

fn compare_part(mut left: &[u8], mut right: &[u8]) -> Ordering {
    while !left.is_empty() || !right.is_empty() {
        let order =
            compare_text(&mut left, &mut right).then_with(|| compare_number(&mut left, &mut right));
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}

/// Consumes both prefixes without digits, byte by byte; the end of a prefix has weight zero.
fn compare_text(left: &mut &[u8], right: &mut &[u8]) -> Ordering {
    loop {
        let (first, second) = (weight(left), weight(right));
        if first != second {
            return first.cmp(&second);
        }
        let text = |part: &[u8]| part.first().is_some_and(|byte| !byte.is_ascii_digit());
        if !text(left) {
            // Equal weights: the other one has ended as well.
            return Ordering::Equal;
        }
        *left = &left[1..];
        *right = &right[1..];
    }
}

fn weight(part: &[u8]) -> i32 {
    match part.first() {
        None => 0,
        Some(byte) if byte.is_ascii_digit() => 0,
        Some(b'~') => -1,
        Some(byte) if byte.is_ascii_alphabetic() => i32::from(*byte),
        Some(byte) => i32::from(*byte) + 256,
    }
}

fn compare_number(left: &mut &[u8], right: &mut &[u8]) -> Ordering {
    let (first, second) = (take_number(left), take_number(right));
    first
        .len()
        .cmp(&second.len())
        .then_with(|| first.cmp(second))
}

/// The leading digits without leading zeros.
fn take_number<'a>(part: &mut &'a [u8]) -> &'a [u8] {
    let end = part
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(part.len());
    let (digits, rest) = part.split_at(end);
    *part = rest;
    let start = digits
        .iter()
        .position(|byte| *byte != b'0')
        .unwrap_or(digits.len());
    &digits[start..]
}

#[cfg(test)]
#[path = "version_tests.rs"]
mod tests;
