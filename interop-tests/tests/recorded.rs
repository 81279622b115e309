//! Byte for byte: every file of `recorded/` played to our sockets, at each of its two ends, as it stands and
//! cut into single bytes (R1 to R9, R18 to R25, R77, R78, R127 to R129, R131, R138, R152 to R154, R166,
//! R167, R172, R206, R209).

use std::path::{Path, PathBuf};

use interop_tests::cell::{Cell, Stage, run_all};
use interop_tests::peer::Peer;
use interop_tests::recorded::player::{Cut, play};
use interop_tests::recorded::{Conversation, End};

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recorded");
    let entries = std::fs::read_dir(&folder).expect("the folder of recorded conversations");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    assert!(files.len() > 40, "only {} conversations in {}", files.len(), folder.display());
    files
}

/// Both ends of a file, cut both ways, for a peer that has such sockets.
fn cells_of(path: &Path, peer: Peer) -> Vec<Cell> {
    let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
    let text = std::fs::read_to_string(path).expect("a file");
    let conversation = Conversation::parse(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
    if conversation.kind(End::Connector) == "pair1" && peer == Peer::SpmsgC {
        return Vec::new(); // C programs have no version 1 of PAIR
    }
    let ends = [End::Connector, End::Listener];
    let ends = ends.into_iter().filter(|end| conversation.only.is_none_or(|only| only == *end));
    ends.flat_map(|end| [(end, Cut::Whole), (end, Cut::Bytes)])
        .map(|(end, cut)| {
            let conversation = conversation.clone();
            let how = if cut == Cut::Whole { "" } else { ", byte by byte" };
            Cell::new(format!("{name} as {}{how}", end.name()), move |stage: &mut Stage| {
                play(stage, &conversation, peer, end, cut)
            })
        })
        .collect()
}

fn recorded(peer: Peer) {
    Peer::require(&[peer]);
    let cells = files().iter().flat_map(|path| cells_of(path, peer)).collect();
    run_all(&format!("recorded conversations: {}", peer.name()), cells);
}

#[test]
fn r1_r4_r6_r7_r8_r9_r20_r21_r25_recorded_conversations_with_spmsg_c() {
    recorded(Peer::SpmsgC);
}

#[test]
fn r1_r4_r6_r7_r8_r9_r20_r21_r25_r129_recorded_conversations_with_spmsg_rust() {
    recorded(Peer::SpmsgRust);
}
