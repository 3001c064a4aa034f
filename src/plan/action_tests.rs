//! Actions during load: what a plan may say, and where an error stands.

use std::time::Duration;

use super::*;

fn plan(environment: &str, stages: &str) -> String {
    format!(
        "schema: streamgauge/plan/v1\nname: p\nenvironment: {environment}\nphases:\n  - name: a\n    tests:\n      - id: a\n        name: t\n        stages:\n{stages}"
    )
}

fn stage(actions: &str) -> String {
    format!("          - {{duration: 60s, target: 10, actions: [{actions}]}}\n")
}

fn actions(environment: &str, stages: &str) -> Vec<Action> {
    let plan = parse(&plan(environment, stages)).unwrap_or_else(|errors| panic!("{errors}"));
    let actions = plan.tests().flat_map(|test| &test.stages).flat_map(|stage| stage.actions.clone());
    actions.collect()
}

fn errors(environment: &str, stages: &str) -> Vec<String> {
    let errors = parse(&plan(environment, stages)).expect_err("the plan is wrong");
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn each_kind_is_read_and_lasts_until_the_end_of_its_stage_unless_told() {
    let read = actions(
        "{stream: {shards: 2}}",
        &stage(
            "{at: 10s, disable_mapping: {for: 20s}}, {reshard: {shards: 4, for: 1m}}, \
             {at: 30s, set_reserved_concurrency: {value: 1}}, \
             {at: 10s, change_batch: {batch_size: 10, batch_window: 1s, parallelization: 2, for: 20s}}",
        ),
    );
    let seconds = Duration::from_secs;
    let action = |at, lasts, change| Action { at: seconds(at), lasts: seconds(lasts), change };
    let batch =
        ActionChange::ChangeBatch { batch_size: Some(10), batch_window_s: Some(1), parallelization: Some(2) };
    assert_eq!(
        read,
        [
            action(10, 20, ActionChange::DisableMapping),
            action(0, 60, ActionChange::Reshard { shards: 4 }),
            action(30, 30, ActionChange::ReservedConcurrency { value: 1 }),
            action(10, 20, batch),
        ]
    );
    assert_eq!(read[0].text(), "mapping disabled for 20s");
    assert_eq!(read[3].text(), "batch size 10, batch window 1 s, parallelization 2 for 20s");
}

#[test]
fn an_action_may_go_on_in_the_next_stage_but_not_beyond_the_load() {
    let two = |lasts: &str| stage(&format!("{{at: 50s, disable_mapping: {{for: {lasts}}}}}")) + &stage("");
    assert_eq!(actions("{}", &two("70s"))[0].lasts, Duration::from_secs(70));
    let error = errors("{}", &two("71s")).remove(0);
    assert!(
        error.contains("actions[0].disable_mapping.for: found `71s`, expected 100ms to 1m10s"),
        "{error}"
    );
}

#[test]
fn what_cannot_be_is_named_with_its_place() {
    for (environment, told, expected) in [
        (
            "{}",
            "{at: 60s, disable_mapping: {}}",
            "10:56: phases[0].tests[0].stages[0].actions[0].at: found `60s`",
        ),
        (
            "{}",
            "{disable_mapping: {for: 0s}}",
            "actions[0].disable_mapping.for: found `0s`, expected 100ms to 1m",
        ),
        ("{}", "{at: 1s}", "actions[0]: found a mapping, expected one of disable_mapping, reshard"),
        ("{}", "{disable_mapping: {}, reshard: {shards: 2}}", "found 2 kinds of action in one"),
        (
            "{}",
            "{reshard: {shards: 0}}",
            "actions[0].reshard.shards: found the number 0, expected 1 to 2 shards",
        ),
        (
            "{stream: {shards: 2}}",
            "{reshard: {shards: 5}}",
            "found the number 5, expected 1 to 4 shards, half to double",
        ),
        ("{stream: {shards: 3}}", "{reshard: {shards: 1}}", "found the number 1, expected 2 to 6 shards"),
        ("{}", "{reshard: {shards: 1}}", "found the 1 that the stream has already"),
        ("{}", "{reshard: {}}", "actions[0].reshard.shards: found nothing, expected 1 to 2 shards"),
        ("{stream: {mode: on-demand}}", "{reshard: {shards: 2}}", "no reshard: an on-demand stream"),
        ("{}", "{set_reserved_concurrency: {}}", "set_reserved_concurrency.value: found nothing"),
        ("{}", "{set_reserved_concurrency: {value: -1}}", "found the number -1, expected 0 to 100000"),
        (
            "{function: {reserved_concurrency: 5, provisioned_concurrency: 3}}",
            "{set_reserved_concurrency: {value: 2}}",
            "found the number 2, expected 3 to 100000",
        ),
        ("{}", "{change_batch: {for: 1s}}", "expected at least one of batch_size, batch_window and"),
        (
            "{}",
            "{change_batch: {batch_size: 0}}",
            "change_batch.batch_size: found the number 0, expected 1 to 10000",
        ),
        ("{}", "{change_batch: {batch_window: 1500ms}}", "found `1500ms`, expected whole seconds"),
        ("{}", "{change_batch: {parallelization: 11}}", "found the number 11, expected 1 to 10"),
        (
            "{}",
            "{at: 10s, disable_mapping: {for: 20s}}, {at: 29s, disable_mapping: {for: 5s}}",
            "actions[1]: found disable_mapping while another is on, from 10s to 30s of the test",
        ),
        (
            "{existing: {stream: s, function: f}}",
            "{disable_mapping: {}}",
            "an existing pipeline is taken as it is",
        ),
    ] {
        let found = errors(environment, &stage(told));
        assert!(found.iter().any(|error| error.contains(expected)), "{told}: {found:?}");
        assert_eq!(found.len(), 1, "{told}: {found:?}");
    }
}

#[test]
fn the_same_kind_may_follow_itself_and_kinds_may_overlap() {
    let told = "{at: 0s, disable_mapping: {for: 10s}}, {at: 10s, disable_mapping: {for: 10s}}, \
                {at: 5s, reshard: {shards: 2, for: 10s}}";
    assert_eq!(actions("{}", &stage(told)).len(), 3);
}

/// Kinesis takes ten UpdateShardCount calls in 24 hours, and each action takes two.
#[test]
fn more_reshards_than_a_day_takes_are_refused() {
    let reshards = |many: usize| {
        let one = |i: usize| format!("{{at: {}s, reshard: {{shards: 2, for: 5s}}}}", i * 9);
        stage(&(0..many).map(one).collect::<Vec<_>>().join(", "))
    };
    assert_eq!(actions("{}", &reshards(5)).len(), 5);
    let error = errors("{}", &reshards(6)).remove(0);
    assert!(error.contains("actions[5]: found 6 reshards within 24h"), "{error}");
}

/// Ten rows of a minute, each a level.
fn series(keys: &str) -> Result<Plan, String> {
    let rows: String = (0..10).map(|row| format!("{},{}\n", row * 60, 5 + row)).collect();
    let files =
        std::collections::BTreeMap::from([("r.csv".to_owned(), format!("time_s,rate\n{rows}").into())]);
    let text = format!(
        "schema: streamgauge/plan/v1\nname: p\nphases:\n  - name: a\n    tests:\n      - id: a\n        name: t\n{keys}"
    );
    parse_with(&text, &files).map_err(|errors| errors.to_string())
}

#[test]
fn the_actions_of_a_series_lie_in_the_levels_that_their_times_fall_into() {
    let keys = "        rates: {file: r.csv}\n        actions:\n          - {at: 150s, disable_mapping: {for: 4m}}\n          \
                - {at: 9m, set_reserved_concurrency: {value: 1}}\n";
    let plan = series(keys).unwrap_or_else(|errors| panic!("{errors}"));
    let laid: Vec<(usize, Duration, Duration)> = plan
        .tests()
        .flat_map(|test| test.stages.iter().enumerate())
        .flat_map(|(level, stage)| stage.actions.iter().map(move |action| (level, action.at, action.lasts)))
        .collect();
    let seconds = Duration::from_secs;
    assert_eq!(laid, [(2, seconds(30), seconds(240)), (9, seconds(0), seconds(60))]);
    for (keys, expected) in [
        (
            "        rates: {file: r.csv}\n        actions: [{at: 11m, disable_mapping: {}}]\n",
            "tests[0].actions[0].at: found `11m`",
        ),
        (
            "        rates: {file: r.csv}\n        actions: [{at: 5m, disable_mapping: {for: 6m}}]\n",
            "actions[0].disable_mapping.for: found `6m`, expected 100ms to 5m",
        ),
        (
            "        stages: [{duration: 1m, target: 5}]\n        actions: [{disable_mapping: {}}]\n",
            "tests[0].actions: found a list, expected nothing beside `stages`",
        ),
    ] {
        let errors = series(keys).expect_err(keys);
        assert!(errors.contains(expected), "{errors}");
    }
}
