//! Tests of whole stacks, with services that record what they are asked.

mod change_sets;
mod deletions;
mod functions;
mod limits;
mod property;
mod stacks;
mod updates;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::CloudFormation;
use crate::local::cloudwatch::CloudWatch;
use crate::local::faults::Faults;
use crate::local::iam::Iam;
use crate::local::kinesis::Kinesis;
use crate::local::logs::Logs;
use crate::local::metrics::NoMetrics;
use crate::local::s3::S3;
use crate::local::service::{ApiError, ApiResult, BoxFuture, Context, Service};
use crate::local::sqs::Sqs;
use crate::platform::clock::Clock;

pub fn context() -> Context {
    Context {
        clock: Clock::starting_at(1_700_000_000_000_000),
        region: "us-east-1".into(),
        account: "111122223333".into(),
        seed: 1,
        metrics: Arc::new(NoMetrics),
        faults: Arc::new(Faults::none()),
    }
}

/// Answers as the real services do where the engine looks, records every call, keeps track of what
/// stands, and fails on request.
///
/// With a service behind it, it only records and fails.
pub struct Recorder {
    name: &'static str,
    log: Arc<Mutex<Log>>,
    behind: Option<Arc<dyn Service>>,
}

#[derive(Default)]
pub struct Log {
    pub calls: Vec<(String, Value)>,
    /// Operations that fail, with the error.
    pub failing: BTreeMap<String, ApiError>,
    /// `service/name` of what was created and not deleted.
    pub standing: BTreeSet<String>,
    /// Contents of the buckets: `bucket/key` to base64.
    pub objects: BTreeMap<String, String>,
}

impl Recorder {
    fn record(&self, operation: &str, input: &Value) -> Result<(), ApiError> {
        let mut log = self.log.lock().unwrap();
        log.calls.push((operation.to_owned(), input.clone()));
        log.failing.get(operation).map_or(Ok(()), |error| Err(error.clone()))
    }

    fn answer(&self, operation: &str, input: Value) -> ApiResult {
        let mut log = self.log.lock().unwrap();
        let of = |member: &str| input[member].as_str().unwrap_or_default().to_owned();
        let (name, made) = match operation {
            "CreateStream" | "DescribeStreamSummary" | "DeleteStream" => (of("StreamName"), None),
            "DeleteFunction" if input.get("Qualifier").is_some() => (String::new(), None),
            "CreateFunction" | "GetFunction" | "DeleteFunction" => (of("FunctionName"), None),
            "CreateAlias" | "DeleteAlias" => (of("Name"), None),
            "RegisterStreamConsumer" => (format!("arn:consumer:{}", of("ConsumerName")), Some(true)),
            "DescribeStreamConsumer" | "DeregisterStreamConsumer" => (of("ConsumerARN"), None),
            "CreateEventSourceMapping" => ("mapping-uuid".to_owned(), None),
            "GetEventSourceMapping" | "DeleteEventSourceMapping" => (of("UUID"), None),
            "GetQueueUrl" => (format!("http://sqs/{}", of("QueueName")), None),
            "GetDashboard" => (of("DashboardName"), None),
            "GetBucketLocation" => (of("Bucket"), None),
            "CreateQueue" => (format!("http://sqs/{}", of("QueueName")), None),
            "DeleteQueue" => (of("QueueUrl"), None),
            "CreateBucket" | "DeleteBucket" => (of("Bucket"), None),
            "CreateLogGroup" | "DeleteLogGroup" => (of("logGroupName"), None),
            "PutMetricAlarm" | "PutCompositeAlarm" => (of("AlarmName"), Some(true)),
            "PutDashboard" => (of("DashboardName"), Some(true)),
            "DeleteAlarms" => (input["AlarmNames"][0].as_str().unwrap().to_owned(), None),
            "DeleteDashboards" => (input["DashboardNames"][0].as_str().unwrap().to_owned(), None),
            _ => (String::new(), None),
        };
        let key = format!("{}/{name}", self.name);
        if made == Some(true) || operation.starts_with("Create") {
            log.standing.insert(key);
        } else if (operation.starts_with("Delete") || operation.starts_with("Deregister")) && !name.is_empty()
        {
            if !log.standing.remove(&key) {
                return Err(ApiError::new(404, "ResourceNotFoundException", "not there"));
            }
        } else if !name.is_empty() && !log.standing.contains(&key) {
            return Err(ApiError::new(404, "ResourceNotFoundException", "not there"));
        }
        Ok(match operation {
            "CreateFunction" => json!({"FunctionArn": format!("arn:function:{name}"), "State": "Pending"}),
            "GetFunction" => json!({"Configuration": {"State": "Active", "LastUpdateStatus": "Successful"}}),
            "CreateEventSourceMapping" => json!({"UUID": name, "State": "Creating"}),
            "GetEventSourceMapping" => json!({"State": "Enabled"}),
            "DescribeStreamSummary" => json!({"StreamDescriptionSummary": {
                "StreamStatus": "ACTIVE", "StreamARN": format!("arn:stream:{name}"),
            }}),
            "CreateAlias" => json!({"AliasArn": format!("arn:function:{}:{name}", of("FunctionName"))}),
            "PublishVersion" => {
                json!({"FunctionArn": format!("arn:function:{}:1", of("FunctionName")), "Version": "1"})
            }
            "GetProvisionedConcurrencyConfig" => json!({"Status": "READY"}),
            "RegisterStreamConsumer" => {
                json!({"Consumer": {"ConsumerARN": name, "ConsumerCreationTimestamp": 1}})
            }
            "DescribeStreamConsumer" => json!({"ConsumerDescription": {"ConsumerStatus": "ACTIVE"}}),
            "CreateQueue" => json!({"QueueUrl": name}),
            "GetQueueAttributes" => {
                let queue = of("QueueUrl").rsplit('/').next().unwrap().to_owned();
                json!({"Attributes": {"QueueArn": format!("arn:queue:{queue}")}})
            }
            "GetObject" => match log.objects.get(&format!("{}/{}", of("Bucket"), of("Key"))) {
                Some(body) => json!({"Body": body}),
                None => {
                    return Err(ApiError::new(404, "NoSuchKey", "The specified key does not exist."));
                }
            },
            _ => json!({}),
        })
    }
}

impl Service for Recorder {
    fn call<'a>(&'a self, operation: &'a str, input: Value) -> BoxFuture<'a, ApiResult> {
        Box::pin(async move {
            self.record(operation, &input)?;
            match &self.behind {
                Some(real) => real.call(operation, input).await,
                None => self.answer(operation, input),
            }
        })
    }
}

/// A CloudFormation over recording services, and real IAM.
pub struct Bench {
    pub cloudformation: Arc<CloudFormation>,
    pub iam: Arc<Iam>,
    pub log: Arc<Mutex<Log>>,
    services: BTreeMap<&'static str, Arc<dyn Service>>,
}

impl Bench {
    pub fn new() -> Bench {
        let log = Arc::new(Mutex::new(Log::default()));
        let iam = Iam::new(context());
        let mut services: BTreeMap<&'static str, Arc<dyn Service>> = BTreeMap::new();
        for name in ["kinesis", "lambda", "sqs", "s3", "logs", "monitoring"] {
            services.insert(name, Arc::new(Recorder { name, log: Arc::clone(&log), behind: None }));
        }
        services.insert("iam", Arc::clone(&iam) as Arc<dyn Service>);
        let cloudformation = CloudFormation::new(context(), services.clone());
        Bench { cloudformation, iam, log, services }
    }

    /// Over the endpoint's own services, but for Lambda.
    pub fn real() -> Bench {
        let log = Arc::new(Mutex::new(Log::default()));
        let context = context();
        let iam = Iam::new(context.clone());
        let real: [(&'static str, Arc<dyn Service>); 6] = [
            ("kinesis", Kinesis::new(context.clone())),
            ("sqs", Sqs::new(context.clone(), Arc::default())),
            ("s3", S3::new(context.clone())),
            ("logs", Logs::new(context.clone())),
            ("monitoring", CloudWatch::new(context.clock, context.region.clone(), context.account.clone())),
            ("iam", Arc::clone(&iam) as Arc<dyn Service>),
        ];
        let services: BTreeMap<&'static str, Arc<dyn Service>> = real
            .into_iter()
            .map(|(name, behind)| {
                let recorder = Recorder { name, log: Arc::clone(&log), behind: Some(behind) };
                (name, Arc::new(recorder) as Arc<dyn Service>)
            })
            .collect();
        let cloudformation = CloudFormation::new(context, services.clone());
        Bench { cloudformation, iam, log, services }
    }

    /// Asks one of the services.
    pub async fn ask(&self, service: &str, operation: &str, input: Value) -> ApiResult {
        self.services[service].call(operation, input).await
    }

    /// Undoes [`Bench::fail`].
    pub fn heal(&self, operation: &str) {
        self.log.lock().unwrap().failing.remove(operation);
    }

    /// Updates the stack named `s` and gives it as it has settled.
    pub async fn update(&self, template: &str, more: Value) -> Result<Value, ApiError> {
        let mut input = json!({"StackName": "s", "TemplateBody": template});
        input.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
        self.call("UpdateStack", input).await?;
        Ok(self.settled("s").await)
    }

    pub fn fail(&self, operation: &str, code: &str, message: &str) {
        let error = ApiError::invalid(code, message);
        self.log.lock().unwrap().failing.insert(operation.to_owned(), error);
    }

    /// Inputs of all calls of an operation.
    pub fn calls(&self, operation: &str) -> Vec<Value> {
        let log = self.log.lock().unwrap();
        log.calls.iter().filter(|(name, _)| name == operation).map(|(_, input)| input.clone()).collect()
    }

    pub fn standing(&self) -> Vec<String> {
        self.log.lock().unwrap().standing.iter().cloned().collect()
    }

    pub async fn call(&self, operation: &str, input: Value) -> ApiResult {
        self.cloudformation.call(operation, input).await
    }

    /// Creates a stack named `s` and gives it as it has settled.
    pub async fn create(&self, template: &str, more: Value) -> Result<Value, ApiError> {
        let mut input = json!({"StackName": "s", "TemplateBody": template});
        input.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
        let id = self.call("CreateStack", input).await?["StackId"].as_str().unwrap().to_owned();
        Ok(self.settled(&id).await)
    }

    pub async fn delete(&self, id: &str) -> Value {
        self.call("DeleteStack", json!({"StackName": id})).await.unwrap();
        self.settled(id).await
    }

    pub async fn settled(&self, id: &str) -> Value {
        for _ in 0..1_000 {
            let answer = self.call("DescribeStacks", json!({"StackName": id})).await.unwrap();
            let stack = &answer["Stacks"][0];
            if !stack["StackStatus"].as_str().unwrap().ends_with("_IN_PROGRESS") {
                return stack.clone();
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the stack never settled");
    }

    /// `logical id status` of all events, oldest first.
    pub async fn events(&self, id: &str) -> Vec<String> {
        let answer = self.call("DescribeStackEvents", json!({"StackName": id})).await.unwrap();
        let line = |event: &Value| {
            format!(
                "{} {}",
                event["LogicalResourceId"].as_str().unwrap(),
                event["ResourceStatus"].as_str().unwrap()
            )
        };
        answer["StackEvents"].as_array().unwrap().iter().rev().map(line).collect()
    }

    /// Reason of the first event of that status.
    pub async fn reason(&self, id: &str, status: &str) -> String {
        let answer = self.call("DescribeStackEvents", json!({"StackName": id})).await.unwrap();
        let events = answer["StackEvents"].as_array().unwrap();
        let event = events.iter().rev().find(|event| event["ResourceStatus"] == status).unwrap();
        event["ResourceStatusReason"].as_str().unwrap().to_owned()
    }
}

/// `{OutputKey: OutputValue}` of a described stack.
pub fn outputs(stack: &Value) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let outputs = stack["Outputs"].as_array().unwrap();
    outputs.iter().map(|one| (text(&one["OutputKey"]), text(&one["OutputValue"]))).collect()
}
