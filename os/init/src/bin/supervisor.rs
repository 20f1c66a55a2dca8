//! Starts the system containers and keeps them.

use std::process::ExitCode;

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(init::supervisor::run()),
        Err(error) => Err(error.to_string()),
    };
    let Err(error) = ended else {
        return ExitCode::SUCCESS;
    };
    init::report::Report::new().failure("supervisor", &error, false);
    ExitCode::FAILURE
}
