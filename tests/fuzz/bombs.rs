//! Requests that would take a naive reader's time, memory or stack. That they are answered is the assertion.

use serde_json::{Value, json};

use super::door::{ask, cloud, paused};
use super::runner;
use super::seeds::{Request, cbor, json_call, query};

#[test]
fn bombs_are_refused_or_answered_at_once() {
    runner::watch(|cases| {
        paused(async {
            let cloud = cloud(1);
            for (name, request) in all() {
                cases.next(name);
                assert!(ask(&cloud, &request).await.is_some(), "{name}: HTTP has no such request");
            }
            cloud.end().await;
        });
    });
}

fn all() -> Vec<(&'static str, Request)> {
    [templates(), bodies(), forms(), expressions()].concat()
}

fn validate(template: String) -> Request {
    query("cloudformation", "ValidateTemplate", json!({"TemplateBody": template}))
}

fn create(name: &str, template: &Value) -> Request {
    let input = json!({"StackName": name, "TemplateBody": template.to_string()});
    query("cloudformation", "CreateStack", input)
}

fn templates() -> Vec<(&'static str, Request)> {
    let mut aliases = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..40 {
        let list = [format!("*a{}", level - 1).as_str(); 9].join(", ");
        aliases.push_str(&format!("a{level}: &a{level} [{list}]\n"));
    }
    let queue = json!({"Q": {"Type": "AWS::SQS::Queue", "Condition": "C0"}});
    // As long as the template's 51,200 bytes allow.
    let chain: serde_json::Map<String, Value> = (0..1_200)
        .map(|n| (format!("C{n}"), json!({"Fn::Not": [{"Condition": format!("C{}", n + 1)}]})))
        .chain([("C1200".to_owned(), json!({"Fn::Equals": ["a", "a"]}))])
        .collect();
    let doubled: serde_json::Map<String, Value> = (0..200)
        .map(|n| {
            let next = json!({"Condition": format!("C{}", n + 1)});
            (format!("C{n}"), json!({"Fn::And": [next, next, next]}))
        })
        .chain([("C200".to_owned(), json!({"Fn::Equals": ["a", "a"]}))])
        .collect();
    // More than a template may have, and as many as it may.
    let crowd: serde_json::Map<String, Value> =
        (0..1_500).map(|n| (format!("Q{n}"), json!({"Type": "T"}))).collect();
    let line: serde_json::Map<String, Value> = (0..499)
        .map(|n| (format!("Q{n}"), json!({"Type": "AWS::SQS::Queue", "DependsOn": format!("Q{}", n + 1)})))
        .chain([("Q499".to_owned(), json!({"Type": "AWS::SQS::Queue"}))])
        .collect();
    let pattern = |pattern: &str| {
        json!({"Parameters": {"P": {"Type": "String", "Default": "a".repeat(3_000), "AllowedPattern": pattern}},
               "Resources": {"Q": {"Type": "AWS::SQS::Queue"}}})
    };
    vec![
        ("YAML aliases", validate(aliases)),
        ("YAML lists", validate("[".repeat(51_000))),
        ("YAML blocks", validate("- ".repeat(25_000))),
        ("YAML flow maps", validate("{a: ".repeat(12_000))),
        ("YAML keys", validate("? ".repeat(25_000))),
        ("YAML tags", validate(format!("Resources: {}x", "!Sub ".repeat(10_000)))),
        ("YAML self alias", validate("Resources: &a {b: *a}".to_owned())),
        ("YAML merge", validate("a: &a {<<: *a}\nResources: {<<: *a}".to_owned())),
        ("JSON lists", validate(format!("{{\"Resources\": {}", "[".repeat(51_000)))),
        ("JSON maps", validate("{\"a\":".repeat(10_000))),
        ("conditions in a chain", create("chain", &json!({"Conditions": chain, "Resources": queue}))),
        ("conditions doubled", create("doubled", &json!({"Conditions": doubled, "Resources": queue}))),
        ("resources beyond the quota", create("crowd", &json!({"Resources": crowd}))),
        ("resources in a chain", create("line", &json!({"Resources": line}))),
        ("a pattern that backtracks", create("backtracks", &pattern("(a+)+(a+)+(a+)+b"))),
        ("a pattern of repeats", create("repeats", &pattern("((((a{1,999}){1,999}){1,999}){1,999})"))),
        ("a pattern of parentheses", create("parentheses", &pattern(&"(".repeat(10_000)))),
    ]
}

fn bodies() -> Vec<(&'static str, Request)> {
    let put = |body: &[u8]| {
        let mut request = json_call("kinesis", "Kinesis_20131202", "PutRecords", json!({}));
        request.body = body.to_vec();
        request
    };
    let tree = |body: &[u8]| {
        let mut request = json_call("sqs", "AmazonSQS", "SendMessage", json!({}));
        request.body = body.to_vec();
        request
    };
    let binary = |body: &[u8]| {
        let mut request = cbor("PutMetricData", json!({}));
        request.body = body.to_vec();
        request
    };
    let lengths = |kind: u8| binary(&[kind << 5 | 27, 0x10, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3]);
    vec![
        ("JSON lists, typed", put("[".repeat(1_000_000).as_bytes())),
        ("JSON lists, ignored member", put(format!("{{\"X\":{}", "[".repeat(1_000_000)).as_bytes())),
        ("JSON lists, tree", tree("[".repeat(1_000_000).as_bytes())),
        ("JSON number", tree(format!("{{\"DelaySeconds\":{}}}", "9".repeat(1_000_000)).as_bytes())),
        ("JSON escapes", put(format!("{{\"StreamName\":\"{}\"}}", "\\u0000".repeat(300_000)).as_bytes())),
        (
            "JSON many records",
            put(format!("{{\"StreamName\":\"s\",\"Records\":[{}{{}}]}}", "{},".repeat(500_000)).as_bytes()),
        ),
        ("JSON many members", tree(format!("{{{}\"a\":1}}", "\"a\":1,".repeat(500_000)).as_bytes())),
        ("CBOR 2^60 bytes", lengths(2)),
        ("CBOR 2^60 characters", lengths(3)),
        ("CBOR 2^60 items", lengths(4)),
        ("CBOR 2^60 pairs", lengths(5)),
        ("CBOR nested lists", binary(&vec![0x81; 1_000_000])),
        ("CBOR nested indefinite maps", binary(&b"\xbf\x61a".repeat(300_000))),
        ("CBOR nested tags", binary(&vec![0xc1; 1_000_000])),
        ("CBOR indefinite text", binary(&[&[0x7f_u8][..], &b"\x61a".repeat(1_000_000)].concat())),
        ("gzip of a gzip magic", binary(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3])),
    ]
}

fn forms() -> Vec<(&'static str, Request)> {
    let form = |body: String| {
        let mut request = query("cloudformation", "CreateStack", json!({}));
        request.body = body.into_bytes();
        request
    };
    let mut xml = query("cloudformation", "DescribeStacks", json!({"StackName": "\u{1}]]>&<!--"}));
    xml.path = "/?Action=DescribeStacks".to_owned();
    vec![
        ("form dots", form(format!("Action=CreateStack&{}=1", ".".repeat(1_000_000)))),
        ("form pairs", form(format!("Action=CreateStack{}", "&a=1".repeat(1_000_000)))),
        (
            "form long names",
            form(format!("Action=CreateStack{}", format!("&{}=1", "a.".repeat(31)).repeat(19_000))),
        ),
        (
            "form indexes",
            form("Action=CreateStack&A.member.18446744073709551615=x&A.member.-1=y&A.member.=z".to_owned()),
        ),
        ("form without names", form("Action=CreateStack&=&=&&&&%00=%ff".to_owned())),
        ("form action", form(format!("Action={}", "<x>&amp;".repeat(10_000)))),
        ("markup in an answer", xml),
    ]
}

fn expressions() -> Vec<(&'static str, Request)> {
    let math = |expressions: Vec<String>| {
        let queries: Vec<Value> = expressions
            .into_iter()
            .zip(0..)
            .map(|(expression, n)| json!({"Id": format!("e{n}"), "Expression": expression}))
            .collect();
        cbor("GetMetricData", json!({"MetricDataQueries": queries, "StartTime": 0, "EndTime": 1_763_688_760}))
    };
    let rule = |rule: String| cbor("PutCompositeAlarm", json!({"AlarmName": "c", "AlarmRule": rule}));
    let doubled = (0..499).map(|n| format!("e{} + e{} + e{}", n + 1, n + 1, n + 1));
    let circle = (0..500).map(|n| format!("e{} + 1", (n + 1) % 500));
    let chain = (0..499).map(|n| format!("-e{}", n + 1));
    let lists = (0..30).map(|n| format!("[e{}, e{}]", n + 1, n + 1));
    vec![
        ("math lists", math(lists.chain(["TIME_SERIES(1)".to_owned()]).collect())),
        ("math parentheses", math(vec!["(".repeat(2_000)])),
        ("math minus", math(vec![format!("{}1", "-".repeat(2_000))])),
        ("math powers", math(vec![format!("{}1", "2^".repeat(1_000))])),
        ("math sum", math(vec![format!("{}1", "1+".repeat(1_000))])),
        ("math doubled", math(doubled.chain(["TIME_SERIES(1)".to_owned()]).collect())),
        ("math chain", math(chain.chain(["TIME_SERIES(1)".to_owned()]).collect())),
        ("math circle", math(circle.collect())),
        (
            "math wide",
            cbor(
                "GetMetricData",
                json!({"MetricDataQueries": [{"Id": "e", "Expression": "TIME_SERIES(1)", "Period": 1}], "StartTime": -9e15, "EndTime": 9e15}),
            ),
        ),
        ("rule parentheses", rule("(".repeat(10_000))),
        ("rule not", rule(format!("{}TRUE", "NOT ".repeat(2_500)))),
        ("rule or", rule(format!("{}TRUE", "TRUE OR ".repeat(1_200)))),
    ]
}
