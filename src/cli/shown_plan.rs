//! The plan of `up` as it is shown: what happens to each stack, and what it costs an hour to let it stand.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::cli::args::Global;
use crate::cli::exit::CliError;
use crate::cli::input;
use crate::cost::{Lines, PriceBook, price, usd};
use crate::evidence::model::Usage;
use crate::plan::{Environment, StreamMode};
use crate::stack::{StackAction, StackPlan, UpPlan, Verb};

/// What is billed by the hour or the month as well, but is in no price book yet.
const WITHOUT_PRICE: [(&str, &str); 3] = [
    ("AWS::Kinesis::StreamConsumer", "enhanced fan-out consumers"),
    ("AWS::KMS::Key", "keys"),
    ("AWS::Lambda::Version", "provisioned concurrency"),
];

pub struct ShownPlan {
    env: String,
    region: String,
    stacks: Vec<StackPlan>,
    unobserved: Option<String>,
    /// For one hour without load.
    idle: Lines,
    currency: String,
    /// Region and date of the prices.
    book: (String, String),
    without_price: Vec<&'static str>,
}

/// The price book that the command line names, or the one built in.
pub fn book(global: &Global) -> Result<PriceBook, CliError> {
    let text = input::prices(global)?;
    PriceBook::parse(&text).map_err(|error| CliError::input(format!("prices: {error}")))
}

impl ShownPlan {
    pub fn new(
        env: &str,
        region: &str,
        environment: &Environment,
        plan: &UpPlan,
        book: &PriceBook,
    ) -> ShownPlan {
        let number = |kind: &str| plan.kinds.get(kind).copied().unwrap_or_default();
        let mode = match environment.stream.mode {
            StreamMode::Provisioned => "provisioned",
            StreamMode::OnDemand => "on-demand",
        };
        let usage = Usage {
            region: region.to_owned(),
            stream_mode: mode.to_owned(),
            shards: environment.stream.shards,
            retention_hours: environment.stream.retention_hours,
            standing_s: 3_600.0,
            alarms: number("AWS::CloudWatch::Alarm") + number("AWS::CloudWatch::CompositeAlarm"),
            dashboards: number("AWS::CloudWatch::Dashboard"),
            ..Usage::default()
        };
        let mut idle = price(&usage, book).test;
        idle.lines.retain(|line| !line.quantity.is_zero());
        let without_price = WITHOUT_PRICE.iter().filter(|(kind, _)| number(kind) > 0);
        ShownPlan {
            env: env.to_owned(),
            region: region.to_owned(),
            stacks: plan.stacks(),
            unobserved: plan.unobserved.clone(),
            idle,
            currency: book.currency.clone(),
            book: (book.region.clone(), book.as_of.clone()),
            without_price: without_price.map(|(_, name)| *name).collect(),
        }
    }

    /// Something would be created, changed or removed.
    pub fn is_change(&self) -> bool {
        self.stacks.iter().any(|stack| stack.action != StackAction::Keep)
    }

    /// [`ShownPlan::text`] in one line.
    pub fn summary(&self) -> String {
        let resources: usize = self.stacks.iter().map(|stack| stack.changes.len()).sum();
        format!(
            "plan for '{}': {resources} resources in {} stacks (-v lists them)\n",
            self.env,
            self.stacks.len()
        )
    }

    /// For people, with a newline at the end.
    pub fn text(&self) -> String {
        let mut text = format!("plan for '{}' in {}:\n", self.env, self.region);
        for stack in &self.stacks {
            let (action, number) = (action(stack.action), stack.changes.len());
            let _ = match stack.action {
                StackAction::Keep => writeln!(text, "  {}: {action}", stack.stack),
                _ => writeln!(text, "  {}: {action}, {number} resources", stack.stack),
            };
            for change in &stack.changes {
                let properties = change.properties.join(", ");
                let colon = if properties.is_empty() { "" } else { ": " };
                let (sign, word) = sign(change.verb);
                let _ = writeln!(
                    text,
                    "    {sign} {} ({}){word}{colon}{properties}",
                    change.logical_id, change.kind
                );
            }
        }
        if self.stacks.iter().any(|stack| stack.stack.ends_with("-artifacts")) {
            text.push_str("  the artifacts stack goes again as soon as the function stands\n");
        }
        if let Some(why) = &self.unobserved {
            let _ = writeln!(text, "  no alarms, no dashboard: {why}");
        }
        let _ = writeln!(text, "  standing idle on AWS: {}", self.cost());
        text
    }

    fn cost(&self) -> String {
        let (book_region, as_of) = &self.book;
        if *book_region != self.region {
            return format!(
                "unknown, the price book is for {book_region}, not {} (--prices FILE)",
                self.region
            );
        }
        let mut cost = format!("{} {} an hour", usd(self.idle.total), self.currency);
        if self.idle.incomplete {
            cost.insert_str(0, "at least ");
        }
        let parts = self.idle.lines.iter().filter_map(|line| Some((&line.item, line.amount?)));
        let parts: Vec<String> = parts.map(|(item, amount)| format!("{item} {}", usd(amount))).collect();
        if !parts.is_empty() {
            let _ = write!(cost, " ({})", parts.join(", "));
        }
        let _ = write!(cost, ", prices of {as_of}");
        if !self.without_price.is_empty() {
            let _ = write!(cost, "; not priced: {}", self.without_price.join(", "));
        }
        cost
    }

    /// `{stacks, unobserved, idle_per_hour: {currency, total, incomplete, lines, not_priced}}`; amounts as
    /// decimal strings, `total` null where the price book is not the region's.
    pub fn json(&self) -> Value {
        let is_priced = self.book.0 == self.region;
        json!({
            "stacks": self.stacks,
            "unobserved": self.unobserved,
            "idle_per_hour": {
                "currency": self.currency,
                "total": is_priced.then(|| self.idle.total.to_string()),
                "incomplete": self.idle.incomplete || !self.without_price.is_empty(),
                "lines": self.idle.lines,
                "not_priced": self.without_price,
            },
        })
    }
}

fn action(action: StackAction) -> &'static str {
    match action {
        StackAction::Create => "create",
        StackAction::Update => "update",
        StackAction::Keep => "stands already as asked",
    }
}

fn sign(verb: Verb) -> (&'static str, &'static str) {
    match verb {
        Verb::Add => ("+", ""),
        Verb::Modify => ("~", ""),
        Verb::Replace => ("!", ", replaced"),
        Verb::MayReplace => ("!", ", perhaps replaced"),
        Verb::Remove => ("-", ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::BUILTIN_PRICES;
    use crate::stack::ResourceChange;

    fn shown(region: &str) -> ShownPlan {
        let book = PriceBook::parse(BUILTIN_PRICES).unwrap();
        let usage = Usage {
            region: region.to_owned(),
            stream_mode: "provisioned".to_owned(),
            shards: 2,
            standing_s: 3_600.0,
            ..Usage::default()
        };
        let mut idle = price(&usage, &book).test;
        idle.lines.retain(|line| !line.quantity.is_zero());
        let change = |verb, logical_id: &str, properties: &[&str]| ResourceChange {
            verb,
            logical_id: logical_id.to_owned(),
            kind: "AWS::X::Y".to_owned(),
            physical_id: None,
            properties: properties.iter().map(|one| (*one).to_owned()).collect(),
        };
        let changes = vec![change(Verb::Add, "New", &[]), change(Verb::Replace, "Old", &["Name"])];
        let stack = |name: &str, action, changes| StackPlan { stack: name.to_owned(), action, changes };
        ShownPlan {
            env: "dev".to_owned(),
            region: region.to_owned(),
            stacks: vec![stack("a", StackAction::Update, changes), stack("b", StackAction::Keep, Vec::new())],
            unobserved: None,
            idle,
            currency: book.currency,
            book: (book.region, "2026-11-01".to_owned()),
            without_price: Vec::new(),
        }
    }

    #[test]
    fn the_plan_names_each_change_and_what_an_hour_costs() {
        insta::assert_snapshot!(shown("us-east-1").text(), @r"
        plan for 'dev' in us-east-1:
          a: update, 2 resources
            + New (AWS::X::Y)
            ! Old (AWS::X::Y), replaced: Name
          b: stands already as asked
          standing idle on AWS: 0.0300 USD an hour (shards standing idle 0.0300), prices of 2026-11-01
        ");
        assert_eq!(shown("us-east-1").json()["idle_per_hour"]["total"], "0.03");
    }

    #[test]
    fn another_regions_price_book_gives_no_price() {
        let elsewhere = shown("eu-west-1");
        assert!(elsewhere.text().contains("unknown, the price book is for us-east-1, not eu-west-1"));
        assert_eq!(elsewhere.json()["idle_per_hour"]["total"], Value::Null);
    }
}
