//! Evidence: the run directory, the histograms, the receipts, the accounting, the CloudWatch pull; joined
//! into levels (`model`, plain data).

pub mod accounting;
pub mod actions;
pub mod append;
pub mod attempts;
pub mod calibrate;
pub mod cells;
pub mod cloudwatch;
pub mod collector;
pub mod confirm;
pub mod dead_letters;
pub mod drawn;
pub mod error;
pub mod events;
pub mod existing;
mod expired;
pub mod gaps;
pub mod hlog;
pub mod join;
mod kinesis_number;
pub mod model;
mod plausible;
pub mod pulled;
pub mod receipts;
pub mod recorder;
pub mod recovery;
mod reread;
pub mod rundir;
pub mod sends;
pub mod sequences;
#[cfg(test)]
pub(crate) mod testing;
mod windows;

pub use error::EvidenceError;

use std::path::Path;

/// Reads the run directory at `dir` and joins its files. Same directory, same evidence.
///
/// # Errors
/// As [`join::load_with`].
pub fn load(dir: &Path) -> Result<model::Evidence, EvidenceError> {
    join::load_with(
        dir,
        &join::Rooms {
            parse: &|text, files| {
                let parsed = crate::plan::parse_with(text, files);
                parsed.map_err(|errors| errors.in_file("plan").to_string())
            },
            picker: &|keys| {
                let picker = crate::load::keys::KeyPicker::new(keys);
                Box::new(move |sequence| picker.index(sequence))
            },
        },
    )
}
pub use join::{Rooms, load_with};
