//! Which extra fields a header may carry.
//!
//! Most extra fields are notes (times, owners, alignment) and left alone. Two of them are instructions that some
//! readers follow, for long sizes and for names; those must repeat what the header says.

use rawzip::extra_fields::{ExtraFieldId, ExtraFields};

/// Checks the extra fields of a header with this name and these sizes (and place, in the directory). The problem it
/// returns reads on from the member's name.
pub(super) fn check(
    mut fields: ExtraFields<'_>,
    name: &[u8],
    values: &[u64],
) -> Result<(), &'static str> {
    let mut seen_zip64 = false;
    for (id, data) in fields.by_ref() {
        if id == ExtraFieldId::ZIP64 {
            if std::mem::replace(&mut seen_zip64, true) {
                return Err("has two zip64 fields");
            }
            check_zip64(data, values)?;
        }
        // One byte of version and four of checksum, then the name.
        if id == ExtraFieldId::INFO_ZIP_UNICODE_PATH && data.get(5..) != Some(name) {
            return Err("has another name in its Unicode-name field");
        }
    }
    // Up to three zero bytes are padding, as tools write it that align contents.
    let rest = fields.remaining_bytes();
    if rest.len() > 3 || rest.iter().any(|byte| *byte != 0) {
        return Err("has damaged extra fields");
    }
    Ok(())
}

/// A zip64 field holds those of the values, in this order, that the header has no room for. Some archivers put values
/// there without need, which harms nobody as long as they are the same.
fn check_zip64(data: &[u8], values: &[u64]) -> Result<(), &'static str> {
    let (numbers, volume) = data.as_chunks::<8>();
    let mut values = values.iter();
    for number in numbers {
        if !values.any(|value| *value == u64::from_le_bytes(*number)) {
            return Err("has a zip64 field that differs from its header");
        }
    }
    match volume {
        [] | [0, 0, 0, 0] => Ok(()),
        _ => Err("has a zip64 field of a wrong length"),
    }
}
