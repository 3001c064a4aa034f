//! What a `--fault` asks for; [`super::parse`] reads it.

use std::fmt;
use std::time::Duration;

use super::operations::PUTS;

/// One fault as asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultSpec {
    pub kind: Kind,
    /// Where it strikes repeats with it.
    pub seed: u64,
    /// The API operation that it keeps to; `None` is PutRecord and PutRecords, `*` is every operation.
    pub op: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Forget a record after it was acked, `count` times.
    Drop { count: u64 },
    /// Deliver a batch once more after it succeeded, `count` times.
    Redeliver { count: u64 },
    /// Swap two records of one partition key inside a batch, `count` times.
    Swap { count: u64 },
    /// Acknowledge the message of a receipt to the function and forget it, `count` times.
    LostReceipt { count: u64 },
    /// Kill the sandbox that sends a receipt; `None` leaves each crash point to the seed.
    KillFunction { when: KillWhen, at: Option<CrashPoint> },
    /// Do the work, then never answer.
    LostAnswer { share: Share },
    /// Answer with an internal error (HTTP 500) instead of doing the work.
    Error { per_million: u32 },
    /// Answer with this error of AWS's instead of doing the work: the first `count` requests, or every one.
    Refuse { code: String, count: Option<u64> },
    /// Refuse for throughput instead of doing the work; of a put, single records.
    Throttle { per_million: u32 },
    /// Hold every request this long before doing the work.
    Latency { delay: Duration },
    /// Hold requests for `hold`, once in every `every`, counted from the first request.
    Stall { every: Duration, hold: Duration },
}

/// How often: so many times, or a share of the requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    Count(u64),
    /// Parts per million.
    PerMillion(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KillWhen {
    /// So many invocations.
    Count(u64),
    /// The first invocation that comes to its receipt after each such period, counted from the first receipt.
    Every(Duration),
}

/// Where in an invocation its sandbox is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CrashPoint {
    /// After the work, before the receipt: its message does not take effect.
    Work,
    /// After the receipt, before the answer: the receipt's message has taken effect.
    Receipt,
}

impl Kind {
    /// As the grammar and the truth name it.
    pub fn name(&self) -> &'static str {
        match self {
            Kind::Drop { .. } => "drop",
            Kind::Redeliver { .. } => "redeliver",
            Kind::Swap { .. } => "swap",
            Kind::LostReceipt { .. } => "lost-receipt",
            Kind::KillFunction { .. } => "kill-function",
            Kind::LostAnswer { .. } => "lost-answer",
            Kind::Error { .. } | Kind::Refuse { .. } => "error",
            Kind::Throttle { .. } => "throttle",
            Kind::Latency { .. } => "latency",
            Kind::Stall { .. } => "stall",
        }
    }
}

impl FaultSpec {
    /// Whether it strikes requests in front of a service; the others strike inside.
    pub fn strikes_requests(&self) -> bool {
        matches!(
            self.kind,
            Kind::LostAnswer { .. }
                | Kind::Error { .. }
                | Kind::Refuse { .. }
                | Kind::Throttle { .. }
                | Kind::Latency { .. }
                | Kind::Stall { .. }
        )
    }

    /// Whether the operation is one that it keeps to.
    pub fn covers(&self, operation: &str) -> bool {
        match self.op.as_deref() {
            None => PUTS.contains(&operation),
            Some("*") => true,
            Some(op) => op == operation,
        }
    }
}

/// A duration as the grammar writes it.
pub struct Written(pub Duration);

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
        write!(f, "{}:", self.kind.name())?;
        match &self.kind {
            Kind::Drop { count }
            | Kind::Redeliver { count }
            | Kind::Swap { count }
            | Kind::LostReceipt { count }
            | Kind::KillFunction { when: KillWhen::Count(count), .. }
            | Kind::LostAnswer { share: Share::Count(count) } => write!(f, "count={count}")?,
            Kind::LostAnswer { share: Share::PerMillion(per_million) }
            | Kind::Error { per_million }
            | Kind::Throttle { per_million } => write!(f, "rate={}%", percent(*per_million))?,
            Kind::Refuse { code, count } => {
                write!(f, "code={code}")?;
                count.map_or(Ok(()), |count| write!(f, ",count={count}"))?;
            }
            Kind::KillFunction { when: KillWhen::Every(every), .. } => {
                write!(f, "every={}", Written(*every))?
            }
            Kind::Latency { delay } => write!(f, "for={}", Written(*delay))?,
            Kind::Stall { every, hold } => write!(f, "every={},for={}", Written(*every), Written(*hold))?,
        }
        match self.kind {
            Kind::KillFunction { at: Some(CrashPoint::Work), .. } => write!(f, ",at=work")?,
            Kind::KillFunction { at: Some(CrashPoint::Receipt), .. } => write!(f, ",at=receipt")?,
            _ => {}
        }
        if self.seed != 0 {
            write!(f, ",seed={}", self.seed)?;
        }
        self.op.as_ref().map_or(Ok(()), |op| write!(f, ",op={op}"))
    }
}
