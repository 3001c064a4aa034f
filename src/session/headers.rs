//! What is written once, before a run begins.

use crate::evidence::rundir::{RunDir, RunHeader};
use crate::wire::run_id::RunId;

use super::run::RunRequest;
use super::{SessionError, environment, host};

/// `run.json` comes last: a directory that has it has the others, whenever the process is killed.
pub(super) fn write(request: &RunRequest, id: &RunId, dir: &RunDir) -> Result<(), SessionError> {
    dir.write_files(&request.plan.files)?;
    dir.write_environment(&environment::info(&request.standing))?;
    dir.write_prices(&request.prices)?;
    dir.write_run(&RunHeader {
        v: RunHeader::VERSION,
        id: id.clone(),
        started_us: request.clock.now_us(),
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        target: request.clients.target.to_owned(),
        region: request.clients.region.clone(),
        environment: request.env.clone(),
        host: match &request.rehearsal {
            Some(_) => "virtual time".to_owned(),
            None => host::name(),
        },
        rehearsal: request.rehearsal.is_some(),
        assumptions: request
            .rehearsal
            .as_ref()
            .map(|rehearsal| rehearsal.assumptions.clone())
            .unwrap_or_default(),
        faults: request.faults.clone(),
        parent: request.lineage.parent.clone(),
        number: request.lineage.number,
        plan_name: request.plan.name.clone(),
        plan_hash: request.plan.hash.clone(),
        plan_text: request.plan.text.clone(),
        plan_files: request.plan.file_hashes(),
    })?;
    Ok(())
}
