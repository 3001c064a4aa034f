//! The function alone, small: what is uploaded to AWS as `bootstrap`.

use std::process::ExitCode;

fn main() -> ExitCode {
    streamgauge::consumer::main()
}
