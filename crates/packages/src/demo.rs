//! The demonstration package: a test of our own, embedded so that `taosync demo` needs nothing but the program.

use crate::archive::pack::pack;

macro_rules! embedded {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_bytes!(concat!("../../../fixtures/demo-qti/", $path)))),*]
    };
}

/// Files of the package by path, sorted.
const FILES: &[(&str, &[u8])] = embedded![
    "imsmanifest.xml",
    "items/01-fraction/images/pizza.svg",
    "items/01-fraction/item.xml",
    "items/02-tickets/item.xml",
    "items/03-decimals/item.xml",
    "items/04-shapes/images/hexagon.svg",
    "items/04-shapes/images/square.svg",
    "items/04-shapes/images/triangle.svg",
    "items/04-shapes/item.xml",
    "items/05-number-line/images/number-line.png",
    "items/05-number-line/item.xml",
    "items/06-books/images/books.png",
    "items/06-books/item.xml",
    "items/07-primes/item.xml",
    "items/08-garden/images/gardens.svg",
    "items/08-garden/item.xml",
    "styles/maths.css",
    "test.xml",
];

/// The zip of the demonstration package, "Maths, grade 6": the same bytes every time.
pub fn demo_package() -> Vec<u8> {
    // Unwrap safety: a handful of small files in memory, far below what a zip cannot hold.
    pack(FILES.iter().copied()).expect("the demonstration files fit a zip")
}
