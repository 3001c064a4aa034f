//! The real client against the REST door, without a socket; what only other clients send, as requests.

use std::sync::Arc;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    BucketVersioningStatus, ChecksumAlgorithm, ChecksumMode, CompletedMultipartUpload, CompletedPart, Delete,
    ObjectIdentifier, PublicAccessBlockConfiguration, Tag, Tagging, VersioningConfiguration,
};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http_body_util::BodyExt;
use serde_json::json;

use super::S3;
use crate::local::faults::Faults;
use crate::local::metrics::NoMetrics;
use crate::local::service::{Context, HttpService, Service};
use crate::platform::clock::Clock;

fn service(region: &str) -> Arc<S3> {
    S3::new(Context {
        clock: Clock::starting_at(1_700_000_000_000_000),
        region: region.to_owned(),
        account: "000000000000".to_owned(),
        seed: 7,
        metrics: Arc::new(NoMetrics),
        faults: Arc::new(Faults::none()),
    })
}

#[derive(Clone)]
struct Door(Arc<S3>);

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Door")
    }
}

impl HttpClient for Door {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Door {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let door = self.clone();
        HttpConnectorFuture::new(async move {
            let (parts, body) = request.try_into_http1x().expect("http 1.x").into_parts();
            let body = body.collect().await.map_err(ConnectorError::user)?.to_bytes();
            let response = door.0.http(http::Request::from_parts(parts, body)).await;
            Ok(HttpResponse::try_from(response.map(SdkBody::from)).expect("a response"))
        })
    }
}

fn client(s3: &Arc<S3>, path_style: bool) -> Client {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("AKID", "secret", None, None, "test"))
        .endpoint_url("http://localhost:4566")
        .force_path_style(path_style)
        .http_client(Door(Arc::clone(s3)));
    Client::from_conf(config.build())
}

fn bytes(size: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(3);
    std::iter::repeat_with(|| random.u8(..)).take(size).collect()
}

#[tokio::test(start_paused = true)]
async fn an_object_of_5_mb_makes_the_round_in_both_styles() {
    for path_style in [true, false] {
        let s3 = service("us-east-1");
        let client = client(&s3, path_style);
        client.create_bucket().bucket("a-bucket").send().await.unwrap();
        let (body, key) = (bytes(5_000_000), "dir/a b+ü%<&>.bin");
        let put = client.put_object().bucket("a-bucket").key(key).body(ByteStream::from(body.clone()));
        let put = put.content_type("application/zip").metadata("who", "me").send().await.unwrap();
        assert!(put.checksum_crc32().is_some());
        let got = client.get_object().bucket("a-bucket").key(key).checksum_mode(ChecksumMode::Enabled);
        let got = got.send().await.unwrap();
        assert_eq!((got.content_type(), got.e_tag()), (Some("application/zip"), put.e_tag()));
        assert_eq!(got.metadata().unwrap()["who"], "me");
        assert_eq!(got.checksum_crc32(), put.checksum_crc32());
        // Reading it verifies the checksum.
        assert!(got.body.collect().await.unwrap().into_bytes() == body);
        assert!(s3.object("a-bucket", key).unwrap() == body);
        let ranged =
            client.get_object().bucket("a-bucket").key(key).range("bytes=10-19").send().await.unwrap();
        assert_eq!(ranged.content_range(), Some("bytes 10-19/5000000"));
        assert_eq!(ranged.body.collect().await.unwrap().into_bytes(), body[10..20]);
        let head = client.head_object().bucket("a-bucket").key(key).send().await.unwrap();
        assert_eq!(head.content_length(), Some(5_000_000));
        assert_eq!(head.last_modified().unwrap().secs(), 1_700_000_000);
        let listed = client.list_objects_v2().bucket("a-bucket").prefix("dir/").send().await.unwrap();
        assert_eq!(listed.contents()[0].key(), Some(key));
        assert_eq!(listed.contents()[0].size(), Some(5_000_000));
        let full = client.delete_bucket().bucket("a-bucket").send().await.unwrap_err();
        assert_eq!(full.code(), Some("BucketNotEmpty"));
        client.delete_object().bucket("a-bucket").key(key).send().await.unwrap();
        client.delete_bucket().bucket("a-bucket").send().await.unwrap();
        assert!(client.list_buckets().send().await.unwrap().buckets().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_said_as_s3_says_it() {
    let s3 = service("us-east-1");
    let client = client(&s3, true);
    let error = client.get_object().bucket("absent").key("k").send().await.unwrap_err();
    assert_eq!(error.code(), Some("NoSuchBucket"));
    let error = client.head_bucket().bucket("absent").send().await.unwrap_err().into_service_error();
    assert!(error.is_not_found(), "{error:?}");
    client.create_bucket().bucket("here").send().await.unwrap();
    client.create_bucket().bucket("here").send().await.expect("again, in us-east-1");
    let error = client.get_object().bucket("here").key("k").send().await.unwrap_err().into_service_error();
    assert!(error.is_no_such_key(), "{error:?}");
    assert!(error.meta().extra("aws_request_id").is_some());
    let error = client.head_object().bucket("here").key("k").send().await.unwrap_err().into_service_error();
    assert!(error.is_not_found(), "{error:?}");
    client.delete_object().bucket("here").key("k").send().await.expect("deleting nothing succeeds");
    let error = client.get_bucket_policy().bucket("here").send().await.unwrap_err();
    assert_eq!(error.code(), Some("NoSuchBucketPolicy"));
    let error = client.create_bucket().bucket("No").send().await.unwrap_err();
    assert_eq!(error.code(), Some("InvalidBucketName"));
    let error = client.get_bucket_acl().bucket("here").send().await.unwrap_err();
    assert_eq!(error.code(), Some("NotImplemented"));
    let put = || client.put_object().bucket("here").key("k").if_none_match("*");
    put().body(ByteStream::from_static(b"1")).send().await.unwrap();
    let error = put().body(ByteStream::from_static(b"2")).send().await.unwrap_err();
    assert_eq!(error.code(), Some("PreconditionFailed"));
}

#[tokio::test(start_paused = true)]
async fn a_file_in_parts_becomes_one_object() {
    let s3 = service("us-east-1");
    let client = client(&s3, true);
    client.create_bucket().bucket("parts").send().await.unwrap();
    let body = bytes(5 * 1_048_576 + 1_000);
    let created = client.create_multipart_upload().bucket("parts").key("k").content_type("x/y");
    let created = created.checksum_algorithm(ChecksumAlgorithm::Crc32).send().await.unwrap();
    let id = created.upload_id().unwrap();
    let mut completed = CompletedMultipartUpload::builder();
    for (number, part) in (1..).zip(body.chunks(5 * 1_048_576)) {
        let upload = client.upload_part().bucket("parts").key("k").upload_id(id).part_number(number);
        let done = upload.body(ByteStream::from(part.to_vec())).send().await.unwrap();
        let part = CompletedPart::builder().part_number(number).e_tag(done.e_tag().unwrap());
        completed =
            completed.parts(part.set_checksum_crc32(done.checksum_crc32().map(str::to_owned)).build());
    }
    let listed = client.list_parts().bucket("parts").key("k").upload_id(id).send().await.unwrap();
    assert_eq!(listed.parts()[1].size(), Some(1_000));
    let complete = client.complete_multipart_upload().bucket("parts").key("k").upload_id(id);
    let done = complete.multipart_upload(completed.build()).send().await.unwrap();
    assert!(done.e_tag().unwrap().ends_with("-2\""), "{done:?}");
    assert!(done.checksum_crc32().unwrap().ends_with("-2"), "{done:?}");
    let got = client.get_object().bucket("parts").key("k").send().await.unwrap();
    assert_eq!(got.content_type(), Some("x/y"));
    assert!(got.body.collect().await.unwrap().into_bytes() == body);
    let abort = client.abort_multipart_upload().bucket("parts").key("k").upload_id(id);
    assert_eq!(abort.send().await.unwrap_err().code(), Some("NoSuchUpload"));
}

#[tokio::test(start_paused = true)]
async fn a_bucket_with_versions_is_emptied_as_teardown_empties_it() {
    let s3 = service("us-east-1");
    let client = client(&s3, true);
    client.create_bucket().bucket("vers").send().await.unwrap();
    let put = |body: &'static [u8]| {
        client.put_object().bucket("vers").key("k&").body(ByteStream::from_static(body)).send()
    };
    put(b"0").await.unwrap();
    let status = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
    client.put_bucket_versioning().bucket("vers").versioning_configuration(status).send().await.unwrap();
    let first = put(b"1").await.unwrap();
    put(b"2").await.unwrap();
    let old = client.get_object().bucket("vers").key("k&").set_version_id(first.version_id);
    assert_eq!(old.send().await.unwrap().body.collect().await.unwrap().into_bytes(), "1");
    client.delete_object().bucket("vers").key("k&").send().await.unwrap();
    let listed = client.list_object_versions().bucket("vers").send().await.unwrap();
    assert_eq!((listed.versions().len(), listed.delete_markers().len()), (3, 1));
    assert_eq!(listed.versions()[2].version_id(), Some("null"));
    let of_versions = listed.versions().iter().map(|entry| (entry.key(), entry.version_id()));
    let of_markers = listed.delete_markers().iter().map(|entry| (entry.key(), entry.version_id()));
    let objects = of_versions.chain(of_markers).map(|(key, id)| {
        ObjectIdentifier::builder().key(key.unwrap()).version_id(id.unwrap()).build().unwrap()
    });
    let delete = Delete::builder().set_objects(Some(objects.collect())).build().unwrap();
    let deleted = client.delete_objects().bucket("vers").delete(delete).send().await.unwrap();
    assert_eq!((deleted.deleted().len(), deleted.errors().len()), (4, 0));
    client.delete_bucket().bucket("vers").send().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn settings_made_by_one_side_are_read_by_the_other() {
    let s3 = service("us-east-1");
    let client = client(&s3, true);
    s3.call("CreateBucket", json!({"Bucket": "set"})).await.unwrap();
    let policy = r#"{"Version":"2012-10-17","Statement":[]}"#;
    s3.call("PutBucketPolicy", json!({"Bucket": "set", "Policy": policy})).await.unwrap();
    let rule = json!({"Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 7}});
    let lifecycle = json!({"Bucket": "set", "LifecycleConfiguration": {"Rules": [rule]}});
    s3.call("PutBucketLifecycleConfiguration", lifecycle).await.unwrap();
    let read = client.get_bucket_policy().bucket("set").send().await.unwrap();
    assert_eq!(read.policy(), Some(policy));
    let read = client.get_bucket_lifecycle_configuration().bucket("set").send().await.unwrap();
    assert_eq!(read.rules()[0].expiration().unwrap().days(), Some(7));
    let read = client.get_public_access_block().bucket("set").send().await.unwrap();
    assert_eq!(read.public_access_block_configuration().unwrap().block_public_acls(), Some(true));
    let read = client.get_bucket_encryption().bucket("set").send().await.unwrap();
    assert_eq!(read.server_side_encryption_configuration().unwrap().rules().len(), 1);

    let tag = Tag::builder().key("streamgauge").value("<x> & y").build().unwrap();
    let tagging = Tagging::builder().tag_set(tag).build().unwrap();
    client.put_bucket_tagging().bucket("set").tagging(tagging).send().await.unwrap();
    let open = PublicAccessBlockConfiguration::builder().block_public_acls(false).build();
    let put = client.put_public_access_block().bucket("set").public_access_block_configuration(open);
    put.send().await.unwrap();
    let tags = s3.call("GetBucketTagging", json!({"Bucket": "set"})).await.unwrap();
    assert_eq!(tags, json!({"TagSet": [{"Key": "streamgauge", "Value": "<x> & y"}]}));
    let block = s3.call("GetPublicAccessBlock", json!({"Bucket": "set"})).await.unwrap();
    assert_eq!(block["PublicAccessBlockConfiguration"]["BlockPublicAcls"], false);
    client.delete_bucket_tagging().bucket("set").send().await.unwrap();
    let error = client.get_bucket_tagging().bucket("set").send().await.unwrap_err();
    assert_eq!(error.code(), Some("NoSuchTagSet"));
    let location = client.get_bucket_location().bucket("set").send().await.unwrap();
    assert_eq!(location.location_constraint().map(|region| region.as_str()), Some(""));
}

#[tokio::test(start_paused = true)]
async fn internal_callers_put_and_get_in_base64() {
    let s3 = service("eu-west-1");
    let refused = s3.call("CreateBucket", json!({"Bucket": "inside"})).await.unwrap_err();
    assert_eq!(refused.code, "IllegalLocationConstraintException");
    let location = json!({"LocationConstraint": "eu-west-1"});
    let create = json!({"Bucket": "inside", "CreateBucketConfiguration": location});
    s3.call("CreateBucket", create.clone()).await.unwrap();
    assert_eq!(s3.call("CreateBucket", create).await.unwrap_err().code, "BucketAlreadyOwnedByYou");
    let put = json!({"Bucket": "inside", "Key": "k", "Body": "aGVsbG8=", "ContentType": "text/plain"});
    s3.call("PutObject", put).await.unwrap();
    let got = s3.call("GetObject", json!({"Bucket": "inside", "Key": "k"})).await.unwrap();
    assert_eq!((&got["Body"], &got["ContentType"]), (&json!("aGVsbG8="), &json!("text/plain")));
    assert_eq!(s3.object("inside", "k").unwrap(), "hello");
    let absent = s3.call("GetObject", json!({"Bucket": "inside", "Key": "l"})).await.unwrap_err();
    assert_eq!((absent.status, absent.code.as_str()), (404, "NoSuchKey"));
    assert_eq!(
        s3.call("GetBucketAcl", json!({"Bucket": "inside"})).await.unwrap_err().code,
        "UnknownOperationException"
    );
}

async fn send(s3: &S3, request: http::request::Builder, body: &'static str) -> (u16, String) {
    let response = s3.http(request.body(Bytes::from(body)).unwrap()).await;
    (response.status().as_u16(), String::from_utf8(response.into_body().to_vec()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn chunked_bodies_are_stored_as_meant_and_wrong_checksums_refused() {
    let s3 = service("us-east-1");
    s3.call("CreateBucket", json!({"Bucket": "raw"})).await.unwrap();
    let put = |kind: &str| {
        http::Request::put("/raw/k")
            .header("host", "127.0.0.1:4566")
            .header("content-encoding", "aws-chunked")
            .header("x-amz-content-sha256", kind)
            .header("x-amz-decoded-content-length", "5")
    };
    let signed = "5;chunk-signature=ab\r\nhello\r\n0;chunk-signature=cd\r\n\r\n";
    assert_eq!(send(&s3, put("STREAMING-AWS4-HMAC-SHA256-PAYLOAD"), signed).await.0, 200);
    assert_eq!(s3.object("raw", "k").unwrap(), "hello");
    // CRC32 of "hello" is 0x3610a686.
    let trailing = "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n";
    assert_eq!(send(&s3, put("STREAMING-UNSIGNED-PAYLOAD-TRAILER"), trailing).await.0, 200);
    let signed_trailing = "5;chunk-signature=ab\r\nhellO\r\n0;chunk-signature=cd\r\nx-amz-checksum-crc32:NhCmhg==\n\r\nx-amz-trailer-signature:ef\r\n\r\n";
    let (status, error) = send(&s3, put("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"), signed_trailing).await;
    assert_eq!(status, 400);
    assert!(error.contains("<Code>BadDigest</Code>"), "{error}");
    let wrong_hash = http::Request::put("/raw/k").header("x-amz-content-sha256", "0".repeat(64));
    let (status, error) = send(&s3, wrong_hash, "hello").await;
    assert_eq!(status, 400);
    assert!(error.contains("XAmzContentSHA256Mismatch"), "{error}");
    for address in
        ["/raw/k?tagging", "/raw/k?annotation", "/raw/k?encryption", "/raw?metadataJournalTable", "/raw?abac"]
    {
        let (status, error) = send(&s3, http::Request::put(address), "").await;
        assert_eq!(
            (status, error.contains("<Code>NotImplemented</Code>")),
            (501, true),
            "{address}: {error}"
        );
    }
    let (status, error) = send(&s3, http::Request::post("/raw?delete"), "<Delete><Object>").await;
    assert_eq!((status, error.contains("<Code>MalformedXML</Code>")), (400, true), "{error}");
    let (status, error) = send(&s3, http::Request::get("/raw/%3Cx%3E"), "").await;
    assert_eq!(status, 404);
    assert!(error.contains("<Key>&lt;x&gt;</Key>"), "{error}");
}
