//! Registered consumers: their life, their limits, their refusals.

use super::*;

const ARN: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/s";

async fn register(kinesis: &Kinesis, name: &str) -> ApiResult {
    call(kinesis, "RegisterStreamConsumer", json!({"StreamARN": ARN, "ConsumerName": name})).await
}

#[tokio::test(start_paused = true)]
async fn a_consumer_is_registered_described_listed_and_deregistered() {
    let kinesis = active(1).await;
    let consumer = register(&kinesis, "c").await.expect("registered")["Consumer"].clone();
    assert_eq!(consumer["ConsumerStatus"], "CREATING");
    let arn = consumer["ConsumerARN"].as_str().expect("text");
    assert_eq!(arn, format!("{ARN}/consumer/c:{}", START_US / 1_000_000 + 2));
    assert_eq!(register(&kinesis, "c").await.expect_err("twice").code, "ResourceInUseException");
    tokio::time::sleep(Duration::from_secs(1)).await;
    for named in [json!({"ConsumerARN": arn}), json!({"StreamARN": ARN, "ConsumerName": "c"})] {
        let described = ok(&kinesis, "DescribeStreamConsumer", named).await["ConsumerDescription"].clone();
        assert_eq!((&described["ConsumerStatus"], &described["StreamARN"]), (&json!("ACTIVE"), &json!(ARN)));
    }
    let summary = ok(&kinesis, "DescribeStreamSummary", json!({"StreamName": "s"})).await;
    assert_eq!(summary["StreamDescriptionSummary"]["ConsumerCount"], 1);

    ok(&kinesis, "DeregisterStreamConsumer", json!({"ConsumerARN": arn})).await;
    let listed = ok(&kinesis, "ListStreamConsumers", json!({"StreamARN": ARN})).await;
    assert_eq!(listed["Consumers"][0]["ConsumerStatus"], "DELETING");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let error = refused(&kinesis, "DescribeStreamConsumer", json!({"ConsumerARN": arn})).await;
    assert_eq!(error.code, "ResourceNotFoundException");
    register(&kinesis, "c").await.expect("the name is free again");
    let error = refused(&kinesis, "DeregisterStreamConsumer", json!({"ConsumerARN": arn})).await;
    assert_eq!(error.code, "ResourceNotFoundException", "the ARN is the old one's");
}

#[tokio::test(start_paused = true)]
async fn five_are_created_at_once_and_twenty_stand() {
    let kinesis = active(1).await;
    for n in 0..20 {
        if n % 5 == 0 && n > 0 {
            let error = register(&kinesis, "more").await.expect_err("a sixth at once");
            assert!(error.code == "LimitExceededException" && error.message.contains("CREATING"), "{error}");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        register(&kinesis, &format!("c{n:02}")).await.expect("within the limits");
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let error = register(&kinesis, "more").await.expect_err("the twenty-first");
    assert!(error.code == "LimitExceededException" && error.message.contains("20"), "{error}");

    let (mut names, mut token) = (Vec::new(), Value::Null);
    loop {
        let input = json!({"StreamARN": ARN, "MaxResults": 8, "NextToken": token});
        let page = ok(&kinesis, "ListStreamConsumers", input).await;
        names.extend(page["Consumers"].as_array().expect("consumers").clone());
        token = page["NextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    assert_eq!(names.len(), 20);
    let first = ok(&kinesis, "ListStreamConsumers", json!({"StreamARN": ARN, "MaxResults": 8})).await;
    tokio::time::sleep(Duration::from_secs(301)).await;
    let late = json!({"StreamARN": ARN, "NextToken": first["NextToken"]});
    assert_eq!(refused(&kinesis, "ListStreamConsumers", late).await.code, "ExpiredNextTokenException");
}

#[tokio::test(start_paused = true)]
async fn a_stream_with_consumers_is_deleted_only_with_them() {
    let kinesis = active(1).await;
    register(&kinesis, "c").await.expect("registered");
    for input in [json!({"StreamName": "s"}), json!({"StreamName": "s", "EnforceConsumerDeletion": false})] {
        assert_eq!(refused(&kinesis, "DeleteStream", input).await.code, "ResourceInUseException");
    }
    ok(&kinesis, "DeleteStream", json!({"StreamName": "s", "EnforceConsumerDeletion": true})).await;
}

#[tokio::test(start_paused = true)]
async fn unclear_and_unknown_consumers_are_refused() {
    let kinesis = active(1).await;
    register(&kinesis, "c").await.expect("registered");
    let of_t = ARN.replace("stream/s", "stream/t");
    for (operation, input, code) in [
        ("DescribeStreamConsumer", json!({}), "InvalidArgumentException"),
        ("DescribeStreamConsumer", json!({"StreamARN": ARN}), "InvalidArgumentException"),
        ("DescribeStreamConsumer", json!({"ConsumerARN": "c"}), "InvalidArgumentException"),
        (
            "DescribeStreamConsumer",
            json!({"ConsumerARN": format!("{ARN}/consumer/c:1"), "ConsumerName": "d"}),
            "InvalidArgumentException",
        ),
        (
            "DescribeStreamConsumer",
            json!({"StreamARN": ARN, "ConsumerName": "d"}),
            "ResourceNotFoundException",
        ),
        (
            "DeregisterStreamConsumer",
            json!({"StreamARN": of_t, "ConsumerName": "c"}),
            "ResourceNotFoundException",
        ),
        ("ListStreamConsumers", json!({"StreamARN": of_t}), "ResourceNotFoundException"),
        ("ListStreamConsumers", json!({}), "ValidationException"),
        ("ListStreamConsumers", json!({"StreamARN": ARN, "NextToken": "?"}), "InvalidArgumentException"),
        ("RegisterStreamConsumer", json!({"StreamARN": ARN}), "ValidationException"),
        ("RegisterStreamConsumer", json!({"StreamARN": ARN, "ConsumerName": "a b"}), "ValidationException"),
        (
            "RegisterStreamConsumer",
            json!({"StreamARN": ARN, "ConsumerName": "t", "Tags": {"a": "b"}}),
            "ValidationException",
        ),
    ] {
        let error = refused(&kinesis, operation, input.clone()).await;
        assert_eq!(error.code, code, "{operation} {input}: {error}");
    }
}
