//! The nearest name to a misspelt one.

/// The one of `names` that is nearest to `name`, if one is near.
pub(crate) fn nearest<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let limit = match name.chars().count() {
        // Names of any length can stand in a text, and a distance takes the time of both lengths multiplied.
        0..=2 | 100.. => return None,
        3..=5 => 1,
        _ => 2,
    };
    let names = names.filter(|known| known.len() < 200);
    let scored = names.map(|known| (strsim::osa_distance(name, known), known));
    let near = scored.filter(|(distance, _)| *distance <= limit);
    near.min().map(|(_, known)| known)
}
