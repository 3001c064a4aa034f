//! The whole tool from outside: the binary, in a directory of its own, on loopback.

mod aws_side;
mod bad_input;
mod broken_environment;
mod calibrate;
mod campaign;
mod compare;
mod doctor;
mod existing;
mod faults;
mod kill;
mod main_job;
mod period;
mod support;
mod web_identity;
mod what_if;
