//! One file a verb.

pub mod baseline;
pub mod campaign;
pub mod compare;
pub mod doctor;
pub mod down;
pub mod existing;
pub mod history;
pub mod local;
pub mod metrics;
pub mod period;
pub mod plan;
pub mod rehearse;
pub mod report;
pub mod run;
pub mod status;
pub mod sweep;
pub mod test;
pub mod up;
pub mod whatif;
