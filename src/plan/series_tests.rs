//! Series that are read, and what is said of those that are not.

use proptest::prelude::*;

use super::*;

fn rows(text: &str) -> Vec<(u64, f64)> {
    let rows = read(text, false).unwrap_or_else(|wrong| panic!("{wrong:?}"));
    rows.iter().map(|row| (row.after.as_millis() as u64, row.rps)).collect()
}

/// `line:column: column: found X, expected Y`, each.
fn wrong(text: &str) -> Vec<String> {
    let wrong = read(text, false).expect_err("the series is wrong");
    let told = |wrong: Wrong| {
        let Wrong { position: Position { line, column }, field, found, expected } = wrong;
        format!("{line}:{column}: {field}: found {found}, expected {expected}")
    };
    wrong.into_iter().map(told).collect()
}

#[test]
fn reads_seconds_and_timestamps() {
    let expected = [(0, 10.0), (60_000, 20.5), (120_000, 0.0)];
    assert_eq!(rows("time_s,rate\n0,10\n60,20.5\n120,0\n"), expected);
    assert_eq!(
        rows("offset, rate\r\n 100 , 10 \r\n160,2.05e1\r\n220,0"),
        expected,
        "the first row is the start"
    );
    let stamps = "timestamp,rate\n2026-11-20T23:59:00Z,10\n\"2026-11-21T00:00:00Z\",\"20.5\"\n2026-11-21T02:01:00+02:00,0\n\n";
    assert_eq!(rows(stamps), expected);
    assert_eq!(rows("time_s,rate\n5,1"), [(0, 1.0)]);
    assert_eq!(rows("time_s,rate\n0,1\n0.25,2\n7,3"), [(0, 1.0), (250, 2.0), (7_000, 3.0)], "not regular");
}

#[test]
fn says_what_is_wrong_and_where() {
    for (text, expected) in [
        ("", "1:1: rates: found no header, expected the header time_s,rate"),
        ("\n\n", "1:1: rates: found no header, expected the header time_s,rate"),
        ("0,10\n60,20\n", "1:1: rates: found `0,10`, expected the header time_s,rate"),
        ("time_s;rate\n0;10\n", "1:1: rates: found `time_s;rate`, expected the header time_s,rate"),
        ("time_s,rate\n", "1:1: rates: found no rows, expected a row for each change of the rate"),
        (
            "time_s,rate\n0,10\n60,\n",
            "3:4: rate: found an empty cell, expected a number of records a second from 0 to 20000000",
        ),
        (
            "time_s,rate\n,10\n",
            "2:1: time_s: found an empty cell, expected seconds such as 60, or an RFC 3339",
        ),
        (
            "time_s,rate\n0,10\n\n120,20\n",
            "3:1: rates: found an empty line, expected two cells, time_s and rate",
        ),
        ("offset,rate\n0\n", "2:1: rates: found 1 cells, expected two cells, offset and rate"),
        ("time_s,rate\n0,10,x\n", "2:6: rates: found 3 cells, expected two cells, time_s and rate"),
        ("time_s,rate\n0,-1\n", "2:3: rate: found `-1`, expected a number of records a second from 0 to"),
        ("time_s,rate\n0,NaN\n", "2:3: rate: found `NaN`, expected a number of records"),
        ("time_s,rate\n0,inf\n", "2:3: rate: found `inf`, expected a number of records"),
        ("time_s,rate\n0,ten\n", "2:3: rate: found `ten`, expected a number of records"),
        ("time_s,rate\n0,20000001\n", "2:3: rate: found `20000001`, expected a number of records"),
        (
            "time_s,rate\n60,1\n60,2\n",
            "3:1: time_s: found `60`, expected a time at least 1ms after the row before",
        ),
        (
            "time_s,rate\n60,1\n 0,2\n",
            "3:2: time_s: found `0`, expected a time at least 1ms after the row before",
        ),
        ("time_s,rate\n-1,1\n", "2:1: time_s: found `-1`, expected seconds such as 60"),
        ("time_s,rate\nNaN,1\n", "2:1: time_s: found `NaN`, expected seconds such as 60"),
        (
            "time,rate\n2026-11-20 10:00,1\n",
            "2:1: time: found `2026-11-20 10:00`, expected seconds such as 60",
        ),
        (
            "time,rate\n0,1\n2026-11-20T10:00:00Z,1\n",
            "3:1: time: found `2026-11-20T10:00:00Z`, expected the same kind of time",
        ),
    ] {
        let told = wrong(text);
        assert!(told.len() == 1 && told[0].starts_with(expected), "{text:?}: {told:?}");
    }
}

#[test]
fn names_the_gaps_of_a_regular_series() {
    let text = "time_s,rate\n0,1\n60,2\n240,3\n300,4\n420,5\n480,5\n540,5\n";
    let expected = "a row each 1m; or `gaps: hold` in the plan, and the row before a gap holds through it";
    assert_eq!(
        wrong(text),
        [
            format!("4:1: time_s: found a gap of 3m after `60`, expected {expected}"),
            format!("6:1: time_s: found a gap of 2m after `300`, expected {expected}"),
        ]
    );
    let held = read(text, true).unwrap();
    assert_eq!((held[1].after.as_secs(), held[2].after.as_secs()), (60, 240));
    let stamps = "time,rate\n2026-11-20T10:00:00Z,1\n2026-11-20T10:01:00Z,1\n2026-11-20T10:02:00Z,1\n2026-11-20T10:05:00Z,1\n";
    assert!(
        wrong(stamps)[0].contains("found a gap of 3m after `2026-11-20T10:02:00Z`"),
        "{:?}",
        wrong(stamps)
    );
}

#[test]
fn tells_no_more_than_a_page_of_errors_and_ends_at_its_bound() {
    let bad = format!("time_s,rate\n{}", "x,y\n".repeat(200_000));
    assert_eq!(wrong(&bad).len(), ERRORS_MAX);
    let long: String = (0..=ROWS_MAX).map(|second| format!("{second},1\n")).collect();
    let told = wrong(&format!("time_s,rate\n{long}"));
    assert_eq!(told, ["100002:1: rates: found one more row, expected at most 100000 rows"]);
}

proptest! {
    #[test]
    fn whatever_is_read_ascends_and_whatever_is_not_has_a_place(
        lines in prop::collection::vec("[0-9a-zA-Z,.:+ \"\u{e9}-]{0,24}", 0..12),
        header in prop::bool::weighted(0.8),
    ) {
        let mut text = lines.join("\n");
        if header {
            text.insert_str(0, "time_s,rate\n");
        }
        match read(&text, false) {
            Ok(rows) => {
                prop_assert!(!rows.is_empty() && rows[0].after.is_zero());
                prop_assert!(rows.windows(2).all(|pair| pair[0].after < pair[1].after));
                prop_assert!(rows.iter().all(|row| (0.0..=RATE_MAX).contains(&row.rps)));
            }
            Err(wrong) => {
                prop_assert!(!wrong.is_empty());
                let lengths: Vec<usize> = text.lines().map(|line| line.chars().count()).collect();
                for Wrong { position: Position { line, column }, .. } in wrong {
                    let length = lengths.get(line - 1).copied().unwrap_or(0);
                    prop_assert!(line == 1 || line <= lengths.len());
                    prop_assert!(column >= 1 && column <= length + 1, "{line}:{column} of {length}");
                }
            }
        }
    }
}
