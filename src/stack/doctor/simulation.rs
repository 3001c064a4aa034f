//! What the caller may do, as IAM's policy simulator has it: every call that this tool makes, on the very names that
//! the environment would have. Nothing is called for it but the simulator.

use aws_sdk_iam::types::{EvaluationResult, PolicyEvaluationDecisionType};

use super::super::StackError;
use super::super::error::failed;
use super::account::Caller;
use super::bounded;
use super::finding::Finding;
use crate::platform::clients::Clients;

const CHECK: &str = "permissions";
const SERVICE: &str = "IAM";

/// Calls on one kind of resource.
struct Group {
    /// Resource in the form of an ARN; `{p}` partition, `{r}` region, `{a}` account, `{e}` environment.
    resource: &'static str,
    actions: &'static [&'static str],
}

/// What this program calls itself: nothing works without.
const CALLED: [Group; 9] = [
    Group {
        resource: "*",
        actions: &[
            "cloudformation:DescribeStacks",
            "cloudwatch:GetMetricData",
            "lambda:GetAccountSettings",
            "lambda:GetEventSourceMapping",
        ],
    },
    Group {
        resource: "arn:{p}:cloudformation:{r}:{a}:stack/streamgauge-{e}-pipeline/*",
        actions: &[
            "cloudformation:CreateChangeSet",
            "cloudformation:DeleteChangeSet",
            "cloudformation:DeleteStack",
            "cloudformation:DescribeChangeSet",
            "cloudformation:DescribeStackEvents",
            "cloudformation:ExecuteChangeSet",
            "cloudformation:ListStackResources",
        ],
    },
    Group {
        resource: "arn:{p}:kinesis:{r}:{a}:stream/streamgauge-{e}-stream",
        actions: &[
            "kinesis:GetRecords",
            "kinesis:GetShardIterator",
            "kinesis:ListShards",
            "kinesis:PutRecord",
            "kinesis:PutRecords",
        ],
    },
    Group {
        resource: "arn:{p}:sqs:{r}:{a}:streamgauge-{e}-receipts",
        actions: &["sqs:DeleteMessage", "sqs:ReceiveMessage"],
    },
    Group { resource: "arn:{p}:sqs:{r}:{a}:streamgauge-{e}-dlq", actions: &["sqs:ReceiveMessage"] },
    Group {
        resource: "arn:{p}:logs:{r}:{a}:log-group:/aws/lambda/streamgauge-{e}-function:*",
        actions: &["logs:FilterLogEvents"],
    },
    Group { resource: "arn:{p}:s3:::streamgauge-{e}-{a}-{r}", actions: &["s3:ListBucketVersions"] },
    Group {
        resource: "arn:{p}:s3:::streamgauge-{e}-{a}-{r}/*",
        actions: &["s3:DeleteObjectVersion", "s3:GetObject", "s3:PutObject"],
    },
    Group { resource: "arn:{p}:iam::{a}:role/streamgauge-{e}-{r}-function", actions: &["iam:PassRole"] },
];

/// What the actions of a plan call: a plan without them does not need these.
const CALLED_BY_ACTIONS: [Group; 3] = [
    Group { resource: "*", actions: &["lambda:UpdateEventSourceMapping"] },
    Group {
        resource: "arn:{p}:lambda:{r}:{a}:function:streamgauge-{e}-function",
        actions: &[
            "lambda:DeleteFunctionConcurrency",
            "lambda:GetFunctionConcurrency",
            "lambda:PutFunctionConcurrency",
        ],
    },
    Group {
        resource: "arn:{p}:kinesis:{r}:{a}:stream/streamgauge-{e}-stream",
        actions: &["kinesis:DescribeStreamSummary", "kinesis:UpdateShardCount"],
    },
];

/// What CloudFormation calls with the caller's permissions, unless it is given a role of its own.
const CALLED_BY_CLOUDFORMATION: [Group; 5] = [
    Group {
        resource: "arn:{p}:kinesis:{r}:{a}:stream/streamgauge-{e}-stream",
        actions: &["kinesis:CreateStream", "kinesis:DeleteStream", "kinesis:DescribeStreamSummary"],
    },
    Group {
        resource: "arn:{p}:lambda:{r}:{a}:function:streamgauge-{e}-function",
        actions: &["lambda:CreateFunction", "lambda:DeleteFunction", "lambda:GetFunction"],
    },
    Group {
        resource: "arn:{p}:iam::{a}:role/streamgauge-{e}-{r}-function",
        actions: &[
            "iam:CreateRole",
            "iam:DeleteRole",
            "iam:DeleteRolePolicy",
            "iam:GetRole",
            "iam:PutRolePolicy",
        ],
    },
    Group {
        resource: "arn:{p}:sqs:{r}:{a}:streamgauge-{e}-receipts",
        actions: &["sqs:CreateQueue", "sqs:DeleteQueue", "sqs:GetQueueAttributes"],
    },
    Group {
        resource: "arn:{p}:s3:::streamgauge-{e}-{a}-{r}",
        actions: &["s3:CreateBucket", "s3:DeleteBucket"],
    },
];

/// One finding: allowed, denied with the names of the calls, or why nobody knows.
pub(super) async fn permissions(clients: &Clients, caller: &Caller, env: &str) -> Finding {
    if caller.arn.ends_with(":root") {
        let hint = "a role with the policy of docs/permissions.md does as well, and can do less harm";
        return Finding::warning(CHECK, "the account's root user: nothing is denied to it", hint);
    }
    let denied = bounded(async {
        let principal = principal(clients, caller).await?;
        let names = Names { partition: partition(&caller.arn), region: &clients.region, caller, env };
        let called = denied(clients, &principal, &names, &CALLED).await?;
        let by_cloudformation = denied(clients, &principal, &names, &CALLED_BY_CLOUDFORMATION).await?;
        let by_actions = denied(clients, &principal, &names, &CALLED_BY_ACTIONS).await?;
        Ok((called, by_cloudformation, by_actions))
    });
    match denied.await {
        Ok((called, by_cloudformation, by_actions)) => judge(&called, &by_cloudformation, &by_actions),
        Err(unanswered) => unanswered.warning(CHECK),
    }
}

/// Calls that the simulator denies.
#[derive(Debug, Default, PartialEq)]
struct Denied {
    surely: Vec<String>,
    /// A condition looks at something that the simulator was not told.
    perhaps: Vec<String>,
}

fn judge(called: &Denied, by_cloudformation: &Denied, by_actions: &Denied) -> Finding {
    if !called.surely.is_empty() {
        let found = format!("the policy simulator denies {}", called.surely.join(", "));
        return Finding::stop(
            CHECK,
            found,
            "ask for these permissions; docs/permissions.md lists all that streamgauge needs",
        );
    }
    if !by_cloudformation.surely.is_empty() {
        let found = format!("the policy simulator denies {}", by_cloudformation.surely.join(", "));
        let hint =
            "CloudFormation calls these with your permissions unless it has a role of its own: ask for them";
        return Finding::warning(CHECK, found, hint);
    }
    if !by_actions.surely.is_empty() {
        let found = format!("the policy simulator denies {}", by_actions.surely.join(", "));
        let hint = "only a plan with actions during load calls these: it would report them as refused";
        return Finding::warning(CHECK, found, hint);
    }
    let perhaps = [&called.perhaps[..], &by_cloudformation.perhaps[..], &by_actions.perhaps[..]].concat();
    if !perhaps.is_empty() {
        let found = format!("conditions of a policy decide on {}", perhaps.join(", "));
        return Finding::warning(
            CHECK,
            found,
            "the simulator does not know what they look at: only trying tells",
        );
    }
    Finding::ok(CHECK, "the policy simulator allows every call")
}

struct Names<'a> {
    partition: &'a str,
    region: &'a str,
    caller: &'a Caller,
    env: &'a str,
}

impl Names<'_> {
    fn of(&self, pattern: &str) -> String {
        let arn = pattern.replace("{p}", self.partition).replace("{r}", self.region);
        arn.replace("{a}", &self.caller.account).replace("{e}", self.env)
    }
}

async fn denied(
    clients: &Clients,
    principal: &str,
    names: &Names<'_>,
    groups: &[Group],
) -> Result<Denied, StackError> {
    let mut denied = Denied::default();
    for group in groups {
        let actions = group.actions.iter().map(|action| (*action).to_owned()).collect();
        let call = clients.iam.simulate_principal_policy().policy_source_arn(principal);
        let call = call.set_action_names(Some(actions)).resource_arns(names.of(group.resource));
        let answer = call.send().await;
        let answer = answer.map_err(|error| failed(SERVICE, "simulate the caller's policies", error))?;
        answer.evaluation_results().iter().for_each(|result| denied.take(result));
    }
    Ok(denied)
}

impl Denied {
    fn take(&mut self, result: &EvaluationResult) {
        if *result.eval_decision() == PolicyEvaluationDecisionType::Allowed {
            return;
        }
        let list = match result.missing_context_values().is_empty() {
            true => &mut self.surely,
            false => &mut self.perhaps,
        };
        list.push(result.eval_action_name().to_owned());
    }
}

/// What the simulator takes: a user, or the role behind an assumed one. Its path is not in the session's ARN, so that
/// the role is asked for; who may not ask is taken to have none.
async fn principal(clients: &Clients, caller: &Caller) -> Result<String, StackError> {
    let Some(role) = assumed_role(&caller.arn) else { return Ok(caller.arn.clone()) };
    let answer = clients.iam.get_role().role_name(role).send().await;
    match answer.map_err(|error| failed(SERVICE, "look at the caller's role", error)) {
        Ok(answer) => Ok(answer.role().map(|role| role.arn().to_owned()).unwrap_or_default()),
        Err(StackError::Denied { .. }) => {
            Ok(format!("arn:{}:iam::{}:role/{role}", partition(&caller.arn), caller.account))
        }
        Err(error) => Err(error),
    }
}

/// `arn:aws:sts::111122223333:assumed-role/NAME/SESSION` -> `NAME`.
fn assumed_role(arn: &str) -> Option<&str> {
    arn.split_once(":assumed-role/")?.1.split('/').next()
}

fn partition(arn: &str) -> &str {
    arn.split(':').nth(1).unwrap_or("aws")
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    fn caller(arn: &str) -> Caller {
        Caller { account: "111122223333".into(), arn: arn.into() }
    }

    #[test]
    fn names_and_roles_are_read_from_arns() {
        let caller = caller("arn:aws-cn:sts::111122223333:assumed-role/Tester/me@example.com");
        assert_eq!(assumed_role(&caller.arn), Some("Tester"));
        assert_eq!(assumed_role("arn:aws:iam::111122223333:user/me"), None);
        let names =
            Names { partition: partition(&caller.arn), region: "cn-north-1", caller: &caller, env: "dev" };
        assert_eq!(
            names.of(CALLED[2].resource),
            "arn:aws-cn:kinesis:cn-north-1:111122223333:stream/streamgauge-dev-stream"
        );
    }

    #[test]
    fn what_the_tool_calls_itself_stops_and_the_rest_warns() {
        let none = Denied::default();
        let surely = Denied { surely: vec!["sqs:CreateQueue".into()], ..Denied::default() };
        let perhaps = Denied { perhaps: vec!["kinesis:PutRecord".into()], ..Denied::default() };
        assert_eq!(judge(&none, &none, &none).level, Level::Ok);
        assert_eq!(judge(&surely, &none, &none).level, Level::Stop);
        assert!(judge(&surely, &none, &none).found.contains("sqs:CreateQueue"));
        assert_eq!(judge(&none, &surely, &none).level, Level::Warning);
        assert_eq!(judge(&perhaps, &none, &none).level, Level::Warning);
        assert_eq!(judge(&none, &none, &surely).level, Level::Warning);
    }
}
