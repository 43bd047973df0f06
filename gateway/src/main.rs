//! The `candor` program.

fn main() -> std::process::ExitCode {
    candor_gateway::main()
}
