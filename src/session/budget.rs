//! What a run has cost so far, against what it may cost. Estimated while it runs, on the safe side: each
//! invocation counts as long as the longest so far. The report has what was measured.

use std::time::Duration;

use rust_decimal::Decimal;

use crate::cost::{self, PriceBook};
use crate::evidence::collector::LiveReceipts;
use crate::evidence::model::{EnvironmentInfo, Usage};
use crate::evidence::recorder::LiveLoad;

/// A function logs about this much an invocation: START, END and REPORT.
const LOG_BYTES_PER_INVOCATION: u64 = 400;
/// SQS requests a receipt: sent, received, deleted.
const SQS_REQUESTS_PER_RECEIPT: u64 = 3;

pub struct Budget {
    limit_usd: Option<Decimal>,
    book: PriceBook,
    environment: EnvironmentInfo,
    region: String,
    spent_before: Decimal,
}

/// What a look gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Spent {
    pub so_far_usd: Decimal,
    /// Why the run must stop now.
    pub over: Option<String>,
}

impl Budget {
    /// A limit below zero or that is no number was refused with the plan.
    pub fn new(
        limit_usd: Option<&str>,
        book: PriceBook,
        environment: EnvironmentInfo,
        region: String,
    ) -> Budget {
        let limit_usd = limit_usd.and_then(|limit| limit.parse().ok());
        Budget { limit_usd, book, environment, region, spent_before: Decimal::ZERO }
    }

    /// What was spent so far. Over the budget is a run that would pass it with as much again as since the look before.
    pub fn look(
        &mut self,
        standing: Duration,
        load: &LiveLoad,
        receipts: &LiveReceipts,
        metrics_requested: u64,
    ) -> Spent {
        let usage = Usage { metrics_requested, ..self.usage(standing, load, receipts) };
        let spent = cost::price(&usage, &self.book).total();
        let step = spent - self.spent_before;
        self.spent_before = spent;
        let passed = self.limit_usd.filter(|limit| spent + step > *limit);
        let over = passed.map(|limit| {
            format!("about USD {} are spent, the budget is USD {}", cost::usd(spent), limit.normalize())
        });
        Spent { so_far_usd: spent, over }
    }

    fn usage(&self, standing: Duration, load: &LiveLoad, receipts: &LiveReceipts) -> Usage {
        let billed_ms = receipts.invocations * receipts.duration_max_us.div_ceil(1_000);
        Usage {
            region: self.region.clone(),
            stream_mode: self.environment.stream_mode.clone(),
            shards: self.environment.shards,
            retention_hours: self.environment.retention_hours,
            load_window_s: standing.as_secs_f64(),
            standing_s: standing.as_secs_f64(),
            records: load.acked_total,
            delivered: receipts.records_seen,
            put_payload_units: load.put_payload_units_total,
            bytes_in: load.counters.acked_bytes,
            bytes_in_rounded_1k: load.counters.acked_bytes_rounded_1k,
            invocations: receipts.invocations,
            architecture: self.environment.architecture.clone(),
            memory_mb: self.environment.memory_mb,
            billed_ms,
            log_bytes: receipts.invocations * LOG_BYTES_PER_INVOCATION,
            sqs_requests: receipts.sqs_requests + receipts.receipts * SQS_REQUESTS_PER_RECEIPT,
            alarms: self.environment.alarms,
            dashboards: self.environment.dashboards,
            ..Usage::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(limit: &str) -> Budget {
        let environment = EnvironmentInfo {
            stream_mode: "provisioned".to_owned(),
            shards: 1,
            retention_hours: 24,
            memory_mb: 512,
            architecture: "x86_64".to_owned(),
            ..EnvironmentInfo::default()
        };
        Budget::new(Some(limit), PriceBook::builtin(), environment, "us-east-1".to_owned())
    }

    #[test]
    fn it_stops_before_the_limit_and_not_long_before() {
        // One shard for an hour is USD 0.015; a second more would be 0.0000042.
        let mut budget = budget("0.015");
        let mut stopped_after = 0;
        for second in 1..=3_600 {
            let (load, receipts) = (LiveLoad::default(), LiveReceipts::default());
            if budget.look(Duration::from_secs(second), &load, &receipts, 0).over.is_some() {
                stopped_after = second;
                break;
            }
        }
        assert!((3_598..=3_600).contains(&stopped_after), "{stopped_after}");
    }

    #[test]
    fn records_count() {
        let mut budget = budget("1");
        let load = LiveLoad { put_payload_units_total: 80_000_000, ..LiveLoad::default() };
        let spent = budget.look(Duration::from_secs(1), &load, &LiveReceipts::default(), 0);
        let told = spent.over.unwrap();
        assert!(told.contains("the budget is USD 1"), "{told}");
    }

    #[test]
    fn what_is_spent_is_told_without_a_limit_too() {
        let mut budget =
            Budget::new(None, PriceBook::builtin(), EnvironmentInfo::default(), "us-east-1".to_owned());
        // 100,000 metrics at USD 0.01 a thousand.
        let (load, receipts) = (LiveLoad::default(), LiveReceipts::default());
        let spent = budget.look(Duration::ZERO, &load, &receipts, 100_000);
        assert_eq!(spent, Spent { so_far_usd: Decimal::ONE, over: None });
    }
}
