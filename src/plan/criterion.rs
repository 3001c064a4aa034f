//! The grammar of criteria: `name[.stat] op number[unit]`, for example `put_latency.p95 < 100ms`; a name may be
//! a function of another, whose statistic then stands inside: `drift(put_latency.p95) < 10%`.

use super::errors::{nearest, quoted};
use super::model::{Metric, Op, Stat, Unit};

/// A criterion without its place in the plan.
#[derive(Debug, PartialEq)]
pub(super) struct Parsed {
    pub text: String,
    pub metric: Metric,
    pub stat: Option<Stat>,
    pub op: Op,
    pub threshold: f64,
}

/// What is wrong, `at` this many characters into the criterion.
#[derive(Debug, PartialEq)]
pub(super) struct Wrong {
    pub at: usize,
    pub found: String,
    pub expected: String,
}

const OPS: [Op; 5] = [Op::LessOrEqual, Op::GreaterOrEqual, Op::Equal, Op::Less, Op::Greater];

pub(super) fn parse(text: &str) -> Result<Parsed, Wrong> {
    let mut cursor = Cursor { text, at: 0 };
    cursor.skip_spaces();
    let (metric, stat) = subject(&mut cursor)?;
    cursor.skip_spaces();
    let op = op(&mut cursor, metric)?;
    cursor.skip_spaces();
    let number_at = cursor.at;
    let (digits, value) = number(&mut cursor, metric)?;
    cursor.skip_spaces();
    let (unit, factor) = unit(&mut cursor, metric)?;
    let threshold = value * factor;
    check_range(metric, threshold).map_err(|expected| Wrong {
        at: text[..number_at].chars().count(),
        found: format!("{digits}{unit}"),
        expected,
    })?;
    let text = format!("{} {} {digits}{unit}", metric.with_stat(stat), op.as_str());
    Ok(Parsed { text, metric, stat, op, threshold })
}

struct Cursor<'a> {
    text: &'a str,
    /// In bytes, on a character.
    at: usize,
}

impl<'a> Cursor<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip_spaces(&mut self) {
        self.take_while(|c| c == ' ' || c == '\t');
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let taken = rest.find(|c| !wanted(c)).unwrap_or(rest.len());
        self.at += taken;
        &rest[..taken]
    }

    fn take(&mut self, token: &str) -> bool {
        let is_next = self.rest().starts_with(token);
        if is_next {
            self.at += token.len();
        }
        is_next
    }

    /// An error at byte `at`; what stands there is what was found.
    fn wrong(&self, at: usize, expected: impl Into<String>) -> Wrong {
        let rest = &self.text[at..];
        let found = match rest.split_whitespace().next() {
            Some(word) => quoted(word),
            None => "the end of the criterion".to_owned(),
        };
        Wrong { at: self.text[..at].chars().count(), found, expected: expected.into() }
    }
}

/// The metric with its statistic: `name[.stat]` or `function(name[.stat])`.
fn subject(cursor: &mut Cursor<'_>) -> Result<(Metric, Option<Stat>), Wrong> {
    let start = cursor.at;
    let name = cursor.take_while(is_name);
    if !Metric::all().any(|metric| metric.name().split_once('(').is_some_and(|(of, _)| of == name)) {
        let metric = Metric::from_name(name).ok_or_else(|| unknown(cursor, start, name))?;
        return Ok((metric, stat(cursor, metric)?));
    }
    let listed = || {
        let functions = Metric::all().map(Metric::name).filter(|whole| whole.starts_with(name));
        format!("one of {}", functions.collect::<Vec<_>>().join(", "))
    };
    if !cursor.take("(") {
        return Err(cursor.wrong(cursor.at, listed()));
    }
    let argument_at = cursor.at;
    let argument = cursor.take_while(is_name);
    let whole = format!("{name}({argument})");
    let metric = Metric::from_name(&whole).ok_or_else(|| cursor.wrong(argument_at, listed()))?;
    let stat = stat(cursor, metric)?;
    if !cursor.take(")") {
        return Err(cursor.wrong(cursor.at, "a closing )"));
    }
    Ok((metric, stat))
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn unknown(cursor: &Cursor<'_>, start: usize, name: &str) -> Wrong {
    let near = nearest(name, Metric::all().map(Metric::name));
    let expected = match near.as_slice() {
        [] => "a metric of docs/metrics.md, such as success_rate or put_latency.p95".to_owned(),
        near => format!("a metric; the nearest: {}", near.join(", ")),
    };
    let found = if name.is_empty() { cursor.wrong(start, "").found } else { quoted(name) };
    Wrong { at: cursor.text[..start].chars().count(), found, expected }
}

fn stat(cursor: &mut Cursor<'_>, metric: Metric) -> Result<Option<Stat>, Wrong> {
    let start = cursor.at;
    let allowed = metric.stats();
    let listed = allowed.iter().map(|stat| format!(".{}", stat.as_str())).collect::<Vec<_>>().join(", ");
    let has_dot = cursor.take(".");
    if allowed.is_empty() {
        return match has_dot {
            false => Ok(None),
            true => Err(cursor.wrong(start, format!("{} alone: it has no distribution", metric.name()))),
        };
    }
    if !has_dot && metric.stat_is_optional() {
        return Ok(None);
    }
    if !has_dot {
        return Err(cursor.wrong(start, format!("{} with one of {listed}", metric.name())));
    }
    let name = cursor.take_while(is_name);
    match allowed.iter().find(|stat| stat.as_str() == name) {
        Some(stat) => Ok(Some(*stat)),
        None => Err(cursor.wrong(start, format!("{} with one of {listed}", metric.name()))),
    }
}

fn op(cursor: &mut Cursor<'_>, metric: Metric) -> Result<Op, Wrong> {
    let start = cursor.at;
    let taken = OPS.into_iter().find(|op| cursor.take(op.as_str()));
    match taken {
        // A change is judged by its size, with an interval: it can be shown to stay below something, no more.
        Some(op) if metric.is_drift() && !matches!(op, Op::Less | Op::LessOrEqual) => {
            Err(cursor.wrong(start, "one of <, <= for a drift"))
        }
        Some(op) => Ok(op),
        None => Err(cursor.wrong(start, "one of <, <=, >, >=, ==")),
    }
}

/// Digits with at most one decimal point: as written, and the value.
fn number<'a>(cursor: &mut Cursor<'a>, metric: Metric) -> Result<(&'a str, f64), Wrong> {
    let start = cursor.at;
    let digits = cursor.take_while(|c| c.is_ascii_digit() || c == '.');
    let is_number = digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.ends_with(|c: char| c.is_ascii_digit())
        && digits.len() <= 20;
    match digits.parse::<f64>() {
        Ok(value) if is_number => Ok((digits, value)),
        _ => Err(cursor.wrong(start, format!("a number such as {}", example(metric)))),
    }
}

/// The unit as it is shown, and the factor to the metric's own unit.
fn unit(cursor: &mut Cursor<'_>, metric: Metric) -> Result<(&'static str, f64), Wrong> {
    let start = cursor.at;
    let written = cursor.take_while(|c| !c.is_whitespace());
    cursor.skip_spaces();
    let expected = match metric.unit() {
        Unit::Percent => "the unit %",
        Unit::Milliseconds | Unit::Seconds => "the unit ms, s or m",
        Unit::Count => "a count without a unit",
        Unit::Usd => "the unit USD",
    };
    if !cursor.rest().is_empty() {
        let at = if metric.unit() == Unit::Count { start } else { cursor.at };
        return Err(cursor.wrong(at, "the end of the criterion"));
    }
    match (metric.unit(), written) {
        (Unit::Percent, "%") => Ok(("%", 1.0)),
        (Unit::Milliseconds, "ms") => Ok(("ms", 1.0)),
        (Unit::Milliseconds, "s") => Ok(("s", 1_000.0)),
        (Unit::Milliseconds, "m") => Ok(("m", 60_000.0)),
        (Unit::Seconds, "ms") => Ok(("ms", 0.001)),
        (Unit::Seconds, "s") => Ok(("s", 1.0)),
        (Unit::Seconds, "m") => Ok(("m", 60.0)),
        (Unit::Count, "") => Ok(("", 1.0)),
        (Unit::Usd, "USD") => Ok(("USD", 1.0)),
        _ => Err(cursor.wrong(start, expected)),
    }
}

/// A share of a whole cannot pass 100 %; the ratio of two things, and a change, can.
fn check_range(metric: Metric, threshold: f64) -> Result<(), String> {
    let is_ratio = matches!(metric, Metric::ThroughputRatio | Metric::CloudwatchCostRatio);
    let is_share = metric.unit() == Unit::Percent && !is_ratio && !metric.is_drift();
    if is_share && threshold > 100.0 {
        return Err("0% to 100%".to_owned());
    }
    if metric.unit() == Unit::Count && threshold.fract() != 0.0 {
        return Err("a whole number".to_owned());
    }
    Ok(())
}

fn example(metric: Metric) -> &'static str {
    match metric.unit() {
        Unit::Percent => "99.9%",
        Unit::Milliseconds => "100ms",
        Unit::Seconds => "30s",
        Unit::Count => "0",
        Unit::Usd => "0.50USD",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_metrics_document_shows() {
        let read = |text| parse(text).unwrap_or_else(|wrong| panic!("{text}: {wrong:?}"));
        let latency = read("put_latency.p95 < 100ms");
        assert_eq!((latency.metric, latency.stat), (Metric::PutLatency, Some(Stat::P95)));
        assert_eq!((latency.op, latency.threshold), (Op::Less, 100.0));
        assert_eq!(read("  e2e_latency.p999<=2s ").text, "e2e_latency.p999 <= 2s");
        assert_eq!(read("e2e_latency.p999<=2s").threshold, 2_000.0);
        assert_eq!(read("success_rate > 99.9 %").text, "success_rate > 99.9%");
        assert_eq!(read("throttles == 0").text, "throttles == 0");
        assert_eq!(read("cost_per_million < 0.50 USD").threshold, 0.5);
        assert_eq!(read("drain_time < 5m").threshold, 300.0);
        assert_eq!(read("throughput_ratio >= 120%").threshold, 120.0);
        assert_eq!(read("iterator_age.max < 1000ms").metric, Metric::IteratorAge);
        assert_eq!(read("throughput_ratio.min>=99%").text, "throughput_ratio.min >= 99%");
        let drift = read("drift(put_latency.p95) < 10%");
        assert_eq!((drift.metric, drift.stat), (Metric::DriftPutLatency, Some(Stat::P95)));
        assert_eq!(drift.text, "drift(put_latency.p95) < 10%");
        assert_eq!(read("drift(throughput)<=150%").text, "drift(throughput) <= 150%");
        assert_eq!(read("recovery(put_latency.p95) < 5m").threshold, 300.0);
        assert_eq!(read("scaling_time < 2m").threshold, 120.0);
        assert_eq!(read("cloudwatch_cost_ratio <= 110%").threshold, 110.0);
    }

    const DRIFTS: &str = "one of drift(put_latency), drift(e2e_latency), drift(throughput), drift(memory_used), \
                          drift(generator_memory)";

    #[test]
    fn says_what_is_wrong_and_at_which_character() {
        let cases = [
            ("put_latncy.p95 < 1ms", 0, "`put_latncy`", "a metric; the nearest: put_latency"),
            ("put_latency < 1ms", 11, "`<`", "put_latency with one of .p50, .p95, .p99, .p999, .avg, .max"),
            ("iterator_age.p95 < 1ms", 12, "`.p95`", "iterator_age with one of .avg, .max"),
            ("lost.max == 0", 4, "`.max`", "lost alone: it has no distribution"),
            ("lost = 0", 5, "`=`", "one of <, <=, >, >=, =="),
            ("lost != 0", 5, "`!=`", "one of <, <=, >, >=, =="),
            ("lost == none", 8, "`none`", "a number such as 0"),
            ("lost == -1", 8, "`-1`", "a number such as 0"),
            ("lost == 1.5", 8, "1.5", "a whole number"),
            ("lost == 0%", 9, "`%`", "a count without a unit"),
            ("success_rate > 99", 17, "the end of the criterion", "the unit %"),
            ("success_rate > 101%", 15, "101%", "0% to 100%"),
            ("put_latency.p95 < 1..5ms", 18, "`1..5ms`", "a number such as 100ms"),
            ("put_latency.p95 < 100us", 21, "`us`", "the unit ms, s or m"),
            ("put_latency.p95 < 100ms please", 24, "`please`", "the end of the criterion"),
            (
                "",
                0,
                "the end of the criterion",
                "a metric of docs/metrics.md, such as success_rate or put_latency.p95",
            ),
            ("drift < 10%", 5, "`<`", DRIFTS),
            ("drift() < 10%", 6, "`)`", DRIFTS),
            ("drift(lost) < 10%", 6, "`lost)`", DRIFTS),
            ("drift(throughput < 10%", 16, "`<`", "a closing )"),
            ("drift(throughput) > 10%", 18, "`>`", "one of <, <= for a drift"),
            ("drift(put_latency) < 10%", 17, "`)`", "drift(put_latency) with one of .p50, .p95, .p99, .avg"),
            (
                "drift(put_latency.max) < 1%",
                17,
                "`.max)`",
                "drift(put_latency) with one of .p50, .p95, .p99, .avg",
            ),
            ("throughput_ratio.p95 > 9%", 16, "`.p95`", "throughput_ratio with one of .min"),
            ("scaling_time < 2%", 16, "`%`", "the unit ms, s or m"),
        ];
        for (text, at, found, expected) in cases {
            let wrong = parse(text).expect_err(text);
            assert_eq!(
                (wrong.at, wrong.found.as_str(), wrong.expected.as_str()),
                (at, found, expected),
                "{text}"
            );
        }
    }
}
