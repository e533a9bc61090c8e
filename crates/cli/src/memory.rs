//! What stands in memory, keys and answers too, must not reach a disk when the program dies.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// No core dumps, and no other user's debugger.
pub fn keep_to_ourselves() {
    // Where the system refuses, its own rules hold; the program works all the same.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}
