use std::collections::BTreeMap;
use std::path::PathBuf;

use bytes::Bytes;

use super::*;
use crate::evidence::events::{End, Event};
use crate::plan::compare::TestChange;

const PLAN: &str = "schema: streamgauge/plan/v1
name: weeks
phases:
  - name: One
    tests:
      - {id: a, name: A, stages: [{duration: 1s, target: 5}]}
      - {id: b, name: B, stages: [{duration: 1s, target: 5}]}
      - {id: c, name: C, stages: [{duration: 1s, target: 5}]}
";
const WHO: Who<'_> = Who { target: "local", env: "dev", plan: Some("weeks") };

fn plan_of(text: &str) -> Plan {
    parse_with(text, &crate::plan::NoFiles).unwrap_or_else(|error| panic!("{error:?}\n{text}"))
}

/// Run directories, made by hand.
struct Runs {
    root: tempfile::TempDir,
}

/// Begun, and how it ended: complete, stopped, or not at all.
type Tried<'a> = (&'a str, Option<bool>);

impl Runs {
    fn new() -> Runs {
        Runs { root: tempfile::tempdir().expect("tempdir") }
    }

    fn header(id: &str, number: u64, parent: Option<&str>, text: &str) -> RunHeader {
        let plan = plan_of(text);
        RunHeader {
            v: RunHeader::VERSION,
            id: id.parse().expect("well formed"),
            started_us: 1,
            tool_version: "0.1.0".into(),
            target: "local".into(),
            region: "us-east-1".into(),
            environment: "dev".into(),
            host: "h".into(),
            rehearsal: false,
            assumptions: Vec::new(),
            faults: Vec::new(),
            parent: parent.map(|id| id.parse().expect("well formed")),
            number,
            plan_name: plan.name.clone(),
            plan_hash: plan.hash.clone(),
            plan_text: plan.text,
            plan_files: Default::default(),
        }
    }

    fn add(&self, header: &RunHeader, tried: &[Tried<'_>], ended: bool) -> RunDir {
        let dir = RunDir::create(self.root.path(), &header.id).expect("create");
        dir.write_run(header).expect("write");
        let log = dir.event_log().expect("log");
        for (id, end) in tried {
            let id = (*id).to_owned();
            let started = Event::TestStarted { test_index: 0, id, first_level: 0, first_sequence: 0 };
            log.append(10, &started).expect("append");
            if let Some(complete) = *end {
                log.append(11, &Event::TestEnded { drained_s: None, complete }).expect("append");
            }
        }
        if ended {
            let ended = Event::RunEnded { end: End::Completed, generator_peak_mb: None };
            log.append(12, &ended).expect("append");
        }
        dir
    }

    fn past(&self) -> Past {
        Past::read(self.root.path(), WHO).expect("readable")
    }
}

fn states(past: &Past, text: &str) -> Vec<TestState> {
    let campaign = past.campaign.as_ref().expect("there are runs");
    campaign.standings(&plan_of(text)).iter().map(|standing| standing.state).collect()
}

fn selected(resumed: Result<Resumed, PlanChanges>) -> Vec<usize> {
    match resumed.expect("the plan is the same") {
        Resumed::Run { selected, .. } => selected,
        Resumed::NothingLeft => Vec::new(),
    }
}

const FIRST: &str = "20261121-080000-aaaa";
const SECOND: &str = "20261121-070000-bbbb";
const THIRD: &str = "20261121-060000-cccc";

#[test]
fn a_chain_goes_by_its_parents_although_the_wall_clock_went_back() {
    use TestState::{Finished, Interrupted, NotRun};
    let runs = Runs::new();
    runs.add(&Runs::header(FIRST, 1, None, PLAN), &[("a", Some(true)), ("b", None)], false);
    let past = runs.past();
    assert_eq!(states(&past, PLAN), [Finished, Interrupted, NotRun]);
    assert_eq!(selected(past.resume(&plan_of(PLAN), &[0, 1, 2], false)), [1, 2]);
    assert_eq!(
        selected(past.resume(&plan_of(PLAN), &[2], false)),
        [2],
        "only among those that were asked for"
    );

    runs.add(&Runs::header(SECOND, 2, Some(FIRST), PLAN), &[("b", Some(true)), ("c", Some(false))], true);
    let past = runs.past();
    assert_eq!(states(&past, PLAN), [Finished, Finished, Interrupted]);
    assert_eq!(past.next_number, 3);
    assert_eq!(past.campaign.as_ref().expect("runs").newest().header.id.as_str(), SECOND);

    runs.add(&Runs::header(THIRD, 3, Some(SECOND), PLAN), &[("c", Some(true))], true);
    let past = runs.past();
    assert_eq!(states(&past, PLAN), [Finished; 3]);
    assert!(matches!(past.resume(&plan_of(PLAN), &[0, 1, 2], false), Ok(Resumed::NothingLeft)));
    assert_eq!(past.notes, Vec::<String>::new());
}

#[test]
fn a_run_of_the_whole_plan_begins_anew_and_one_of_a_selection_belongs_to_what_is_there() {
    let runs = Runs::new();
    let plan = plan_of(PLAN);
    assert_eq!(runs.past().anew(&plan, &[0]).number, 1);
    runs.add(&Runs::header(FIRST, 1, None, PLAN), &[("a", Some(true))], true);
    let past = runs.past();
    assert_eq!(past.anew(&plan, &[0, 1, 2]).parent, None);
    assert_eq!(past.anew(&plan, &[1]).parent.map(String::from).as_deref(), Some(FIRST));
    assert_eq!(past.anew(&plan_of(&PLAN.replace("target: 5", "target: 6")), &[1]).parent, None);
    runs.add(&Runs::header(SECOND, 2, None, PLAN), &[], false);
    assert_eq!(states(&runs.past(), PLAN), [TestState::NotRun; 3], "the newest chain is the campaign");
}

#[test]
fn a_changed_plan_is_refused_and_once_accepted_runs_what_was_changed_again() {
    use TestState::{Finished, NotRun, Outdated};
    let runs = Runs::new();
    runs.add(&Runs::header(FIRST, 1, None, PLAN), &[("a", Some(true)), ("b", Some(true))], true);
    let edited = PLAN.replacen("name: B, stages: [{duration: 1s", "name: B, stages: [{duration: 2s", 1);
    let after = plan_of(&edited);
    let past = runs.past();
    let refused = past.resume(&after, &[0, 1, 2], false).expect_err("it was changed");
    assert_eq!(refused.tests, [TestChange::Changed { id: "b".into(), keys: vec!["stages"] }]);
    let Ok(Resumed::Run { selected, lineage }) = past.resume(&after, &[0, 1, 2], true) else {
        panic!("two tests are left");
    };
    assert_eq!(selected, [1, 2]);
    assert!(lineage.notes[0].contains("accepted: test b changed (stages)"), "{:?}", lineage.notes);
    assert_eq!(states(&past, &edited), [Finished, Outdated, NotRun]);
    // From then on it is the plan.
    runs.add(&Runs::header(SECOND, 2, Some(FIRST), &edited), &[("b", Some(true))], true);
    let past = runs.past();
    assert_eq!(states(&past, &edited), [Finished, Finished, NotRun]);
    assert!(past.resume(&after, &[0, 1, 2], false).is_ok());
    // A comment is no change, and no reason to ask.
    let commented = plan_of(&format!("# Told better.\n{edited}"));
    assert!(past.resume(&commented, &[0, 1, 2], false).is_ok());
}

#[test]
fn damaged_and_missing_runs_are_left_out_with_a_note() {
    let runs = Runs::new();
    runs.add(&Runs::header(FIRST, 1, Some("20261120-080000-gone"), PLAN), &[("a", Some(true))], true);
    std::fs::create_dir(runs.root.path().join(SECOND)).expect("an empty run directory");
    let torn: PathBuf = runs.root.path().join(THIRD);
    std::fs::create_dir(&torn).expect("create");
    std::fs::write(torn.join("run.json"), "{\"v\":1,").expect("write");
    std::fs::write(runs.root.path().join("notes.txt"), "not a run").expect("write");
    let past = runs.past();
    assert_eq!(states(&past, PLAN)[0], TestState::Finished);
    assert_eq!(past.notes.len(), 3, "{:?}", past.notes);
    for named in [SECOND, THIRD, "gone"] {
        assert!(past.notes.iter().any(|note| note.contains(named)), "{named}: {:?}", past.notes);
    }
}

#[test]
fn a_test_is_running_while_its_process_lives() {
    let runs = Runs::new();
    let dir = runs.add(&Runs::header(FIRST, 1, None, PLAN), &[("a", Some(true)), ("b", None)], false);
    let alive = dir.hold().expect("hold");
    assert!(alive.is_some(), "the temporary folder has no locks");
    assert_eq!(states(&runs.past(), PLAN)[1], TestState::Running);
    drop(alive);
    assert_eq!(states(&runs.past(), PLAN)[1], TestState::Interrupted);
}

#[test]
fn other_environments_targets_and_plans_have_campaigns_of_their_own() {
    let runs = Runs::new();
    let mine = Runs::header(FIRST, 1, None, PLAN);
    runs.add(&RunHeader { environment: "other".into(), ..mine.clone() }, &[], true);
    runs.add(&RunHeader { id: SECOND.parse().unwrap(), target: "aws".into(), ..mine.clone() }, &[], true);
    runs.add(&Runs::header(THIRD, 4, None, &PLAN.replace("name: weeks", "name: days")), &[], true);
    let past = runs.past();
    assert!(past.campaign.is_none());
    assert_eq!(past.next_number, 5, "numbers count over all runs of the folder");
    let last = Past::read(runs.root.path(), Who { plan: None, ..WHO }).expect("readable");
    assert_eq!(last.campaign.expect("days").newest().header.plan_name, "days");
    let past = {
        runs.add(&RunHeader { id: "20261121-050000-dddd".parse().unwrap(), ..mine }, &[], true);
        runs.past()
    };
    let campaign = past.campaign.expect("mine");
    assert_eq!(campaign.mismatch("us-east-1", &[]), None);
    assert!(campaign.mismatch("eu-west-1", &[]).is_some_and(|why| why.contains("eu-west-1")));
    assert!(campaign.mismatch("us-east-1", &["drop:count=1".into()]).is_some_and(|why| why.contains("drop")));
}

#[test]
fn a_test_that_replays_a_file_counts_as_long_as_the_file_says_the_same() {
    let text = "schema: streamgauge/plan/v1
name: weeks
phases:
  - name: One
    tests:
      - {id: a, name: A, rates: {file: s.csv}}
";
    let with = |text: &str, series: &'static str| {
        let files = BTreeMap::from([("s.csv".to_owned(), Bytes::from_static(series.as_bytes()))]);
        parse_with(text, &files).unwrap_or_else(|errors| panic!("{errors}"))
    };
    let ran = with(text, "time_s,rate\n0,10\n60,20\n");
    let runs = Runs::new();
    let header = RunHeader {
        plan_hash: ran.hash.clone(),
        plan_text: ran.text.clone(),
        plan_files: ran.file_hashes(),
        ..Runs::header(FIRST, 1, None, PLAN)
    };
    runs.add(&header, &[("a", Some(true))], true).write_files(&ran.files).expect("write");
    let past = runs.past();
    let state = |plan: &Plan| past.campaign.as_ref().expect("a run").standings(plan)[0].state;
    assert_eq!(state(&ran), TestState::Finished);
    let renamed = with(&text.replace("name: A", "name: Better"), "time_s,rate\n0,10\n60,20\n");
    assert_ne!(renamed.hash, ran.hash);
    assert_eq!(state(&renamed), TestState::Finished, "a name tells of a test, it does not make it");
    assert_eq!(state(&with(text, "time_s,rate\n0,10\n60,30\n")), TestState::Outdated);
}
