//! Where a stranger says how far it is, and which bytes it wants: the query of a feed, continuations, ranges of chunks.
//!
//! An input is one byte that says which request, then its parts, one a line.

use taosync_model::scope::Positions;
use taosync_model::{Digest, EntityType, OrgId};
use taosync_wire::frame::FrameReader;
use taosync_wire::v1::feed::FeedFrame;

use crate::central::{CHUNK, ORG, place, request, signed};
use crate::shown;

/// Makes the request, and reads the texts alone.
pub fn check(input: &[u8]) {
    let [kind, rest @ ..] = input else { return };
    let mut lines = rest.split(|byte| *byte == b'\n');
    let parts: [&[u8]; 4] = std::array::from_fn(|_| lines.next().unwrap_or_default());
    parts.iter().filter_map(|part| std::str::from_utf8(part).ok()).for_each(texts);
    match kind % 3 {
        0 => feed(parts),
        1 => chunk(parts),
        _ => {}
    }
}

/// What is read can be written, and says the same.
fn texts(text: &str) {
    match Positions::from_text(text) {
        Ok(positions) => {
            assert!(positions.0.len() <= EntityType::FEED.len() + 1 && positions.0.values().all(|seq| *seq >= 0));
            assert_eq!(Positions::from_text(&positions.to_text()), Ok(positions));
        }
        Err(error) => drop(shown(&error)),
    }
    match OrgId::new(text) {
        Ok(org) => assert!(org.as_str() == text && (1..=128).contains(&text.len())),
        Err(error) => drop(shown(&error)),
    }
    if let Ok(digest) = text.parse::<Digest>() {
        assert_eq!(digest.to_hex(), text.to_ascii_lowercase());
    }
}

/// `query`, continuation, sync, authorization (the right one when it is empty).
fn feed([query, continuation, sync, authorization]: [&[u8]; 4]) {
    let place = place();
    let path = [b"/api/v1/feed?".as_slice(), query].concat();
    let headers = [("authorization", authorization), ("taosync-continuation", continuation), ("taosync-sync", sync)];
    let Some(asked) = request("GET", &path, &headers, Vec::new()) else { return };
    let asked = if authorization.is_empty() { signed(asked, &place.token) } else { asked };
    let answer = place.ask(asked);
    match answer.status().as_u16() {
        200 => whole_feed(answer.body()),
        status => assert!(matches!(status, 400 | 401 | 404 | 409 | 410 | 414 | 431), "{answer:?}"),
    }
}

fn whole_feed(body: &[u8]) {
    let mut reader = FrameReader::<FeedFrame>::new().expect("a decoder can be made");
    reader.feed(body).expect("the answer is frames");
    reader.finish().expect("and whole");
    let frames: Vec<_> = std::iter::from_fn(|| reader.next_frame()).collect();
    let Some((FeedFrame::Hello(hello), _)) = frames.first() else { panic!("a feed begins with hello") };
    assert_eq!(hello.org, ORG, "the organisation is the token's, whatever the request says");
    assert!(matches!(frames.last(), Some((FeedFrame::End(_), _))));
}

/// Name (the right one when it is empty), `Range`, `If-Range`, `If-None-Match`. `TAG` stands for the right tag.
fn chunk([name, range, if_range, if_none_match]: [&[u8]; 4]) {
    let place = place();
    let right = Digest::of(CHUNK).to_hex();
    let tag = format!("\"{right}\"");
    let tagged = |part: &[u8]| if part == b"TAG" { tag.as_bytes().to_vec() } else { part.to_vec() };
    let (if_range, if_none_match) = (tagged(if_range), tagged(if_none_match));
    let path = [b"/api/v1/chunks/".as_slice(), if name.is_empty() { right.as_bytes() } else { name }].concat();
    let headers = [("range", range), ("if-range", &if_range), ("if-none-match", &if_none_match)];
    let Some(asked) = request("GET", &path, &headers, Vec::new()) else { return };
    let answer = place.ask(signed(asked, &place.token));
    match answer.status().as_u16() {
        200 if name.is_empty() => assert_eq!(answer.body(), CHUNK),
        206 => {
            let said = answer.headers()["content-range"].to_str().expect("text");
            let (first, last) = said
                .strip_prefix("bytes ")
                .and_then(|s| s.strip_suffix("/300"))
                .and_then(|s| s.split_once('-'))
                .expect("a range of the chunk");
            let (first, last): (usize, usize) = (first.parse().expect("a number"), last.parse().expect("a number"));
            assert_eq!(answer.body(), &CHUNK[first..=last]);
        }
        304 => assert_eq!(if_none_match, tag.as_bytes()),
        // A path that a URL spells in another way is not the one that was signed.
        401 => assert!(!name.is_empty()),
        status => assert!(matches!(status, 200 | 400 | 404 | 405 | 414 | 416 | 431), "{answer:?}"),
    }
}
