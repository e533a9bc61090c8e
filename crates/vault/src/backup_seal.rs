//! Backups are sealed as one age file, in a stream: with a passphrase, or for the holder of an age identity.

use std::io::{self, Read, Write};

use age::{Decryptor, Encryptor, Identity};
use secrecy::{ExposeSecret as _, SecretString};

use crate::{VaultError, random};

/// Work of a passphrase that is accepted when a backup is opened (log 2): about a minute on a slow machine. A backup asks
/// for less, unless somebody made it up to keep us busy.
const MAX_WORK: u8 = 22;
/// Work that a backup asks for: about a second. The passphrases that are made here need none of it.
const WORK: u8 = 17;
/// Letters of a passphrase that is made here: none that looks like another, 5 bits each.
const LETTERS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz023456789";
/// Groups of five letters: 150 bits.
const GROUPS: usize = 6;

/// What a backup is sealed with.
#[derive(Clone, Debug)]
pub enum Seal {
    /// A passphrase.
    Passphrase(SecretString),
    /// Age recipients (`age1…`); each of them opens it.
    Recipients(Vec<String>),
}

/// What opens a backup.
#[derive(Clone, Debug)]
pub enum Opening {
    /// The passphrase.
    Passphrase(SecretString),
    /// An age identity (`AGE-SECRET-KEY-1…`).
    Identity(SecretString),
}

/// A stream that is being sealed; [`SealedWriter::finish`] ends it.
pub struct SealedWriter<W: Write>(age::stream::StreamWriter<W>);

/// A fresh passphrase.
pub fn passphrase() -> SecretString {
    let letters = random::bytes::<{ GROUPS * 5 }>();
    let text: Vec<u8> = letters.iter().map(|byte| LETTERS[usize::from(byte % 32)]).collect();
    let groups: Vec<String> = text.chunks(5).map(|group| String::from_utf8_lossy(group).into_owned()).collect();
    SecretString::from(groups.join("-"))
}

/// Begins to seal what is written.
pub fn seal<W: Write>(seal: &Seal, output: W) -> Result<SealedWriter<W>, VaultError> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| VaultError::Seal { recipients: 1, source };
    let encryptor = match seal {
        Seal::Passphrase(passphrase) => {
            let mut recipient = age::scrypt::Recipient::new(passphrase.expose_secret().to_owned().into());
            recipient.set_work_factor(WORK);
            Encryptor::with_recipients(std::iter::once(&recipient as &dyn age::Recipient))
        }
        Seal::Recipients(texts) => {
            let parsed = texts.iter().map(|text| crate::sealed_file::parse(text)).collect::<Result<Vec<_>, _>>()?;
            Encryptor::with_recipients(parsed.iter().map(|recipient| recipient as &dyn age::Recipient))
        }
    };
    let writer = encryptor.map_err(|e| failed(e.into()))?.wrap_output(output).map_err(|e| failed(e.into()))?;
    Ok(SealedWriter(writer))
}

/// Opens a sealed stream. What it gives is genuine piece by piece; whole it is only when its end was read without error.
pub fn open<'a>(opening: &Opening, input: impl Read + 'a) -> Result<impl Read + 'a, VaultError> {
    let bad = || VaultError::BadSeal { what: "the backup" };
    let identity: Box<dyn Identity> = match opening {
        Opening::Passphrase(passphrase) => {
            let mut identity = age::scrypt::Identity::new(passphrase.expose_secret().to_owned().into());
            identity.set_max_work_factor(MAX_WORK);
            Box::new(identity)
        }
        Opening::Identity(text) => {
            Box::new(text.expose_secret().trim().parse::<age::x25519::Identity>().map_err(|_| bad())?)
        }
    };
    let decryptor = Decryptor::new(input).map_err(|_| bad())?;
    decryptor.decrypt(std::iter::once(&*identity)).map_err(|_| bad())
}

impl<W: Write> Write for SealedWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl<W: Write> SealedWriter<W> {
    /// Ends the stream; without it, what was written cannot be opened.
    pub fn finish(self) -> io::Result<W> {
        self.0.finish()
    }
}

impl<W: Write> std::fmt::Debug for SealedWriter<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealedWriter")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node_identity::NodeIdentity;

    fn read(opening: &Opening, sealed: &[u8]) -> Option<Vec<u8>> {
        let mut plain = Vec::new();
        open(opening, sealed).ok()?.read_to_end(&mut plain).ok()?;
        Some(plain)
    }

    #[test]
    fn what_it_is_sealed_with_opens_it_and_nothing_else() {
        let plain = vec![7; 200_000];
        let (passphrase, identity) = (passphrase(), NodeIdentity::generate());
        assert_eq!(passphrase.expose_secret().len(), 35);
        let with = Opening::Passphrase(passphrase.clone());
        let of = Opening::Identity(identity.to_text());
        for (seal_with, right, wrong) in
            [(Seal::Passphrase(passphrase), &with, &of), (Seal::Recipients(vec![identity.recipient()]), &of, &with)]
        {
            let mut writer = seal(&seal_with, Vec::new()).unwrap();
            writer.write_all(&plain).unwrap();
            let sealed = writer.finish().unwrap();
            assert_eq!(read(right, &sealed).as_ref(), Some(&plain));
            assert_eq!(read(wrong, &sealed), None);
            assert_eq!(read(right, &sealed[..sealed.len() - 1]), None, "cut");
            let mut changed = sealed.clone();
            changed[100_000] ^= 1;
            assert_eq!(read(right, &changed), None, "changed");
        }
        assert_eq!(read(&Opening::Passphrase("other".to_owned().into()), b"no age file"), None);
    }
}
