use super::testing::*;
use super::*;

/// What GitHub's own limit leaves ample room for.
const BYTES_MAX: usize = 10_000;

#[test]
fn short_of_a_run_that_passed() {
    insta::assert_snapshot!(short(&changed(complete)));
}

#[test]
fn a_comment_stays_short_whatever_the_plan() {
    let mut model = fixture();
    let mut test = model.tests[1].clone();
    test.name = "a name without an end ".repeat(50);
    test.criteria.iter_mut().for_each(|criterion| criterion.reason = "because ".repeat(200));
    model.tests = vec![test; 40];
    model.findings = vec![model.findings[0].clone(); 12];
    model.findings.iter_mut().for_each(|finding| finding.change = None);
    model.findings.iter_mut().for_each(|finding| finding.explanation = "since ".repeat(500));
    model.summary = summary::sentences(&model);
    let text = short(&model);
    assert!(text.len() < BYTES_MAX, "{}", text.len());
    assert!(text.lines().count() <= 45, "{text}");
    for left_out in ["| and 29 more tests", "| and 77 more criteria", "- and 9 more findings"] {
        assert!(text.contains(left_out), "{left_out}: {text}");
    }
}

#[test]
fn a_tests_row_shows_its_highest_level_that_says_something() {
    let text = short(&fixture());
    assert!(
        text.contains("| 1.1 Small payload | pass | 100 | 200 | 200 | 24 | 620 | 100 % | 0.0394 |"),
        "{text}"
    );
    // Of 3.2 the only judged level is void.
    assert!(text.contains("| inconclusive | 500 | - | - | - | - | - | - |"), "{text}");
}
