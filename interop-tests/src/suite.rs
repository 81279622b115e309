//! Programs that were written for nanomsg and never saw spmsg: its own tests, its perf programs, nanocat.
//!
//! - [`archive`]: nanomsg's sources, fetched from the npm registry, checked, and unpacked for one test,
//! - [`library`]: the library under test, its headers, and the names under which programs look for it,
//! - [`nanocat`]: the system's nanocat on that library or on its own,
//! - [`process`]: one running program, what it printed, and how long that may take,
//! - [`ports`]: consecutive TCP ports that nobody else is given.

pub mod archive;
pub mod library;
pub mod nanocat;
pub mod ports;
pub mod process;
