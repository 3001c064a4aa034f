//! Latency by percentile, a line for each level.

use crate::evidence::drawn::Quantile;
use crate::evidence::model::{LevelEvidence, TestEvidence};
use crate::verdict;

/// Lines that can be told apart, besides that of the service time.
const LEVELS_MAX: usize = 5;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spectra {
    /// In the order of the test.
    pub put: Vec<Spectrum>,
    /// Of the level among them whose latency is the longest.
    pub service: Option<Spectrum>,
    /// Levels that are judged, too, and not drawn: those of the lowest rates.
    pub left_out: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Spectrum {
    pub level: String,
    pub points: Vec<Quantile>,
}

/// Of the judged levels, or of all where none of those was measured. A void level says nothing about the pipeline.
pub(super) fn of(test: &TestEvidence) -> Spectra {
    let measured = |level: &&LevelEvidence| !level.put_spectrum.is_empty() && level.void.is_none();
    let mut levels: Vec<&LevelEvidence> = verdict::judged_levels(test).into_iter().filter(measured).collect();
    if levels.is_empty() {
        levels = test.levels.iter().filter(measured).collect();
    }
    levels.sort_by(|left, right| right.achieved_rps.total_cmp(&left.achieved_rps));
    let left_out = levels.split_off(levels.len().min(LEVELS_MAX));
    levels.sort_by_key(|level| level.index);
    let p99 = |level: &LevelEvidence| level.put_latency.map_or(0.0, |put| put.p99);
    let worst = levels.iter().max_by(|left, right| p99(left).total_cmp(&p99(right)));
    let spectrum = |level: &LevelEvidence, points: &[Quantile]| Spectrum {
        level: level.name.clone(),
        points: points.to_vec(),
    };
    Spectra {
        service: worst
            .filter(|level| !level.service_spectrum.is_empty())
            .map(|level| spectrum(level, &level.service_spectrum)),
        put: levels.iter().map(|level| spectrum(level, &level.put_spectrum)).collect(),
        left_out: left_out.iter().map(|level| level.name.clone()).collect(),
    }
}
