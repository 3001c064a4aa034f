//! The doors with the real SDK: what it sends is read, and what it reads is sent.

use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sdk_kinesis::error::ProvideErrorMetadata;
use aws_sdk_kinesis::operation::RequestId;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, ShardIteratorType, StreamStatus};
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::in_process::sdk_http_client;
use crate::local::cloud::{Cloud, CloudSettings, HostKind, LOCAL_ACCOUNT};
use crate::platform::clock::Clock;

fn cloud(clock: Clock, faults: &[&str]) -> Arc<Cloud> {
    let faults = faults.iter().map(|spec| spec.parse().expect("spec")).collect();
    Cloud::start(CloudSettings {
        clock,
        region: "us-east-1".into(),
        account: LOCAL_ACCOUNT.into(),
        seed: 1,
        faults,
        work_dir: std::env::temp_dir(),
        host: HostKind::Process,
        memory: Default::default(),
    })
    .expect("start")
}

fn config(clock: Clock, url: &str, http: SharedHttpClient) -> SdkConfig {
    SdkConfig::builder()
        .region(Region::from_static("us-east-1"))
        .credentials_provider(aws_credential_types::provider::SharedCredentialsProvider::new(
            Credentials::from_keys("AKID", "secret", None),
        ))
        .endpoint_url(url)
        .http_client(http)
        .time_source(clock)
        .sleep_impl(aws_smithy_async::rt::sleep::SharedAsyncSleep::new(TokioSleep::new()))
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .behavior_version(aws_sdk_kinesis::config::BehaviorVersion::latest())
        .build()
}

/// A client in this process, in virtual time, with an active stream `s`.
async fn in_process(shards: i32, faults: &[&str]) -> (Arc<Cloud>, Clock, aws_sdk_kinesis::Client) {
    let clock = Clock::starting_at(1_790_000_000_000_000);
    let cloud = cloud(clock, faults);
    let config = config(clock, "http://localhost", sdk_http_client(Arc::clone(&cloud)));
    let kinesis = aws_sdk_kinesis::Client::new(&config);
    kinesis.create_stream().stream_name("s").shard_count(shards).send().await.expect("create");
    tokio::time::sleep(Duration::from_secs(2)).await;
    (cloud, clock, kinesis)
}

fn entry(key: &str, bytes: usize) -> PutRecordsRequestEntry {
    let data = Blob::new(vec![b'x'; bytes]);
    PutRecordsRequestEntry::builder().partition_key(key).data(data).build().expect("entry")
}

async fn read_shard(kinesis: &aws_sdk_kinesis::Client, shard: &str) -> Vec<aws_sdk_kinesis::types::Record> {
    let first = kinesis.get_shard_iterator().stream_name("s").shard_id(shard);
    let first = first.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await.expect("iterator");
    let (mut next, mut records) = (first.shard_iterator.expect("iterator"), Vec::new());
    loop {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let page = kinesis.get_records().shard_iterator(next).send().await.expect("records");
        records.extend(page.records);
        next = page.next_shard_iterator.expect("open shard");
        if page.millis_behind_latest == Some(0) {
            return records;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_sdk_puts_and_gets_without_a_socket_in_virtual_time() {
    let (_cloud, clock, kinesis) = in_process(2, &[]).await;
    let summary = kinesis.describe_stream_summary().stream_name("s").send().await.expect("summary");
    let summary = summary.stream_description_summary.expect("summary");
    assert_eq!((summary.stream_status, summary.open_shard_count), (StreamStatus::Active, 2));
    let put_at_ms = clock.now_ms();
    let put = kinesis.put_record().stream_name("s").partition_key("k").data(Blob::new("hello"));
    let put = put.send().await.expect("put");
    assert_eq!(put.sequence_number.len(), 56);
    assert!(put.request_id().is_some());
    let records = read_shard(&kinesis, &put.shard_id).await;
    assert_eq!(records.len(), 1);
    assert_eq!((records[0].data.as_ref(), records[0].partition_key.as_deref()), (&b"hello"[..], Some("k")));
    let arrival = records[0].approximate_arrival_timestamp.expect("arrival");
    assert_eq!(arrival.to_millis().expect("ms"), put_at_ms);
}

#[tokio::test(start_paused = true)]
async fn a_shard_takes_exactly_a_thousand_records_a_second() {
    let (_cloud, _, kinesis) = in_process(1, &[]).await;
    let put = || kinesis.put_record().stream_name("s").partition_key("k").data(Blob::new("x")).send();
    for second in 0..3 {
        for _ in 0..1_000 {
            put().await.unwrap_or_else(|error| panic!("second {second}: {:?}", error.as_service_error()));
        }
        let refused = put().await.expect_err("over the limit").into_service_error();
        assert!(refused.is_provisioned_throughput_exceeded_exception());
        assert_eq!(
            refused.message(),
            Some("Rate exceeded for shard shardId-000000000000 in stream s under account 123456789012.")
        );
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(read_shard(&kinesis, "shardId-000000000000").await.len(), 3_000);
}

#[tokio::test(start_paused = true)]
async fn put_records_refuses_record_by_record() {
    let (_cloud, _, kinesis) = in_process(1, &[]).await;
    let put = |entries: Vec<_>| kinesis.put_records().stream_name("s").set_records(Some(entries)).send();
    put(vec![entry("k", 1); 500]).await.expect("put");
    // Half of a mebibyte is left after these; one does not fit, and the small one after it does.
    let sizes = [600_000, 500_000, 1_000];
    let mixed = put(sizes.iter().map(|bytes| entry("k", *bytes)).collect()).await.expect("put");
    assert_eq!(mixed.failed_record_count, Some(1));
    assert!(mixed.records[0].sequence_number.is_some() && mixed.records[2].sequence_number.is_some());
    assert_eq!(mixed.records[1].error_code.as_deref(), Some("ProvisionedThroughputExceededException"));
    assert!(
        mixed.records[1]
            .error_message
            .as_deref()
            .is_some_and(|text| text.starts_with("Rate exceeded for shard"))
    );
    let rest = put(vec![entry("k", 1); 500]).await.expect("put");
    assert_eq!(rest.failed_record_count, Some(2));
    assert!(rest.records[497].sequence_number.is_some() && rest.records[498].sequence_number.is_none());
}

#[tokio::test(start_paused = true)]
async fn keys_spread_over_many_shards_and_each_keeps_its_order() {
    let (_cloud, _, kinesis) = in_process(50, &[]).await;
    let mut acked = std::collections::BTreeMap::<String, Vec<String>>::new();
    for batch in 0..20 {
        let entries = (0..500).map(|n| entry(&format!("key-{}", batch * 500 + n), 10)).collect();
        let put =
            kinesis.put_records().stream_name("s").set_records(Some(entries)).send().await.expect("put");
        for record in put.records {
            acked
                .entry(record.shard_id.expect("shard"))
                .or_default()
                .push(record.sequence_number.expect("number"));
        }
    }
    assert_eq!(acked.len(), 50);
    for (shard, numbers) in acked {
        let stored: Vec<String> =
            read_shard(&kinesis, &shard).await.into_iter().map(|record| record.sequence_number).collect();
        assert!(stored.windows(2).all(|pair| pair[0] < pair[1]), "{shard}");
        assert_eq!(stored, numbers, "{shard}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_takes_effect_and_the_client_sees_no_answer() {
    let (cloud, _, kinesis) = in_process(1, &["lost-answer:rate=100%"]).await;
    let put = kinesis.put_record().stream_name("s").partition_key("k").data(Blob::new("x")).send().await;
    assert!(put.expect_err("lost").as_service_error().is_none());
    let stored = read_shard(&kinesis, "shardId-000000000000").await;
    assert_eq!(cloud.context().faults.log()[0].kinesis_sequences, [stored[0].sequence_number.clone()]);
}

#[tokio::test(start_paused = true)]
async fn sts_and_errors_of_the_query_protocol_are_read_by_the_sdk() {
    let (cloud, clock, _) = in_process(1, &[]).await;
    let sts = aws_sdk_sts::Client::new(&config(clock, "http://localhost", sdk_http_client(cloud)));
    let identity = sts.get_caller_identity().send().await.expect("identity");
    assert_eq!(identity.account(), Some(LOCAL_ACCOUNT));
    let error = sts.get_session_token().send().await.expect_err("not there").into_service_error();
    assert_eq!(error.meta().code(), Some("InvalidAction"));
}

/// Every service that speaks the protocol, with an operation that none has.
#[tokio::test(start_paused = true)]
async fn unknown_operations_are_refused_as_each_protocol_does() {
    let cloud = cloud(Clock::starting_at(0), &[]);
    let ask =
        async |service: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &'static str| {
            let scope = format!("Credential=a/20261121/us-east-1/{service}/aws4_request");
            let authorization = format!("AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0");
            let mut request = http::Request::builder().method(method).uri(path).header("host", "localhost");
            request = request.header("authorization", authorization);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let request = request.body(bytes::Bytes::from_static(body.as_bytes())).expect("request");
            let response = super::router::handle(&cloud, request).await;
            let kind = response
                .headers()
                .get("x-amzn-errortype")
                .map(|kind| kind.to_str().expect("text").to_owned());
            (response.status().as_u16(), kind, response.into_body())
        };
    let unknown = Some("UnknownOperationException".to_owned());
    for (service, prefix) in [
        ("kinesis", "Kinesis_20131202"),
        ("sqs", "AmazonSQS"),
        ("logs", "Logs_20140328"),
        ("monitoring", "GraniteServiceVersion20100801"),
    ] {
        let target = format!("{prefix}.Nope");
        let (status, kind, body) = ask(service, "POST", "/", &[("x-amz-target", &target)], "{}").await;
        assert_eq!((status, &kind), (400, &unknown), "{service}");
        let body: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(body["__type"], "UnknownOperationException", "{service}");
    }
    let form = ("content-type", "application/x-www-form-urlencoded");
    for service in ["cloudformation", "iam", "monitoring", "sts"] {
        for (body, code) in [("Action=Nope&Version=1", "InvalidAction"), ("Version=1", "MissingAction")] {
            let (status, _, body) = ask(service, "POST", "/", &[form], body).await;
            let text = String::from_utf8(body.to_vec()).expect("text");
            assert_eq!(status, 400, "{service}");
            assert!(text.contains(&format!("<Type>Sender</Type><Code>{code}</Code>")), "{service}: {text}");
        }
    }
    let cbor = ("smithy-protocol", "rpc-v2-cbor");
    for path in ["/service/GraniteServiceVersion20100801/operation/Nope", "/service/x"] {
        let (status, kind, body) = ask("monitoring", "POST", path, &[cbor], "").await;
        assert_eq!((status, &kind), (404, &unknown), "{path}");
        let body = super::cbor::decode(&body).expect("CBOR");
        assert_eq!(body["__type"], "com.amazonaws.cloudwatch#UnknownOperationException", "{path}");
    }
    for (service, method, path) in
        [("lambda", "GET", "/2015-03-31/nope"), ("lambda", "PATCH", "/"), ("kinesis", "GET", "/")]
    {
        let (status, kind, body) = ask(service, method, path, &[], "").await;
        assert_eq!((status, &kind), (404, &unknown), "{service} {path}");
        let body: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        assert!(body["message"].is_string(), "{service} {path}: {body}");
    }
    let (status, _, body) = ask("s3", "GET", "/bucket?torrent", &[], "").await;
    assert_eq!(status, 501);
    assert!(String::from_utf8_lossy(&body).contains("<Code>NotImplemented</Code>"));
}

/// A server on a free port, its address, and what ends it.
async fn tcp(faults: &[&str]) -> (Arc<Cloud>, String, tokio::task::JoinHandle<std::io::Result<()>>) {
    let cloud = cloud(Clock::start(), faults);
    let listener = super::http::bind(0).await.expect("bind");
    let address = listener.local_addr().expect("address").to_string();
    let serving = tokio::spawn(super::http::serve(Arc::clone(&cloud), listener, cloud.shutdown_asked()));
    (cloud, address, serving)
}

async fn raw(address: &str, request: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("connect");
    stream.write_all(request.as_bytes()).await.expect("write");
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let _ =
        tokio::time::timeout(Duration::from_secs(10), read).await.expect("the server closes the connection");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn the_sdk_puts_and_gets_over_tcp_and_the_server_ends_when_asked() {
    let (cloud, address, serving) = tcp(&[]).await;
    let http = aws_smithy_http_client::Builder::new().build_http();
    let kinesis =
        aws_sdk_kinesis::Client::new(&config(cloud.context().clock, &format!("http://{address}"), http));
    kinesis.create_stream().stream_name("s").shard_count(1).send().await.expect("create");
    tokio::time::sleep(Duration::from_millis(600)).await;
    for n in 0..10 {
        let put = kinesis.put_record().stream_name("s").partition_key("k").data(Blob::new(format!("{n}")));
        put.send().await.expect("put");
    }
    assert_eq!(read_shard(&kinesis, "shardId-000000000000").await.len(), 10);

    let health =
        raw(&address, "GET /_streamgauge/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .await;
    assert!(health.starts_with("HTTP/1.1 200") && health.contains(r#""status":"ready""#), "{health}");
    let stop = |token: &str| {
        format!(
            "POST /_streamgauge/shutdown HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\
             Content-Length: 0\r\nConnection: close\r\n\r\n"
        )
    };
    assert!(raw(&address, &stop("wrong")).await.starts_with("HTTP/1.1 403"));
    assert!(raw(&address, &stop(cloud.token())).await.starts_with("HTTP/1.1 200"));
    // The SDK's connection is still open and idle: it must not hold the server up.
    let ended = tokio::time::timeout(Duration::from_secs(4), serving).await.expect("ends in time");
    ended.expect("no panic").expect("no error");
    assert!(tokio::net::TcpStream::connect(&address).await.is_err());
}

#[tokio::test]
async fn what_a_web_page_could_send_is_refused() {
    let (cloud, address, serving) = tcp(&[]).await;
    let request = |more: &str| {
        format!(
            "POST / HTTP/1.1\r\n{more}X-Amz-Target: Kinesis_20131202.ListStreams\r\n\
             Content-Type: application/x-amz-json-1.1\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}"
        )
    };
    let signed = "Authorization: AWS4-HMAC-SHA256 Credential=a/20261121/us-east-1/kinesis/aws4_request, \
                  SignedHeaders=host, Signature=0\r\n";
    for (headers, status, words) in [
        (format!("Host: 127.0.0.1\r\n{signed}"), 200, "StreamNames"),
        ("Host: 127.0.0.1\r\n".to_owned(), 403, "MissingAuthenticationToken"),
        (format!("Host: evil.example\r\n{signed}"), 403, "AccessDenied"),
        (format!("Host: 127.0.0.1\r\nOrigin: http://127.0.0.1\r\n{signed}"), 403, "AccessDenied"),
        (format!("Host: 127.0.0.1\r\n{}", signed.replace("kinesis", "dynamodb")), 400, "no service dynamodb"),
        (format!("Host: 127.0.0.1\r\n{}", signed.replace("kinesis", "sts")), 400, "signed for sts"),
    ] {
        let answer = raw(&address, &request(&headers)).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")) && answer.contains(words),
            "{headers}: {answer}"
        );
    }
    let faults =
        raw(&address, "GET /_streamgauge/faults HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .await;
    assert!(faults.starts_with("HTTP/1.1 403"));
    let endless = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(300_000));
    assert!(!raw(&address, &endless).await.starts_with("HTTP/1.1 200"));
    cloud.shut_down();
    serving.await.expect("no panic").expect("no error");
}

#[tokio::test]
async fn a_body_beyond_the_cap_is_refused_and_other_addresses_are_not_served() {
    let (cloud, address, serving) = tcp(&[]).await;
    let claimed = super::BODY_MAX_BYTES + 1;
    let head = format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {claimed}\r\nConnection: close\r\n\r\n"
    );
    assert!(raw(&address, &head).await.starts_with("HTTP/1.1 413"));
    let open = tokio::net::TcpListener::bind("0.0.0.0:0").await.expect("bind");
    let refused = super::http::serve(Arc::clone(&cloud), open, cloud.shutdown_asked()).await;
    assert_eq!(refused.expect_err("not loopback").kind(), std::io::ErrorKind::InvalidInput);
    cloud.shut_down();
    serving.await.expect("no panic").expect("no error");
}
