//! Build script of the C library: its soname, and the C header, which is made from the exported Rust
//! functions.
//!
//! The header is committed. It is written only when it is stale; with SPMSG_CHECK_HEADER=1 a stale header
//! fails the build instead, and in a source tree that cannot be written it is a warning.

use std::env;
use std::error::Error;
use std::fs;
use std::path::Path;

const HEADER: &str = "include/spmsg.h";

fn main() -> Result<(), Box<dyn Error>> {
    if env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libspmsg.so.1");
        // dlclose would take the code away from under threads that still run it.
        println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
    let package = env::var("CARGO_MANIFEST_DIR")?;
    let root = Path::new(&package).parent().ok_or("the package has no folder above it")?;
    for input in ["build.rs", "cbindgen.toml", "ffi/src", HEADER] {
        println!("cargo::rerun-if-changed={}", root.join(input).display());
    }
    println!("cargo::rerun-if-env-changed=SPMSG_CHECK_HEADER");
    keep_fresh(&root.join(HEADER), &generate(root)?)
}

fn generate(root: &Path) -> Result<Vec<u8>, Box<dyn Error>> {
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml"))?;
    let bindings =
        cbindgen::Builder::new().with_config(config).with_src(root.join("ffi/src/lib.rs")).generate()?;
    let mut text = Vec::new();
    bindings.write(&mut text);
    // Programs in C90 have no such comments.
    let text = String::from_utf8(text)?;
    let text =
        text.replace("// __cplusplus", "/* __cplusplus */").replace("// extern \"C\"", "/* extern \"C\" */");
    Ok(text.into_bytes())
}

fn keep_fresh(header: &Path, text: &[u8]) -> Result<(), Box<dyn Error>> {
    if fs::read(header).is_ok_and(|present| present == text) {
        return Ok(());
    }
    if env::var("SPMSG_CHECK_HEADER").is_ok_and(|value| value == "1") {
        return Err(
            format!("{} is stale: build once without SPMSG_CHECK_HEADER and commit it", HEADER).into()
        );
    }
    // Another build may read the header meanwhile: it sees the old one or the new one, never half of it.
    let fresh = header.with_extension(format!("h.{}", std::process::id()));
    let written = fs::write(&fresh, text).and_then(|()| fs::rename(&fresh, header));
    if let Err(error) = written {
        let _ = fs::remove_file(&fresh);
        println!("cargo::warning={HEADER} is stale and cannot be written: {error}");
    }
    Ok(())
}
