//! The doors: protocols on the wire, translated into operations on AWS-shaped JSON and back.

pub mod cbor;
#[cfg(test)]
pub mod testing;
