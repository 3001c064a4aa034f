//! Change sets made, declined, executed, broken off and rolled back; and the states that `up` refuses.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};

use super::up::{Field, request};
use crate::stack::templates::Templates;
use crate::stack::{StackAction, StackError, UpPlan, UpRequest, Verb, execute, prepare, standing, status};

const PIPELINE: &str = "streamgauge-dev-pipeline";

impl Field {
    async fn prepare(&self, request: &UpRequest) -> Result<UpPlan, StackError> {
        prepare(&self.clients, self.clock, request, &Templates::embedded()).await
    }

    /// Names and states of all stacks that are there, whoever made them.
    async fn stacks(&self) -> Vec<String> {
        let answer = self.bench.call("DescribeStacks", json!({})).await.unwrap();
        let stacks = answer["Stacks"].as_array().unwrap().iter();
        let there = stacks.filter(|stack| stack["StackStatus"] != "DELETE_COMPLETE");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        there.map(|one| format!("{} {}", text(&one["StackName"]), text(&one["StackStatus"]))).collect()
    }

    async fn change_sets(&self, stack: &str) -> usize {
        let answer = self.bench.call("ListChangeSets", json!({"StackName": stack})).await.unwrap();
        answer["Summaries"].as_array().unwrap().len()
    }
}

fn with_memory(memory_mb: u32) -> UpRequest {
    let mut request = request();
    request.environment.function.memory_mb = memory_mb;
    request
}

/// A request that only the pipeline's change set refuses: the template allows no less than 128.
fn refused() -> UpRequest {
    let mut request = request();
    request.environment.function.memory_mb = 64;
    request
}

#[tokio::test(start_paused = true)]
async fn all_change_sets_are_made_before_anything_is_and_declining_leaves_nothing() {
    let field = Field::new().await;
    let plan = field.prepare(&request()).await.unwrap();
    assert!(plan.is_fresh && !plan.is_done());
    let shown = plan.stacks();
    let names: Vec<&str> = shown.iter().map(|one| one.stack.as_str()).collect();
    assert_eq!(names, ["streamgauge-dev-artifacts", PIPELINE, "streamgauge-dev-observability"]);
    assert!(shown.iter().all(|one| one.action == StackAction::Create));
    assert_eq!(shown[1].changes.len(), 7);
    assert!(shown[1].changes.iter().all(|change| change.verb == Verb::Add));
    assert_eq!((plan.kinds["AWS::CloudWatch::Alarm"], plan.kinds["AWS::Kinesis::Stream"]), (8, 1));
    assert!(field.stacks().await.iter().all(|one| one.ends_with("REVIEW_IN_PROGRESS")));

    plan.discard(&field.clients, field.clock).await.unwrap();
    assert_eq!(field.stacks().await, Vec::<String>::new());
    assert_eq!(field.bench.standing(), Vec::<String>::new());
    assert!(field.bench.calls("CreateStream").is_empty());
}

#[tokio::test(start_paused = true)]
async fn declining_a_change_leaves_the_stack_as_it_was() {
    let field = Field::new().await;
    field.up(&request()).await.unwrap();
    let before = field.stacks().await;
    let plan = field.prepare(&with_memory(512)).await.unwrap();
    assert!(!plan.is_fresh);
    assert_eq!(field.change_sets(PIPELINE).await, 1);
    plan.discard(&field.clients, field.clock).await.unwrap();
    assert_eq!(field.change_sets(PIPELINE).await, 0);
    assert_eq!(field.stacks().await, before);
    assert_eq!(standing(&field.clients, "dev").await.unwrap().unwrap().memory_mb, 256);
}

#[tokio::test(start_paused = true)]
async fn up_again_is_nothing_or_an_update_of_what_differs() {
    let field = Field::new().await;
    field.up(&request()).await.unwrap();
    let plan = field.prepare(&request()).await.unwrap();
    assert!(plan.is_done(), "{:?}", plan.stacks());
    assert_eq!(field.change_sets(PIPELINE).await, 0, "the change set without changes is gone");

    let plan = field.prepare(&with_memory(512)).await.unwrap();
    let shown = plan.stacks();
    let [function] = shown[0].changes.as_slice() else { panic!("{shown:?}") };
    assert_eq!((shown[0].action, function.verb), (StackAction::Update, Verb::Modify));
    assert_eq!(
        (function.logical_id.as_str(), function.properties.as_slice()),
        ("Function", ["MemorySize".to_owned()].as_slice())
    );
    plan.discard(&field.clients, field.clock).await.unwrap();

    let stood = field.up(&with_memory(512)).await.unwrap();
    assert_eq!(stood.memory_mb, 512);
    assert_eq!(field.bench.calls("UpdateFunctionConfiguration").len(), 1);
    assert_eq!(field.bench.calls("CreateBucket").len(), 1, "the code stands: no bucket for it");
}

#[tokio::test(start_paused = true)]
async fn new_code_takes_the_bucket_again() {
    let field = Field::new().await;
    field.up(&request()).await.unwrap();
    let mut other = request();
    other.function_zip.sha256 = "cd34".into();
    field.up(&other).await.unwrap();
    let update = &field.bench.calls("UpdateFunctionCode")[0];
    assert_eq!(update["S3Key"], "function/cd34.zip");
    assert_eq!(field.bench.calls("CreateBucket").len(), 2);
    assert_eq!(field.bench.calls("DeleteBucket").len(), 2);
    assert!(field.objects.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_update_that_is_rolled_back_is_told_with_its_cause_and_the_old_one_stands() {
    let field = Field::new().await;
    field.up(&request()).await.unwrap();
    field.bench.fail("PutFunctionConcurrency", "LimitExceededException", "the concurrency quota is reached");
    let mut other = with_memory(512);
    other.environment.function.reserved_concurrency = Some(50);
    let error = field.up(&other).await.unwrap_err();
    let StackError::UpdateFailed { stack, resource, reason, .. } = &error else { panic!("{error}") };
    assert_eq!((stack.as_str(), resource.as_str()), (PIPELINE, "Function"));
    assert!(reason.contains("the concurrency quota is reached"), "{reason}");
    assert!(error.hint().contains("quota"), "{}", error.hint());
    assert_eq!(standing(&field.clients, "dev").await.unwrap().unwrap().memory_mb, 256);
    assert!(field.stacks().await.contains(&format!("{PIPELINE} UPDATE_ROLLBACK_COMPLETE")));

    field.bench.heal("PutFunctionConcurrency");
    assert_eq!(field.up(&other).await.unwrap().memory_mb, 512);
}

#[tokio::test(start_paused = true)]
async fn an_update_that_cannot_be_rolled_back_is_told_with_the_way_out() {
    let field = Field::new().await;
    field.up(&request()).await.unwrap();
    field.bench.fail("UpdateEventSourceMapping", "ServiceException", "out of order");
    let mut other = request();
    other.environment.function.batch_size = 10;
    let error = field.up(&other).await.unwrap_err();
    assert!(matches!(&error, StackError::RollbackFailed { .. }), "{error}");
    let again = field.up(&other).await.unwrap_err();
    assert!(again.to_string().contains("UPDATE_ROLLBACK_FAILED"), "{again}");
    for error in [error, again] {
        assert!(error.hint().contains("streamgauge down"), "{}", error.hint());
    }
    assert_eq!(field.down().await.unwrap(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_refused_change_set_leaves_none_of_the_others() {
    let field = Field::new().await;
    let error = field.up(&refused()).await.unwrap_err();
    assert!(error.to_string().contains("FunctionMemoryMb"), "{error}");
    assert_eq!(field.stacks().await, Vec::<String>::new());

    field.up(&request()).await.unwrap();
    let mut other = with_memory(512);
    other.environment.alarms.iterator_age_ms = 0;
    // Alarms that are refused stop nothing: the pipeline changes, they stay.
    let stood = field.up(&other).await.unwrap();
    assert_eq!((stood.memory_mb, stood.alarms), (512, 9));
    assert!(field.told.borrow().join("\n").contains("going on without alarms"));
}

#[tokio::test(start_paused = true)]
async fn a_failing_create_leaves_no_review_of_the_stacks_after_it() {
    let field = Field::new().await;
    field.bench.fail("CreateFunction", "InvalidParameterValueException", "The role cannot be assumed.");
    field.up(&request()).await.unwrap_err();
    let left = field.stacks().await;
    assert!(left.contains(&format!("{PIPELINE} ROLLBACK_COMPLETE")), "{left:?}");
    assert!(!left.iter().any(|one| one.contains("observability")), "{left:?}");
    assert_eq!(field.down().await.unwrap(), Vec::<String>::new());
    assert_eq!(field.stacks().await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn refused_alarms_are_gone_without() {
    let field = Field::new().await;
    field.bench.fail("PutCompositeAlarm", "AccessDenied", "not authorized to perform PutCompositeAlarm");
    let stood = field.up(&request()).await.unwrap();
    assert_eq!((stood.alarms, stood.dashboards), (0, 0));
    assert_eq!(field.stacks().await, [format!("{PIPELINE} CREATE_COMPLETE")]);
}

#[tokio::test(start_paused = true)]
async fn an_execution_broken_off_is_taken_down_whole() {
    let field = Field::new().await;
    let mut plan = field.prepare(&request()).await.unwrap();
    let (request, templates) = (request(), Templates::embedded());
    let executing = execute(&field.clients, field.clock, &request, &templates, &mut plan, &|_| {});
    let broken_off = tokio::time::timeout(Duration::from_millis(50), executing).await;
    assert!(broken_off.is_err(), "it takes longer than that");
    assert!(!field.stacks().await.is_empty());
    assert_eq!(field.down().await.unwrap(), Vec::<String>::new());
    assert_eq!(field.stacks().await, Vec::<String>::new());
    assert_eq!(field.bench.standing(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_change_broken_off_ends_by_itself_and_leaves_no_change_set() {
    let field = Field::new().await;
    field.up(&request()).await.unwrap();
    let mut plan = field.prepare(&with_memory(512)).await.unwrap();
    let (request, templates) = (with_memory(512), Templates::embedded());
    let executing = execute(&field.clients, field.clock, &request, &templates, &mut plan, &|_| {});
    assert!(tokio::time::timeout(Duration::from_millis(10), executing).await.is_err());
    plan.discard(&field.clients, field.clock).await.unwrap();
    field.bench.settled(PIPELINE).await;
    assert_eq!(standing(&field.clients, "dev").await.unwrap().unwrap().memory_mb, 512);
    assert_eq!(field.change_sets(PIPELINE).await, 0);
    assert_eq!(field.change_sets("streamgauge-dev-observability").await, 0);
}

const FOREIGN: &str = "Resources: {Q: {Type: AWS::SQS::Queue, Properties: {QueueName: theirs}}}";

#[tokio::test(start_paused = true)]
async fn a_stack_of_somebody_else_is_never_touched() {
    let field = Field::new().await;
    let foreign = json!({"StackName": "streamgauge-dev-observability", "TemplateBody": FOREIGN});
    field.bench.call("CreateStack", foreign).await.unwrap();
    field.bench.settled("streamgauge-dev-observability").await;
    let error = field.up(&request()).await.unwrap_err();
    assert!(matches!(&error, StackError::NotOurs { .. }), "{error}");
    assert!(error.hint().contains("--env"));
    assert_eq!(field.stacks().await, ["streamgauge-dev-observability CREATE_COMPLETE"]);
    assert_eq!(field.bench.standing().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn stuck_states_are_explained_with_the_way_out() {
    let tags = json!([
        {"Key": "streamgauge:managed", "Value": "true"}, {"Key": "streamgauge:env", "Value": "dev"},
    ]);
    let ours = json!({"StackName": PIPELINE, "TemplateBody": FOREIGN, "Tags": tags});

    let field = Field::new().await;
    let mut review = ours.clone();
    review["ChangeSetName"] = json!("elsewhere");
    review["ChangeSetType"] = json!("CREATE");
    field.bench.call("CreateChangeSet", review).await.unwrap();
    let error = field.up(&request()).await.unwrap_err();
    assert!(error.to_string().contains("REVIEW_IN_PROGRESS") && error.hint().contains("streamgauge down"));
    assert_eq!(field.down().await.unwrap(), Vec::<String>::new(), "the way out is one");
    assert_eq!(field.stacks().await, Vec::<String>::new());

    field.bench.call("CreateStack", ours).await.unwrap();
    let error = field.up(&request()).await.unwrap_err();
    assert!(error.to_string().contains("CREATE_IN_PROGRESS") && error.hint().contains("wait"), "{error}");

    field.bench.settled(PIPELINE).await;
    field.bench.fail("DeleteQueue", "AccessDenied", "no");
    field.bench.call("DeleteStack", json!({"StackName": PIPELINE})).await.unwrap();
    field.bench.settled(PIPELINE).await;
    let error = field.up(&request()).await.unwrap_err();
    assert!(error.to_string().contains("DELETE_FAILED"), "{error}");
    assert_eq!(error.hint(), "remove it first: streamgauge down");
}

#[tokio::test(start_paused = true)]
async fn throttled_looks_are_waited_out_within_bounds() {
    let field = Field::new().await;
    field.throttles.store(12, Ordering::Relaxed);
    field.up(&request()).await.unwrap();
    assert_eq!(field.throttles.load(Ordering::Relaxed), 0);

    field.throttles.store(u32::MAX, Ordering::Relaxed);
    let began = field.clock.instant();
    let error = field.up(&request()).await.unwrap_err();
    assert!(error.to_string().contains("Throttling") && error.hint().contains("wait a minute"), "{error}");
    let waited_s = (field.clock.instant() - began).as_secs();
    assert!((20..300).contains(&waited_s), "{waited_s}");
    field.throttles.store(0, Ordering::Relaxed);
    assert_eq!(status(&field.clients, "dev").await.unwrap().stacks.len(), 2, "what stands still stands");
}
