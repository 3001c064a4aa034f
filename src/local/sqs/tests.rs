//! SQS behind the real SDK client, in virtual time.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::{
    MessageAttributeValue, MessageSystemAttributeName, QueueAttributeName, SendMessageBatchRequestEntry,
};
use serde_json::json;

use super::Sqs;
use crate::local::cloudwatch::CloudWatch;
use crate::local::door::testing::{Services, config, context};
use crate::local::service::Service;
use crate::platform::clock::Clock;

const START_S: i64 = 1_699_999_980;

struct Bench {
    clock: Clock,
    cloudwatch: Arc<CloudWatch>,
    sqs: Arc<Sqs>,
    client: Client,
}

fn bench() -> Bench {
    let clock = Clock::starting_at(START_S * 1_000_000);
    let cloudwatch = CloudWatch::new(clock, "us-east-1".to_owned(), "000000000000".to_owned());
    let sqs = Sqs::new(context(clock, cloudwatch.clone()), Arc::default());
    let services = Services { sqs: Some(sqs.clone()), ..Services::default() };
    Bench { clock, cloudwatch, sqs, client: Client::new(&config(clock, services)) }
}

async fn queue(client: &Client, attributes: &[(QueueAttributeName, &str)]) -> String {
    let mut create = client.create_queue().queue_name("q");
    for (name, value) in attributes {
        create = create.attributes(name.clone(), *value);
    }
    create.send().await.unwrap().queue_url().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_message_with_attributes_goes_through_and_is_deleted() {
    let Bench { client, .. } = bench();
    let url = queue(&client, &[]).await;
    assert_eq!(url, "http://localhost:4566/000000000000/q");
    let attribute = |data_type: &str| MessageAttributeValue::builder().data_type(data_type);
    let sent = client
        .send_message()
        .queue_url(&url)
        .message_body("derp")
        .message_attributes("kind", attribute("String").string_value("receipt").build().unwrap())
        .message_attributes("raw", attribute("Binary").binary_value(Blob::new([1, 2, 3])).build().unwrap())
        .send()
        .await
        .unwrap();
    assert_eq!(sent.md5_of_message_body(), Some("58fd9edd83341c29f1aebba81c31e257"));
    let received = client
        .receive_message()
        .queue_url("http://another-host:1/000000000000/q")
        .message_attribute_names("All")
        .message_system_attribute_names(MessageSystemAttributeName::All)
        .send()
        .await
        .unwrap();
    let message = &received.messages()[0];
    assert_eq!((message.message_id(), message.body()), (sent.message_id(), Some("derp")));
    assert_eq!(message.md5_of_message_attributes(), sent.md5_of_message_attributes());
    let attributes = message.message_attributes().unwrap();
    assert_eq!(attributes["raw"].binary_value().unwrap().as_ref(), [1, 2, 3]);
    let system = message.attributes().unwrap();
    assert_eq!(system[&MessageSystemAttributeName::ApproximateReceiveCount], "1");
    assert_eq!(system[&MessageSystemAttributeName::SentTimestamp], (START_S * 1_000).to_string());
    client
        .delete_message()
        .queue_url(&url)
        .receipt_handle(message.receipt_handle().unwrap())
        .send()
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(31)).await;
    let received = client.receive_message().queue_url(&url).send().await.unwrap();
    assert!(received.messages().is_empty(), "deleted messages do not come back");
}

#[tokio::test(start_paused = true)]
async fn a_long_poll_ends_with_the_message_not_with_the_wait() {
    let Bench { clock, client, .. } = bench();
    let url = queue(&client, &[]).await;
    let (sender, to) = (client.clone(), url.clone());
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(7_300)).await;
        sender.send_message().queue_url(to).message_body("late").send().await.unwrap();
    });
    let poll = client.receive_message().queue_url(&url).wait_time_seconds(20);
    assert_eq!(poll.send().await.unwrap().messages().len(), 1);
    assert_eq!(clock.now_ms() - START_S * 1_000, 7_300);
    // It comes back when its visibility ends, which the next poll waits for.
    let again = client.receive_message().queue_url(&url).visibility_timeout(0).wait_time_seconds(20);
    assert!(again.clone().send().await.unwrap().messages().is_empty());
    assert_eq!(clock.now_ms() - START_S * 1_000, 27_300);
    assert_eq!(again.send().await.unwrap().messages().len(), 1);
    assert_eq!(clock.now_ms() - START_S * 1_000, 37_300);
}

#[tokio::test(start_paused = true)]
async fn visibility_can_be_changed_and_an_old_receipt_deletes_nothing() {
    let Bench { client, .. } = bench();
    let url = queue(&client, &[(QueueAttributeName::VisibilityTimeout, "5")]).await;
    client.send_message().queue_url(&url).message_body("m").send().await.unwrap();
    let receive = || async {
        client.receive_message().queue_url(&url).send().await.unwrap().messages.unwrap_or_default()
    };
    let first = receive().await.remove(0).receipt_handle.unwrap();
    let change = |handle: &str, seconds| {
        client
            .change_message_visibility()
            .queue_url(&url)
            .receipt_handle(handle)
            .visibility_timeout(seconds)
            .send()
    };
    change(&first, 60).await.unwrap();
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(receive().await.is_empty());
    change(&first, 0).await.unwrap();
    let second = receive().await.remove(0).receipt_handle.unwrap();
    client.delete_message().queue_url(&url).receipt_handle(&first).send().await.unwrap();
    let error = change(&first, 1).await.unwrap_err().into_service_error();
    assert!(error.is_message_not_inflight(), "{error:?}");
    tokio::time::sleep(Duration::from_secs(6)).await;
    let third = receive().await.remove(0).receipt_handle.unwrap();
    assert_ne!(second, third);
    client.delete_message().queue_url(&url).receipt_handle(&third).send().await.unwrap();
    let error = client.delete_message().queue_url(&url).receipt_handle("nonsense").send().await.unwrap_err();
    assert!(error.into_service_error().is_receipt_handle_is_invalid());
}

#[tokio::test(start_paused = true)]
async fn a_batch_fails_entry_by_entry_and_is_counted() {
    let Bench { client, cloudwatch, sqs, .. } = bench();
    let url = queue(&client, &[(QueueAttributeName::MaximumMessageSize, "1024")]).await;
    let entry = |id: &str, body: &str| {
        SendMessageBatchRequestEntry::builder().id(id).message_body(body).build().unwrap()
    };
    let answer = client
        .send_message_batch()
        .queue_url(&url)
        .entries(entry("good", "x"))
        .entries(entry("large", &"x".repeat(2_000)))
        .entries(entry("late", "y"))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.successful().len(), 2);
    assert_eq!((answer.failed()[0].id(), answer.failed()[0].code()), ("large", "InvalidParameterValue"));
    assert!(answer.failed()[0].sender_fault());
    let eleven = (0..11).map(|id| entry(&id.to_string(), "x")).collect();
    let error =
        client.send_message_batch().queue_url(&url).set_entries(Some(eleven)).send().await.unwrap_err();
    assert!(error.into_service_error().is_too_many_entries_in_batch_request());

    let attributes = client.get_queue_attributes().queue_url(&url).attribute_names(QueueAttributeName::All);
    let attributes = attributes.send().await.unwrap().attributes.unwrap();
    assert_eq!(attributes[&QueueAttributeName::ApproximateNumberOfMessages], "2");
    assert_eq!(attributes[&QueueAttributeName::QueueArn], "arn:aws:sqs:us-east-1:000000000000:q");
    let sum = |metric: &str, stat: &str| {
        json!({
            "StartTime": START_S, "EndTime": START_S + 60,
            "MetricDataQueries": [{ "Id": "m", "MetricStat": { "Period": 60, "Stat": stat, "Metric": {
                "Namespace": "AWS/SQS", "MetricName": metric, "Dimensions": [{ "Name": "QueueName", "Value": "q" }],
            }}}],
        })
    };
    let sent = cloudwatch.call("GetMetricData", sum("NumberOfMessagesSent", "Sum")).await.unwrap();
    assert_eq!(sent["MetricDataResults"][0]["Values"], json!([2.0]));
    let depth =
        cloudwatch.call("GetMetricData", sum("ApproximateNumberOfMessagesVisible", "Maximum")).await.unwrap();
    assert_eq!(depth["MetricDataResults"][0]["Values"], json!([2.0]));
    let by_arn = json!({ "QueueUrl": "arn:aws:sqs:us-east-1:000000000000:q", "MessageBody": "from inside" });
    sqs.call("SendMessage", by_arn).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn delay_retention_and_redrive() {
    let Bench { client, .. } = bench();
    let dead = client.create_queue().queue_name("dead").send().await.unwrap().queue_url.unwrap();
    let redrive =
        r#"{"deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:dead", "maxReceiveCount": 1}"#;
    let url = queue(
        &client,
        &[
            (QueueAttributeName::DelaySeconds, "10"),
            (QueueAttributeName::VisibilityTimeout, "5"),
            (QueueAttributeName::MessageRetentionPeriod, "60"),
            (QueueAttributeName::RedrivePolicy, redrive),
        ],
    )
    .await;
    let receive = |url: &str| client.receive_message().queue_url(url).wait_time_seconds(1).send();
    client.send_message().queue_url(&url).message_body("m").send().await.unwrap();
    assert!(receive(&url).await.unwrap().messages().is_empty());
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(receive(&url).await.unwrap().messages().len(), 1);
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert!(receive(&url).await.unwrap().messages().is_empty(), "received too often");
    assert_eq!(receive(&dead).await.unwrap().messages()[0].body(), Some("m"));
    client.send_message().queue_url(&url).message_body("forgotten").send().await.unwrap();
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert!(receive(&url).await.unwrap().messages().is_empty(), "past its retention");
}

#[tokio::test(start_paused = true)]
async fn queues_are_created_once_and_errors_are_typed() {
    let Bench { client, sqs, .. } = bench();
    sqs.endpoint_url.set("http://127.0.0.1:9999".to_owned()).unwrap();
    let url = queue(&client, &[(QueueAttributeName::VisibilityTimeout, "5")]).await;
    assert_eq!(url, "http://127.0.0.1:9999/000000000000/q");
    assert_eq!(queue(&client, &[(QueueAttributeName::VisibilityTimeout, "5")]).await, url);
    let other = client.create_queue().queue_name("q").attributes(QueueAttributeName::VisibilityTimeout, "6");
    assert!(other.send().await.unwrap_err().into_service_error().is_queue_name_exists());
    let fifo = client.create_queue().queue_name("q.fifo").attributes(QueueAttributeName::FifoQueue, "true");
    assert!(fifo.send().await.unwrap_err().into_service_error().is_unsupported_operation());
    client.tag_queue().queue_url(&url).tags("streamgauge", "env").send().await.unwrap();
    let tags = client.list_queue_tags().queue_url(&url).send().await.unwrap();
    assert_eq!(tags.tags().unwrap()["streamgauge"], "env");
    assert_eq!(
        client.list_queues().queue_name_prefix("q").send().await.unwrap().queue_urls(),
        std::slice::from_ref(&url)
    );

    let poll = tokio::spawn(client.receive_message().queue_url(&url).wait_time_seconds(20).send());
    tokio::time::sleep(Duration::from_secs(1)).await;
    client.delete_queue().queue_url(&url).send().await.unwrap();
    assert!(poll.await.unwrap().unwrap_err().into_service_error().is_queue_does_not_exist());
    let error = client.get_queue_url().queue_name("q").send().await.unwrap_err().into_service_error();
    assert!(error.is_queue_does_not_exist());
    assert_eq!(error.meta().code(), Some("AWS.SimpleQueueService.NonExistentQueue"));
}
