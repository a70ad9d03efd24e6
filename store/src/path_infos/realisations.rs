//! What derivations were realised as, in the form of Nix 2.8 to 2.34.
//!
//! Newer versions of Nix keep the same knowledge in another table under another key. This file is the seam: nobody else
//! knows table or key.

use cognix_derivations::{RealisationId, StorePath};
use rusqlite::{Connection, OptionalExtension as _};

/// The path that an identity was realised as, as text.
pub(super) fn find(
    connection: &Connection,
    id: &RealisationId,
) -> Result<Option<String>, rusqlite::Error> {
    connection
        .prepare_cached(
            "SELECT path FROM Realisations JOIN ValidPaths ON ValidPaths.id = outputPath
             WHERE drvPath = ?1 AND outputName = ?2",
        )?
        .query_row((drv_hash(id), id.output()), |row| row.get(0))
        .optional()
}

/// Records that an identity was realised as a valid path, for an identity that has no record yet.
pub(super) fn insert(
    connection: &Connection,
    id: &RealisationId,
    path: &StorePath,
) -> Result<(), rusqlite::Error> {
    connection
        .prepare_cached(
            // Nix reads the signatures without asking whether there are any: none is the empty text.
            "INSERT INTO Realisations (drvPath, outputName, outputPath, signatures)
             SELECT ?1, ?2, id, '' FROM ValidPaths WHERE path = ?3",
        )?
        .execute((drv_hash(id), id.output(), path.to_string()))?;
    Ok(())
}

fn drv_hash(id: &RealisationId) -> String {
    format!("sha256:{}", id.digest())
}
