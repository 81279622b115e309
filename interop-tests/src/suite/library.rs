//! The library under test, its headers, and the names under which programs look for it.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::archive::fresh_folder;
use crate::Trouble;

/// What a program that was linked with some release of nanomsg looks for, and our own names.
const NAMES: [&str; 8] = [
    "libspmsg.so",
    "libspmsg.so.1",
    "libnanomsg.so",
    "libnanomsg.so.5",
    "libnanomsg.so.5.0.0",
    "libnanomsg.so.5.1.0",
    "libnanomsg.so.6",
    "libnanomsg.so.6.0.1",
];

/// The library under test: the one that cargo built for this profile, or SPMSG_TEST_LIB.
pub struct Library {
    file: PathBuf,
    include: PathBuf,
    links: TempDir,
}

impl Library {
    /// Find it, and link all its names to it in a fresh folder.
    pub fn find() -> Result<Library, Trouble> {
        let file = match std::env::var_os("SPMSG_TEST_LIB") {
            Some(path) => PathBuf::from(path),
            None => profile_folder()?.join("libspmsg.so"),
        };
        let file = file
            .canonicalize()
            .map_err(|e| format!("{}: {e}: cargo build -p spmsg-ffi (same profile)", file.display()))?;
        let include = match std::env::var_os("SPMSG_TEST_INCLUDE") {
            Some(path) => PathBuf::from(path),
            None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../include"),
        };
        let links = fresh_folder()?;
        for name in NAMES {
            std::os::unix::fs::symlink(&file, links.path().join(name)).map_err(|e| format!("{name}: {e}"))?;
        }
        Ok(Library { file, include, links })
    }

    /// The file itself, as it appears in the memory map of a process that uses it.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The folder that holds `nanomsg/nn.h` (SPMSG_TEST_INCLUDE overrides ours).
    pub fn include(&self) -> &Path {
        &self.include
    }

    /// A folder that holds the library under all its names; it goes away with this.
    pub fn links(&self) -> &Path {
        self.links.path()
    }
}

/// `target/<profile>`: test programs are in its `deps`.
pub fn profile_folder() -> Result<PathBuf, Trouble> {
    let program = std::env::current_exe().map_err(|e| format!("current_exe: {e}"))?;
    match program.ancestors().nth(2) {
        Some(folder) => Ok(folder.to_path_buf()),
        None => Err(format!("{} is not in a target folder", program.display())),
    }
}
