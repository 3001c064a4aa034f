//! The table of rooms in ARCHITECTURE.md is true: no room imports what its row does not allow.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn rust_files(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        // What only tests use may reach further: a test of a client wants a service to talk to.
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if stem.ends_with("tests") || stem == "testing" || stem == "fixture" {
            continue;
        }
        if path.is_dir() {
            rust_files(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

/// Room -> what it may import, from the table in ARCHITECTURE.md.
fn allowed(root: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let text = std::fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let mut rooms = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [room, _, imports] = cells[..] else { panic!("not three cells: {line}") };
        let room = room.trim_matches('`').trim_end_matches('/').to_owned();
        rooms.insert(room, imports.split(',').map(|room| room.trim().to_owned()).collect());
    }
    rooms
}

/// The rooms that a file names as `crate::<room>`, by line.
fn imports<'a>(text: &'a str, rooms: &BTreeSet<String>) -> Vec<(usize, &'a str)> {
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for (at, _) in line.match_indices("crate::") {
            let rest = &line[at + "crate::".len()..];
            let name_len = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            if rooms.contains(&rest[..name_len]) {
                found.push((index + 1, &rest[..name_len]));
            }
        }
    }
    found
}

#[test]
fn rooms_import_only_what_architecture_md_allows() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = allowed(root);
    let rooms: BTreeSet<String> = std::fs::read_dir(root.join("src"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir() && !path.ends_with("bin"))
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    let mut checked = 0;
    let mut wrong = Vec::new();
    for room in &rooms {
        let allowed = table.get(room).unwrap_or_else(|| panic!("ARCHITECTURE.md has no row for {room}/"));
        if allowed.contains("all") {
            continue;
        }
        let mut files = Vec::new();
        rust_files(&root.join("src").join(room), &mut files);
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap();
            for (line, imported) in imports(&text, &rooms) {
                checked += 1;
                if imported != room && !allowed.contains(imported) {
                    wrong.push(format!("{}:{line}: {room} imports {imported}", file.display()));
                }
            }
        }
    }
    assert!(checked > 100, "only {checked} imports seen: is the scan broken?");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn pure_rooms_are_pure() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let banned = ["async ", "aws_sdk", "tokio::", "std::fs", "fs_err", "platform::clock::Clock", "println!"];
    let mut files = Vec::new();
    for room in ["plan", "cost", "verdict", "report"] {
        rust_files(&root.join("src").join(room), &mut files);
    }
    files.push(root.join("src/load/schedule.rs"));
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (index, line) in code.lines().enumerate() {
            let line = line.split("//").next().unwrap_or_default();
            for word in banned {
                assert!(!line.contains(word), "{}:{}: pure code has `{word}`", file.display(), index + 1);
            }
        }
    }
}

/// `println!` and `print!` panic when the reader closes the pipe, as `| head` does.
#[test]
fn standard_output_is_written_in_one_place() {
    let mut files = Vec::new();
    rust_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    let prints = |line: &str| {
        let code = line.split("//").next().unwrap_or_default();
        ["println!(", "print!("].iter().any(|call| {
            code.match_indices(call).any(|(at, _)| !code[..at].ends_with(|c: char| c.is_alphanumeric()))
        })
    };
    for file in files.iter().filter(|file| !file.ends_with("cli/out.rs")) {
        let text = std::fs::read_to_string(file).unwrap();
        let found = text.lines().position(prints);
        assert_eq!(found, None, "{}: say! of cli/out.rs instead, line from 0", file.display());
    }
}
