//! The pipeline's part of [`super::resolve`]: defaults and AWS's ranges.

use super::files::{Files, NoFiles};
use super::model::*;
use super::resolve::{Place, Resolver};
use super::typed::EnvironmentDoc;
use super::typed_environment::{AlarmsDoc, ArchitectureDoc, FunctionDoc, StreamDoc, StreamModeDoc};
use crate::platform::limits;

/// CloudWatch Logs API reference, PutRetentionPolicy.
const LOG_RETENTION_DAYS: [u32; 22] = [
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1_096, 1_827, 2_192, 2_557, 2_922, 3_288,
    3_653,
];
/// Lambda API reference, CreateEventSourceMapping: at least this when it is not -1.
const RECORD_AGE_MIN_S: i32 = 60;

impl Resolver<'_> {
    pub fn environment(&mut self, document: Option<EnvironmentDoc>, at: &Place<'_>) -> Environment {
        let EnvironmentDoc { stream, function, alarms, account, .. } = document.unwrap_or_default();
        Environment {
            stream: self.stream(stream.unwrap_or_default(), &at.key("stream")),
            function: self.function(function.unwrap_or_default(), &at.key("function")),
            alarms: self.alarms(alarms.unwrap_or_default(), &at.key("alarms")),
            account: self.account(account.unwrap_or_default(), &at.key("account")),
        }
    }

    /// What a plan without `environment:` gets.
    pub(super) fn default_environment() -> Environment {
        let nowhere = Place::nowhere();
        Resolver { errors: &mut Vec::new(), files: Files::new(&NoFiles) }.environment(None, &nowhere)
    }

    fn stream(&mut self, stream: StreamDoc, at: &Place<'_>) -> StreamSpec {
        let mode = match stream.mode {
            Some(StreamModeDoc::OnDemand) => StreamMode::OnDemand,
            Some(StreamModeDoc::Provisioned) | None => StreamMode::Provisioned,
        };
        if mode == StreamMode::OnDemand && stream.shards.is_some() {
            self.unexpected(&at.key("shards"), "no shards: an on-demand stream sets them itself");
        }
        let record_kib = limits::RECORD_MAX_KIB_DEFAULT..=limits::RECORD_MAX_KIB_LARGEST;
        StreamSpec {
            mode,
            shards: self.whole(stream.shards, &at.key("shards"), 1..=limits::SHARDS_MAX, 1),
            retention_hours: self.whole(
                stream.retention_hours,
                &at.key("retention_hours"),
                limits::RETENTION_HOURS,
                24,
            ),
            max_record_kib: self.whole(
                stream.max_record_kib,
                &at.key("max_record_kib"),
                record_kib,
                limits::RECORD_MAX_KIB_DEFAULT,
            ),
            encryption_key: self.encryption(stream.encryption, &at.key("encryption")),
        }
    }

    fn function(&mut self, function: FunctionDoc, at: &Place<'_>) -> FunctionSpec {
        let architecture = function.architecture.map(|architecture| match architecture {
            ArchitectureDoc::X8664 => Architecture::X86_64,
            ArchitectureDoc::Arm64 => Architecture::Arm64,
        });
        let reserved_concurrency =
            self.concurrency(function.reserved_concurrency, &at.key("reserved_concurrency"));
        let provisioned_concurrency =
            self.concurrency(function.provisioned_concurrency, &at.key("provisioned_concurrency"));
        if let (Some(reserved), Some(provisioned)) = (reserved_concurrency, provisioned_concurrency)
            && provisioned > reserved
        {
            let expected = format!("at most reserved_concurrency ({reserved})");
            self.unexpected(&at.key("provisioned_concurrency"), expected);
        }
        FunctionSpec {
            memory_mb: self.whole(function.memory_mb, &at.key("memory_mb"), limits::FUNCTION_MEMORY_MB, 512),
            timeout_s: self.whole(function.timeout_s, &at.key("timeout_s"), limits::FUNCTION_TIMEOUT_S, 60),
            architecture,
            reserved_concurrency,
            provisioned_concurrency,
            enhanced_fan_out: function.enhanced_fan_out.unwrap_or(false),
            filters: self.filters(function.filter, &at.key("filter")),
            log_retention_days: self
                .log_retention(function.log_retention_days, &at.key("log_retention_days")),
            batch_size: self.whole(
                function.batch_size,
                &at.key("batch_size"),
                limits::MAPPING_BATCH_SIZE,
                100,
            ),
            batch_window_s: self.whole(
                function.batch_window_s,
                &at.key("batch_window_s"),
                limits::MAPPING_WINDOW_S,
                0,
            ),
            parallelization: self.whole(
                function.parallelization,
                &at.key("parallelization"),
                limits::MAPPING_PARALLELIZATION,
                1,
            ),
            retries: self.whole(function.retries, &at.key("retries"), limits::MAPPING_RETRIES, 3),
            bisect_on_error: function.bisect_on_error.unwrap_or(true),
            max_record_age_s: self.record_age(function.max_record_age_s, &at.key("max_record_age_s")),
            partial_batch_response: function.partial_batch_response.unwrap_or(true),
            work_ms_per_batch: self.whole(
                function.work_ms_per_batch,
                &at.key("work_ms_per_batch"),
                0..=limits::FUNCTION_TIMEOUT_S.end() * 1_000,
                0,
            ),
            envelope_paths: Vec::new(),
            end_to_end_metric: function.end_to_end_metric.unwrap_or(true),
        }
    }

    fn concurrency(&mut self, executions: Option<i64>, at: &Place<'_>) -> Option<u32> {
        executions.map(|_| self.whole(executions, at, 1..=100_000, 1))
    }

    fn log_retention(&mut self, days: Option<i64>, at: &Place<'_>) -> u32 {
        let Some(days) = days else { return 7 };
        match LOG_RETENTION_DAYS.iter().find(|offered| i64::from(**offered) == days) {
            Some(offered) => *offered,
            None => {
                let offered = LOG_RETENTION_DAYS.map(|days| days.to_string()).join(", ");
                self.unexpected(at, format!("one of {offered}"));
                7
            }
        }
    }

    fn record_age(&mut self, age_s: Option<i64>, at: &Place<'_>) -> i32 {
        let age_s = self.whole(age_s, at, limits::MAPPING_RECORD_AGE_S, -1);
        if (0..RECORD_AGE_MIN_S).contains(&age_s) {
            let longest = limits::MAPPING_RECORD_AGE_S.end();
            self.unexpected(at, format!("-1 (no limit) or {RECORD_AGE_MIN_S} to {longest}"));
        }
        age_s
    }

    fn alarms(&mut self, alarms: AlarmsDoc, at: &Place<'_>) -> AlarmSpec {
        AlarmSpec {
            iterator_age_ms: self.whole(
                alarms.iterator_age_ms,
                &at.key("iterator_age_ms"),
                1..=604_800_000,
                60_000,
            ),
            error_rate_percent: self.percent(alarms.error_rate_percent, &at.key("error_rate_percent"), 1.0),
            duration_percent_of_timeout: self.percent(
                alarms.duration_percent_of_timeout,
                &at.key("duration_percent_of_timeout"),
                80.0,
            ),
            concurrency_percent_of_limit: self.percent(
                alarms.concurrency_percent_of_limit,
                &at.key("concurrency_percent_of_limit"),
                80.0,
            ),
            lambda_throttles: self.count(alarms.lambda_throttles, &at.key("lambda_throttles")),
            write_throttles: self.count(alarms.write_throttles, &at.key("write_throttles")),
            read_throttles: self.count(alarms.read_throttles, &at.key("read_throttles")),
            dlq_messages: self.count(alarms.dlq_messages, &at.key("dlq_messages")),
        }
    }

    fn count(&mut self, threshold: Option<i64>, at: &Place<'_>) -> u32 {
        self.whole(threshold, at, 0..=1_000_000_000, 0)
    }
}
