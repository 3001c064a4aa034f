//! The grammar of `--fault`: `KIND[:KEY=VALUE,...]`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// One fault as asked for. `op` is the API operation that it keeps to; `None` is PutRecord and PutRecords,
/// `*` (not for `drop`) is every operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultSpec {
    /// Forget a record after it was acked, `count` times.
    Drop { count: u64, seed: u64, op: Option<String> },
    /// Deliver a batch once more after it succeeded, `count` times.
    Redeliver { count: u64, seed: u64 },
    /// Swap two records of one partition key inside a batch, `count` times.
    Swap { count: u64, seed: u64 },
    /// Do the work, then never answer.
    LostAnswer { share: Share, seed: u64, op: Option<String> },
    /// Answer with an internal error (HTTP 500) instead of doing the work.
    Error { per_million: u32, seed: u64, op: Option<String> },
    /// Refuse for throughput instead of doing the work.
    Throttle { per_million: u32, seed: u64, op: Option<String> },
    /// Hold every request this long before doing the work.
    Latency { delay: Duration, op: Option<String> },
    /// Hold requests for `hold`, once in every `every`, counted from the first request.
    Stall { every: Duration, hold: Duration, op: Option<String> },
}

impl FaultSpec {
    /// Whether it strikes requests as a whole, in front of a service; the others strike inside.
    pub fn strikes_requests(&self) -> bool {
        !matches!(self, FaultSpec::Drop { .. } | FaultSpec::Redeliver { .. } | FaultSpec::Swap { .. })
    }
}

/// How often: so many times, or a share of the requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    Count(u64),
    /// Parts per million.
    PerMillion(u32),
}

/// Why a `--fault` was not understood: what was found and what was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("fault '{text}': {reason}")]
pub struct BadFault {
    pub text: String,
    pub reason: String,
}

const KINDS: &str = "drop, redeliver, swap, lost-answer, error, throttle, latency or stall";

impl FromStr for FaultSpec {
    type Err = BadFault;

    fn from_str(text: &str) -> Result<FaultSpec, BadFault> {
        parse(text).map_err(|reason| BadFault { text: text.to_owned(), reason })
    }
}

fn parse(text: &str) -> Result<FaultSpec, String> {
    let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
    let mut keys = Keys::read(rest)?;
    let spec = match kind {
        "drop" => FaultSpec::Drop { count: keys.count()?, seed: keys.seed()?, op: keys.op(false)? },
        "redeliver" => FaultSpec::Redeliver { count: keys.count()?, seed: keys.seed()? },
        "swap" => FaultSpec::Swap { count: keys.count()?, seed: keys.seed()? },
        "lost-answer" => {
            let share = match (keys.take("count"), keys.take("rate")) {
                (Some(count), None) => Share::Count(number("count", &count)?),
                (None, Some(rate)) => Share::PerMillion(per_million(&rate)?),
                _ => return Err("expected either count=N or rate=P%, for example rate=0.5%".to_owned()),
            };
            FaultSpec::LostAnswer { share, seed: keys.seed()?, op: keys.op(true)? }
        }
        "error" => FaultSpec::Error { per_million: keys.rate()?, seed: keys.seed()?, op: keys.op(true)? },
        "throttle" => {
            FaultSpec::Throttle { per_million: keys.rate()?, seed: keys.seed()?, op: keys.op(true)? }
        }
        "latency" => {
            keys.seed()?;
            FaultSpec::Latency { delay: keys.duration("for")?, op: keys.op(true)? }
        }
        "stall" => {
            keys.seed()?;
            let (every, hold) = (keys.duration("every")?, keys.duration("for")?);
            if hold >= every {
                return Err(format!(
                    "for={} is not shorter than every={}: nothing would ever be answered",
                    Written(hold),
                    Written(every)
                ));
            }
            FaultSpec::Stall { every, hold, op: keys.op(true)? }
        }
        "kill-function" | "lost-receipt" => {
            return Err(format!("{kind} is not built into this release; expected {KINDS}"));
        }
        _ => return Err(format!("unknown kind '{kind}'; expected {KINDS}")),
    };
    keys.finish(kind)?;
    Ok(spec)
}

/// The `KEY=VALUE` pairs that were not taken yet.
struct Keys(Vec<(String, String)>);

impl Keys {
    fn read(text: &str) -> Result<Keys, String> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let (key, value) =
                pair.split_once('=').ok_or_else(|| format!("expected KEY=VALUE, found '{pair}'"))?;
            if pairs.iter().any(|(seen, _)| seen == key) {
                return Err(format!("{key}= stands twice"));
            }
            pairs.push((key.to_owned(), value.to_owned()));
        }
        Ok(Keys(pairs))
    }

    fn take(&mut self, key: &str) -> Option<String> {
        let index = self.0.iter().position(|(seen, _)| seen == key)?;
        Some(self.0.swap_remove(index).1)
    }

    fn need(&mut self, key: &str, example: &str) -> Result<String, String> {
        self.take(key).ok_or_else(|| format!("expected {key}=, for example {example}"))
    }

    fn count(&mut self) -> Result<u64, String> {
        let count = number("count", &self.need("count", "count=25")?)?;
        if count == 0 { Err("count=0 would never strike; expected at least 1".to_owned()) } else { Ok(count) }
    }

    fn seed(&mut self) -> Result<u64, String> {
        self.take("seed").map_or(Ok(0), |seed| number("seed", &seed))
    }

    fn rate(&mut self) -> Result<u32, String> {
        per_million(&self.need("rate", "rate=1%")?)
    }

    fn duration(&mut self, key: &str) -> Result<Duration, String> {
        let text = self.need(key, &format!("{key}=500ms"))?;
        duration(&text)
            .ok_or_else(|| format!("{key}={text}: expected a duration above zero such as 20ms, 5s or 1m"))
    }

    fn op(&mut self, any_allowed: bool) -> Result<Option<String>, String> {
        let Some(op) = self.take("op") else { return Ok(None) };
        let named = !op.is_empty() && op.chars().all(|c| c.is_ascii_alphanumeric());
        if named || (any_allowed && op == "*") {
            return Ok(Some(op));
        }
        Err(format!("op={op}: expected the name of an API operation such as PutRecords"))
    }

    fn finish(self, kind: &str) -> Result<(), String> {
        match self.0.first() {
            None => Ok(()),
            Some((key, _)) => Err(format!("{kind} has no key '{key}'")),
        }
    }
}

fn number(key: &str, text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{key}={text}: expected a whole number"))
}

/// `1%`, `0.5%` or a fraction such as `0.01`.
fn per_million(text: &str) -> Result<u32, String> {
    let wrong = || format!("rate={text}: expected a share above 0 and up to 100%, for example 1%");
    let (number, unit) = match text.strip_suffix('%') {
        Some(number) => (number, 10_000.0),
        None => (text, 1_000_000.0),
    };
    let rate = number.trim().parse::<f64>().map_err(|_| wrong())? * unit;
    if rate > 0.0 && rate <= 1_000_000.0 { Ok((rate.round() as u32).max(1)) } else { Err(wrong()) }
}

fn duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    let duration = match &text[digits..] {
        "us" => Duration::from_micros(number),
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "m" => Duration::from_secs(number.checked_mul(60)?),
        "h" => Duration::from_secs(number.checked_mul(3_600)?),
        _ => return None,
    };
    (!duration.is_zero()).then_some(duration)
}

/// A duration as the grammar writes it.
struct Written(Duration);

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let us = self.0.as_micros();
        match us {
            _ if us.is_multiple_of(1_000_000) => write!(f, "{}s", us / 1_000_000),
            _ if us.is_multiple_of(1_000) => write!(f, "{}ms", us / 1_000),
            _ => write!(f, "{us}us"),
        }
    }
}

impl fmt::Display for FaultSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |per_million: u32| f64::from(per_million) / 10_000.0;
        let (seed, op) = match self {
            FaultSpec::Drop { count, seed, op } => {
                write!(f, "drop:count={count}")?;
                (*seed, op)
            }
            FaultSpec::Redeliver { count, seed } => {
                write!(f, "redeliver:count={count}")?;
                (*seed, &None)
            }
            FaultSpec::Swap { count, seed } => {
                write!(f, "swap:count={count}")?;
                (*seed, &None)
            }
            FaultSpec::LostAnswer { share, seed, op } => {
                match share {
                    Share::Count(count) => write!(f, "lost-answer:count={count}")?,
                    Share::PerMillion(rate) => write!(f, "lost-answer:rate={}%", percent(*rate))?,
                }
                (*seed, op)
            }
            FaultSpec::Error { per_million, seed, op } => {
                write!(f, "error:rate={}%", percent(*per_million))?;
                (*seed, op)
            }
            FaultSpec::Throttle { per_million, seed, op } => {
                write!(f, "throttle:rate={}%", percent(*per_million))?;
                (*seed, op)
            }
            FaultSpec::Latency { delay, op } => {
                write!(f, "latency:for={}", Written(*delay))?;
                (0, op)
            }
            FaultSpec::Stall { every, hold, op } => {
                write!(f, "stall:every={},for={}", Written(*every), Written(*hold))?;
                (0, op)
            }
        };
        if seed != 0 {
            write!(f, ",seed={seed}")?;
        }
        op.as_ref().map_or(Ok(()), |op| write!(f, ",op={op}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_writes_it_reads() {
        for text in [
            "drop:count=25",
            "drop:count=25,seed=7,op=PutRecord",
            "redeliver:count=3",
            "swap:count=4,seed=9",
            "lost-answer:count=2",
            "lost-answer:rate=0.5%",
            "error:rate=1%,op=GetRecords",
            "throttle:rate=5%,op=*",
            "latency:for=20ms",
            "stall:every=5s,for=500ms",
        ] {
            assert_eq!(text.parse::<FaultSpec>().expect(text).to_string(), text);
        }
        assert_eq!("error:rate=0.01".parse::<FaultSpec>(), "error:rate=1%".parse());
    }

    #[test]
    fn errors_say_what_was_expected() {
        for (text, expected) in [
            ("dorp:count=1", "unknown kind 'dorp'; expected drop,"),
            ("drop", "expected count=, for example count=25"),
            ("drop:count=0", "at least 1"),
            ("drop:count=x", "count=x: expected a whole number"),
            ("drop:25", "expected KEY=VALUE, found '25'"),
            ("drop:count=1,count=2", "stands twice"),
            ("drop:count=1,rate=1%", "drop has no key 'rate'"),
            ("swap:count=1,op=PutRecord", "swap has no key 'op'"),
            ("error:rate=101%", "up to 100%"),
            ("latency:for=20", "expected a duration above zero such as 20ms"),
            ("stall:every=1s,for=2s", "not shorter than"),
            ("lost-answer:count=1,rate=1%", "either count=N or rate=P%"),
            ("kill-function:every=10s", "not built into this release"),
            ("error:rate=1%,op=../x", "name of an API operation"),
        ] {
            let error = text.parse::<FaultSpec>().expect_err(text).to_string();
            assert!(error.contains(expected) && error.contains(text), "{text}: {error}");
        }
    }
}
