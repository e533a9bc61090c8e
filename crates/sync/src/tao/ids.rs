//! Ids of what a box hands in: TAO names things by texts, we by UUIDs. The same text gives the same id, so that a repeat
//! is known as one.

use taosync_model::Digest;
use uuid::{Builder, Uuid};

/// The box as a node.
pub(super) fn node_of(box_id: &str) -> Uuid {
    named("box", &[box_id])
}

/// An execution. The box is not part of it: its name may change when it is connected anew, and TAO makes ids that do not
/// repeat.
pub(crate) fn execution(id: &str) -> Uuid {
    named("execution", &[id])
}

/// A log row of an execution.
pub(crate) fn log_row(execution: &str, row: &str) -> Uuid {
    named("log", &[execution, row])
}

/// The test session of an execution.
pub(crate) fn session(execution: &str) -> Uuid {
    named("session", &[execution])
}

/// An LTI user.
pub(super) fn lti_user(name: &str) -> Uuid {
    named("lti user", &[name])
}

fn named(kind: &str, parts: &[&str]) -> Uuid {
    let mut bytes = format!("taosync tao {kind}").into_bytes();
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    let mut short = [0; 16];
    short.copy_from_slice(&Digest::of(&bytes).0[..16]);
    Builder::from_custom_bytes(short).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ids_are_fixed() {
        let ids = [node_of("b"), execution("e"), log_row("e", "1"), session("e"), lti_user("e")];
        for (place, id) in ids.iter().enumerate() {
            assert!(ids[place + 1..].iter().all(|other| other != id));
        }
        assert_ne!(log_row("e1", "1"), log_row("e", "11"));
        assert_eq!(execution("e"), execution("e"), "a repeat must be known as one");
    }
}
