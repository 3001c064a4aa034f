//! Run ids.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// `20261121-013240-k3f9`: UTC start time and four random characters; sorts by time, 20 characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);

pub const RUN_ID_LEN: usize = 20;

#[derive(Debug, thiserror::Error)]
#[error("'{0}' is not a run id such as 20261121-013240-k3f9")]
pub struct BadRunId(String);

impl RunId {
    /// A new id: `now_us` (microseconds since the epoch) as UTC to the second, then four random characters
    /// that tell runs of one second apart. Years outside 0..=9999 are clamped.
    pub fn new(now_us: i64, rng: &mut fastrand::Rng) -> RunId {
        let seconds = now_us.div_euclid(1_000_000).clamp(YEAR_0_S, YEAR_9999_END_S);
        let (year, month, day) = civil_from_days(seconds.div_euclid(86_400));
        let of_day = seconds.rem_euclid(86_400);
        let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
        let mut text = format!("{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}-");
        for _ in 0..4 {
            text.push(char::from(RANDOM_ALPHABET[rng.usize(..RANDOM_ALPHABET.len())]));
        }
        RunId(text)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

const RANDOM_ALPHABET: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
const YEAR_0_S: i64 = -62_167_219_200;
const YEAR_9999_END_S: i64 = 253_402_300_799;

/// (year, month, day) of a day counted from 1970-01-01, in the proleptic Gregorian calendar. By hand
/// because the function's binary carries no calendar library. The algorithm is Howard Hinnant's
/// `civil_from_days` (<https://howardhinnant.github.io/date_algorithms.html>).
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

impl FromStr for RunId {
    type Err = BadRunId;
    fn from_str(text: &str) -> Result<RunId, BadRunId> {
        let bytes = text.as_bytes();
        let well_formed = bytes.len() == RUN_ID_LEN
            && bytes.iter().enumerate().all(|(i, byte)| match i {
                8 | 15 => *byte == b'-',
                0..=14 => byte.is_ascii_digit(),
                _ => byte.is_ascii_digit() || byte.is_ascii_lowercase(),
            });
        if well_formed { Ok(RunId(text.to_owned())) } else { Err(BadRunId(text.to_owned())) }
    }
}

impl TryFrom<String> for RunId {
    type Error = BadRunId;
    fn try_from(text: String) -> Result<RunId, BadRunId> {
        text.parse()
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> String {
        id.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_id_is_the_utc_time_and_four_characters() {
        let mut rng = fastrand::Rng::with_seed(1);
        for (now_us, date) in [
            (1_795_224_760_999_999, "20261121-013240-"),
            (0, "19700101-000000-"),
            (951_782_400_000_000, "20000229-000000-"),
            (-1, "19691231-235959-"),
            (i64::MAX, "99991231-235959-"),
            (i64::MIN, "00000101-000000-"),
        ] {
            let id = RunId::new(now_us, &mut rng);
            assert!(id.as_str().starts_with(date), "{id}");
            assert_eq!(id.as_str().parse::<RunId>().ok(), Some(id));
        }
        assert_ne!(RunId::new(0, &mut rng), RunId::new(0, &mut rng));
    }

    #[test]
    fn accepts_only_its_own_form() {
        assert!("20261121-013240-k3f9".parse::<RunId>().is_ok());
        for bad in [
            "",
            "20261121-013240-k3f",
            "20261121_013240-k3f9",
            "2026112x-013240-k3f9",
            "../../etc/passwd/xxx",
        ] {
            assert!(bad.parse::<RunId>().is_err(), "{bad}");
        }
    }
}
