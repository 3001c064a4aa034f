//! The live display as text: figures in, lines out. No line is wider than it is told.

use std::time::Duration;

use crate::cost::usd;
use crate::session::progress::LiveLevel;

/// What stands where nothing was measured yet.
const NONE: &str = "-";
/// Below this the bar is left out.
const BAR_MIN: usize = 8;
const BAR_MAX: usize = 40;

const DIM: &str = "2";
const BOLD: &str = "1";
const RED: &str = "31";
const YELLOW: &str = "33";

#[derive(Clone, Copy)]
pub(super) struct Look {
    /// Columns.
    pub width: usize,
    pub colour: bool,
}

/// A line under construction: its text, and how wide it is without the colours.
struct Line {
    look: Look,
    text: String,
    width: usize,
}

impl Line {
    fn new(look: Look) -> Line {
        Line { look, text: String::new(), width: 0 }
    }

    /// Adds a part that fits as a whole, or leaves it out.
    fn part(mut self, code: &str, text: &str) -> Line {
        let width = text.chars().count();
        if self.width + width > self.look.width {
            return self;
        }
        self.width += width;
        if self.look.colour && !code.is_empty() {
            self.text.push_str(&format!("\u{1b}[{code}m{text}\u{1b}[0m"));
        } else {
            self.text.push_str(text);
        }
        self
    }

    /// A label and its value; both or neither.
    fn figure(self, label: &str, code: &str, value: &str) -> Line {
        let gap = if self.width <= LABEL { "" } else { "  " };
        let needed = gap.len() + label.len() + 1 + value.chars().count();
        if self.width + needed > self.look.width {
            return self;
        }
        self.part(DIM, &format!("{gap}{label} ")).part(code, value)
    }

    /// Spaces up to where a last part of this width ends at the right edge.
    fn pushed_right(self, width: usize) -> Line {
        let room = self.look.width.saturating_sub(self.width + width);
        self.part("", &" ".repeat(room))
    }
}

/// Width of what stands at the left of each line.
const LABEL: usize = 10;

/// The block that is drawn in place: five lines.
pub(super) fn block(level: &LiveLevel, look: Look) -> String {
    let head = format!("{} {}", level.test, level.level);
    let number = format!("level {} of {}", level.level_number, level.levels);
    let lines = [
        Line::new(look).part(BOLD, &cut(&head, look.width)).pushed_right(number.len()).part(DIM, &number),
        Line::new(look)
            .part(DIM, "  rate    ")
            .figure("target", "", &target(level))
            .figure("achieved", "", &per_s(level.achieved_rps))
            .figure("in flight", "", &whole(level.in_flight)),
        Line::new(look)
            .part(DIM, "  put     ")
            .figure("p50/p95/p99", "", &percentiles(level))
            .figure("success", if level.failed > 0 { RED } else { "" }, &success(level))
            .figure("throttled", if level.throttled > 0 { YELLOW } else { "" }, &whole(level.throttled)),
        Line::new(look)
            .part(DIM, "  through ")
            .figure("delivered", "", &format!("{} of {}", whole(level.delivered), whole(level.acked)))
            .figure("iterator age", "", &ms(level.iterator_age_ms))
            .figure("e2e p95", "", &ms(level.e2e_p95_ms)),
        progress(level, look),
    ];
    lines.map(|line| line.text).join("\n")
}

fn progress(level: &LiveLevel, look: Look) -> Line {
    let part = if level.planned_s > 0.0 { (level.elapsed_s / level.planned_s).clamp(0.0, 1.0) } else { 0.0 };
    let tail = format!("{:>3.0} %   {}   USD {}", part * 100.0, left(level), cost(level));
    let room = look.width.saturating_sub(tail.len() + 4).min(BAR_MAX);
    let line = Line::new(look).part("", "  ");
    if room < BAR_MIN {
        return line.part("", &tail);
    }
    let done = (part * room as f64).round() as usize;
    line.part("36", &"━".repeat(done)).part(DIM, &"─".repeat(room - done)).part("", "  ").part("", &tail)
}

/// `virtual time 3:12:40 of 27:22:00 in 41 s`.
pub(super) fn virtual_times(level: &LiveLevel, wall: Duration) -> String {
    let span = crate::report::span;
    format!("virtual time {} of {} in {} s", span(level.elapsed_s), span(level.planned_s), wall.as_secs())
}

/// What stays of a level that is over: rate, p50/p95/p99, part that was acked.
pub(super) fn ended(level: &LiveLevel, look: Look) -> String {
    Line::new(look)
        .part("", &format!("{} {:<18}", level.test, level.level))
        .part("", &format!(" {:>7}", per_s(level.achieved_rps)))
        .figure("put", "", &percentiles(level))
        .figure("ok", if level.failed > 0 { RED } else { "" }, &success(level))
        .figure("throttled", if level.throttled > 0 { YELLOW } else { "" }, &whole(level.throttled))
        .figure("iterator age", "", &ms(level.iterator_age_ms))
        .text
}

/// Everything on one line, for logs: nobody cuts those.
pub(super) fn plain(level: &LiveLevel) -> String {
    format!(
        "{} {}: target {} achieved {}, put p50/p95/p99 {}, success {}, throttled {}, iterator age {}, delivered {} of \
         {}, USD {}, {}",
        level.test,
        level.level,
        target(level),
        per_s(level.achieved_rps),
        percentiles(level),
        success(level),
        whole(level.throttled),
        ms(level.iterator_age_ms),
        whole(level.delivered),
        whole(level.acked),
        cost(level),
        left(level),
    )
}

/// So far, to a hundredth of a cent: more digits would only flicker.
fn cost(level: &LiveLevel) -> String {
    usd(level.cost_usd.round_dp(4))
}

/// Virtual users have no target rate.
fn target(level: &LiveLevel) -> String {
    level.target_rps.map_or(NONE.to_owned(), per_s)
}

/// `3:48 left`; then the drain, which lasts as long as it lasts.
fn left(level: &LiveLevel) -> String {
    let left_s = (level.planned_s - level.elapsed_s).max(0.0).round() as u64;
    match (left_s / 3_600, left_s / 60 % 60, left_s % 60) {
        (0, 0, 0) => "draining".to_owned(),
        (0, minutes, seconds) => format!("{minutes}:{seconds:02} left, then drain"),
        (hours, minutes, seconds) => format!("{hours}:{minutes:02}:{seconds:02} left, then drain"),
    }
}

fn success(level: &LiveLevel) -> String {
    match level.acked_in_level + level.failed {
        0 => NONE.to_owned(),
        // Rounded down: 100 % is said of nothing less.
        ended => format!("{:.2} %", (level.acked_in_level as f64 / ended as f64 * 10_000.0).floor() / 100.0),
    }
}

fn percentiles(level: &LiveLevel) -> String {
    let all = [level.put_p50_ms, level.put_p95_ms, level.put_p99_ms].map(|value| match value {
        None => NONE.to_owned(),
        Some(ms) if ms < 10.0 => format!("{ms:.1}"),
        Some(ms) => format!("{ms:.0}"),
    });
    format!("{} ms", all.join("/"))
}

fn ms(value: Option<f64>) -> String {
    value.map_or_else(|| NONE.to_owned(), |ms| format!("{} ms", whole(ms.round() as u64)))
}

fn per_s(rate: f64) -> String {
    format!("{}/s", whole(rate.round() as u64))
}

fn whole(number: u64) -> String {
    crate::cost::grouped(&number.to_string())
}

fn cut(text: &str, width: usize) -> String {
    text.chars().take(width).collect()
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    fn level() -> LiveLevel {
        LiveLevel {
            test: "3.1".to_owned(),
            level: "ramp 500 -> 1500/s".to_owned(),
            level_number: 3,
            levels: 8,
            target_rps: Some(1_500.0),
            achieved_rps: 998.4,
            put_p50_ms: Some(4.14),
            put_p95_ms: Some(19.0),
            put_p99_ms: Some(1_204.6),
            acked_in_level: 35_990,
            acked: 135_990,
            failed: 1,
            throttled: 4_210,
            delivered: 135_700,
            iterator_age_ms: Some(1_210.4),
            e2e_p95_ms: Some(2_300.0),
            in_flight: 312,
            cost_usd: rust_decimal::Decimal::new(123, 4),
            elapsed_s: 72.0,
            planned_s: 300.0,
        }
    }

    #[test]
    fn it_fits_eighty_columns() {
        let look = Look { width: 80, colour: false };
        assert_snapshot!(block(&level(), look), @r"
        3.1 ramp 500 -> 1500/s                                              level 3 of 8
          rate    target 1,500/s  achieved 998/s  in flight 312
          put     p50/p95/p99 4.1/19/1205 ms  success 99.99 %  throttled 4,210
          through delivered 135,700 of 135,990  iterator age 1,210 ms  e2e p95 2,300 ms
          ━━━━━━━━──────────────────────────   24 %   3:48 left, then drain   USD 0.0123
        ");
        assert_snapshot!(
            ended(&level(), look),
            @"3.1 ramp 500 -> 1500/s   998/s  put 4.1/19/1205 ms  ok 99.99 %  throttled 4,210"
        );
    }

    #[test]
    fn it_uses_a_hundred_and_twenty() {
        let look = Look { width: 120, colour: false };
        assert_snapshot!(block(&level(), look), @r"
        3.1 ramp 500 -> 1500/s                                                                                      level 3 of 8
          rate    target 1,500/s  achieved 998/s  in flight 312
          put     p50/p95/p99 4.1/19/1205 ms  success 99.99 %  throttled 4,210
          through delivered 135,700 of 135,990  iterator age 1,210 ms  e2e p95 2,300 ms
          ━━━━━━━━━━──────────────────────────────   24 %   3:48 left, then drain   USD 0.0123
        ");
        assert_snapshot!(
            ended(&level(), look),
            @"3.1 ramp 500 -> 1500/s   998/s  put 4.1/19/1205 ms  ok 99.99 %  throttled 4,210  iterator age 1,210 ms"
        );
    }

    #[test]
    fn a_log_has_everything_on_one_line() {
        assert_snapshot!(
            plain(&level()),
            @"3.1 ramp 500 -> 1500/s: target 1,500/s achieved 998/s, put p50/p95/p99 4.1/19/1205 ms, success 99.99 %, throttled 4,210, iterator age 1,210 ms, delivered 135,700 of 135,990, USD 0.0123, 3:48 left, then drain"
        );
        let nothing_yet = LiveLevel {
            test: "1.1".to_owned(),
            level: "hold 10/s".to_owned(),
            cost_usd: rust_decimal::Decimal::from(5u32),
            planned_s: 60.0,
            ..LiveLevel::default()
        };
        assert_snapshot!(
            plain(&nothing_yet),
            @"1.1 hold 10/s: target - achieved 0/s, put p50/p95/p99 -/-/- ms, success -, throttled 0, iterator age -, delivered 0 of 0, USD 5.00, 1:00 left, then drain"
        );
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_colours_take_no_room() {
        let long =
            LiveLevel { test: "a-test-with-a-name-of-some-length".to_owned(), planned_s: 1e6, ..level() };
        for width in 0..130 {
            let lines = |look| format!("{}\n{}", block(&long, look), ended(&long, look));
            let text = lines(Look { width, colour: false });
            assert!(text.lines().all(|line| line.chars().count() <= width), "{width}:\n{text}");
            let coloured = lines(Look { width, colour: true });
            let bare = ["0", DIM, BOLD, RED, YELLOW, "36"]
                .iter()
                .fold(coloured, |text, code| text.replace(&format!("\u{1b}[{code}m"), ""));
            assert_eq!(bare, text);
        }
    }

    #[test]
    fn success_is_never_rounded_up_to_all() {
        let nearly = LiveLevel { acked_in_level: 999_999, failed: 1, ..LiveLevel::default() };
        assert_eq!(success(&nearly), "99.99 %");
        assert_eq!(success(&LiveLevel { acked_in_level: 5, ..LiveLevel::default() }), "100.00 %");
    }
}
