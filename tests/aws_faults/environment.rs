//! Failures that are no denial: quotas, names that are taken, creations and deletions that fail, throttling, expired
//! credentials.

use serde_json::json;
use streamgauge::stack;

use crate::job::{Came, ENV, Said, failed, job, standing, up};
use crate::support::Field;

async fn job_with(faults: &[&str]) -> (Field, Came, Said) {
    let field = Field::new(faults, 1).await;
    let (came, said) = job(&field).await;
    (field, came, said)
}

/// Ends the field; fails when something of ours still stands.
async fn nothing_is_left(field: &Field, said: &Said) {
    assert_eq!(standing(field).await, Default::default(), "{}", said.text());
    field.cloud.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_quota_that_is_too_low_is_told_with_the_resource_that_met_it() {
    let (field, came, said) = job_with(&["error:code=LimitExceededException,op=CreateStream"]).await;
    assert_eq!(came, Came::NotUp);
    let errors = said.with("error: ");
    assert!(errors[0].contains("AWS::Kinesis::Stream") && errors[0].contains("LimitExceeded"), "{errors:?}");
    assert!(said.with("hint: ")[0].contains("quota"), "{}", said.text());
    nothing_is_left(&field, &said).await;
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_taken_is_told_and_what_has_it_is_left_alone() {
    let field = Field::new(&[], 1).await;
    let kinesis = field.cloud.service("kinesis").unwrap();
    let theirs = json!({"StreamName": "streamgauge-virtual-stream", "ShardCount": 1});
    kinesis.call("CreateStream", theirs).await.unwrap();
    let (came, said) = job(&field).await;
    assert_eq!(came, Came::NotUp, "{}", said.text());
    let errors = said.with("error: ");
    assert!(errors[0].contains("streamgauge-virtual-stream"), "{errors:?}");
    assert!(said.with("hint: ")[0].contains("another --env"), "{}", said.text());
    let left = standing(&field).await;
    let names: Vec<&str> = left.keys().copied().collect();
    assert_eq!(names, ["stream"], "only what was there before: {left:?}");
}

#[tokio::test(start_paused = true)]
async fn a_creation_that_fails_half_way_is_taken_back_with_its_first_cause() {
    let fault = "error:code=InvalidParameterValueException,op=CreateFunction";
    let (field, came, said) = job_with(&[fault]).await;
    assert_eq!(came, Came::NotUp);
    let errors = said.with("error: ");
    assert!(errors[0].contains("Function (AWS::Lambda::Function)"), "{errors:?}");
    nothing_is_left(&field, &said).await;
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_fails_is_named_and_down_again_does_the_rest() {
    // As often as `down` tries by itself.
    let field = Field::new(&["error:code=ResourceInUseException,count=3,op=DeleteStream"], 1).await;
    let (came, said) = job(&field).await;
    assert_eq!(came, Came::NotDown, "{}", said.text());
    let errors = said.with("error: left behind");
    assert!(errors[0].contains("streamgauge-virtual-stream"), "{errors:?}");
    assert!(standing(&field).await.contains_key("stream"));
    let left = stack::down(&field.clients, field.clock, ENV, &|line| said.line(line)).await.unwrap();
    assert_eq!(left, Vec::<String>::new());
    nothing_is_left(&field, &said).await;
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_stays_denied_is_named_with_the_permission() {
    let fault = "error:code=AccessDeniedException,op=DeleteFunction";
    let (field, came, said) = job_with(&[fault]).await;
    assert_eq!(came, Came::NotDown, "{}", said.text());
    let errors = said.with("error: left behind").join("\n");
    assert!(errors.contains("lambda:DeleteFunction"), "{errors}");
    for (kind, names) in standing(&field).await {
        for name in names {
            let name = name.rsplit('/').next().unwrap();
            assert!(errors.contains(name), "{kind} {name} is left and not named: {errors}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn throttled_looks_at_stacks_are_asked_again() {
    let (field, came, said) = job_with(&["throttle:rate=30%,op=DescribeStacks,seed=5"]).await;
    assert_eq!(came, Came::Through, "{}", said.text());
    assert!(field.cloud.context().faults.struck()["throttle"].strikes > 3);
    nothing_is_left(&field, &said).await;
}

#[tokio::test(start_paused = true)]
async fn throttling_without_an_end_is_told_with_what_to_do() {
    let (field, came, said) = job_with(&["throttle:rate=100%,op=DescribeStacks"]).await;
    assert_eq!(came, Came::NotUp);
    assert!(said.with("error: ")[0].contains("Throttling"), "{}", said.text());
    assert!(said.with("hint: ")[0].contains("wait a minute"), "{}", said.text());
    nothing_is_left(&field, &said).await;
}

/// A token that expires in the middle: `down` cannot work either, says so, and works once it is renewed.
#[tokio::test(start_paused = true)]
async fn an_expired_token_is_told_and_down_works_with_a_new_one() {
    // Only `down` looks for streams.
    let field = Field::new(&["error:code=ExpiredTokenException,count=1,op=ListStreams"], 1).await;
    let said = Said::default();
    up(&field, &said).await.unwrap();
    let error = stack::down(&field.clients, field.clock, ENV, &|_| {}).await.unwrap_err();
    failed(&said, &error);
    assert!(said.with("error: ")[0].contains("does not accept the credentials"), "{}", said.text());
    assert!(said.with("hint: ")[0].contains("log in again"), "{}", said.text());
    let left = stack::down(&field.clients, field.clock, ENV, &|_| {}).await.unwrap();
    assert_eq!(left, Vec::<String>::new());
    nothing_is_left(&field, &said).await;
}

#[tokio::test(start_paused = true)]
async fn expired_credentials_stop_up_before_anything_is_made() {
    let (field, came, said) = job_with(&["error:code=ExpiredToken,op=DescribeStacks"]).await;
    assert_eq!(came, Came::NotUp);
    assert!(said.with("error: ")[0].contains("does not accept the credentials"), "{}", said.text());
    nothing_is_left(&field, &said).await;
}
