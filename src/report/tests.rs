use crate::cost::PriceBook;
use crate::verdict::fixture::evidence;

use super::*;

/// The model of the fixture's run, with a price book that has no price for a dashboard.
pub(super) fn fixture() -> ReportModel {
    let text = PriceBook::builtin_text();
    let start = text.find("  cloudwatch_dashboard_month:").expect("entry");
    let end = text.find("  cloudwatch_custom_metric_month:").expect("entry");
    let book = PriceBook::parse(&format!("{}{}", &text[..start], &text[end..])).expect("book");
    of(&evidence(), &book)
}

#[test]
fn dump() {
    let model = fixture();
    for (name, text) in [
        ("json", json(&model)),
        ("md", markdown(&model)),
        ("html", html(&model)),
        ("xml", junit(&model, false)),
        ("txt", terminal(&model, 120, false)),
        ("narrow.txt", terminal(&model, 80, false)),
        ("schema.json", schema()),
    ] {
        std::fs::write(format!("/tmp/report.{name}"), text).expect("write");
    }
}
