//! Valid requests, some for each parser and service: what the mutations start from. The endpoint must take every
//! one of them, in this order, so that the mutants meet streams, queues, functions and stacks that stand.

use std::fmt;
use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::{Value, json};

/// How a request is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    Json,
    Cbor,
    Query,
    Lambda,
    S3,
}

#[derive(Clone)]
pub struct Request {
    pub wire: Wire,
    pub method: Method,
    pub path: String,
    pub headers: Vec<(String, String)>,
    /// What the body is made of, where it has a structure: JSON, CBOR or a form.
    pub input: Option<Value>,
    pub body: Vec<u8>,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = String::from_utf8_lossy(&self.body[..self.body.len().min(2_000)]);
        write!(
            f,
            "{:?} {} {} {:?} ({} bytes) {body:?}",
            self.wire,
            self.method,
            self.path,
            self.headers,
            self.body.len()
        )
    }
}

impl Request {
    fn new(wire: Wire, service: &str, method: Method, path: &str, headers: &[(&str, &str)]) -> Request {
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=a/20261121/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0"
        );
        let all = [("host", "127.0.0.1:4566"), ("authorization", authorization.as_str())];
        let headers =
            all.iter().chain(headers).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Request {
            wire,
            method,
            path: path.to_owned(),
            headers: headers.collect(),
            input: None,
            body: Vec::new(),
        }
    }

    fn with_body(self, body: impl Into<Vec<u8>>) -> Request {
        Request { body: body.into(), ..self }
    }

    fn with_input(self, input: Value) -> Request {
        let mut request = Request { input: Some(input), ..self };
        request.write_input();
        request
    }

    /// Writes the input as the body.
    pub fn write_input(&mut self) {
        let Some(input) = &self.input else { return };
        self.body = match self.wire {
            Wire::Cbor => streamgauge::local::door::cbor::encode(input),
            Wire::Query => {
                let mut form = form_urlencoded::Serializer::new(String::new());
                form.extend_pairs(super::mutate::form(input)).finish().into_bytes()
            }
            Wire::Json | Wire::Lambda | Wire::S3 => input.to_string().into_bytes(),
        };
    }
}

pub fn json_call(service: &str, prefix: &str, operation: &str, input: Value) -> Request {
    let target = format!("{prefix}.{operation}");
    let headers = [("x-amz-target", target.as_str()), ("content-type", "application/x-amz-json-1.1")];
    Request::new(Wire::Json, service, Method::POST, "/", &headers).with_input(input)
}

pub fn query(service: &str, operation: &str, mut input: Value) -> Request {
    input["Action"] = json!(operation);
    input["Version"] = json!("2010-05-15");
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    Request::new(Wire::Query, service, Method::POST, "/", &headers).with_input(input)
}

pub fn cbor(operation: &str, input: Value) -> Request {
    let path = format!("/service/GraniteServiceVersion20100801/operation/{operation}");
    let headers = [("smithy-protocol", "rpc-v2-cbor"), ("content-type", "application/cbor")];
    Request::new(Wire::Cbor, "monitoring", Method::POST, &path, &headers).with_input(input)
}

fn lambda(method: Method, path: &str, input: Value) -> Request {
    Request::new(Wire::Lambda, "lambda", method, path, &[]).with_input(input)
}

fn s3(method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Request {
    Request::new(Wire::S3, "s3", method, path, headers).with_body(body)
}

/// A template in JSON, with each kind of function.
pub const TEMPLATE: &str = r#"{"Parameters": {"P": {"Type": "String", "Default": "a", "AllowedPattern": "[a-z]+"}},
 "Mappings": {"M": {"a": {"n": "5"}}}, "Conditions": {"C": {"Fn::Not": [{"Fn::Equals": [{"Ref": "P"}, "b"]}]}},
 "Resources": {"Q": {"Type": "AWS::SQS::Queue", "Condition": "C",
  "Properties": {"DelaySeconds": {"Fn::FindInMap": ["M", {"Ref": "P"}, "n"]}}}},
 "Outputs": {"O": {"Value": {"Fn::Join": ["-", [{"Fn::Sub": "${Q.QueueName}"}, {"Fn::Select": [0, ["x"]]}]]}}}}"#;

pub const STACKS: [&str; 3] = [
    include_str!("../../stacks/artifacts.yaml"),
    include_str!("../../stacks/pipeline.yaml"),
    include_str!("../../stacks/observability.yaml"),
];

pub fn all() -> Vec<Request> {
    [kinesis(), sqs(), logs(), cloudwatch(), query_services(), lambda_rest(), s3_rest()].concat()
}

fn kinesis() -> Vec<Request> {
    let call = |operation, input| json_call("kinesis", "Kinesis_20131202", operation, input);
    let record = json!({"Data": "aGVsbG8=", "PartitionKey": "k", "ExplicitHashKey": "170141183460469231731687303715884105728"});
    vec![
        call("CreateStream", json!({"StreamName": "s", "ShardCount": 2, "Tags": {"a": "b"}})),
        call("PutRecord", json!({"StreamName": "s", "Data": "aGVsbG8=", "PartitionKey": "k"})),
        call("PutRecords", json!({"StreamName": "s", "Records": [record, record, record]})),
        call(
            "GetShardIterator",
            json!({"StreamName": "s", "ShardId": "shardId-000000000000", "ShardIteratorType": "AT_TIMESTAMP", "Timestamp": 1.5e9}),
        ),
        call("ListShards", json!({"StreamName": "s", "MaxResults": 1, "ShardFilter": {"Type": "AT_LATEST"}})),
        call("DescribeStream", json!({"StreamName": "s", "Limit": 1})),
        call("DescribeStreamSummary", json!({"StreamName": "s"})),
        call("ListStreams", json!({"Limit": 10})),
        call("IncreaseStreamRetentionPeriod", json!({"StreamName": "s", "RetentionPeriodHours": 48})),
        call("AddTagsToStream", json!({"StreamName": "s", "Tags": {"k": "v"}})),
        call(
            "StartStreamEncryption",
            json!({"StreamName": "s", "EncryptionType": "KMS", "KeyId": "alias/aws/kinesis"}),
        ),
        call("DescribeLimits", json!({})),
    ]
}

fn sqs() -> Vec<Request> {
    let call = |operation, input| json_call("sqs", "AmazonSQS", operation, input);
    let url = "http://localhost:4566/123456789012/q";
    let attribute = json!({"a": {"DataType": "Number", "StringValue": "1"}});
    vec![
        call(
            "CreateQueue",
            json!({"QueueName": "q", "Attributes": {"VisibilityTimeout": "5"}, "tags": {"a": "b"}}),
        ),
        call("SendMessage", json!({"QueueUrl": url, "MessageBody": "hello", "MessageAttributes": attribute})),
        call(
            "SendMessageBatch",
            json!({"QueueUrl": url, "Entries": [{"Id": "1", "MessageBody": "a", "DelaySeconds": 0}]}),
        ),
        call(
            "ReceiveMessage",
            json!({"QueueUrl": url, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 1, "MessageAttributeNames": ["All"]}),
        ),
        call("GetQueueAttributes", json!({"QueueUrl": url, "AttributeNames": ["All"]})),
        call("SetQueueAttributes", json!({"QueueUrl": url, "Attributes": {"DelaySeconds": "0"}})),
        call("ListQueues", json!({"QueueNamePrefix": "q", "MaxResults": 5})),
    ]
}

fn logs() -> Vec<Request> {
    let call = |operation, input| json_call("logs", "Logs_20140328", operation, input);
    let at_ms = super::door::START_US / 1_000;
    let group = "g";
    vec![
        call("CreateLogGroup", json!({"logGroupName": group, "tags": {"a": "b"}})),
        call("CreateLogStream", json!({"logGroupName": group, "logStreamName": "s"})),
        call(
            "PutLogEvents",
            json!({"logGroupName": group, "logStreamName": "s", "logEvents": [{"timestamp": at_ms, "message": "ERROR x"}]}),
        ),
        call(
            "FilterLogEvents",
            json!({"logGroupName": group, "filterPattern": "?ERROR ?\"a b\" -c", "limit": 10}),
        ),
        call("GetLogEvents", json!({"logGroupName": group, "logStreamName": "s", "startFromHead": true})),
        call("DescribeLogGroups", json!({"logGroupNamePrefix": "g"})),
        call("PutRetentionPolicy", json!({"logGroupName": group, "retentionInDays": 7})),
    ]
}

fn cloudwatch() -> Vec<Request> {
    let at_s = super::door::START_US / 1_000_000;
    let datum = json!({"MetricName": "m", "Value": 1.5, "Unit": "Count", "Timestamp": at_s,
        "Dimensions": [{"Name": "d", "Value": "x"}]});
    let metric = json!({"Namespace": "N", "MetricName": "m", "Dimensions": [{"Name": "d", "Value": "x"}]});
    let queries = json!([
        {"Id": "m1", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "p99"}},
        {"Id": "e1", "Expression": "IF(m1 > 2 AND -m1 ^ 2 < 1, FILL(METRICS(), REPEAT), SUM([m1, m1 * 2]))"},
    ]);
    let inputs = [
        ("PutMetricData", json!({"Namespace": "N", "MetricData": [datum]})),
        (
            "GetMetricData",
            json!({"MetricDataQueries": queries, "StartTime": at_s - 600, "EndTime": at_s + 60}),
        ),
        (
            "GetMetricStatistics",
            json!({"Namespace": "N", "MetricName": "m", "StartTime": at_s - 600, "EndTime": at_s + 60, "Period": 60, "Statistics": ["Sum"]}),
        ),
        ("ListMetrics", json!({"Namespace": "N"})),
        (
            "PutMetricAlarm",
            json!({"AlarmName": "a", "Namespace": "N", "MetricName": "m", "Statistic": "Sum", "Period": 60, "EvaluationPeriods": 2, "Threshold": 1.0, "ComparisonOperator": "GreaterThanThreshold"}),
        ),
        ("PutCompositeAlarm", json!({"AlarmName": "c", "AlarmRule": "ALARM(a) OR (NOT OK(\"a\") AND TRUE)"})),
        ("DescribeAlarms", json!({"AlarmNames": ["a"]})),
        ("PutDashboard", json!({"DashboardName": "d", "DashboardBody": "{\"widgets\":[]}"})),
    ];
    let form = |(operation, input): (&str, Value)| query("monitoring", operation, input);
    let json = |(operation, input): (&str, Value)| {
        json_call("monitoring", "GraniteServiceVersion20100801", operation, input)
    };
    let binary = inputs.clone().map(|(operation, input)| cbor(operation, input)).to_vec();
    [binary, inputs.clone().map(json).to_vec(), inputs.map(form).to_vec()].concat()
}

fn query_services() -> Vec<Request> {
    let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
    let parameter = json!([{"ParameterKey": "P", "ParameterValue": "a"}]);
    let mut requests = vec![
        query("sts", "GetCallerIdentity", json!({})),
        query("iam", "CreateRole", json!({"RoleName": "r", "AssumeRolePolicyDocument": trust})),
        query("iam", "PutRolePolicy", json!({"RoleName": "r", "PolicyName": "p", "PolicyDocument": trust})),
        query("iam", "ListRoles", json!({"MaxItems": "1"})),
        query(
            "cloudformation",
            "CreateStack",
            json!({"StackName": "one", "TemplateBody": TEMPLATE, "Parameters": parameter}),
        ),
        query("cloudformation", "DescribeStacks", json!({"StackName": "one"})),
        query("cloudformation", "DescribeStackEvents", json!({"StackName": "one"})),
        query("cloudformation", "GetTemplate", json!({"StackName": "one"})),
        query("cloudformation", "ListStacks", json!({"StackStatusFilter": ["CREATE_COMPLETE"]})),
    ];
    for template in STACKS.into_iter().chain([TEMPLATE]) {
        requests.push(query("cloudformation", "ValidateTemplate", json!({"TemplateBody": template})));
        requests.push(query("cloudformation", "GetTemplateSummary", json!({"TemplateBody": template})));
    }
    requests
}

fn lambda_rest() -> Vec<Request> {
    let code = json!({"ZipFile": STANDARD.encode(zip("bootstrap", "#!/bin/sh\n"))});
    let create = json!({"FunctionName": "f", "Runtime": "provided.al2023", "Handler": "bootstrap", "Code": code,
        "Role": "arn:aws:iam::123456789012:role/r", "MemorySize": 512, "Timeout": 3,
        "Environment": {"Variables": {"AB": "c"}}, "Tags": {"a": "b"}});
    let stream = "arn:aws:kinesis:us-east-1:123456789012:stream/s";
    let filter =
        json!({"Filters": [{"Pattern": "{\"data\":{\"a\":[{\"numeric\":[\">\",1]},{\"prefix\":\"x\"}]}}"}]});
    let mapping = json!({"FunctionName": "f", "EventSourceArn": stream, "StartingPosition": "TRIM_HORIZON",
        "BatchSize": 10, "FilterCriteria": filter});
    let permission =
        json!({"StatementId": "s1", "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com"});
    vec![
        lambda(Method::POST, "/2015-03-31/functions", create),
        lambda(Method::GET, "/2015-03-31/functions/f?Qualifier=$LATEST", json!({})),
        lambda(Method::POST, "/2015-03-31/functions/f/invocations", json!({"Records": []})),
        lambda(Method::PUT, "/2015-03-31/functions/f/configuration", json!({"Timeout": 5})),
        lambda(Method::PUT, "/2015-03-31/functions/f/code", code),
        lambda(Method::POST, "/2015-03-31/event-source-mappings/", mapping),
        lambda(Method::GET, "/2015-03-31/event-source-mappings/?FunctionName=f&MaxItems=1", json!({})),
        lambda(Method::POST, "/2015-03-31/functions/f/policy", permission),
        lambda(
            Method::PUT,
            "/2017-10-31/functions/f/concurrency",
            json!({"ReservedConcurrentExecutions": 5}),
        ),
        lambda(
            Method::GET,
            "/2017-03-31/tags/arn%3Aaws%3Alambda%3Aus-east-1%3A123456789012%3Afunction%3Af",
            json!({}),
        ),
    ]
}

fn s3_rest() -> Vec<Request> {
    let chunked = [
        ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
        ("x-amz-decoded-content-length", "5"),
        ("content-encoding", "aws-chunked"),
        ("x-amz-trailer", "x-amz-checksum-crc32"),
    ];
    vec![
        s3(Method::PUT, "/bucket", &[], ""),
        s3(
            Method::PUT,
            "/bucket/key%20one",
            &[("x-amz-meta-a", "b"), ("content-type", "text/plain")],
            "hello",
        ),
        s3(
            Method::PUT,
            "/bucket/chunked",
            &chunked,
            "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n",
        ),
        s3(Method::GET, "/bucket/key%20one", &[("range", "bytes=1-3")], ""),
        s3(Method::HEAD, "/bucket/key%20one", &[], ""),
        s3(Method::GET, "/bucket?list-type=2&prefix=k&delimiter=%2F&max-keys=1&encoding-type=url", &[], ""),
        s3(Method::GET, "/bucket?versions&key-marker=a", &[], ""),
        s3(
            Method::PUT,
            "/bucket?tagging",
            &[],
            "<Tagging><TagSet><Tag><Key>a</Key><Value>b&amp;c</Value></Tag></TagSet></Tagging>",
        ),
        s3(
            Method::PUT,
            "/bucket?lifecycle",
            &[],
            "<LifecycleConfiguration><Rule><ID>r</ID><Status>Enabled</Status><Filter><Prefix>a</Prefix></Filter><Expiration><Days>1</Days></Expiration></Rule></LifecycleConfiguration>",
        ),
        s3(
            Method::PUT,
            "/bucket?versioning",
            &[],
            "<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Status>Enabled</Status></VersioningConfiguration>",
        ),
        s3(Method::POST, "/bucket/big?uploads", &[], ""),
        s3(
            Method::POST,
            "/bucket?delete",
            &[],
            "<Delete><Object><Key>nope</Key></Object><Quiet>true</Quiet></Delete>",
        ),
        s3(Method::GET, "/", &[], ""),
    ]
}

fn zip(name: &str, content: &str) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().unix_permissions(0o755);
    archive.start_file(name, options).expect("a file");
    archive.write_all(content.as_bytes()).expect("its content");
    archive.finish().expect("an archive").into_inner()
}
