//! Whether the disk that a node lives on is encrypted, as far as Linux says: a device of dm-crypt (LUKS) somewhere below the
//! file system, or a file system that encrypts by itself.

use std::fs;
use std::path::{Path, PathBuf};

use super::Finding;

const NAME: &str = "encryption";
/// Device mapper's ids of encrypted devices begin so.
const CRYPT: &str = "CRYPT-";
/// File systems that encrypt what lies in them.
const ENCRYPTING: [&str; 4] = ["ecryptfs", "fuse.gocryptfs", "fuse.encfs", "fuse.cryfs"];
/// File systems in memory: nothing stays when the power goes.
const IN_MEMORY: [&str; 2] = ["tmpfs", "ramfs"];
/// Layers of devices that are looked through: RAID, LVM, partitions.
const LAYERS: u32 = 8;

/// What lies under a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Disk {
    Encrypted(String),
    Plain(String),
    InMemory,
    Unknown(String),
}

/// Whether what lies in a directory is encrypted on its disk; none when that cannot be seen, or nothing stays there anyway.
pub fn is_encrypted(dir: &Path) -> Option<bool> {
    match disk_of(dir) {
        Disk::Encrypted(_) => Some(true),
        Disk::Plain(_) => Some(false),
        Disk::InMemory | Disk::Unknown(_) => None,
    }
}

fn disk_of(dir: &Path) -> Disk {
    let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    below(&dir, &mounts, Path::new("/sys"))
}

/// The finding about a node's directory.
pub(super) fn finding(dir: &Path) -> Finding {
    match disk_of(dir) {
        Disk::Encrypted(how) => Finding::ok(NAME, format!("the disk below {} is encrypted ({how})", dir.display())),
        Disk::InMemory => Finding::warn(
            NAME,
            format!("{} lies in memory: everything is gone when the power is", dir.display()),
            "use a directory on an encrypted disk",
        ),
        Disk::Plain(device) => Finding::warn(
            NAME,
            format!("the disk below {} ({device}) is not encrypted: whoever takes it has the keys too", dir.display()),
            "put the node on an encrypted disk (LUKS); docs/THREATS.md says what a thief could read",
        ),
        Disk::Unknown(why) => Finding::warn(
            NAME,
            format!("it cannot be seen whether the disk below {} is encrypted: {why}", dir.display()),
            "make sure that it is; docs/THREATS.md says what a thief could read",
        ),
    }
}

/// A line of `/proc/self/mountinfo` (proc_pid_mountinfo(5)).
struct Mount<'a> {
    device: &'a str,
    point: PathBuf,
    kind: &'a str,
    source: &'a str,
}

impl<'a> Mount<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let (front, back) = line.split_once(" - ")?;
        let mut front = front.split(' ').skip(2);
        let device = front.next()?;
        let point = front.nth(1)?.replace("\\040", " ").into();
        let mut back = back.split(' ');
        Some(Self { device, point, kind: back.next()?, source: back.next()? })
    }
}

fn below(dir: &Path, mounts: &str, sys: &Path) -> Disk {
    let mounts = mounts.lines().filter_map(Mount::read).filter(|mount| dir.starts_with(&mount.point));
    // Of several on the same point the last one is what is seen.
    let Some(mount) = mounts.max_by_key(|mount| mount.point.components().count()) else {
        return Disk::Unknown("its file system is not listed".to_owned());
    };
    if ENCRYPTING.contains(&mount.kind) {
        return Disk::Encrypted(mount.kind.to_owned());
    }
    if IN_MEMORY.contains(&mount.kind) {
        return Disk::InMemory;
    }
    let devices = [sys.join("dev/block").join(mount.device), by_name(mount.source, sys)];
    match devices.iter().find(|device| device.exists()) {
        None => Disk::Unknown(format!("{} on {} has no device of this machine", mount.kind, mount.source)),
        Some(device) => match crypt(device, LAYERS) {
            Some(how) => Disk::Encrypted(how),
            None => Disk::Plain(mount.source.to_owned()),
        },
    }
}

/// Btrfs and others have device numbers of their own: the name of the source leads on.
fn by_name(source: &str, sys: &Path) -> PathBuf {
    let resolved = fs::canonicalize(source).unwrap_or_else(|_| PathBuf::from(source));
    sys.join("class/block").join(resolved.file_name().unwrap_or_default())
}

/// The kind of encryption at or below a device.
fn crypt(device: &Path, layers: u32) -> Option<String> {
    let uuid = fs::read_to_string(device.join("dm/uuid")).unwrap_or_default();
    if let Some(rest) = uuid.strip_prefix(CRYPT) {
        return Some(rest.split('-').next().unwrap_or_default().to_owned());
    }
    let deeper = layers.checked_sub(1)?;
    let slaves: Vec<PathBuf> =
        fs::read_dir(device.join("slaves")).ok()?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    // Of a disk over several others all must be encrypted.
    let found: Option<Vec<String>> = slaves.iter().map(|slave| crypt(slave, deeper)).collect();
    found?.into_iter().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "22 1 253:1 / / rw,relatime shared:1 - ext4 /dev/mapper/root rw
30 22 8:1 / /srv rw - ext4 /dev/sda1 rw
31 22 0:40 / /srv/with\\040space rw - btrfs /dev/dm-9 rw
32 22 0:41 / /run rw - tmpfs tmpfs rw
33 22 0:42 / /net rw - nfs4 files:/x rw";

    fn sys() -> tempfile::TempDir {
        let sys = tempfile::tempdir().unwrap();
        let device = |path: &str| {
            let path = sys.path().join(path);
            fs::create_dir_all(path.join("dm")).unwrap();
            path
        };
        // / is LVM over LUKS; sda1 is a plain partition; dm-9 is a mirror of an encrypted and a plain disk.
        fs::write(device("dev/block/253:1").join("dm/uuid"), "LVM-abc").unwrap();
        fs::write(device("dev/block/253:1/slaves/dm-0").join("dm/uuid"), "CRYPT-LUKS2-0123-name\n").unwrap();
        device("dev/block/8:1");
        fs::write(device("class/block/dm-9/slaves/dm-1").join("dm/uuid"), "CRYPT-PLAIN-x").unwrap();
        device("class/block/dm-9/slaves/sdb");
        sys
    }

    #[test]
    fn encryption_is_found_through_layers_and_half_of_it_does_not_count() {
        let sys = sys();
        let below = |dir: &str| below(Path::new(dir), MOUNTS, sys.path());
        assert_eq!(below("/var/lib/taosync"), Disk::Encrypted("LUKS2".into()));
        assert_eq!(below("/srv/local"), Disk::Plain("/dev/sda1".into()));
        assert_eq!(below("/srv/with space/local"), Disk::Plain("/dev/dm-9".into()));
        assert_eq!(below("/run/local"), Disk::InMemory);
        assert!(matches!(below("/net/local"), Disk::Unknown(_)));
        assert!(matches!(super::below(Path::new("/x"), "", sys.path()), Disk::Unknown(_)));
        fs::remove_dir_all(sys.path().join("class/block/dm-9/slaves/sdb")).unwrap();
        assert_eq!(below("/srv/with space/local"), Disk::Encrypted("PLAIN".into()));
    }
}
