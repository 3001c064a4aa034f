//! Which binary am I: the function's bootstrap inside a Lambda sandbox, or the tool.

use std::process::ExitCode;

fn main() -> ExitCode {
    if streamgauge::consumer::is_bootstrap() {
        return streamgauge::consumer::main();
    }
    streamgauge::cli::main()
}
