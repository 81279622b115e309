//! Writes the conversations of the foreign peers to `recorded/`: every pattern, every two of them, tcp and
//! ipc in turn.
//!
//! `cargo run -p interop-tests --bin record`

use std::path::Path;

use interop_tests::pattern::Pattern;
use interop_tests::peer::Peer;
use interop_tests::place::Wire;
use interop_tests::recorded::recorder::record;

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recorded");
    let [one, two, three] = Peer::FOREIGN;
    let pairs = [(one, two), (two, three), (three, one)];
    let all = Pattern::ALL.into_iter().flat_map(|pattern| pairs.map(|pair| (pattern, pair)));
    for ((pattern, (connector, listener)), turn) in all.zip(0..) {
        if !connector.speaks(pattern) || !listener.speaks(pattern) {
            continue;
        }
        let wire = [Wire::Tcp, Wire::Ipc][turn % 2];
        let (active, _) = pattern.types();
        let name = format!("{active}-{}-{}-{}.txt", connector.name(), listener.name(), wire.name());
        let text = record(pattern, connector, listener, wire).unwrap_or_else(|e| panic!("{name}: {e}"));
        std::fs::write(folder.join(&name), text).unwrap_or_else(|e| panic!("{name}: {e}"));
        println!("{name}");
    }
}
