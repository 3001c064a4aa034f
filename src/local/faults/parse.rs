//! The grammar of `--fault`: `KIND[:KEY=VALUE,...]`. What could never strike is refused here.

use std::str::FromStr;
use std::time::Duration;

use super::operations::{self, PUTS};
use super::spec::{CrashPoint, FaultSpec, KillWhen, Kind, Share, Written};

/// Why a `--fault` was not understood: what was found and what was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("fault '{text}': {reason}")]
pub struct BadFault {
    pub text: String,
    pub reason: String,
}

const KINDS: &str = "drop, redeliver, swap, lost-receipt, kill-function, lost-answer, error, throttle, latency \
                     or stall";

impl FromStr for FaultSpec {
    type Err = BadFault;

    fn from_str(text: &str) -> Result<FaultSpec, BadFault> {
        parse(text).map_err(|reason| BadFault { text: text.to_owned(), reason })
    }
}

fn parse(text: &str) -> Result<FaultSpec, String> {
    let (name, rest) = text.split_once(':').unwrap_or((text, ""));
    let mut keys = Keys::read(rest)?;
    let kind = match name {
        "drop" => Kind::Drop { count: keys.count()? },
        "redeliver" => Kind::Redeliver { count: keys.count()? },
        "swap" => Kind::Swap { count: keys.count()? },
        "lost-receipt" => Kind::LostReceipt { count: keys.count()? },
        "kill-function" => Kind::KillFunction { when: keys.kill_when()?, at: keys.crash_point()? },
        "lost-answer" => Kind::LostAnswer { share: keys.share()? },
        "error" => keys.error()?,
        "throttle" => Kind::Throttle { per_million: keys.rate()? },
        "latency" => Kind::Latency { delay: keys.duration("for")? },
        "stall" => keys.stall()?,
        _ => return Err(format!("unknown kind '{name}'; expected {KINDS}")),
    };
    let spec = FaultSpec { seed: keys.seed()?, op: keys.op(&kind)?, kind };
    keys.finish(&spec.kind)?;
    Ok(spec)
}

/// The keys of a kind, for the error that names them.
fn keys_of(kind: &Kind) -> &'static str {
    match kind {
        Kind::Drop { .. } => "count, seed and op",
        Kind::Redeliver { .. } | Kind::Swap { .. } | Kind::LostReceipt { .. } => "count and seed",
        Kind::KillFunction { .. } => "count or every, at and seed",
        Kind::LostAnswer { .. } => "count or rate, seed and op",
        Kind::Error { .. } => "rate, seed and op; or code, count, seed and op",
        Kind::Refuse { .. } => "code, count, seed and op",
        Kind::Throttle { .. } => "rate, seed and op",
        Kind::Latency { .. } => "for, seed and op",
        Kind::Stall { .. } => "every, for, seed and op",
    }
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
        self.need("count", "count=25").and_then(|text| count(&text))
    }

    fn seed(&mut self) -> Result<u64, String> {
        self.take("seed").map_or(Ok(0), |seed| number("seed", &seed))
    }

    fn rate(&mut self) -> Result<u32, String> {
        per_million(&self.need("rate", "rate=1%")?)
    }

    /// An internal error at a rate, or a given error: of the first requests or of all.
    fn error(&mut self) -> Result<Kind, String> {
        let Some(code) = self.take("code") else {
            return Ok(Kind::Error { per_million: self.rate()? });
        };
        if code.is_empty() || !code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.') {
            return Err(format!("code={code}: expected an error code of AWS's such as AccessDenied"));
        }
        let count = self.take("count").map(|text| count(&text)).transpose()?;
        Ok(Kind::Refuse { code, count })
    }

    fn share(&mut self) -> Result<Share, String> {
        match (self.take("count"), self.take("rate")) {
            (Some(text), None) => count(&text).map(Share::Count),
            (None, Some(text)) => per_million(&text).map(Share::PerMillion),
            _ => Err("expected either count=N or rate=P%, for example rate=0.5%".to_owned()),
        }
    }

    fn kill_when(&mut self) -> Result<KillWhen, String> {
        match (self.take("count"), self.take("every")) {
            (Some(text), None) => count(&text).map(KillWhen::Count),
            (None, Some(text)) => duration("every", &text).map(KillWhen::Every),
            _ => Err("expected either count=N or every=DURATION, for example every=10s".to_owned()),
        }
    }

    fn crash_point(&mut self) -> Result<Option<CrashPoint>, String> {
        match self.take("at").as_deref() {
            None => Ok(None),
            Some("work") => Ok(Some(CrashPoint::Work)),
            Some("receipt") => Ok(Some(CrashPoint::Receipt)),
            Some(other) => Err(format!(
                "at={other}: expected work (killed before its receipt is sent) or receipt (after it, before the \
                 answer)"
            )),
        }
    }

    fn duration(&mut self, key: &str) -> Result<Duration, String> {
        let text = self.need(key, &format!("{key}=500ms"))?;
        duration(key, &text)
    }

    fn stall(&mut self) -> Result<Kind, String> {
        let (every, hold) = (self.duration("every")?, self.duration("for")?);
        if hold < every {
            return Ok(Kind::Stall { every, hold });
        }
        Err(format!(
            "for={} is not shorter than every={}: nothing would ever be answered",
            Written(hold),
            Written(every)
        ))
    }

    fn op(&mut self, kind: &Kind) -> Result<Option<String>, String> {
        if !keys_of(kind).contains("op") {
            // Left where it is: `finish` refuses it.
            return Ok(None);
        }
        let Some(op) = self.take("op") else { return Ok(None) };
        if matches!(kind, Kind::Drop { .. }) && !PUTS.contains(&op.as_str()) {
            return Err(format!(
                "op={op} would never strike: drop forgets records that were acked; expected PutRecord or PutRecords"
            ));
        }
        if op == "*" || operations::is_known(&op) {
            return Ok(Some(op));
        }
        Err(format!(
            "op={op} would never strike: no service of the endpoint has this operation; expected a name such as \
             PutRecords, GetRecords, Invoke or SendMessage, or * for all"
        ))
    }

    fn finish(self, kind: &Kind) -> Result<(), String> {
        match self.0.first() {
            None => Ok(()),
            Some((key, _)) => {
                Err(format!("{} has no key '{key}'; its keys are {}", kind.name(), keys_of(kind)))
            }
        }
    }
}

fn number(key: &str, text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{key}={text}: expected a whole number"))
}

fn count(text: &str) -> Result<u64, String> {
    match number("count", text)? {
        0 => Err("count=0 would never strike; expected at least 1".to_owned()),
        count => Ok(count),
    }
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

fn duration(key: &str, text: &str) -> Result<Duration, String> {
    let units = [("us", 1), ("ms", 1_000), ("s", 1_000_000), ("m", 60_000_000), ("h", 3_600_000_000)];
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let unit_us = units.iter().find(|(unit, _)| *unit == &text[digits..]).map(|(_, us)| *us);
    let number = text[..digits].parse::<u64>().ok();
    let us = number.zip(unit_us).and_then(|(number, unit_us)| number.checked_mul(unit_us));
    // The clock counts in signed microseconds.
    us.filter(|us| (1..=i64::MAX as u64).contains(us))
        .map(Duration::from_micros)
        .ok_or_else(|| format!("{key}={text}: expected a duration above zero such as 20ms, 5s or 1m"))
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
            "lost-receipt:count=2,seed=1",
            "kill-function:every=10s",
            "kill-function:count=3,at=work",
            "kill-function:every=90s,at=receipt,seed=5",
            "lost-answer:count=2",
            "lost-answer:rate=0.5%",
            "error:rate=1%,op=GetRecords",
            "error:rate=1%,op=PutObject",
            "error:code=AccessDenied,op=CreateChangeSet",
            "error:code=LimitExceededException,count=2,op=CreateStream",
            "throttle:rate=5%,op=*",
            "latency:for=20ms,op=Invoke",
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
            ("lost-answer:count=0", "at least 1"),
            ("drop:count=x", "count=x: expected a whole number"),
            ("drop:25", "expected KEY=VALUE, found '25'"),
            ("drop:count=1,count=2", "stands twice"),
            ("drop:count=1,rate=1%", "drop has no key 'rate'; its keys are count, seed and op"),
            ("drop:count=1,op=GetRecords", "expected PutRecord or PutRecords"),
            ("drop:count=1,op=*", "expected PutRecord or PutRecords"),
            ("swap:count=1,op=PutRecord", "swap has no key 'op'"),
            ("lost-receipt:count=1,op=SendMessage", "lost-receipt has no key 'op'"),
            ("error:rate=101%", "up to 100%"),
            ("error:rate=1%,op=PutRecordz", "no service of the endpoint has this operation"),
            ("error:code=Access Denied,op=CreateStack", "expected an error code of AWS's"),
            ("error:code=AccessDenied,rate=1%", "error has no key 'rate'; its keys are code, count"),
            ("error:code=AccessDenied,count=0", "at least 1"),
            ("latency:for=20", "expected a duration above zero such as 20ms"),
            ("latency:for=9999999999999h", "expected a duration above zero"),
            ("stall:every=1s,for=2s", "not shorter than"),
            ("lost-answer:count=1,rate=1%", "either count=N or rate=P%"),
            ("kill-function:every=10s,count=3", "either count=N or every=DURATION"),
            ("kill-function:count=3,at=end", "at=end: expected work"),
            ("kill-function:count=3,op=Invoke", "kill-function has no key 'op'"),
            ("error:rate=1%,op=../x", "no service of the endpoint"),
        ] {
            let error = text.parse::<FaultSpec>().expect_err(text).to_string();
            assert!(error.contains(expected) && error.contains(text), "{text}: {error}");
        }
    }
}
