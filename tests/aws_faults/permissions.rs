//! The policy of docs/permissions.md for whoever runs the tool is what the tool asks for: the calls of the whole main
//! job are recorded and mapped to IAM actions. `STREAMGAUGE_BLESS=1` writes the policy anew.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};
use streamgauge::platform::permissions::actions;

use crate::job::{Came, job};
use crate::recording::{Calls, recording};
use crate::support::Field;

const BEGIN: &str = "<!-- the user's policy: begin (written by a test) -->\n";
const END: &str = "<!-- the user's policy: end -->\n";

/// Some acked records are forgotten, so that the stream is read again for them.
pub const LOSES_RECORDS: &str = "drop:count=50";

/// Everything that the main job asks of AWS with the user's credentials.
pub async fn recorded() -> BTreeSet<(String, String)> {
    let calls = Calls::default();
    let field =
        Field::seen_through(&[LOSES_RECORDS], 1, |cloud, inner| recording(cloud, inner, &calls)).await;
    let (came, said) = job(&field).await;
    assert_eq!(came, Came::Through, "{}", said.text());
    field.cloud.end().await;
    std::mem::take(&mut *calls.lock().unwrap())
}

/// Where IAM lets an action be narrowed to what bears the tool's name. Source: Service Authorization Reference,
/// "Resource types" of each service.
fn resources(action: &str) -> &'static [&'static str] {
    match action {
        // They list, or tell of the account: IAM knows no resource for them.
        "cloudformation:DescribeStacks" | "cloudformation:ListStacks" | "cloudwatch:GetMetricData" => &["*"],
        "lambda:GetAccountSettings" | "sts:GetCallerIdentity" => &["*"],
        _ => match action.split(':').next().unwrap_or_default() {
            "cloudformation" => &["arn:aws:cloudformation:*:*:stack/streamgauge-*/*"],
            "kinesis" => &["arn:aws:kinesis:*:*:stream/streamgauge-*"],
            "lambda" => &["arn:aws:lambda:*:*:function:streamgauge-*"],
            "logs" => &["arn:aws:logs:*:*:log-group:/aws/lambda/streamgauge-*"],
            "s3" => &["arn:aws:s3:::streamgauge-*", "arn:aws:s3:::streamgauge-*/*"],
            "scheduler" => &["arn:aws:scheduler:*:*:schedule/*/streamgauge-*"],
            "sqs" => &["arn:aws:sqs:*:*:streamgauge-*"],
            _ => &["*"],
        },
    }
}

fn policy(actions: &BTreeSet<String>) -> Value {
    let mut statements: BTreeMap<(String, Vec<&str>), Vec<&str>> = BTreeMap::new();
    for action in actions {
        let narrowed = resources(action);
        let service = action.split(':').next().unwrap_or_default();
        let sid = if narrowed == ["*"] { "Unscoped".to_owned() } else { capitalized(service) };
        statements.entry((sid, narrowed.to_vec())).or_default().push(action);
    }
    let statements: Vec<Value> = statements
        .into_iter()
        .map(|((sid, narrowed), actions)| {
            json!({"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": narrowed})
        })
        .collect();
    json!({"Version": "2012-10-17", "Statement": statements})
}

fn capitalized(service: &str) -> String {
    service[..1].to_uppercase() + &service[1..]
}

#[tokio::test(start_paused = true)]
async fn the_policy_for_the_user_is_what_the_main_job_asks_for() {
    let recorded = recorded().await;
    let asked: BTreeSet<String> =
        recorded.iter().flat_map(|(service, operation)| actions(service, operation)).collect();
    let written = format!("{BEGIN}```json\n{:#}\n```\n{END}", policy(&asked));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/permissions.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the page has the place for the policy");
    let (stands, after) = rest.split_once(END).expect("the page has the end of the policy");
    if std::env::var_os("STREAMGAUGE_BLESS").is_some() {
        std::fs::write(&path, format!("{before}{written}{after}")).unwrap();
        return;
    }
    assert_eq!(
        format!("{BEGIN}{stands}{END}"),
        written,
        "STREAMGAUGE_BLESS=1 cargo test --test aws_faults the_policy writes docs/permissions.md anew"
    );
}
