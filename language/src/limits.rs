//! How much an evaluation may take: a text from somebody else must not keep or fill a machine.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What an evaluation may use before it ends with an error.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of memory for values.
    pub memory: usize,
    /// How many function calls may be open at once, as Nix's `max-call-depth`.
    pub call_depth: usize,
    /// How many evaluation steps there may be: function calls and values that are forced.
    pub steps: u64,
    /// The largest file that is read as a value or as an expression, in bytes.
    pub file_size: usize,
    /// Set from outside to end the evaluation.
    pub cancelled: Option<Arc<AtomicBool>>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 4 << 30,
            call_depth: 10_000,
            steps: 300_000_000,
            file_size: 64 << 20,
            cancelled: None,
        }
    }
}
