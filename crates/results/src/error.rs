//! What can go wrong with results. Answers are never quoted.

/// Why results could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ResultError {
    /// An XML file beyond the limit.
    #[error("the result file has {bytes} bytes, more than {limit}; export fewer results into one file")]
    TooLarge {
        /// Bytes there are.
        bytes: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// Not XML as it has to be.
    #[error("line {line}: {message}; {advice}")]
    Xml {
        /// Line, from 1.
        line: u64,
        /// What happened.
        message: String,
        /// What to do.
        advice: &'static str,
    },
    /// XML, but not a result as QTI describes it.
    #[error("line {line}, element {element}: {message}; {advice}")]
    Element {
        /// Line, from 1.
        line: u64,
        /// Local name of the element.
        element: String,
        /// What happened.
        message: String,
        /// What to do.
        advice: &'static str,
    },
    /// A payload that is no zstd.
    #[error("the payload of the attempt cannot be unpacked; it is damaged or sealed: unseal it, or fetch it again")]
    Unpack(#[source] std::io::Error),
    /// A payload that unpacks to too much.
    #[error("the payload of the attempt unpacks to more than {limit} bytes; it is damaged or hostile, do not use it")]
    Unbounded {
        /// Bytes allowed.
        limit: u64,
    },
    /// Bytes behind the payload.
    #[error("{bytes} bytes follow the payload of the attempt; it is damaged: fetch it again")]
    Trailing {
        /// Bytes too many.
        bytes: usize,
    },
    /// A payload that is not an attempt. Without its source: that would quote answers.
    #[error("the payload is not the JSON of an attempt (line {line}, character {column}); a newer version may read it")]
    Json {
        /// Line, from 1.
        line: usize,
        /// Character, from 1.
        column: usize,
    },
    /// The CSV could not be written.
    #[error("the CSV cannot be written; check the place it goes to")]
    Csv(#[source] csv::Error),
    /// A file could not be written.
    #[error("the export cannot be written; check the place it goes to")]
    Write(#[source] std::io::Error),
}
