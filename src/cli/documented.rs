//! Every command line that the documents, the examples and the help texts show is one that the parser accepts.

use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use super::args::Cli;

/// Where a command line stands, and its words.
struct Shown {
    place: String,
    words: Vec<String>,
}

#[test]
fn readme_and_documents_show_command_lines_that_parse() {
    let mut shown = of_markdown(Path::new("README.md"));
    for file in files("docs", "md") {
        shown.extend(of_markdown(&file));
    }
    // Where the reader of code blocks breaks, next to none are found.
    all_parse(&shown, 40);
}

#[test]
fn examples_for_ci_show_command_lines_that_parse() {
    let mut shown = Vec::new();
    for file in files("examples/ci", "yml") {
        let text = std::fs::read_to_string(root(&file)).expect("the file that was just listed");
        shown.extend(of_lines(&file, text.lines().enumerate()));
    }
    all_parse(&shown, 10);
}

#[test]
fn help_shows_command_lines_that_parse() {
    let command = Cli::command();
    let mut shown = Vec::new();
    let mut verbs: Vec<&clap::Command> = vec![&command];
    while let Some(verb) = verbs.pop() {
        verbs.extend(verb.get_subcommands());
        let help = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
        shown.extend(of_lines(Path::new(verb.get_name()), help.lines().enumerate()));
    }
    all_parse(&shown, 10);
}

fn all_parse(shown: &[Shown], at_least: usize) {
    assert!(shown.len() >= at_least, "only {} command lines were found", shown.len());
    let wrong: Vec<String> = shown
        .iter()
        .filter_map(|Shown { place, words }| {
            let error = Cli::try_parse_from(words).err()?;
            let asked_for = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            (!asked_for).then(|| format!("{place}: {}\n{error}", words.join(" ")))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn root(path: &Path) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The files of a folder with this ending, relative to the package.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root(Path::new(folder))).expect("a folder of the package");
    let names = entries.map(|entry| Path::new(folder).join(entry.expect("an entry").file_name()));
    let mut found: Vec<PathBuf> =
        names.filter(|path| path.extension().is_some_and(|its| its == ending)).collect();
    found.sort();
    found
}

/// Those in fenced and in indented code, and in code within a sentence.
fn of_markdown(file: &Path) -> Vec<Shown> {
    let text = std::fs::read_to_string(root(file)).expect("a document of the package");
    let (mut code, mut prose) = (Vec::new(), Vec::new());
    let mut fenced = false;
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if fenced || line.starts_with("    ") {
            code.push((number, line));
        } else {
            prose.extend(line.split('`').skip(1).step_by(2).map(|span| (number, span)));
        }
    }
    let mut shown = of_lines(file, code.into_iter());
    shown.extend(of_lines(file, prose.into_iter()));
    shown
}

/// Reads commands line by line, joining those that end with a backslash.
fn of_lines<'a>(file: &Path, lines: impl Iterator<Item = (usize, &'a str)>) -> Vec<Shown> {
    let mut shown = Vec::new();
    let mut joined = String::new();
    for (number, line) in lines {
        joined.push_str(line.trim());
        if joined.ends_with('\\') {
            joined.pop();
            continue;
        }
        let place = format!("{}:{}", file.display(), number + 1);
        // A synopsis shows what may be given in brackets, and ways apart with a bar.
        let synopsis = std::mem::take(&mut joined).replace(['[', ']'], " ");
        shown.extend(
            synopsis.split(" | ").filter_map(command).map(|words| Shown { place: place.clone(), words }),
        );
    }
    shown
}

/// The words of a call of streamgauge, its own name first; nothing where a line is none.
fn command(line: &str) -> Option<Vec<String>> {
    // What stands apart explains.
    let line = line.trim().split("   ").next()?;
    let line = line.trim_start_matches("- ").trim_start_matches("run: ").trim_start_matches("$ ");
    let mut words = words(line);
    let is_assignment = |word: &String| word.split_once('=').is_some_and(|(name, _)| is_name(name));
    words.drain(..words.iter().take_while(|word| is_assignment(word)).count());
    match words.first().map(String::as_str)? {
        // `timeout --signal=INT 30m streamgauge ...`, `cargo run --release -- ...`.
        "timeout" => {
            let at = words.iter().position(|word| word == "streamgauge")?;
            words.drain(..at);
        }
        "cargo" if words.get(1).is_some_and(|word| word == "run") => {
            let at = words.iter().position(|word| word == "--")?;
            words.drain(..at);
        }
        _ => {}
    }
    let first = words.first()?;
    let called = first == "--" || first == "streamgauge" || first.ends_with("/streamgauge");
    // `streamgauge local: ...` is what it printed.
    let verb = words.get(1).filter(|verb| !verb.ends_with(':'));
    (called && verb.is_some()).then(|| words.into_iter().map(|word| filled(&word)).collect())
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

/// What a placeholder stands for, where any text will not do.
fn filled(word: &str) -> String {
    match word {
        "N" => "1".to_owned(),
        "VERB" => "test".to_owned(),
        _ => word.to_owned(),
    }
}

/// The words of the line's first command, as a shell splits them: up to a pipe, a redirection, a list or a comment.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '|' | '>' | ';' | '&') => break,
            (None, '#') if word.is_none() => break,
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[test]
fn words_are_split_as_a_shell_does() {
    let split = |line| command(line).map(|words| words.join("_"));
    let some = |words: &str| Some(words.to_owned());
    assert_eq!(
        split("- run: streamgauge plan check \"$PLAN\" # a comment"),
        some("streamgauge_plan_check_$PLAN")
    );
    assert_eq!(
        split("A=x streamgauge run 'a b.yaml' --week N || code=$?"),
        some("streamgauge_run_a b.yaml_--week_1")
    );
    assert_eq!(split("cargo run --release -- test plan.yaml >out"), some("--_test_plan.yaml"));
    assert_eq!(split("timeout --signal=INT 30m streamgauge down   and wait"), some("streamgauge_down"));
    assert_eq!(split("cp target/release/streamgauge elsewhere"), None);
    assert_eq!(split("streamgauge local: http://127.0.0.1:4566"), None);
}
