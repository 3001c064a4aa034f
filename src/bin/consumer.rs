//! The function alone, small: what is uploaded to AWS as `bootstrap`.

use std::process::ExitCode;

fn main() -> ExitCode {
    match streamgauge::consumer::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
