//! What is written into TAO's tables, as TAO writes it.

pub mod difference;
pub mod entities;
pub mod executions;
pub mod history;
pub mod logs;
mod mapping;
mod monitoring;
pub mod now;
pub mod php_json;
pub mod results;
pub mod sent;
pub mod wanted;

pub use now::Now;
