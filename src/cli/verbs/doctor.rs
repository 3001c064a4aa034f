//! `doctor`: what would keep a plan from working, before anything is created.

use crate::cli::out::say;
use serde_json::{Value, json};

use crate::cli::args::{DoctorArgs, Format, Global, TargetArg};
use crate::cli::connect;
use crate::cli::endpoint::{self, Endpoint, EndpointState};
use crate::cli::exit::{CliError, Exit};
use crate::cli::input;
use crate::cost::{self, ForecastAssumptions, PriceBook};
use crate::plan::Plan;
use crate::platform::clients::Door;
use crate::platform::clock::Clock;
use crate::stack::doctor::{self, Concern, DoctorRequest, Finding, Level, Money};

/// Columns of the table where no terminal says how wide it is.
const TABLE_WIDTH: u16 = 110;

pub async fn run(global: &Global, args: &DoctorArgs) -> Result<Exit, CliError> {
    let plan = args.plan.as_deref().map(input::plan).transpose()?;
    let book = PriceBook::parse(&input::prices(global)?)
        .map_err(|error| CliError::input(format!("the price book: {error}")))?;
    let artifact = connect::artifact(global)?;
    let clock = Clock::start();
    // Before anything else runs in this process, which would be measured with it.
    let headroom = doctor::measure_headroom(clock, plan.as_ref()).await;
    let (endpoint, door) = door(global, clock).await?;
    let local = door.map(|door| (door, connect::local_region(global).to_owned()));
    let clients = connect::clients(global, clock, local).await;
    // Without a region nobody can be asked; what needs nobody is told all the same.
    let region = clients.as_ref().map_or(&book.region, |clients| &clients.region);
    let request = DoctorRequest {
        env: &global.env,
        plan: plan.as_ref(),
        artifact: &artifact,
        headroom: &headroom,
        money: &money(&book, plan.as_ref(), region),
    };
    let findings = match &clients {
        Ok(clients) => doctor::examine(clients, clock, &request).await,
        Err(error) => {
            let hint = error.hint.clone().unwrap_or_default();
            let mut findings = vec![Finding::stop("region", error.message.clone(), hint)];
            findings.extend(doctor::offline(clock.now_us(), region, &request, None));
            findings
        }
    };
    if let Some(endpoint) = endpoint {
        endpoint.stop().await;
    }
    match global.format {
        Format::Json => say!("{:#}", document(global, plan.as_ref(), &findings)),
        Format::Human => tell(&findings),
    }
    Ok(exit(&findings))
}

/// The way to the local endpoint: the one of the environment where it answers, else one for this question alone.
async fn door(global: &Global, clock: Clock) -> Result<(Option<Endpoint>, Option<Door>), CliError> {
    if global.target == TargetArg::Aws {
        return Ok((None, None));
    }
    if let Some(state) = EndpointState::read(&global.env)?
        && endpoint::answers(&state).await
    {
        return Ok((None, Some(state.door())));
    }
    let endpoint = Endpoint::start(clock, connect::local_region(global), 0, Vec::new())?;
    let door = endpoint.door();
    Ok((Some(endpoint), Some(door)))
}

fn money(book: &PriceBook, plan: Option<&Plan>, region: &str) -> Money {
    let priced = plan.map(|plan| {
        let usage = cost::forecast(plan, region, &ForecastAssumptions::default());
        cost::price(&usage, book)
    });
    Money {
        book_region: book.region.clone(),
        book_as_of: book.as_of.clone(),
        forecast_usd: priced.as_ref().map(cost::Cost::total),
        incomplete: priced.is_some_and(|cost| cost.pipeline.incomplete || cost.test.incomplete),
    }
}

/// 2 when the plan cannot work as it is written, 3 when something around it stops it; 2 where both hold.
fn exit(findings: &[Finding]) -> Exit {
    let stops = |concern| findings.iter().any(|f| f.level == Level::Stop && f.concern == concern);
    match (stops(Concern::Plan), stops(Concern::Environment)) {
        (true, _) => Exit::BadInput,
        (false, true) => Exit::EnvironmentFailed,
        (false, false) => Exit::Done,
    }
}

fn worst(findings: &[Finding]) -> Level {
    findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok)
}

fn document(global: &Global, plan: Option<&Plan>, findings: &[Finding]) -> Value {
    let target = match global.target {
        TargetArg::Local => "local",
        TargetArg::Aws => "aws",
    };
    json!({
        "schema": "streamgauge/doctor/v1",
        "target": target,
        "env": global.env,
        "plan": plan.map(|plan| &plan.name),
        "level": worst(findings),
        "findings": findings,
    })
}

fn tell(findings: &[Finding]) {
    let mut table = crate::cli::table(["", "check", "found", "needed"]);
    table.set_content_arrangement(comfy_table::ContentArrangement::Dynamic);
    if !table.is_tty() {
        table.set_width(TABLE_WIDTH);
    }
    for finding in findings {
        table.add_row([
            finding.level.as_str(),
            finding.check,
            &finding.found,
            finding.needed.as_deref().unwrap_or_default(),
        ]);
    }
    say!("{table}");
    for (level, hint, checks) in hints(findings) {
        say!("{} {}: {hint}", level.as_str(), checks.join(", "));
    }
}

/// What to do, the worst first; what several checks ask for is said once.
fn hints(findings: &[Finding]) -> Vec<(Level, &str, Vec<&str>)> {
    let mut hints: Vec<(Level, &str, Vec<&str>)> = Vec::new();
    for finding in findings {
        let Some(hint) = finding.hint.as_deref() else { continue };
        match hints.iter_mut().find(|(level, known, _)| *level == finding.level && *known == hint) {
            Some((_, _, checks)) => checks.push(finding.check),
            None => hints.push((finding.level, hint, vec![finding.check])),
        }
    }
    hints.sort_by_key(|(level, ..)| std::cmp::Reverse(*level));
    hints
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plans_fault_is_2_the_worlds_3_and_warnings_are_0() {
        let (ok, warning) = (Finding::ok("a", "x"), Finding::warning("b", "x", "y"));
        let (world, plan) = (Finding::stop("c", "x", "y"), Finding::stop("d", "x", "y").of_plan());
        assert_eq!(exit(&[ok.clone(), warning.clone()]), Exit::Done);
        assert_eq!(exit(&[ok.clone(), world.clone(), warning]), Exit::EnvironmentFailed);
        assert_eq!(exit(&[world, plan, ok]), Exit::BadInput);
    }

    #[test]
    fn hints_come_once_and_the_worst_first() {
        let findings = [
            Finding::warning("a", "x", "wait"),
            Finding::ok("b", "x"),
            Finding::stop("c", "x", "log in"),
            Finding::warning("d", "x", "wait"),
        ];
        assert_eq!(
            hints(&findings),
            [(Level::Stop, "log in", vec!["c"]), (Level::Warning, "wait", vec!["a", "d"])]
        );
    }
}
