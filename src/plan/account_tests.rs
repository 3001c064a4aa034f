//! What a plan may ask of an account, and what is said where it cannot be.

use super::*;

fn plan(environment: &str) -> String {
    format!(
        "schema: streamgauge/plan/v1\nname: p\nenvironment:\n{environment}phases:\n  - name: a\n    tests:\n      - {{id: a, name: t, stages: [{{duration: 1s, target: 1}}]}}\n"
    )
}

fn errors(environment: &str) -> Vec<String> {
    let errors = parse(&plan(environment)).expect_err("the plan is wrong");
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn everything_that_an_account_may_ask_for_is_read() {
    let text = plan(
        r#"  stream: {encryption: {kms_key: aws/kinesis}}
  function:
    reserved_concurrency: 9
    provisioned_concurrency: 9
    enhanced_fan_out: true
    filter: ['{"data": {"kind": ["order"]}}']
  alarms: {lambda_throttles: 1, write_throttles: 2, read_throttles: 3, dlq_messages: 4}
  account:
    name_prefix: acme-load
    permissions_boundary: arn:aws:iam::aws:policy/PowerUserAccess
    role_path: /teams/streams/
    cloudformation_role: arn:aws-us-gov:iam::123456789012:role/deploy/cfn
    vpc: {subnets: [subnet-0a, subnet-0b], security_groups: [sg-0c]}
    kms_key: arn:aws:kms:eu-west-1:999988887777:key/1234abcd
"#,
    );
    let environment = parse(&text).unwrap_or_else(|errors| panic!("{errors}")).environment;
    assert_eq!(environment.stream.encryption_key.as_deref(), Some("alias/aws/kinesis"));
    assert_eq!(environment.function.provisioned_concurrency, Some(9));
    assert!(environment.function.enhanced_fan_out);
    assert_eq!(environment.function.filters, [r#"{"data": {"kind": ["order"]}}"#]);
    let alarms = &environment.alarms;
    assert_eq!((alarms.lambda_throttles, alarms.write_throttles), (1, 2));
    assert_eq!((alarms.read_throttles, alarms.dlq_messages), (3, 4));
    let expected = AccountSpec {
        name_prefix: "acme-load".into(),
        permissions_boundary: Some("arn:aws:iam::aws:policy/PowerUserAccess".into()),
        role_path: "/teams/streams/".into(),
        function_role: None,
        cloudformation_role: Some("arn:aws-us-gov:iam::123456789012:role/deploy/cfn".into()),
        vpc: Some(VpcSpec {
            subnets: vec!["subnet-0a".into(), "subnet-0b".into()],
            security_groups: vec!["sg-0c".into()],
        }),
        kms_key: Some("arn:aws:kms:eu-west-1:999988887777:key/1234abcd".into()),
    };
    assert_eq!(environment.account, expected);
}

#[test]
fn what_cannot_be_is_named_with_its_place() {
    for (environment, field) in [
        ("  stream: {encryption: {}}\n", "environment.stream.encryption.kms_key"),
        ("  stream: {encryption: {kms_key: alias/mine}}\n", "environment.stream.encryption.kms_key"),
        ("  function: {filter: []}\n", "environment.function.filter"),
        ("  function: {filter: [order]}\n", "environment.function.filter[0]"),
        ("  function: {filter: ['{}']}\n", "environment.function.filter[0]"),
        (
            "  function: {reserved_concurrency: 2, provisioned_concurrency: 3}\n",
            "environment.function.provisioned_concurrency",
        ),
        ("  alarms: {dlq_messages: -1}\n", "environment.alarms.dlq_messages"),
        ("  account: {name_prefix: Acme}\n", "environment.account.name_prefix"),
        ("  account: {name_prefix: a-prefix-too-long}\n", "environment.account.name_prefix"),
        ("  account: {name_prefix: acme-}\n", "environment.account.name_prefix"),
        ("  account: {role_path: teams}\n", "environment.account.role_path"),
        ("  account: {role_path: /teams}\n", "environment.account.role_path"),
        ("  account: {role_path: //}\n", "environment.account.role_path"),
        ("  account: {permissions_boundary: boundary}\n", "environment.account.permissions_boundary"),
        (
            "  account: {cloudformation_role: 'arn:aws:iam::1:role/r'}\n",
            "environment.account.cloudformation_role",
        ),
        (
            "  account: {kms_key: 'arn:aws:kms:us-east-1:123456789012:alias/a'}\n",
            "environment.account.kms_key",
        ),
        ("  account: {kms_key: 'arn:aws:kms::123456789012:key/a'}\n", "environment.account.kms_key"),
        ("  account: {vpc: {subnets: [subnet-0a]}}\n", "environment.account.vpc.security_groups"),
        (
            "  account: {vpc: {subnets: [vpc-1], security_groups: [sg-1]}}\n",
            "environment.account.vpc.subnets[0]",
        ),
    ] {
        let errors = errors(environment);
        assert!(errors.len() == 1 && errors[0].contains(&format!(": {field}: found ")), "{errors:?}");
    }
}

#[test]
fn a_role_that_is_there_has_its_own_path_and_boundary() {
    let role = "function_role: arn:aws:iam::123456789012:role/r";
    let boundary = "permissions_boundary: arn:aws:iam::123456789012:policy/b";
    let errors = errors(&format!("  account: {{{role}, {boundary}, role_path: /a/}}\n"));
    let expected = "expected nothing: with function_role no role is made";
    assert!(errors.len() == 2 && errors.iter().all(|error| error.ends_with(expected)), "{errors:?}");
}
