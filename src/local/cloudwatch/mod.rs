//! CloudWatch: the metrics that the local services emit and custom ones, metric math, alarms, dashboards.
//!
//! Not here: anomaly detection, Metrics Insights, search expressions, streams, alarm actions.

mod alarms;
mod dashboards;
mod distribution;
mod embedded;
mod error;
mod math;
mod put;
mod query;
mod series;
mod statistic;
mod store;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};

pub use self::embedded::record_embedded;

use self::alarms::Alarms;
use self::dashboards::Dashboards;
use self::error::{missing, no_resource};
use self::store::{Name, Store};
use super::members::{tags, text, texts};
use super::metrics::{MetricSink, Sample};
use super::service::{ApiError, ApiResult, BoxFuture, Service, unknown_operation};
use crate::platform::clock::Clock;

/// Tags of a resource. Tagging quotas of AWS.
const TAGS_MAX: usize = 50;

pub struct CloudWatch {
    clock: Clock,
    region: String,
    account: String,
    /// Apart from the rest: services write to it on their hot paths.
    store: Mutex<Store>,
    control: Mutex<Control>,
}

#[derive(Default)]
struct Control {
    alarms: Alarms,
    dashboards: Dashboards,
    /// By ARN.
    tags: BTreeMap<String, BTreeMap<String, String>>,
}

impl CloudWatch {
    pub fn new(clock: Clock, region: String, account: String) -> Arc<CloudWatch> {
        let (store, control) = Default::default();
        Arc::new(CloudWatch { clock, region, account, store, control })
    }

    /// Samples that found no room because there were too many metrics; 0 in any sane run.
    pub fn dropped_samples(&self) -> u64 {
        self.store().dropped
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().expect("no panic while metrics are locked")
    }

    fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().expect("no panic while alarms and dashboards are locked")
    }

    fn alarm_arn(&self, name: &str) -> String {
        format!("arn:aws:cloudwatch:{}:{}:alarm:{name}", self.region, self.account)
    }

    /// Dashboards belong to no region.
    fn dashboard_arn(&self, name: &str) -> String {
        format!("arn:aws:cloudwatch::{}:dashboard/{name}", self.account)
    }

    fn answer(&self, operation: &str, input: &Value) -> ApiResult {
        let now_ms = self.clock.now_ms();
        match operation {
            "GetMetricData" => query::get_metric_data(&self.store(), input),
            "GetMetricStatistics" => query::get_metric_statistics(&self.store(), input),
            "ListMetrics" => put::list_metrics(&self.store(), input, now_ms),
            "PutMetricData" => put::put_metric_data(&mut self.store(), input, now_ms),
            "PutMetricAlarm" => {
                let output = self.control().alarms.put_metric(input, now_ms)?;
                self.tag_new(input, "AlarmName", |name| self.alarm_arn(name))?;
                Ok(output)
            }
            "PutCompositeAlarm" => {
                let output = self.control().alarms.put_composite(input, now_ms)?;
                self.tag_new(input, "AlarmName", |name| self.alarm_arn(name))?;
                Ok(output)
            }
            "DescribeAlarms" => {
                let mut control = self.control();
                control.alarms.describe(input, &self.store(), now_ms, |name| self.alarm_arn(name))
            }
            "DeleteAlarms" => {
                let mut control = self.control();
                for name in control.alarms.delete(input)? {
                    control.tags.remove(&self.alarm_arn(&name));
                }
                Ok(json!({}))
            }
            "SetAlarmState" => self.control().alarms.set_state(input, now_ms),
            "EnableAlarmActions" => self.control().alarms.set_actions(input, true),
            "DisableAlarmActions" => self.control().alarms.set_actions(input, false),
            "PutDashboard" => {
                let output = self.control().dashboards.put(input, now_ms as f64 / 1_000.0)?;
                self.tag_new(input, "DashboardName", |name| self.dashboard_arn(name))?;
                Ok(output)
            }
            "GetDashboard" => self.control().dashboards.get(input, |name| self.dashboard_arn(name)),
            "ListDashboards" => self.control().dashboards.list(input, |name| self.dashboard_arn(name)),
            "DeleteDashboards" => {
                let mut control = self.control();
                for name in control.dashboards.delete(input)? {
                    control.tags.remove(&self.dashboard_arn(&name));
                }
                Ok(json!({}))
            }
            "TagResource" => self.tag(&self.tagged_arn(input)?, tags(input, "Tags")),
            "UntagResource" => {
                let arn = self.tagged_arn(input)?;
                if let Some(held) = self.control().tags.get_mut(&arn) {
                    texts(input, "TagKeys").into_iter().for_each(|key| drop(held.remove(key)));
                }
                Ok(json!({}))
            }
            "ListTagsForResource" => {
                let arn = self.tagged_arn(input)?;
                let control = self.control();
                let held = control.tags.get(&arn).into_iter().flatten();
                let list: Vec<Value> =
                    held.map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
                Ok(json!({ "Tags": list }))
            }
            _ => Err(unknown_operation(operation)),
        }
    }

    /// The ARN of the request, of something that exists.
    fn tagged_arn(&self, input: &Value) -> Result<String, ApiError> {
        let arn = text(input, "ResourceARN").ok_or_else(|| missing("ResourceARN"))?;
        let control = self.control();
        let exists = match (arn.split_once(":alarm:"), arn.split_once(":dashboard/")) {
            (Some((_, name)), _) => control.alarms.contains(name),
            (_, Some((_, name))) => control.dashboards.contains(name),
            _ => false,
        };
        if exists { Ok(arn.to_owned()) } else { Err(no_resource(arn)) }
    }

    fn tag_new(&self, input: &Value, name: &str, arn: impl Fn(&str) -> String) -> ApiResult {
        match text(input, name) {
            Some(name) => self.tag(&arn(name), tags(input, "Tags")),
            None => Ok(json!({})),
        }
    }

    fn tag(&self, arn: &str, tags: Vec<(String, String)>) -> ApiResult {
        if tags.is_empty() {
            return Ok(json!({}));
        }
        let mut control = self.control();
        let held = control.tags.entry(arn.to_owned()).or_default();
        let mut wanted = held.clone();
        wanted.extend(tags);
        if wanted.len() > TAGS_MAX {
            return Err(error::invalid_value(format!("a resource has at most {TAGS_MAX} tags")));
        }
        *held = wanted;
        Ok(json!({}))
    }
}

impl MetricSink for CloudWatch {
    fn record(&self, sample: Sample<'_>) {
        self.record_at(sample, self.clock.now_ms(), false);
    }

    fn record_at(&self, sample: Sample<'_>, at_ms: i64, high_resolution: bool) {
        let now_s = self.clock.now_us().div_euclid(1_000_000);
        let name = Name {
            namespace: sample.namespace,
            metric: sample.metric,
            dimensions: sample.dimensions,
            unit: sample.unit,
            high_resolution,
        };
        if let Some(bucket) = self.store().bucket(name, at_ms.div_euclid(1_000), now_s)
            && sample.value.is_finite()
        {
            bucket.add(sample.value, 1.0);
        }
    }
}

impl Service for CloudWatch {
    fn call<'a>(&'a self, operation: &'a str, input: Value) -> BoxFuture<'a, ApiResult> {
        Box::pin(async move { self.answer(operation, &input) })
    }
}
