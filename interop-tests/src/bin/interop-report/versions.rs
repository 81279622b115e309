//! What took part: each program says so itself; Debian's package manager and Go's add their names for it.

use std::path::Path;
use std::process::Command;

use interop_tests::Trouble;
use interop_tests::cell::Stage;
use interop_tests::peer::Peer;

/// Name and version, line by line.
pub fn all() -> Result<Vec<(String, String)>, Trouble> {
    let mut all = vec![("spmsg".to_owned(), own_version()?.to_owned())];
    for peer in Peer::FOREIGN {
        let hello = Stage::default().spawn(peer, "version")?.order("hello")?;
        all.push((format!("{} says", peer.name()), hello));
    }
    let packages = ["libnanomsg5", "libnng1", "nng-utils"];
    for package in packages {
        let version = said(Command::new("dpkg-query").args(["-W", "-f", "${Version}", package]))?;
        all.push((format!("Debian's {package}"), version));
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/mangos");
    let module = "go.nanomsg.org/mangos/v3";
    all.push((
        "Go's mangos".to_owned(),
        said(Command::new("go").current_dir(folder).args(["list", "-m", module]))?,
    ));
    for (name, program, word) in
        [("Go", "go", "version"), ("Rust", "rustc", "--version"), ("system", "uname", "-srm")]
    {
        all.push((name.to_owned(), said(Command::new(program).arg(word))?));
    }
    Ok(all)
}

fn own_version() -> Result<&'static str, Trouble> {
    let manifest = include_str!("../../../../Cargo.toml");
    let mut lines = manifest.lines().filter_map(|line| line.strip_prefix("version = \""));
    lines.next().and_then(|rest| rest.strip_suffix('"')).ok_or_else(|| "Cargo.toml has no version".to_owned())
}

fn said(command: &mut Command) -> Result<String, Trouble> {
    let output = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    Err(format!("{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr)))
}
