//! The real program, driven as its users do: processes, directories, exit codes, and what stands on stdout and stderr.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod accounts;
mod audit;
mod backups;
mod bad;
mod browser;
mod canaries;
mod candidate;
mod contract;
mod damage;
mod disk_full;
mod enrolment;
mod exam;
mod flushes;
mod hostile_zips;
mod import;
mod keys;
mod kills;
mod machines;
mod node;
mod people;
mod privacy;
mod results_keys;
mod results_xml;
mod run;
mod runner_client;
mod runner_keys;
mod tao;
mod tao_database;
mod tao_import;
mod tao_projection;
mod tao_release;
mod tao_results;
mod versions;
mod whole_test;
