//! Rosters from file to plan, against a store in memory.

mod centers;
mod files;
mod people;
mod school;
mod size;
