//! What can be said about a store's directory without opening it: also while another process has it.

use std::path::{Path, PathBuf};

use super::{heads_file, lock, open, room};

/// See the module.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Survey {
    /// Whether a store is there.
    pub exists: bool,
    /// The process that holds it (or `unknown`), if one does.
    pub holder: Option<String>,
    /// What is wrong with its file of confirmed heads; `None` if it is fine or was never written.
    pub heads_file: Option<String>,
    /// Bytes free to this process where it is; `None` if the system does not say.
    pub free_bytes: Option<u64>,
    /// The file system's kind, as far as it matters.
    pub file_system: FileSystem,
    /// The directory looked at: the store's, or the nearest one above that exists.
    pub place: PathBuf,
}

/// Kinds of file system that are told apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileSystem {
    /// A disk of this machine, as far as can be told.
    Local(&'static str),
    /// In memory: gone with the machine.
    Memory(&'static str),
    /// On another machine: locks and forced writes are what that one makes of them.
    Network(&'static str),
    /// Another kind, by its number.
    Other(u64),
}

/// Looks at a store's directory.
pub fn survey(path: &Path) -> std::io::Result<Survey> {
    let exists = open::data_path(path).try_exists()?;
    let place = path.ancestors().find(|place| place.is_dir()).unwrap_or(Path::new(".")).to_owned();
    Ok(Survey {
        exists,
        holder: lock::held_by(&path.join("lock"))?,
        heads_file: heads_file::read(path).err(),
        free_bytes: room::statvfs(&place).ok(),
        file_system: kind(&place)?,
        place,
    })
}

fn kind(place: &Path) -> std::io::Result<FileSystem> {
    let number = rustix::fs::statfs(place)?.f_type;
    // From the kernel's magic numbers; their type differs between platforms.
    Ok(match number as u64 {
        0xEF53 => FileSystem::Local("ext4"),
        0x5846_5342 => FileSystem::Local("xfs"),
        0x9123_683E => FileSystem::Local("btrfs"),
        0x2FC1_2FC1 => FileSystem::Local("zfs"),
        0xF2F5_2010 => FileSystem::Local("f2fs"),
        0xCA45_1A4E => FileSystem::Local("bcachefs"),
        0x794C_7630 => FileSystem::Local("overlayfs"),
        0x0102_1994 => FileSystem::Memory("tmpfs"),
        0x8584_58F6 => FileSystem::Memory("ramfs"),
        0x6969 => FileSystem::Network("nfs"),
        0xFF53_4D42 | 0xFE53_4D42 | 0x517B => FileSystem::Network("smb"),
        0x0102_1997 => FileSystem::Network("9p"),
        0x6573_5546 => FileSystem::Network("fuse"),
        0x00C3_6400 => FileSystem::Network("ceph"),
        other => FileSystem::Other(other),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::{EmbeddedConfig, EmbeddedStore};

    #[test]
    fn a_store_is_surveyed_whether_or_not_it_is_held() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store");
        let nothing = survey(&path).unwrap();
        assert_eq!((nothing.exists, nothing.holder, nothing.heads_file), (false, None, None));
        assert_eq!(nothing.place, directory.path());
        assert!(nothing.free_bytes.is_some());
        assert!(!path.exists(), "nothing is made");
        let store = EmbeddedStore::open(EmbeddedConfig::new(&path)).unwrap();
        let held = survey(&path).unwrap();
        assert_eq!((held.exists, held.holder), (true, Some(std::process::id().to_string())));
        drop(store);
        assert_eq!(survey(&path).unwrap().holder, None);
        std::fs::write(path.join("heads"), "not heads").unwrap();
        assert!(survey(&path).unwrap().heads_file.unwrap().contains("damaged"));
    }
}
