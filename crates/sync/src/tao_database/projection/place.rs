//! Where TAO keeps the package of a delivery: the file its `OriginTestPackage` names (WIRE §3), below the files of TAO.

use std::io::Write as _;
use std::path::{Component, Path, PathBuf};

/// What every such name begins with.
const SCHEME: &str = "file://synchronisation/";

/// The path below the files of TAO that a name stands for; none for a name that leads elsewhere.
pub(super) fn relative(name: &str) -> Option<PathBuf> {
    let coded = name.strip_prefix(SCHEME)?;
    let decoded = percent_decoded(coded)?;
    let path = Path::new(&decoded);
    let is_plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    let is_odd = decoded.is_empty() || decoded.contains(['\0', '\\']) || decoded.split('/').any(str::is_empty);
    (is_plain && !is_odd).then(|| Path::new("synchronisation").join(path))
}

fn percent_decoded(text: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, others @ ..] = rest {
        rest = match (*first, others) {
            (b'%', [high, low, others @ ..]) => {
                let mut byte = [0];
                hex::decode_to_slice([*high, *low], &mut byte).ok()?;
                bytes.push(byte[0]);
                others
            }
            (b'%', _) => return None,
            (byte, others) => {
                bytes.push(byte);
                others
            }
        };
    }
    String::from_utf8(bytes).ok()
}

/// Moves a file to its place below a directory, at once: nobody sees half of it. No link on the way is followed, and the
/// directory itself has to be there.
pub(super) fn put(source: &Path, base: &Path, relative: &Path) -> std::io::Result<PathBuf> {
    let target = base.join(relative);
    let mut folder = base.to_owned();
    for part in relative.parent().into_iter().flat_map(Path::components) {
        folder.push(part);
        match std::fs::symlink_metadata(&folder) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => return Err(std::io::Error::other("a part of the path is no directory")),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => std::fs::create_dir(&folder)?,
            Err(error) => return Err(error),
        }
    }
    let mut copy = tempfile::NamedTempFile::new_in(&folder)?;
    std::io::copy(&mut std::fs::File::open(source)?, &mut copy)?;
    copy.flush()?;
    copy.as_file().sync_all()?;
    // As readable as what TAO writes itself: its web server is somebody else.
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    copy.as_file().set_permissions(permissions)?;
    copy.persist(&target)?;
    Ok(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_below_the_files_or_nowhere() {
        let path = |name: &str| relative(&format!("{SCHEME}{name}"));
        assert_eq!(path("i5%2Fexport.zip"), Some("synchronisation/i5/export.zip".into()));
        for bad in ["..%2Fx", "a%2F..%2Fx", "%2Fetc", "a%2F%2Fb", "", "a%00", "a%", "a%zz", "a%5Cb", "."] {
            assert_eq!(path(bad), None, "{bad}");
        }
        assert_eq!(relative("file://private/a"), None);
    }

    #[test]
    fn links_are_not_followed() {
        let (base, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let source = elsewhere.path().join("zip");
        std::fs::write(&source, "zip").unwrap();
        let put_to = |relative: &str| put(&source, base.path(), Path::new(relative));
        let placed = put_to("synchronisation/i1/export.zip").unwrap();
        assert_eq!(std::fs::read(placed).unwrap(), b"zip");
        put_to("synchronisation/i1/export.zip").expect("it is replaced");
        std::os::unix::fs::symlink(elsewhere.path(), base.path().join("synchronisation/i2")).unwrap();
        assert!(put_to("synchronisation/i2/export.zip").is_err());
        std::os::unix::fs::symlink(&source, base.path().join("synchronisation/i1/link.zip")).unwrap();
        put_to("synchronisation/i1/link.zip").expect("the link is replaced, not what it points to");
        assert!(!base.path().join("synchronisation/i1/link.zip").is_symlink());
    }
}
