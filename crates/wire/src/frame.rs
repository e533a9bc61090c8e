//! Frames: one line of JSON, then as many raw bytes as the line says, over and over; the whole stream compressed with
//! zstd. A stream ends with a frame that says so (`Header::is_last`), so a cut stream is never taken for a whole one.

use std::collections::VecDeque;
use std::io::Write as _;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;
use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation as _, OutBuffer};

/// Longest header line in bytes. An envelope or a link with a long literal fits; a body never travels in a header.
pub const MAX_HEADER: usize = 64 * 1024;
/// Longest body in bytes: a 4 MiB chunk and its seal, an entity with long values, an attempt with its log.
pub const MAX_BODY: u64 = 32 * 1024 * 1024;
/// Largest zstd window a sender may ask for: 8 MiB.
const WINDOW_LOG_MAX: u32 = 23;
/// Bytes that are unpacked before frames are cut: a bomb is noticed at its first frame that is too long.
const STEP: usize = 64 * 1024;
/// Bytes of memory that are made ready for a body before any of it has come.
const BELIEVED: usize = 128 * 1024;
/// zstd level: above 3 costs much and gains nothing on this data (measured).
const LEVEL: i32 = 3;
/// zstd level for small bodies that cannot be compressed between heads that can: half the work of [`LEVEL`], and the heads
/// get as small.
const LEVEL_OF_HEADS: i32 = 1;
/// zstd level for what cannot be compressed: it looks for nothing.
const LEVEL_OF_SEALED: i32 = -7;

/// The JSON line of a frame.
pub trait Header {
    /// Bytes that follow the line.
    fn body_len(&self) -> u64;
    /// Whether the stream ends after this frame.
    fn is_last(&self) -> bool;
}

/// What is wrong with a stream.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The compressed stream is broken.
    #[error("the stream is broken: it does not decompress (frame {frame})")]
    Compression {
        /// Frames read before.
        frame: u64,
        /// The decompressor's words.
        #[source]
        source: std::io::Error,
    },
    /// A header line is too long.
    #[error("frame {frame} has a header of more than {MAX_HEADER} bytes")]
    HeaderTooLong {
        /// Frames read before.
        frame: u64,
    },
    /// A header line is not what it should be.
    #[error("frame {frame} has a header that cannot be read: {reason}")]
    Header {
        /// Frames read before.
        frame: u64,
        /// What serde says; it names fields, not values.
        reason: String,
    },
    /// A body is too long.
    #[error("frame {frame} announces a body of {length} bytes; at most {MAX_BODY} are taken")]
    BodyTooLong {
        /// Frames read before.
        frame: u64,
        /// Announced bytes.
        length: u64,
    },
    /// The stream ended too early.
    #[error("the stream ended after {frames} frames without its last one: the connection was cut")]
    Truncated {
        /// Whole frames read.
        frames: u64,
    },
    /// Something follows the last frame.
    #[error("the stream goes on after its last frame")]
    Trailing,
}

/// Makes a stream. Bytes are taken out whenever there are enough of them.
pub struct FrameWriter {
    encoder: zstd::stream::write::Encoder<'static, Vec<u8>>,
}

impl FrameWriter {
    /// A new stream.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self { encoder: zstd::stream::write::Encoder::new(Vec::new(), LEVEL)? })
    }

    /// A new stream whose bodies are small, and sealed or compressed already.
    pub fn of_heads() -> std::io::Result<Self> {
        Ok(Self { encoder: zstd::stream::write::Encoder::new(Vec::new(), LEVEL_OF_HEADS)? })
    }

    /// A new stream whose bodies are sealed or compressed already.
    pub fn of_sealed() -> std::io::Result<Self> {
        Ok(Self { encoder: zstd::stream::write::Encoder::new(Vec::new(), LEVEL_OF_SEALED)? })
    }

    /// Adds a frame. `header.body_len()` must be the length of `body`.
    pub fn push(&mut self, header: &(impl Header + Serialize), body: &[u8]) -> std::io::Result<()> {
        debug_assert_eq!(header.body_len(), body.len() as u64);
        self.begin(header)?;
        self.part(body)
    }

    /// Begins a frame whose body follows in parts, `header.body_len()` bytes together.
    pub fn begin(&mut self, header: &(impl Header + Serialize)) -> std::io::Result<()> {
        serde_json::to_writer(&mut self.encoder, header)?;
        self.encoder.write_all(b"\n")
    }

    /// Adds a part of the body that was begun.
    pub fn part(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.encoder.write_all(bytes)
    }

    /// Compressed bytes that are ready; what is still in the compressor stays there.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(self.encoder.get_mut())
    }

    /// Compressed bytes waiting to be taken.
    pub fn ready(&self) -> usize {
        self.encoder.get_ref().len()
    }

    /// Pushes everything through the compressor, so that the receiver can read up to here.
    pub fn flush(&mut self) -> std::io::Result<Vec<u8>> {
        self.encoder.flush()?;
        Ok(self.take())
    }

    /// Ends the stream and gives the rest of it.
    pub fn finish(self) -> std::io::Result<Vec<u8>> {
        self.encoder.finish()
    }
}

/// Reads a stream piece by piece, in any cuts.
pub struct FrameReader<H> {
    decoder: Decoder<'static>,
    /// Where a step is unpacked: made once, as clearing it for every piece would cost more than the piece.
    step: Box<[u8]>,
    frames: u64,
    /// What has come of a header line.
    line: Vec<u8>,
    /// The header whose body is coming, and what has come of it.
    waiting: Option<(H, Vec<u8>)>,
    ready: VecDeque<(H, Vec<u8>)>,
    ended: bool,
    header: PhantomData<H>,
}

impl<H: Header + DeserializeOwned> FrameReader<H> {
    /// A reader at the start of a stream.
    pub fn new() -> std::io::Result<Self> {
        let mut decoder = Decoder::new()?;
        decoder.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX))?;
        Ok(Self {
            decoder,
            step: vec![0; STEP].into_boxed_slice(),
            frames: 0,
            line: Vec::new(),
            waiting: None,
            ready: VecDeque::new(),
            ended: false,
            header: PhantomData,
        })
    }

    /// Takes the next bytes from the network.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), FrameError> {
        let mut input = InBuffer::around(bytes);
        loop {
            let unpacked = self.unpack(&mut input)?;
            // Taken out for the time that frames are cut from it.
            let step = std::mem::take(&mut self.step);
            let cut = self.cut(&step[..unpacked]);
            self.step = step;
            cut?;
            if unpacked < STEP && input.pos() == bytes.len() {
                return Ok(());
            }
        }
    }

    /// Unpacks some of the input into the step; as much as fits means that there may be more without further input.
    fn unpack(&mut self, input: &mut InBuffer<'_>) -> Result<usize, FrameError> {
        let mut output = OutBuffer::around(&mut self.step[..]);
        let unpacked = self.decoder.run(input, &mut output).map(|_| output.pos());
        let frame = self.frames;
        unpacked.map_err(|source| FrameError::Compression { frame, source })
    }

    /// The next whole frame.
    pub fn next_frame(&mut self) -> Option<(H, Vec<u8>)> {
        self.ready.pop_front()
    }

    /// Says whether the stream was whole; to be asked when the network has no more bytes.
    pub fn finish(&self) -> Result<(), FrameError> {
        if self.ended { Ok(()) } else { Err(FrameError::Truncated { frames: self.frames }) }
    }

    /// Cuts frames from what follows in the stream.
    fn cut(&mut self, mut plain: &[u8]) -> Result<(), FrameError> {
        loop {
            if self.waiting.is_some() {
                plain = self.body(plain);
            }
            if plain.is_empty() {
                return Ok(());
            }
            if self.ended {
                return Err(FrameError::Trailing);
            }
            if self.waiting.is_none() {
                plain = self.header(plain)?;
            }
        }
    }

    /// Takes what belongs to the header line, and gives what follows.
    fn header<'p>(&mut self, plain: &'p [u8]) -> Result<&'p [u8], FrameError> {
        let frame = self.frames;
        let end = plain.iter().position(|&b| b == b'\n');
        let (line, rest) = plain.split_at(end.unwrap_or(plain.len()));
        if self.line.len() + line.len() > MAX_HEADER {
            return Err(FrameError::HeaderTooLong { frame });
        }
        self.line.extend_from_slice(line);
        if end.is_none() {
            return Ok(rest);
        }
        let header: H =
            serde_json::from_slice(&self.line).map_err(|e| FrameError::Header { frame, reason: without_values(&e) })?;
        let length = header.body_len();
        if length > MAX_BODY {
            return Err(FrameError::BodyTooLong { frame, length });
        }
        self.line.clear();
        // What is announced is not believed before it comes.
        self.waiting = Some((header, Vec::with_capacity((length as usize).min(BELIEVED))));
        Ok(&rest[1..])
    }

    /// Takes what belongs to the body, and gives what follows.
    fn body<'p>(&mut self, plain: &'p [u8]) -> &'p [u8] {
        let Some((header, mut body)) = self.waiting.take() else { return plain };
        let lacks = header.body_len() as usize - body.len();
        let (more, rest) = plain.split_at(lacks.min(plain.len()));
        if more.len() > body.capacity() - body.len() {
            // Twice as much each time, and in the end no more than the body has.
            body.reserve_exact(lacks.min(body.len().max(more.len())));
        }
        body.extend_from_slice(more);
        if more.len() < lacks {
            self.waiting = Some((header, body));
        } else {
            self.frames += 1;
            self.ended = header.is_last();
            self.ready.push_back((header, body));
        }
        rest
    }
}

/// serde's message quotes values from the line; only its category and place are kept.
fn without_values(error: &serde_json::Error) -> String {
    let kind = match error.classify() {
        serde_json::error::Category::Syntax => "it is not JSON",
        serde_json::error::Category::Eof => "it is cut short",
        _ => "a field is missing, unknown or of another type",
    };
    format!("{kind} (column {})", error.column())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Deserialize;

    #[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
    struct Test {
        len: u64,
        last: bool,
    }

    impl Header for Test {
        fn body_len(&self) -> u64 {
            self.len
        }
        fn is_last(&self) -> bool {
            self.last
        }
    }

    fn stream(bodies: &[Vec<u8>]) -> Vec<u8> {
        let mut writer = FrameWriter::new().unwrap();
        for (i, body) in bodies.iter().enumerate() {
            let header = Test { len: body.len() as u64, last: i + 1 == bodies.len() };
            writer.push(&header, body).unwrap();
        }
        writer.finish().unwrap()
    }

    fn read(bytes: &[u8], step: usize) -> Result<Vec<Vec<u8>>, FrameError> {
        let mut reader = FrameReader::<Test>::new().unwrap();
        let mut bodies = Vec::new();
        for piece in bytes.chunks(step.max(1)) {
            reader.feed(piece)?;
            while let Some((_, body)) = reader.next_frame() {
                bodies.push(body);
            }
        }
        reader.finish()?;
        Ok(bodies)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_cuts_give_the_same_frames(
            bodies in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 1..20),
            step in 1usize..500,
        ) {
            prop_assert_eq!(read(&stream(&bodies), step).unwrap(), bodies);
        }

        #[test]
        fn rubbish_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
            let _ = read(&bytes, 7);
            let _ = read(&zstd::encode_all(&bytes[..], 1).unwrap(), 7);
        }
    }

    #[test]
    fn a_cut_stream_is_not_whole() {
        let bytes = stream(&[vec![1; 100], vec![2; 100]]);
        for length in 0..bytes.len() - 4 {
            assert!(read(&bytes[..length], 16).is_err(), "cut at {length}");
        }
    }

    #[test]
    fn limits_hold_at_the_limit_and_one_above() {
        let line = |len: usize| {
            let empty = serde_json::to_string(&Test { len: 0, last: true }).unwrap();
            format!("{}{empty}\n", " ".repeat(len - empty.len()))
        };
        let pack = |text: String| zstd::encode_all(text.as_bytes(), 1).unwrap();
        assert!(read(&pack(line(MAX_HEADER)), 999).is_ok());
        assert!(matches!(read(&pack(line(MAX_HEADER + 1)), 999), Err(FrameError::HeaderTooLong { .. })));
        let body = |len: u64| pack(format!("{{\"len\":{len},\"last\":true}}\n"));
        assert!(matches!(read(&body(MAX_BODY), 999), Err(FrameError::Truncated { .. })));
        assert!(matches!(read(&body(MAX_BODY + 1), 999), Err(FrameError::BodyTooLong { .. })));
    }

    #[test]
    fn a_window_is_taken_up_to_its_limit() {
        let with_window = |log: u32| {
            let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
            encoder.window_log(log).unwrap();
            encoder.write_all(b"{\"len\":0,\"last\":true}").unwrap();
            // The encoder must not know that nothing more comes: it would make the window as small as the text.
            encoder.flush().unwrap();
            encoder.write_all(b"\n").unwrap();
            encoder.finish().unwrap()
        };
        assert!(read(&with_window(WINDOW_LOG_MAX), 999).is_ok());
        assert!(matches!(read(&with_window(WINDOW_LOG_MAX + 1), 999), Err(FrameError::Compression { .. })));
    }

    #[test]
    fn nothing_may_follow_the_last_frame() {
        let mut writer = FrameWriter::new().unwrap();
        writer.push(&Test { len: 0, last: true }, b"").unwrap();
        writer.push(&Test { len: 0, last: true }, b"").unwrap();
        assert!(matches!(read(&writer.finish().unwrap(), 999), Err(FrameError::Trailing)));
    }

    #[test]
    fn a_large_body_takes_no_more_memory_than_it_has_bytes() {
        for length in [0, 1, BELIEVED - 1, BELIEVED, BELIEVED + 1, 4 * 1024 * 1024 + 40] {
            let mut reader = FrameReader::<Test>::new().unwrap();
            reader.feed(&stream(&[vec![7; length]])).unwrap();
            let (_, body) = reader.next_frame().unwrap();
            assert_eq!((body.len(), body.capacity()), (length, length));
        }
    }

    #[test]
    fn an_error_quotes_no_value() {
        let bytes = zstd::encode_all(&b"{\"len\":\"secret\",\"last\":true}\n"[..], 1).unwrap();
        let text = read(&bytes, 999).unwrap_err().to_string();
        assert!(!text.contains("secret"), "{text}");
    }
}
