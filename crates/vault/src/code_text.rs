//! Codes that people read out, copy from paper and type: lines of four groups of four characters, the last of which checks the
//! line.

use zeroize::Zeroizing;

/// Characters of a line without the one that checks them: 5 bits each.
pub(crate) const SYMBOLS: usize = 15;
/// Crockford's base 32: no letters that look like digits.
pub(crate) const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Characters between two hyphens.
const GROUP: usize = 4;

/// `XXXX-XXXX-XXXX-XXXX`.
pub(crate) fn line_of(symbols: &[u8; SYMBOLS]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(SYMBOLS + 1 + SYMBOLS / GROUP));
    for (place, symbol) in symbols.iter().copied().chain([check_of(symbols)]).enumerate() {
        if place > 0 && place % GROUP == 0 {
            text.push('-');
        }
        text.push(char::from(ALPHABET[usize::from(symbol % 32)]));
    }
    text
}

/// The value of a character in any case, with O for 0, I and L for 1.
pub(crate) fn symbol_of(typed: char) -> Option<u8> {
    let letter = match typed.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    };
    ALPHABET.iter().position(|known| char::from(*known) == letter).map(|place| place as u8)
}

/// Luhn's algorithm to the base 32 (ISO/IEC 7812-1 for digits): every wrong character shows, and nearly every swap of
/// two neighbours.
pub(crate) fn check_of(symbols: &[u8; SYMBOLS]) -> u8 {
    let doubled = |symbol: u16| symbol * 2 / 32 + symbol * 2 % 32;
    let sum: u16 = symbols
        .iter()
        .rev()
        .enumerate()
        .map(|(place, symbol)| if place % 2 == 0 { doubled(u16::from(*symbol)) } else { u16::from(*symbol) })
        .sum();
    ((32 - sum % 32) % 32) as u8
}
