//! Capacity used against paid: a row for each level, a bar for each capacity.

use maud::{Markup, html};

use crate::report::charts::{CAPACITIES, LevelUse, Share};
use crate::report::svg::{Key, WIDTH, cut, figure, fixed, legend};
use crate::report::text::number;

const LEFT: f64 = 8.0;
/// From one column to the next, and what of it is the bar at 100 %.
const COLUMN: f64 = 126.0;
const WHOLE: f64 = 96.0;
/// A bar may reach a fifth beyond its limit.
const TRACK: f64 = WHOLE * 1.2;
const HEAD: f64 = 52.0;
const ROW: f64 = 72.0;
const ROWS_MAX: usize = 20;
/// From this share on a bar is drawn in the second colour: little is left.
const NEAR_PERCENT: f64 = 80.0;

/// Nothing where no share is known.
pub(super) fn chart(levels: &[LevelUse]) -> Markup {
    let drawn_levels = &levels[..levels.len().min(ROWS_MAX)];
    if !drawn_levels.iter().flat_map(|level| &level.shares).any(Share::is_ok) {
        return html! {};
    }
    let height = HEAD + ROW * drawn_levels.len() as f64;
    let drawn = html! {
        @for (index, [first, second]) in CAPACITIES.iter().enumerate() {
            text x=(fixed(column(index))) y="17" { (first) }
            text x=(fixed(column(index))) y="39" { (second) }
        }
        @for (index, level) in drawn_levels.iter().enumerate() { (row(level, HEAD + ROW * index as f64)) }
    };
    let keys = legend(&[
        Key::Fill { class: "f1", name: "used" },
        Key::Fill { class: "f2", name: "80 % of it or more" },
        Key::Line { class: "limit", name: "all that is paid for" },
    ]);
    let caption = caption(drawn_levels, levels.len() - drawn_levels.len());
    figure("Capacity used against paid", &caption, &keys, height, &spoken(drawn_levels), &drawn)
}

fn column(index: usize) -> f64 {
    LEFT + COLUMN * index as f64
}

fn row(level: &LevelUse, y: f64) -> Markup {
    html! {
        line.grid x1=(fixed(LEFT)) x2=(fixed(WIDTH - LEFT)) y1=(fixed(y)) y2=(fixed(y)) {}
        text.strong x=(fixed(LEFT)) y=(fixed(y + 18.0)) { (cut(&level.name, WIDTH - 2.0 * LEFT)) }
        @for (index, share) in level.shares.iter().enumerate() {
            (bar(&name(index), share, column(index), y + 41.0))
        }
    }
}

fn name(index: usize) -> String {
    CAPACITIES[index].join(" ")
}

fn bar(name: &str, share: &Share, x: f64, y: f64) -> Markup {
    html! {
        g {
            title { (name) ": " (in_words(share)) }
            @match share {
                Ok(used) => {
                    @let percent = used.percent();
                    @let class = if percent >= NEAR_PERCENT { "f2" } else { "f1" };
                    text x=(fixed(x)) y=(fixed(y)) { (number(percent)) " %" }
                    rect.track x=(fixed(x)) y=(fixed(y + 6.0)) width=(fixed(WHOLE)) height="12" {}
                    rect class=(class) x=(fixed(x)) y=(fixed(y + 6.0)) width=(fixed((WHOLE * percent / 100.0).clamp(0.0, TRACK))) height="12" {}
                    line.limit x1=(fixed(x + WHOLE)) x2=(fixed(x + WHOLE)) y1=(fixed(y + 3.0)) y2=(fixed(y + 21.0)) {}
                },
                Err(_) => text x=(fixed(x)) y=(fixed(y)) { "-" },
            }
        }
    }
}

fn in_words(share: &Share) -> String {
    match share {
        Ok(used) => {
            let (share, paid) = (number(used.percent()), number(used.paid));
            format!("{} of {paid} {} ({share} %)", number(used.used), used.unit)
        }
        Err(reason) => (*reason).to_owned(),
    }
}

/// What the bars are, and why some are missing.
fn caption(levels: &[LevelUse], more: usize) -> String {
    let mut text = "%; mean of each level, memory at most".to_owned();
    let mut reasons: Vec<(&str, Vec<String>)> = Vec::new();
    for level in levels {
        for (index, share) in level.shares.iter().enumerate() {
            let Err(reason) = share else { continue };
            match reasons.iter_mut().find(|(known, _)| known == reason) {
                Some((_, names)) if names.contains(&name(index)) => {}
                Some((_, names)) => names.push(name(index)),
                None => reasons.push((reason, vec![name(index)])),
            }
        }
    }
    for (reason, names) in reasons {
        text += &format!("; no {}: {reason}", names.join(", "));
    }
    if more > 0 {
        text += &format!("; {more} more levels are in the table");
    }
    text
}

fn spoken(levels: &[LevelUse]) -> String {
    let level = |level: &LevelUse| {
        let known = level.shares.iter().enumerate().filter(|(_, share)| share.is_ok());
        let shares: Vec<String> =
            known.map(|(index, share)| format!("{} {}", name(index), in_words(share))).collect();
        format!(" {}: {}.", level.name, shares.join(", "))
    };
    format!("Capacity used against paid.{}", levels.iter().map(level).collect::<String>())
}
