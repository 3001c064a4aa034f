//! One listing a service, each bounded, each followed by the tags of what it found.

use std::collections::BTreeMap;
use std::future::Future;

use aws_sdk_cloudwatch::types::AlarmType;

use super::{Kind, Leftover, Leftovers, env_of};
use crate::platform::clients::Clients;
use crate::stack::StackError;
use crate::stack::error::failed;

/// Pages of one listing that are read at most.
const PAGES_MAX: usize = 100;
const LOG_GROUPS_OF_FUNCTIONS: &str = "/aws/lambda/";

type Found = Result<Vec<Leftover>, StackError>;

/// Everything whose name starts with `prefix`.
pub async fn scan(clients: &Clients, prefix: &str) -> Result<Leftovers, StackError> {
    let mut all = Leftovers::default();
    add(&mut all, "functions and mappings", functions(clients, prefix)).await?;
    add(&mut all, "streams", streams(clients, prefix)).await?;
    add(&mut all, "queues", queues(clients, prefix)).await?;
    add(&mut all, "buckets", buckets(clients, prefix)).await?;
    add(&mut all, "log groups", log_groups(clients, prefix)).await?;
    add(&mut all, "alarms", alarms(clients, prefix)).await?;
    add(&mut all, "dashboards", dashboards(clients, prefix)).await?;
    add(&mut all, "schedules", schedules(clients, prefix)).await?;
    Ok(all)
}

/// Who may not list a kind, or an endpoint that does not have it, still gets the others.
async fn add(all: &mut Leftovers, what: &str, found: impl Future<Output = Found>) -> Result<(), StackError> {
    match found.await {
        Ok(found) => all.found.extend(found),
        Err(error @ (StackError::Denied { .. } | StackError::Api { .. })) => {
            all.unseen.push(format!("whether {what} are left cannot be seen: {error}"));
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

type Tags = BTreeMap<String, String>;

fn leftover(kind: Kind, name: &str, id: &str, tags: &Tags) -> Leftover {
    Leftover { kind, name: name.to_owned(), id: id.to_owned(), env: env_of(tags) }
}

async fn functions(clients: &Clients, prefix: &str) -> Found {
    let mut found = Vec::new();
    let mut marker = None;
    for _ in 0..PAGES_MAX {
        let sent = clients.lambda.list_functions().set_marker(marker).send().await;
        let page = sent.map_err(|error| failed("Lambda", "list functions", error))?;
        for function in page.functions() {
            let (name, arn) = (function.function_name(), function.function_arn());
            let (name, arn) = (name.unwrap_or_default(), arn.unwrap_or_default());
            if !name.starts_with(prefix) {
                continue;
            }
            let tags = lambda_tags(clients, arn).await?;
            found.push(leftover(Kind::Function, name, arn, &tags));
            // A mapping has no name: its function's stands for it.
            let call = clients.lambda.list_event_source_mappings().function_name(name);
            let mappings = call.send().await;
            let mappings = mappings.map_err(|error| failed("Lambda", "list mappings", error))?;
            for mapping in mappings.event_source_mappings() {
                let uuid = mapping.uuid().unwrap_or_default();
                let arn = mapping.event_source_mapping_arn().unwrap_or_default();
                let tags = lambda_tags(clients, arn).await?;
                found.push(leftover(Kind::Mapping, name, uuid, &tags));
            }
        }
        marker = page.next_marker().map(str::to_owned);
        if marker.is_none() {
            break;
        }
    }
    Ok(found)
}

async fn lambda_tags(clients: &Clients, arn: &str) -> Result<Tags, StackError> {
    let sent = clients.lambda.list_tags().resource(arn).send().await;
    let tags = sent.map_err(|error| failed("Lambda", format!("read the tags of {arn}"), error))?;
    Ok(tags.tags().into_iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect())
}

async fn streams(clients: &Clients, prefix: &str) -> Found {
    let mut found = Vec::new();
    let mut after = None;
    for _ in 0..PAGES_MAX {
        let sent = clients.kinesis.list_streams().set_exclusive_start_stream_name(after).send().await;
        let page = sent.map_err(|error| failed("Kinesis", "list streams", error))?;
        for name in page.stream_names().iter().filter(|name| name.starts_with(prefix)) {
            let sent = clients.kinesis.list_tags_for_stream().stream_name(name).send().await;
            let tags = sent.map_err(|error| failed("Kinesis", "read a stream's tags", error))?;
            let pair = |tag: &aws_sdk_kinesis::types::Tag| {
                (tag.key().to_owned(), tag.value().unwrap_or_default().to_owned())
            };
            let tags = tags.tags().iter().map(pair).collect();
            found.push(leftover(Kind::Stream, name, name, &tags));
        }
        after = page.stream_names().last().cloned();
        if !page.has_more_streams() {
            break;
        }
    }
    Ok(found)
}

async fn queues(clients: &Clients, prefix: &str) -> Found {
    let mut found = Vec::new();
    let mut token = None;
    for _ in 0..PAGES_MAX {
        let call = clients.sqs.list_queues().queue_name_prefix(prefix).max_results(1_000);
        let sent = call.set_next_token(token).send().await;
        let page = sent.map_err(|error| failed("SQS", "list queues", error))?;
        for url in page.queue_urls() {
            let sent = clients.sqs.list_queue_tags().queue_url(url).send().await;
            let tags = sent.map_err(|error| failed("SQS", "read a queue's tags", error))?;
            let tags = tags.tags().into_iter().flatten().map(|(key, value)| (key.clone(), value.clone()));
            let name = url.rsplit('/').next().unwrap_or_default();
            found.push(leftover(Kind::Queue, name, url, &tags.collect()));
        }
        token = page.next_token().map(str::to_owned);
        if token.is_none() {
            break;
        }
    }
    Ok(found)
}

/// Buckets are global: those of another region are not of this sweep.
async fn buckets(clients: &Clients, prefix: &str) -> Found {
    let mut found = Vec::new();
    let sent = clients.s3.list_buckets().send().await;
    let listed = sent.map_err(|error| failed("S3", "list buckets", error))?;
    for bucket in listed.buckets() {
        let name = bucket.name().unwrap_or_default();
        if !name.starts_with(prefix) || !name.ends_with(&clients.region) {
            continue;
        }
        let doing = format!("read the tags of bucket {name}");
        let tags = match clients.s3.get_bucket_tagging().bucket(name).send().await {
            Ok(tags) => {
                let set = tags.tag_set().iter();
                set.map(|tag| (tag.key().to_owned(), tag.value().to_owned())).collect()
            }
            Err(error) => match failed("S3", doing, error) {
                StackError::Api { code, .. } if code == "NoSuchTagSet" => Tags::new(),
                other => return Err(other),
            },
        };
        found.push(leftover(Kind::Bucket, name, name, &tags));
    }
    Ok(found)
}

async fn log_groups(clients: &Clients, prefix: &str) -> Found {
    let mut found = Vec::new();
    let mut token = None;
    for _ in 0..PAGES_MAX {
        let call = clients.logs.describe_log_groups();
        let call = call.log_group_name_prefix(format!("{LOG_GROUPS_OF_FUNCTIONS}{prefix}"));
        let sent = call.set_next_token(token).send().await;
        let page = sent.map_err(|error| failed("CloudWatch Logs", "list log groups", error))?;
        for group in page.log_groups() {
            let name = group.log_group_name().unwrap_or_default();
            // The older of its two ARNs ends in `:*`, which the tags' operation does not take.
            let arn = group.arn().unwrap_or_default().trim_end_matches(":*");
            let sent = clients.logs.list_tags_for_resource().resource_arn(arn).send().await;
            let tags = sent.map_err(|error| failed("CloudWatch Logs", "read a log group's tags", error))?;
            let tags = tags.tags().into_iter().flatten().map(|(key, value)| (key.clone(), value.clone()));
            found.push(leftover(Kind::LogGroup, name, arn, &tags.collect()));
        }
        token = page.next_token().map(str::to_owned);
        if token.is_none() {
            break;
        }
    }
    Ok(found)
}

async fn alarms(clients: &Clients, prefix: &str) -> Found {
    let mut found = Vec::new();
    let mut token = None;
    for _ in 0..PAGES_MAX {
        let call = clients.cloudwatch.describe_alarms().alarm_name_prefix(prefix);
        let call = call.alarm_types(AlarmType::MetricAlarm).alarm_types(AlarmType::CompositeAlarm);
        let sent = call.set_next_token(token).send().await;
        let page = sent.map_err(|error| failed("CloudWatch", "list alarms", error))?;
        let metric = page.metric_alarms().iter().map(|alarm| (alarm.alarm_name(), alarm.alarm_arn()));
        let composite = page.composite_alarms().iter().map(|alarm| (alarm.alarm_name(), alarm.alarm_arn()));
        for (name, arn) in metric.chain(composite) {
            let (name, arn) = (name.unwrap_or_default(), arn.unwrap_or_default());
            let sent = clients.cloudwatch.list_tags_for_resource().resource_arn(arn).send().await;
            let tags = sent.map_err(|error| failed("CloudWatch", "read an alarm's tags", error))?;
            let pair = |tag: &aws_sdk_cloudwatch::types::Tag| {
                (tag.key().unwrap_or_default().to_owned(), tag.value().unwrap_or_default().to_owned())
            };
            found.push(leftover(Kind::Alarm, name, arn, &tags.tags().iter().map(pair).collect()));
        }
        token = page.next_token().map(str::to_owned);
        if token.is_none() {
            break;
        }
    }
    Ok(found)
}

async fn dashboards(clients: &Clients, prefix: &str) -> Found {
    let sent = clients.cloudwatch.list_dashboards().dashboard_name_prefix(prefix).send().await;
    let page = sent.map_err(|error| failed("CloudWatch", "list dashboards", error))?;
    let entry = |one: &aws_sdk_cloudwatch::types::DashboardEntry| {
        let (name, arn) = (one.dashboard_name(), one.dashboard_arn());
        leftover(Kind::Dashboard, name.unwrap_or_default(), arn.unwrap_or_default(), &Tags::new())
    };
    Ok(page.dashboard_entries().iter().map(entry).collect())
}

async fn schedules(clients: &Clients, prefix: &str) -> Found {
    let sent = clients.scheduler.list_schedules().name_prefix(prefix).send().await;
    let page = sent.map_err(|error| failed("EventBridge Scheduler", "list schedules", error))?;
    let one = |schedule: &aws_sdk_scheduler::types::ScheduleSummary| {
        let (name, arn) = (schedule.name(), schedule.arn());
        leftover(Kind::Schedule, name.unwrap_or_default(), arn.unwrap_or_default(), &Tags::new())
    };
    Ok(page.schedules().iter().map(one).collect())
}
