//! Standard output. A reader that closed the pipe has seen enough: `println!` would panic then.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write};

/// Prints; tells once on stderr when that is impossible for another reason than a reader that went away, a full disk
/// for example.
pub fn print(text: Arguments<'_>) {
    static TOLD: std::sync::Once = std::sync::Once::new();
    let mut stdout = std::io::stdout().lock();
    if let Err(error) = stdout.write_fmt(text).and_then(|()| stdout.flush())
        && error.kind() != ErrorKind::BrokenPipe
    {
        TOLD.call_once(|| eprintln!("warning: cannot write to standard output: {error}"));
    }
}

/// As `println!`, for a reader that may close the pipe.
macro_rules! say {
    () => { $crate::cli::out::print(format_args!("\n")) };
    ($($text:tt)*) => { $crate::cli::out::print(format_args!("{}\n", format_args!($($text)*))) };
}
pub(crate) use say;
