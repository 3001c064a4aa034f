//! What is wrong with a plan, and where.

use std::fmt;

use super::model::Position;

/// The field name of errors that concern the whole text.
pub(super) const ROOT: &str = "plan";
/// Errors beyond this many are not listed: the text is something else than a plan.
pub(super) const LISTED_MAX: usize = 50;

/// One thing that is wrong. Display: `line:column: field: found X, expected Y`; the caller knows the plan's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanError {
    /// The file that the position is in, as the plan calls it; `None`: the plan itself.
    pub file: Option<String>,
    pub position: Position,
    /// For example `phases[0].tests[1].stages[2].target`; `plan` for the whole text.
    pub field: String,
    pub found: String,
    pub expected: String,
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PlanError { file, position, field, found, expected } = self;
        if let Some(file) = file {
            write!(f, "{file}:")?;
        }
        write!(f, "{}:{}: {field}: found {found}, expected {expected}", position.line, position.column)
    }
}

/// Everything that is wrong with a plan, in the order of the text; never empty. Display: one line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errors(Vec<PlanError>);

impl Errors {
    /// Orders `errors`, drops repetitions, caps their number, and keeps positions inside `text`.
    pub(super) fn new(mut errors: Vec<PlanError>, text: &str) -> Errors {
        let lines: Vec<usize> = text.split('\n').map(|line| line.chars().count()).collect();
        for error in &mut errors {
            if error.file.is_none() {
                error.position = inside(error.position, &lines);
            }
            // A key that goes over lines must not make the error do so.
            error.field = error.field.replace(['\n', '\r'], " ");
        }
        errors.sort_by(|a, b| {
            let key = |error: &PlanError| (error.position.line, error.position.column);
            // The plan before its files.
            a.file.cmp(&b.file).then_with(|| key(a).cmp(&key(b))).then_with(|| a.field.cmp(&b.field))
        });
        errors.dedup();
        errors.truncate(LISTED_MAX);
        Errors(errors)
    }

    pub(super) fn single(error: PlanError) -> Errors {
        Errors(vec![error])
    }

    pub fn iter(&self) -> std::slice::Iter<'_, PlanError> {
        self.0.iter()
    }

    /// The lines with a file's name before each, that of the plan or of one beside it: `file:line:column: field: found X, expected Y`.
    pub fn in_file<'a>(&'a self, file: &'a str) -> impl fmt::Display + 'a {
        InFile { errors: self, file }
    }
}

/// A parser may put the end of the text one line or column past it.
fn inside(position: Position, lines: &[usize]) -> Position {
    let line = position.line.clamp(1, lines.len());
    let columns = lines[line - 1] + 1;
    let column = if line == position.line { position.column.clamp(1, columns) } else { columns };
    Position { line, column }
}

struct InFile<'a> {
    errors: &'a Errors,
    file: &'a str,
}

impl fmt::Display for InFile<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.errors.iter().enumerate() {
            let end_of_previous = if i == 0 { "" } else { "\n" };
            f.write_str(end_of_previous)?;
            match &error.file {
                None => write!(f, "{}:{error}", self.file)?,
                // The folder alone: the error starts with the file.
                Some(file) if std::path::Path::new(file).is_absolute() => write!(f, "{error}")?,
                Some(_) => write!(f, "{}{error}", folder(self.file))?,
            }
        }
        Ok(())
    }
}

/// The path up to its last separator, with it: what the names of files beside it are relative to.
fn folder(path: &str) -> &str {
    path.rfind(std::path::is_separator).map_or("", |separator| &path[..=separator])
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.iter().enumerate() {
            let end_of_previous = if i == 0 { "" } else { "\n" };
            write!(f, "{end_of_previous}{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}

/// The names nearest to a mistyped one, best first: at most three, none when all are far off.
pub(super) fn nearest<'a>(typed: &str, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut ranked: Vec<(usize, &str)> = names
        .map(|name| {
            let shares_word = typed.len() >= 3 && (name.contains(typed) || typed.contains(name));
            (if shares_word { 1 } else { edit_distance(typed, name) }, name)
        })
        .filter(|(distance, name)| *distance <= (name.len() / 3).max(2))
        .collect();
    ranked.sort();
    ranked.into_iter().take(3).map(|(_, name)| name).collect()
}

/// Levenshtein distance; what is much longer than any name counts as far off.
fn edit_distance(a: &str, b: &str) -> usize {
    if a.len() > 64 {
        return usize::MAX;
    }
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// A text as it is shown in an error: in backquotes, on one line, not too long.
pub(super) fn quoted(text: &str) -> String {
    const SHOWN_CHARS: usize = 60;
    let mut shown: String = text.chars().take(SHOWN_CHARS).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN_CHARS).is_some() {
        shown.push_str("...");
    }
    format!("`{shown}`")
}
