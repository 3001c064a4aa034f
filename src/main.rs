//! Which binary am I: the function's bootstrap inside a Lambda sandbox, or the tool.

use std::process::ExitCode;

/// A put through the SDK makes some two hundred allocations; with the system's allocator they are a fifth of its CPU.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    if streamgauge::consumer::is_bootstrap() {
        return streamgauge::consumer::main();
    }
    streamgauge::cli::main()
}
