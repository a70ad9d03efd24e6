//! The nearest names for one that does not exist.

use super::universe::Universe;

/// How many names a message holds.
const SHOWN: usize = 3;

/// The names most like the given one, the nearest first.
pub(super) fn nearest(universe: &Universe<'_>, name: &str) -> Vec<String> {
    let wanted = name.to_ascii_lowercase();
    let real = universe.packages().map(|(_, package)| package.name);
    // Names that are only provided count as well: installing one may choose its provider.
    let mut ranked: Vec<_> = real
        .chain(universe.provided_names())
        .filter_map(|candidate| Some((distance(&wanted, candidate)?, candidate)))
        .collect();
    ranked.sort_unstable();
    ranked.dedup();
    ranked
        .into_iter()
        .take(SHOWN)
        .map(|(_, candidate)| candidate.to_owned())
        .collect()
}

/// How far two names are apart, `None` when too far to be meant.
///
/// A third of the letters may differ. A name that continues the wanted one counts as near, because versions and
/// `-dev` are what people leave out (`libgl` for `libgl1`, `python-dev` for `python3-dev`).
fn distance(wanted: &str, candidate: &str) -> Option<usize> {
    let most = (wanted.len() / 3).clamp(1, 4);
    let longer = candidate.len().saturating_sub(wanted.len());
    if wanted.len() >= 4 && candidate.starts_with(wanted) && longer <= most * 2 {
        return Some(longer.div_ceil(2));
    }
    if wanted.len().abs_diff(candidate.len()) > most {
        return None;
    }
    edits(wanted.as_bytes(), candidate.as_bytes(), most)
}

/// Insertions, deletions and replacements that turn one into the other, if at most `most`.
fn edits(left: &[u8], right: &[u8], most: usize) -> Option<usize> {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (place, byte) in left.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = place + 1;
        for column in 1..row.len() {
            let replaced = diagonal + usize::from(right[column - 1] != *byte);
            diagonal = row[column];
            row[column] = replaced.min(row[column] + 1).min(row[column - 1] + 1);
        }
        if row.iter().all(|edits| *edits > most) {
            return None;
        }
    }
    row.last().copied().filter(|edits| *edits <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (wanted, candidate, expected) in [
            ("ffmpeg", "ffmpeg", Some(0)),
            ("ffmpg", "ffmpeg", Some(1)),
            ("libgl", "libgl1", Some(1)),
            ("python-dev", "python3-dev", Some(1)),
            ("libsndfile", "libsndfile1-dev", Some(3)),
            ("git", "gawk", None),
            ("a", "bcdef", None),
            ("", "ab", None),
        ] {
            assert_eq!(
                distance(wanted, candidate),
                expected,
                "{wanted} {candidate}"
            );
        }
    }
}
