//! GetMetricData: from wanted series to points, page by page.

use std::collections::BTreeMap;

use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataQuery, MetricStat, ScanBy};

use super::wanted::{Source, Wanted};
use super::{PullError, PullRequest};
use crate::evidence::model::MetricSeries;
use crate::platform::refusals::plain;

/// Metrics of one call. CloudWatch user guide, "CloudWatch service quotas".
pub const QUERIES_MAX: usize = 500;
/// Pages of one pull at most: 100,800 points each, so months of minutes for every series.
const PAGES_MAX: usize = 200;
const DAY_MS: i64 = 86_400_000;

/// What one or more calls gave.
#[derive(Default)]
pub struct Fetched {
    pub series: BTreeMap<String, MetricSeries>,
    /// Metrics asked for, over all calls. AWS bills by metric, however many statistics or pages; counting
    /// every query is the upper bound.
    pub metrics_requested: u64,
}

/// The finest period that CloudWatch still keeps at the start of the window: a minute for 15 days, five for
/// 63, an hour after. User guide, "Metrics retention".
pub fn period_s(from_ms: i64, now_ms: i64) -> u32 {
    match (now_ms - from_ms) / DAY_MS {
        ..15 => 60,
        15..63 => 300,
        _ => 3_600,
    }
}

/// The window, widened to whole periods: CloudWatch's points stand at the start of theirs.
fn window(request: &PullRequest, period_s: u32) -> (DateTime, DateTime) {
    let period_ms = i64::from(period_s) * 1_000;
    let from_ms = request.from_ms - request.from_ms.rem_euclid(period_ms);
    let to_ms = request.to_ms + (-request.to_ms).rem_euclid(period_ms);
    (DateTime::from_millis(from_ms), DateTime::from_millis(to_ms.max(from_ms + period_ms)))
}

fn query(index: usize, wanted: &Wanted, name: &str, period_s: u32) -> MetricDataQuery {
    let metric = Metric::builder()
        .namespace(wanted.source.namespace())
        .metric_name(wanted.metric)
        .dimensions(Dimension::builder().name(wanted.source.dimension()).value(name).build());
    let stat = MetricStat::builder().metric(metric.build()).period(period_s as i32).stat(wanted.stat);
    MetricDataQuery::builder().id(format!("m{index}")).metric_stat(stat.build()).build()
}

/// Name of what a source measures in this environment; `None` where there is no such thing.
fn name_of(request: &PullRequest, source: Source) -> Option<&str> {
    let name = match source {
        Source::Kinesis => request.stream_name.as_str(),
        Source::Lambda => &request.function_name,
        Source::Mapping => &request.mapping_uuid,
        Source::DeadLetterQueue => &request.dlq_name,
    };
    (!name.is_empty()).then_some(name)
}

/// Pulls the wanted series. A metric without data gives a series without points.
///
/// # Errors
/// When CloudWatch refuses the call, or never stops giving pages.
pub async fn fetch(
    client: &aws_sdk_cloudwatch::Client,
    request: &PullRequest,
    wanted: &[Wanted],
    period_s: u32,
) -> Result<Fetched, PullError> {
    let mut fetched = Fetched::default();
    let (from, to) = window(request, period_s);
    let asked: Vec<(Wanted, &str)> =
        wanted.iter().filter_map(|wanted| Some((*wanted, name_of(request, wanted.source)?))).collect();
    for chunk in asked.chunks(QUERIES_MAX) {
        for (wanted, _) in chunk {
            fetched.series.insert(wanted.key(), empty_series(wanted, period_s));
        }
        let queries: Vec<MetricDataQuery> = chunk
            .iter()
            .enumerate()
            .map(|(index, (wanted, name))| query(index, wanted, name, period_s))
            .collect();
        let mut token: Option<String> = None;
        for page in 0.. {
            if page == PAGES_MAX {
                return Err(PullError::CloudWatch(format!("GetMetricData gave more than {PAGES_MAX} pages")));
            }
            fetched.metrics_requested += chunk.len() as u64;
            let answer = client
                .get_metric_data()
                .start_time(from)
                .end_time(to)
                .scan_by(ScanBy::TimestampAscending)
                .set_metric_data_queries(Some(queries.clone()))
                .set_next_token(token.take())
                .send()
                .await
                .map_err(|error| PullError::CloudWatch(plain(&error)))?;
            for result in answer.metric_data_results() {
                let index = result.id().and_then(|id| id.strip_prefix('m')?.parse::<usize>().ok());
                let Some((wanted, _)) = index.and_then(|index| chunk.get(index)) else { continue };
                let Some(series) = fetched.series.get_mut(&wanted.key()) else { continue };
                let points = result.timestamps().iter().zip(result.values());
                series.points.extend(points.map(|(at, value)| (at.secs() * 1_000, *value)));
            }
            token = answer.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
            if token.is_none() {
                break;
            }
        }
    }
    for series in fetched.series.values_mut() {
        series.points.sort_by_key(|(at_ms, _)| *at_ms);
        series.points.dedup_by_key(|(at_ms, _)| *at_ms);
    }
    Ok(fetched)
}

fn empty_series(wanted: &Wanted, period_s: u32) -> MetricSeries {
    MetricSeries {
        namespace: wanted.source.namespace().to_owned(),
        metric: wanted.metric.to_owned(),
        stat: wanted.stat.to_owned(),
        unit: wanted.unit.to_owned(),
        period_s,
        points: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_covers_whole_periods_and_old_ones_get_coarser() {
        let request = PullRequest { from_ms: 90_500, to_ms: 150_500, ..PullRequest::default() };
        assert_eq!(window(&request, 60), (DateTime::from_secs(60), DateTime::from_secs(180)));
        let request = PullRequest { from_ms: 120_000, to_ms: 120_000, ..PullRequest::default() };
        assert_eq!(window(&request, 60), (DateTime::from_secs(120), DateTime::from_secs(180)));
        assert_eq!([0, 15, 63].map(|days| period_s(0, days * DAY_MS)), [60, 300, 3_600]);
    }
}
