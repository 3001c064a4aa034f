//! Intrinsic functions against the worked examples of the CloudFormation user guide's "Intrinsic function
//! reference" (page of each function), and conditions.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::local::cloudformation::intrinsics::{Physical, Pseudo, Scope, conditions};
use crate::local::cloudformation::parameters;
use crate::local::cloudformation::template::Template;

const TEMPLATE: &str = r#"
Parameters:
  RootDomainName: {Type: String, Default: example.com}
  DbSubnetIpBlocks: {Type: CommaDelimitedList, Default: "10.0.48.0/24, 10.0.112.0/24, 10.0.176.0/24"}
  AccountIds: {Type: String, Default: "a|b|c"}
  EnvironmentType: {Type: String, Default: prod}
  Count: {Type: Number, Default: 3}
Mappings:
  RegionMap:
    us-east-1: {HVM64: ami-0ff8a91507f77f867, HVMG2: ami-0a584ac55a7631c0c}
    us-west-1: {HVM64: ami-0bdb828fd58c52235, HVMG2: ami-066ee5fd4a9ef77f1}
Conditions:
  IsProduction: !Equals [!Ref EnvironmentType, prod]
  IsTest: !Equals [!Ref EnvironmentType, test]
  IsEither: !Or [!Condition IsProduction, !Condition IsTest]
  IsBoth: !And [!Condition IsProduction, !Condition IsTest]
  IsNotTest: !Not [!Condition IsTest]
  IsThree: !Equals [!Ref Count, 3]
Resources:
  MyInstance: {Type: T}
"#;

fn evaluate(expression: &str) -> Result<Option<Value>, String> {
    let text = format!("{TEMPLATE}\nOutputs:\n  O:\n    Value: {expression}\n");
    let template = Template::parse(&text).map_err(|error| error.message)?;
    let parameters = parameters::resolve(&template, &BTreeMap::new()).unwrap();
    let pseudo = Pseudo {
        region: "us-east-1".into(),
        account: "123456789012".into(),
        stack_name: "teststack".into(),
        stack_id: "arn:aws:cloudformation:us-east-1:123456789012:stack/teststack/1".into(),
    };
    let conditions = conditions(&template, &parameters, &pseudo).unwrap();
    let instance = Physical {
        id: "i-1234".into(),
        attributes: BTreeMap::from([("Arn".into(), json!("arn:i-1234")), ("A.B".into(), json!("nested"))]),
    };
    let scope = Scope {
        template: &template,
        parameters: &parameters,
        pseudo: &pseudo,
        conditions: &conditions,
        resources: &BTreeMap::from([("MyInstance".into(), instance)]),
    };
    scope.evaluate(&template.outputs["O"].value).map_err(|error| error.message)
}

fn value(expression: &str) -> Value {
    evaluate(expression).unwrap().unwrap()
}

#[test]
fn worked_examples_of_the_user_guide() {
    // Fn::Join: "a:b:c", and a join over a parameter's list.
    assert_eq!(value(r#"!Join [ ":", [ a, b, c ] ]"#), "a:b:c");
    assert_eq!(
        value(
            r#"!Join [ "", [ "arn:", !Ref AWS::Partition, ":s3:::elasticbeanstalk-*-", !Ref AWS::AccountId ] ]"#
        ),
        "arn:aws:s3:::elasticbeanstalk-*-123456789012"
    );
    // Fn::Select: "grapes", and the first of a list parameter.
    assert_eq!(value(r#"!Select [ "1", [ "apples", "grapes", "oranges", "mangoes" ] ]"#), "grapes");
    assert_eq!(value("!Select [ 0, !Ref DbSubnetIpBlocks ]"), "10.0.48.0/24");
    // Fn::Split: ["a", "b", "c"], with empty items kept.
    assert_eq!(value(r#"!Split [ "|" , "a|b|c" ]"#), json!(["a", "b", "c"]));
    assert_eq!(value(r#"!Split [ "|" , "a||c|" ]"#), json!(["a", "", "c", ""]));
    assert_eq!(value(r#"!Select [2, !Split ["|", !Ref AccountIds]]"#), "c");
    // Fn::Sub: with a map, without one, and the literal form.
    assert_eq!(value(r#"!Sub ["www.${Domain}", { Domain: !Ref RootDomainName }]"#), "www.example.com");
    assert_eq!(
        value(r#"!Sub "arn:aws:ec2:${AWS::Region}:${AWS::AccountId}:vpc/${MyInstance}""#),
        "arn:aws:ec2:us-east-1:123456789012:vpc/i-1234"
    );
    assert_eq!(
        value(r#"!Sub "${!Literal} ${MyInstance.Arn} ${ MyInstance.A.B }""#),
        "${Literal} arn:i-1234 nested"
    );
    // Fn::FindInMap: the AMI of the region.
    assert_eq!(value("!FindInMap [ RegionMap, !Ref AWS::Region, HVM64 ]"), "ami-0ff8a91507f77f867");
    // Fn::Base64 and Fn::GetAtt.
    assert_eq!(value("!Base64 AWS CloudFormation"), "QVdTIENsb3VkRm9ybWF0aW9u");
    assert_eq!(value("!GetAtt MyInstance.Arn"), "arn:i-1234");
    assert_eq!(value("!Ref AWS::URLSuffix"), "amazonaws.com");
    assert_eq!(value("!Ref AWS::StackName"), "teststack");
}

#[test]
fn conditions_choose_and_no_value_removes() {
    let chosen = |condition: &str| value(&format!("!If [{condition}, yes-it-is, no-it-is-not]"));
    for (condition, holds) in [
        ("IsProduction", true),
        ("IsTest", false),
        ("IsEither", true),
        ("IsBoth", false),
        ("IsNotTest", true),
        ("IsThree", true),
    ] {
        assert_eq!(chosen(condition) == "yes-it-is", holds, "{condition}");
    }
    assert_eq!(
        value("{ A: !If [IsTest, 1, !Ref AWS::NoValue], B: [x, !Ref AWS::NoValue, !If [IsTest, y, z]] }"),
        json!({"B": ["x", "z"]})
    );
    assert_eq!(evaluate("!Ref AWS::NoValue"), Ok(None));
}

#[test]
fn a_policy_keeps_its_own_condition_member() {
    let policy = "{ Condition: { Bool: { 'aws:SecureTransport': 'false' } } }";
    assert_eq!(value(policy), json!({"Condition": {"Bool": {"aws:SecureTransport": "false"}}}));
}

#[test]
fn what_cannot_be_evaluated_is_refused_by_name() {
    let refused = |expression: &str| evaluate(expression).unwrap_err();
    assert!(refused("!ImportValue x").ends_with("does not support Fn::ImportValue"));
    assert!(refused("!GetAZs x").ends_with("does not support Fn::GetAZs"));
    assert!(refused("!Cidr [a, 1]").ends_with("does not support Fn::Cidr"));
    assert_eq!(
        refused("!FindInMap [RegionMap, eu-west-1, HVM64]"),
        "Template error: Unable to get mapping for RegionMap::eu-west-1::HVM64"
    );
    assert_eq!(
        refused("!Select [4, [a]]"),
        "Template error: Fn::Select cannot select nonexistent value at index 4"
    );
    assert_eq!(
        refused("!GetAtt MyInstance.Colour"),
        "Template error: resource MyInstance does not support attribute type Colour in Fn::GetAtt"
    );
    assert!(refused("!GetAtt MyInstance").starts_with("Template error: every Fn::GetAtt object requires"));
    assert!(refused("!Sub '${a b}'").starts_with("Template error: variable names in Fn::Sub syntax"));
    assert!(refused("!Length [a]").contains("!Length"));
}

#[test]
fn conditions_that_lead_back_to_themselves_are_refused() {
    let text = "Conditions: {A: !Not [!Condition B], B: !Not [!Condition A]}\nResources: {R: {Type: T}}";
    let template = Template::parse(text).unwrap();
    let pseudo = Pseudo {
        region: String::new(),
        account: String::new(),
        stack_name: String::new(),
        stack_id: String::new(),
    };
    let error = conditions(&template, &BTreeMap::new(), &pseudo).unwrap_err();
    assert!(error.message.contains("Circular dependency between conditions"));
}
