//! The load's shape as meant: keys, arrivals, and a series of rates cut into stages.

use std::time::Duration;

use super::KEYS_MAX;
use super::model::*;
use super::resolve::{Place, RATE_MAX, Resolver};
use super::resolve_test::{STAGE_MAX, STAGE_MIN};
use super::series::{self, Row};
use super::typed::StageDoc;
use super::typed_shapes::{ArrivalProcessDoc, ArrivalsDoc, GapsDoc, KeyDistributionDoc, KeysDoc, RatesDoc};

const SEED_DEFAULT: u64 = 1;
const SEED_MAX: u64 = i64::MAX as u64;
const ZIPF_EXPONENT_DEFAULT: f64 = 1.0;
const ZIPF_EXPONENT_MAX: f64 = 10.0;
const HOT_SHARE_DEFAULT: f64 = 0.5;
/// Levels of one series. A plan has room for 999, and a reader for fewer: a day of one-minute rates makes 48
/// levels of half an hour.
const SERIES_LEVELS_MAX: usize = 60;
/// Rows that make a level, so that a level lasts as long as people count time.
const ROWS_OF_A_LEVEL: [usize; 12] = [1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60];

impl Resolver<'_> {
    pub(super) fn arrivals(
        &mut self,
        arrivals: Option<ArrivalsDoc>,
        otherwise: Arrivals,
        at: &Place<'_>,
    ) -> Arrivals {
        let Some(ArrivalsDoc { process, seed }) = arrivals else { return otherwise };
        let given = self.whole(seed, &at.key("seed"), 0..=SEED_MAX, SEED_DEFAULT);
        match process {
            ArrivalProcessDoc::Poisson => Arrivals::Poisson { seed: given },
            ArrivalProcessDoc::Even => {
                if seed.is_some() {
                    self.unexpected(&at.key("seed"), "nothing: even arrivals have no seed");
                }
                Arrivals::Even
            }
        }
    }

    pub(super) fn keys(&mut self, keys: Option<KeysDoc>, otherwise: &Keys, at: &Place<'_>) -> Keys {
        let Some(keys) = keys else { return *otherwise };
        let keys = Keys {
            count: self.whole(keys.count, &at.key("count"), 1..=KEYS_MAX, otherwise.count),
            seed: self.whole(keys.seed, &at.key("seed"), 0..=SEED_MAX, otherwise.seed),
            distribution: self.distribution(&keys, otherwise.distribution, at),
        };
        if matches!(keys.distribution, KeyDistribution::Hot { .. }) && keys.count < 2 {
            let expected = "at least 2 keys: a hot one and others";
            self.wrong(&at.key("count"), format!("the number {}", keys.count), expected);
        }
        keys
    }

    /// The keys of one test, which must suffice for the stream.
    pub(super) fn keys_for(
        &mut self,
        environment: &Environment,
        keys: Option<KeysDoc>,
        otherwise: &Keys,
        at: &Place<'_>,
    ) -> Keys {
        let keys = self.keys(keys, otherwise, at);
        let stream = &environment.stream;
        let too_few = stream.mode == StreamMode::Provisioned && keys.count < stream.shards;
        if keys.distribution == KeyDistribution::RoundRobin && too_few {
            let expected = format!("at least {}: a key for each shard", stream.shards);
            self.wrong(&at.key("count"), format!("{} keys that take turns", keys.count), expected);
        }
        keys
    }

    fn distribution(
        &mut self,
        keys: &KeysDoc,
        otherwise: KeyDistribution,
        at: &Place<'_>,
    ) -> KeyDistribution {
        let named = keys.distribution;
        let is_zipf = named == Some(KeyDistributionDoc::Zipf)
            || named.is_none() && matches!(otherwise, KeyDistribution::Zipf { .. });
        let is_hot = named == Some(KeyDistributionDoc::Hot)
            || named.is_none() && matches!(otherwise, KeyDistribution::Hot { .. });
        if keys.exponent.is_some() && !is_zipf {
            self.unexpected(&at.key("exponent"), "nothing without `distribution: zipf`");
        }
        if keys.hot_share.is_some() && !is_hot {
            self.unexpected(&at.key("hot_share"), "nothing without `distribution: hot`");
        }
        match named {
            _ if is_zipf => {
                let default = match otherwise {
                    KeyDistribution::Zipf { exponent } => exponent,
                    _ => ZIPF_EXPONENT_DEFAULT,
                };
                let exponent = keys.exponent.unwrap_or(default);
                if !(0.0..=ZIPF_EXPONENT_MAX).contains(&exponent) {
                    self.unexpected(&at.key("exponent"), format!("0 to {ZIPF_EXPONENT_MAX}"));
                }
                KeyDistribution::Zipf { exponent }
            }
            _ if is_hot => {
                let default = match otherwise {
                    KeyDistribution::Hot { share } => share,
                    _ => HOT_SHARE_DEFAULT,
                };
                KeyDistribution::Hot { share: self.share(keys.hot_share.as_deref(), at, default) }
            }
            Some(KeyDistributionDoc::RoundRobin) => KeyDistribution::RoundRobin,
            Some(_) => KeyDistribution::Uniform,
            None => otherwise,
        }
    }

    fn share(&mut self, text: Option<&str>, at: &Place<'_>, default: f64) -> f64 {
        let Some(text) = text else { return default };
        match text.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok()) {
            Some(percent) if percent > 0.0 && percent <= 100.0 => percent / 100.0,
            _ => {
                self.unexpected(&at.key("hot_share"), "a percentage above 0% and up to 100%, such as 50%");
                default
            }
        }
    }

    /// What the test sends: its stages, or the series that stands instead of them.
    pub(super) fn load(
        &mut self,
        stages: Option<Vec<StageDoc>>,
        rates: Option<RatesDoc>,
        test_at: &Place<'_>,
    ) -> Vec<Stage> {
        match rates {
            None => self.stages(stages, &test_at.key("stages")),
            Some(rates) => {
                if stages.is_some() {
                    self.unexpected(&test_at.key("stages"), "nothing beside `rates`");
                }
                self.rates(rates, &test_at.key("rates")).unwrap_or_default()
            }
        }
    }

    /// The series cut into stages; `None` when something about it was reported as wrong.
    fn rates(&mut self, rates: RatesDoc, at: &Place<'_>) -> Option<Vec<Stage>> {
        let scale = self.scale(rates.scale, &at.key("scale"));
        let last_at = at.key("last_row");
        let given = rates.last_row.as_ref();
        let given = given.map(|text| self.duration(Some(text), &last_at, STAGE_MIN..=STAGE_MAX, STAGE_MIN));
        let file_at = at.key("file");
        let Some(file) = rates.file else {
            self.missing(&file_at, "the path of a CSV file, relative to the plan");
            return None;
        };
        let content = self.file(&file, &file_at, series::FILE_MAX_BYTES)?;
        let text = self.text_of(&file, &content)?;
        let mut rows = match series::read(text, matches!(rates.gaps, Some(GapsDoc::Hold))) {
            Ok(rows) => rows,
            Err(wrong) => {
                for wrong in wrong {
                    self.wrong_in_file(&file, wrong.position, &wrong.field, wrong.found, wrong.expected);
                }
                return None;
            }
        };
        for row in &mut rows {
            row.rps *= scale;
        }
        let highest = rows.iter().map(|row| row.rps).fold(0.0, f64::max);
        if highest > RATE_MAX {
            self.wrong(
                &at.key("scale"),
                format!("{highest} records a second"),
                format!("at most {RATE_MAX}"),
            );
        } else if highest == 0.0 {
            self.wrong(&file_at, "a series that sends nothing", "at least one rate above 0");
        }
        let before_last = rows.windows(2).last().map(|pair| pair[1].after - pair[0].after);
        let Some(last) = given.or(before_last) else {
            self.wrong(&last_at, "nothing, and a series of one row", "how long the row lasts");
            return None;
        };
        let end = rows.last().map_or(Duration::ZERO, |row| row.after) + last;
        if end > STAGE_MAX {
            self.wrong(&file_at, "a series of more than 31 days", "at most 31 days");
            return None;
        }
        Some(stages_of(&rows, end))
    }

    fn scale(&mut self, scale: Option<f64>, at: &Place<'_>) -> f64 {
        let scale = scale.unwrap_or(1.0);
        if scale.is_finite() && scale > 0.0 {
            return scale;
        }
        self.unexpected(at, "a number above 0");
        1.0
    }
}

/// Consecutive rows become a stage: as many that the stages are few, and a stage's length is a round one where
/// the rows' is.
fn stages_of(rows: &[Row], end: Duration) -> Vec<Stage> {
    let least = rows.len().div_ceil(SERIES_LEVELS_MAX);
    let round = ROWS_OF_A_LEVEL.into_iter().find(|rows| *rows >= least);
    let rows_of_a_level = round.unwrap_or_else(|| least.next_multiple_of(60));
    let starts = (0..rows.len()).step_by(rows_of_a_level);
    let stage = |start: usize| {
        let after = (start + rows_of_a_level).min(rows.len());
        let stage_end = rows.get(after).map_or(end, |row| row.after);
        stage_of(&rows[start..after], stage_end)
    };
    starts.map(stage).collect()
}

/// One stage of these rows: a hold where they are all the same.
fn stage_of(rows: &[Row], end: Duration) -> Stage {
    let start = rows[0].after;
    let ends = rows.iter().skip(1).map(|row| row.after).chain([end]);
    let records: f64 =
        rows.iter().zip(ends).map(|(row, end)| row.rps * (end - row.after).as_secs_f64()).sum();
    let duration = end - start;
    let is_hold = rows.iter().all(|row| row.rps == rows[0].rps);
    let mean_rps = if is_hold { rows[0].rps } else { records / duration.as_secs_f64() };
    let step = |row: &Row| RateStep { after: row.after - start, rps: row.rps };
    Stage {
        duration,
        from_rps: mean_rps,
        target_rps: mean_rps,
        kind: if is_hold { StageKind::Hold } else { StageKind::Replay },
        steps: if is_hold { [].into() } else { rows.iter().map(step).collect() },
        poison: 0,
        actions: Vec::new(),
    }
}
