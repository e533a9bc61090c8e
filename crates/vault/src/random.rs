//! Randomness, from the operating system and from nowhere else.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::SecretString;
use uuid::Uuid;
use zeroize::Zeroizing;

/// Fills a buffer.
///
/// # Panics
/// When the operating system has no randomness to give. Nothing safe can be done without it, and it does not happen
/// on a machine that has finished starting.
pub fn fill(buffer: &mut [u8]) {
    #[expect(clippy::disallowed_methods, reason = "the one place where the machine is asked for randomness")]
    let filled = getrandom::fill(buffer);
    // Unwrap safety: see "Panics"; going on with a predictable buffer would be worse than stopping.
    filled.expect("the operating system must give randomness");
}

/// An array of random bytes.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill(&mut bytes);
    bytes
}

/// A random identifier (UUIDv4), for what must not tell when it was made.
pub fn uuid() -> Uuid {
    uuid::Builder::from_random_bytes(bytes()).into_uuid()
}

/// A number from 0 to 1, both included, in steps of 2⁻³².
pub fn unit() -> f64 {
    f64::from(u32::from_le_bytes(bytes())) / f64::from(u32::MAX)
}

/// A token or client secret: 256 bits, base64url without padding (43 characters).
pub fn token() -> SecretString {
    SecretString::from(URL_SAFE_NO_PAD.encode(*Zeroizing::new(bytes::<32>())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    #[test]
    fn tokens_are_256_bits_and_differ() {
        let (a, b) = (token(), token());
        assert_eq!(URL_SAFE_NO_PAD.decode(a.expose_secret()).unwrap().len(), 32);
        assert_ne!(a.expose_secret(), b.expose_secret());
    }

    #[test]
    fn units_lie_between_their_ends() {
        let units: Vec<f64> = (0..100).map(|_| unit()).collect();
        assert!(units.iter().all(|unit| (0.0..=1.0).contains(unit)));
        assert!(units.iter().any(|unit| *unit < 0.5) && units.iter().any(|unit| *unit > 0.5), "1 in 2^99 fails");
    }

    #[test]
    fn identifiers_are_version_4() {
        assert_eq!(uuid().get_version_num(), 4);
        assert_ne!(uuid(), uuid());
    }
}
