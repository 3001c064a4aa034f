//! The command line as typed. What it means is worked out in `input` and `connect`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

const EXIT_CODES: &str = "\
Exit codes:
  0  done; every criterion held
  1  ran to the end; a criterion failed or could not be judged (--allow-inconclusive lets the latter pass)
  2  the command line or the plan is wrong
  3  the environment failed: AWS error, missing permission, stack failure, something left behind
  4  stopped early: red flag, budget, interrupt; what was measured is kept and reported

Example:
  streamgauge test plans/quickstart.yaml        no account needed: everything runs on this machine";

const DOCTOR_HELP: &str = "\
Exit codes:
  0  nothing stops it (there may be warnings)
  2  the plan cannot work as it is written: more than the shards give, records too large, over its budget
  3  something around it stops it: credentials, permissions, quotas, distance, clock, stacks, this machine

Example:
  streamgauge doctor plans/quickstart.yaml --target aws --region eu-west-1";

const COMPARE_HELP: &str = "\
Exit codes:
  0  compared; with --fail-on: no judged level got worse by more than that and by more than the noise
  1  with --fail-on: a regression, or a judged level that could not be judged (--allow-inconclusive lets the latter pass)
  2  the command line is wrong, or a run cannot be read

Examples:
  streamgauge compare 20261121-013240-k3f9 20261121-021502-w8rt
  streamgauge compare 20261121-021502-w8rt --fail-on 10%          against the baseline of its plan";

const HISTORY_HELP: &str = "\
Figures: put_latency, service_time and e2e_latency, each with .p50, .p95 or .p99; achieved_rate, success_rate,
throttles, iterator_age.max, records_per_invocation, cost_per_million, lost, duplicates, drain_time.

Examples:
  streamgauge history plans/quickstart.yaml
  streamgauge history plans/quickstart.yaml --figure e2e_latency.p99 --level '200/s hold' --last 10";

/// Load-test a Kinesis -> Lambda pipeline: follow every record to the end, find what gives way first,
/// and say what a million records cost.
#[derive(Debug, Parser)]
#[command(name = "streamgauge", version, after_help = EXIT_CODES, max_term_width = 110)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TargetArg {
    /// Our AWS-compatible endpoint on loopback: no account, no cost.
    Local,
    /// The real services.
    Aws,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Human,
    Json,
}

#[derive(Clone, Debug, Args)]
pub struct Global {
    /// Where the pipeline runs.
    #[arg(long, global = true, value_enum, default_value = "local", help_heading = "Global options")]
    pub target: TargetArg,
    /// AWS region. [default: the profile's with --target aws, else us-east-1]
    #[arg(long, global = true, help_heading = "Global options")]
    pub region: Option<String>,
    /// AWS profile (only with --target aws).
    #[arg(long, global = true, help_heading = "Global options")]
    pub profile: Option<String>,
    /// Send every AWS call to this URL instead, for example an emulator (only with --target aws).
    #[arg(long, global = true, value_name = "URL", help_heading = "Global options")]
    pub endpoint_url: Option<String>,
    /// Name of the environment; its resources are called `streamgauge-<NAME>-...`.
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        default_value = "default",
        help_heading = "Global options"
    )]
    pub env: String,
    /// Zip with the function's `bootstrap`. [default: `consumer` beside this program, else this program]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    pub function_zip: Option<PathBuf>,
    /// Price book to use instead of the one built in.
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    pub prices: Option<PathBuf>,
    /// What stdout carries: text, or one JSON document.
    #[arg(long, global = true, value_enum, default_value = "human", help_heading = "Global options")]
    pub format: Format,
    /// Exit 0 although a criterion could not be judged.
    #[arg(long, global = true, help_heading = "Global options")]
    pub allow_inconclusive: bool,
    /// Do not ask before creating or deleting anything in an account.
    #[arg(long, global = true, help_heading = "Global options")]
    pub yes: bool,
    /// More talk on stderr; twice for the AWS calls too.
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Global options")]
    pub verbose: u8,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Stand the pipeline up, run the plan, report, take everything down: one command.
    #[command(after_help = "Example:\n  streamgauge test plans/quickstart.yaml")]
    Test(TestArgs),
    /// Stand the pipeline up and leave it standing.
    #[command(after_help = "Example:\n  streamgauge up plans/quickstart.yaml --env mine")]
    Up(UpArgs),
    /// What stands, since when, what it has cost, when it ends by itself, and how to end it; with a plan, how far its
    /// tests have come.
    #[command(
        after_help = "Examples:\n  streamgauge status --env mine\n  streamgauge status plans/quickstart.yaml --env mine"
    )]
    Status(StatusArgs),
    /// Take down what `up` made.
    #[command(after_help = "Example:\n  streamgauge down --env mine")]
    Down,
    /// Find and delete what any earlier run left in an account, whatever its environment. Lists first, then asks.
    #[command(after_help = "Example:\n  streamgauge sweep --target aws --region eu-central-1")]
    Sweep(SweepArgs),
    /// Run a plan against an environment that `up` made, then pull metrics and report.
    #[command(after_help = "Example:\n  streamgauge run plans/quickstart.yaml --env mine --test 1.1")]
    Run(RunArgs),
    /// Pull the metrics of a run again (CloudWatch gives some of them late) and report again.
    #[command(after_help = "Example:\n  streamgauge metrics 20261121-013240-k3f9 --env mine")]
    Metrics(RunRef),
    /// Render the reports of a run again, from its directory alone; or report on a day, a week or all of a plan's campaign.
    #[command(
        after_help = "Examples:\n  streamgauge report 20261121-013240-k3f9\n  streamgauge report 20261121-013240-k3f9 --as short | gh pr comment 12 --body-file -\n  streamgauge report --week 1 plans/weekly.yaml --env weeks"
    )]
    Report(ReportArgs),
    /// Hold a run against another, or against its plan's baseline: configuration, then every figure with its noise.
    #[command(after_help = COMPARE_HELP)]
    Compare(CompareArgs),
    /// One figure over the runs of a plan, as table and chart.
    #[command(after_help = HISTORY_HELP)]
    History(HistoryArgs),
    /// Name the run that others of its plan are compared with, show it, or forget it.
    #[command(
        after_help = "Examples:\n  streamgauge baseline plans/quickstart.yaml 20261121-013240-k3f9\n  streamgauge baseline plans/quickstart.yaml\n  streamgauge baseline plans/quickstart.yaml --clear"
    )]
    Baseline(BaselineArgs),
    /// Run a whole plan in virtual time, in this process, before anything is created.
    #[command(
        after_help = "Examples:\n  streamgauge rehearse plans/weekly.yaml\n  streamgauge rehearse plans/weekly.yaml --week 3\n  streamgauge rehearse plans/breaking-point.yaml --seed 2 --format json\n  streamgauge rehearse plans/breaking-point.yaml --set shards=1,2,4 --set function.memory_mb=256,512\n  streamgauge rehearse plans/quickstart.yaml --fault kill-function:count=2"
    )]
    Rehearse(RehearseArgs),
    /// Look at a plan without running it.
    #[command(subcommand)]
    Plan(PlanVerb),
    /// Find what would keep a plan from working, before anything is created: account, quotas, network, clock,
    /// stacks, this machine, cost.
    #[command(after_help = DOCTOR_HELP)]
    Doctor(DoctorArgs),
    /// Serve the local AWS-compatible endpoint in the foreground, for any client.
    #[command(
        after_help = "Example:\n  streamgauge local --port 4566\n  AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x aws --endpoint-url http://127.0.0.1:4566 --region us-east-1 kinesis list-streams"
    )]
    Local(LocalArgs),
    /// Internal: removes what an endpoint leaves behind when it is killed.
    #[command(hide = true)]
    Reap(ReapArgs),
}

#[derive(Debug, Subcommand)]
pub enum PlanVerb {
    /// Check a plan; exit 2 with file:line:column when it is wrong.
    #[command(after_help = "Example:\n  streamgauge plan check plans/quickstart.yaml")]
    Check(PlanArgs),
    /// Show a plan's timeline: tests, stages, records, data, shards needed and forecast cost, per test and week.
    #[command(after_help = "Example:\n  streamgauge plan show plans/quickstart.yaml")]
    Show(PlanArgs),
}

#[derive(Debug, Args)]
pub struct PlanArgs {
    /// The plan, a YAML file (docs/plan.md).
    pub plan: PathBuf,
}

#[derive(Debug, Args)]
pub struct TestArgs {
    /// The plan, a YAML file (docs/plan.md).
    pub plan: PathBuf,
    /// Inject a fault into the local endpoint, for example `drop:count=25`; repeatable.
    #[arg(long, value_name = "SPEC")]
    pub fault: Vec<String>,
    /// Run only this test; repeatable.
    #[arg(long = "test", value_name = "ID")]
    pub tests: Vec<String>,
    /// Stop, cleanly, before the run costs more than this. [default: the plan's `budget`]
    #[arg(long, value_name = "USD")]
    pub max_cost: Option<String>,
    /// Load an existing stream although it does not carry the tag streamgauge:allow=true.
    #[arg(long)]
    pub i_own_this_stream: bool,
}

#[derive(Debug, Args)]
pub struct UpArgs {
    /// Take the environment from this plan. [default: the schema's defaults]
    pub plan: Option<PathBuf>,
    /// Inject a fault into the local endpoint; repeatable.
    #[arg(long, value_name = "SPEC")]
    pub fault: Vec<String>,
    /// Take everything down by itself after this long, such as 90m or 8h, even if this program is gone; `off`: never.
    /// [default: with --target aws the larger of 8h and the plan plus its drain plus 2h, else off]
    #[arg(long, value_name = "DURATION")]
    pub ttl: Option<String>,
}

#[derive(Debug, Args)]
pub struct SweepArgs {
    /// Look in every region that an account has without opting in, not only in one (only with --target aws).
    #[arg(long)]
    pub all_regions: bool,
}

#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Show the campaign of this plan: each test, its state, verdict and run (docs/campaign.md).
    pub plan: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct RunArgs {
    /// The plan, a YAML file (docs/plan.md).
    pub plan: PathBuf,
    /// Go on: run only the tests that have not finished, beginning with the first (docs/campaign.md).
    #[arg(long)]
    pub resume: bool,
    /// Go on although the plan was changed: what was changed is run again, and the report says so.
    #[arg(long, requires = "resume")]
    pub accept_plan_change: bool,
    /// Run only the tests of this week.
    #[arg(long, value_name = "N")]
    pub week: Option<u32>,
    /// Run only the tests of this phase, counted from 1.
    #[arg(long, value_name = "N")]
    pub phase: Option<usize>,
    /// Run only this test; repeatable.
    #[arg(long = "test", value_name = "ID")]
    pub tests: Vec<String>,
    /// Stop, cleanly, before the run costs more than this. [default: the plan's `budget`]
    #[arg(long, value_name = "USD")]
    pub max_cost: Option<String>,
    /// Load an existing stream although it does not carry the tag streamgauge:allow=true.
    #[arg(long)]
    pub i_own_this_stream: bool,
}

#[derive(Debug, Args)]
pub struct RehearseArgs {
    /// The plan, a YAML file (docs/plan.md).
    pub plan: PathBuf,
    /// Rehearse only the tests of this week.
    #[arg(long, value_name = "N")]
    pub week: Option<u32>,
    /// Rehearse only the tests of this phase, counted from 1.
    #[arg(long, value_name = "N")]
    pub phase: Option<usize>,
    /// Rehearse only this test; repeatable.
    #[arg(long = "test", value_name = "ID")]
    pub tests: Vec<String>,
    /// Inject a fault into the services, for example `throttle:rate=5%`; repeatable.
    #[arg(long, value_name = "SPEC")]
    pub fault: Vec<String>,
    /// Take what puts and the function do from this earlier real run (its id or path), not from the plan.
    #[arg(long, value_name = "RUN")]
    pub calibrate: Option<PathBuf>,
    /// Print the section `rehearsal:` that would be used, for a plan, and rehearse nothing.
    #[arg(long)]
    pub show_model: bool,
    /// Rehearse with these values of a key of the plan, for example `shards=1,2,4`; repeatable: every combination.
    #[arg(long, value_name = "KEY=V[,V]")]
    pub set: Vec<String>,
    /// So many settings are rehearsed at the same time. [default: one a core]
    #[arg(long, value_name = "N", requires = "set", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub jobs: Option<u16>,
    /// Of everything that is drawn. [default: the plan's `rehearsal.seed`]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Stop before the run would cost more than this. [default: the plan's `budget`]
    #[arg(long, value_name = "USD")]
    pub max_cost: Option<String>,
}

#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Hold this plan against what is found. [default: the account and this machine alone]
    pub plan: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct RunRef {
    /// Run id, or the path of a run directory.
    pub run: PathBuf,
}

/// What `report` can print; it writes every file whatever this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Rendering {
    /// For the person at the terminal.
    Terminal,
    /// A page of Markdown for a pull request: summary.md.
    Short,
    /// Everything as Markdown: report.md.
    Markdown,
    /// One self-contained page: report.html.
    Html,
    /// Everything, for programs: report.json.
    Json,
    /// One row a level: levels.csv.
    Csv,
    /// One case a criterion: junit.xml. With --allow-inconclusive what could not be judged is skipped.
    Junit,
}

#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Run id, or the path of a run directory; with --week, --day or --campaign the plan.
    #[arg(value_name = "RUN|PLAN")]
    pub of: PathBuf,
    /// Report on the plan's tests of this week.
    #[arg(long, value_name = "N", group = "period")]
    pub week: Option<u32>,
    /// Report on the plan's tests that began on this day, in UTC.
    #[arg(long, value_name = "YYYY-MM-DD", group = "period")]
    pub day: Option<String>,
    /// Report on the plan's whole campaign: profile, breaking point, stability, cost projections.
    #[arg(long, group = "period")]
    pub campaign: bool,
    /// What stdout carries; the files are all written in any case. [default: terminal, or json with --format json]
    #[arg(long = "as", value_enum, value_name = "RENDERING")]
    pub rendering: Option<Rendering>,
}

/// What stdout carries of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CompareAs {
    Terminal,
    Markdown,
    Html,
    Json,
}

#[derive(Debug, Args)]
pub struct CompareArgs {
    /// The run before: its id, the path of its directory, or of one that holds only its report.json. Alone: the run that
    /// is compared with its plan's baseline.
    pub a: PathBuf,
    /// The run after.
    pub b: Option<PathBuf>,
    /// Exit 1 when a figure of a judged level got worse by more than this, such as 10%, and by more than the noise.
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    pub fail_on: Option<f64>,
    /// What stdout carries; the files are written in any case. [default: terminal, or json with --format json]
    #[arg(long = "as", value_enum, value_name = "FORMAT")]
    pub shown_as: Option<CompareAs>,
}

#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// The plan, a YAML file (docs/plan.md).
    pub plan: PathBuf,
    /// The figure to show.
    #[arg(long, value_name = "FIGURE", default_value = "put_latency.p95")]
    pub figure: String,
    /// Name of the level, such as '200/s hold'. [default: the highest judged hold of each test]
    #[arg(long, value_name = "NAME")]
    pub level: Option<String>,
    /// Only so many runs, the newest.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub last: u16,
}

#[derive(Debug, Args)]
pub struct BaselineArgs {
    /// The plan, a YAML file (docs/plan.md).
    pub plan: PathBuf,
    /// Run id, or the path of a run directory. [default: show the one that is named]
    pub run: Option<PathBuf>,
    /// Forget the one that is named.
    #[arg(long, conflicts_with = "run")]
    pub clear: bool,
}

/// `10%` or `10`, from 0 to 1000.
fn percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim();
    let is_plain = !number.is_empty() && number.chars().all(|c| c.is_ascii_digit() || c == '.');
    match number.parse::<f64>() {
        Ok(percent) if is_plain && percent <= 1_000.0 => Ok(percent),
        _ => Err("expected a percentage from 0% to 1000%, such as 10%".to_owned()),
    }
}

#[derive(Debug, Args)]
pub struct LocalArgs {
    /// Port on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 4566)]
    pub port: u16,
    /// Inject a fault, for example `throttle:rate=5%`; repeatable.
    #[arg(long, value_name = "SPEC")]
    pub fault: Vec<String>,
    /// Internal: write address and token here once ready, and end after 12 h idle.
    #[arg(long, hide = true, value_name = "FILE")]
    pub state_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct ReapArgs {
    /// Directory to remove when stdin closes.
    pub dir: PathBuf,
}
