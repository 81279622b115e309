//! Makes such a file: two foreign peers talk through a proxy that writes down every byte.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::End;
use super::player::{Gate, Stream, connect};
use crate::Trouble;
use crate::cell::Stage;
use crate::pattern::Pattern;
use crate::peer::Peer;
use crate::place::{Place, Wire};

const PATIENCE: Duration = Duration::from_secs(10);

/// Bodies of 0, 5 and 33 bytes: nothing, inline, and too long for that in nanomsg with a header.
const BODIES: [&str; 3] =
    ["-", "48656c6c6f", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20"];

/// What was written down so far.
#[derive(Default)]
struct Notes {
    lines: Vec<String>,
    words: BTreeMap<u32, String>,
    frames: [u64; 2],
}

type Shared = Arc<(Mutex<Notes>, Condvar)>;

/// A pattern's conversation between two peers, as the text of a file. The connector has the active part.
pub fn record(pattern: Pattern, connector: Peer, listener: Peer, wire: Wire) -> Result<String, Trouble> {
    let (mut stage, shared) = (Stage::default(), Shared::default());
    let (active, passive) = pattern.types();
    let (place, (gate, gate_address)) = (Place::reserve(wire)?, Gate::open(wire)?);
    let mut one = stage.spawn(connector, "connector")?;
    let mut two = stage.spawn(listener, "listener")?;
    two.order(&format!("open {passive}"))?;
    if pattern == Pattern::PubSub {
        note_act(&shared, End::Listener, "opt subscribe -", "ok");
        two.order("opt subscribe -")?;
    }
    two.order(&format!("bind {}", place.address()))?;
    one.order(&format!("open {active}"))?;
    one.order(&format!("connect {gate_address}"))?;
    let (front, back) = (gate.accept()?, connect(wire, place.address())?);
    pump(&*front, &*back, End::Connector, pattern, wire, &shared)?;
    pump(&*back, &*front, End::Listener, pattern, wire, &shared)?;
    await_frames(&shared, [1, 1])?;
    for (end, puppet) in [(End::Connector, &mut one), (End::Listener, &mut two)] {
        puppet.order("wait-pipes 1 9000")?;
        note_act(&shared, end, "wait-pipes 1 9000", "ok");
    }
    let mut frames = [1, 1];
    for (from, body) in turns(pattern) {
        let (sender, receiver) =
            if from == End::Connector { (&mut one, &mut two) } else { (&mut two, &mut one) };
        let send = format!("send {body} 5000");
        note_act(&shared, from, &send, "ok");
        sender.order(&send)?;
        frames[usize::from(from == End::Listener)] += 1;
        await_frames(&shared, frames)?;
        let answer = receiver.request("recv 5000")?;
        note_act(&shared, from.other(), "recv 5000", &answer);
    }
    let (title, words) = (header(pattern, &connector, &listener, wire), lock(&shared).lines.join("\n"));
    Ok(format!("{title}{words}\n"))
}

fn header(pattern: Pattern, connector: &Peer, listener: &Peer, wire: Wire) -> String {
    let (active, passive) = pattern.types();
    let (one, two) = (connector.name(), listener.name());
    // mangos begins its count of hops with 0 where others begin with 1: that end is for hearing only.
    let only = match (pattern, listener) {
        (Pattern::Pair1, Peer::Mangos) => "only connector\n",
        _ => "",
    };
    format!(
        "# Recorded: {active} of {one} connects to {passive} of {two}.\nwire {}\n\
         connector {active}\nlistener {passive}\n{only}\n",
        wire.name()
    )
}

/// Who says what, in order.
fn turns(pattern: Pattern) -> Vec<(End, &'static str)> {
    let one_way = BODIES.map(|body| (End::Connector, body));
    match pattern {
        Pattern::PubSub | Pattern::PushPull => one_way.to_vec(),
        Pattern::ReqRep | Pattern::Survey | Pattern::Pair | Pattern::Pair1 | Pattern::Bus => {
            one_way.into_iter().flat_map(|turn| [turn, (End::Listener, turn.1)]).collect()
        }
    }
}

fn lock(shared: &Shared) -> std::sync::MutexGuard<'_, Notes> {
    shared.0.lock().unwrap_or_else(PoisonError::into_inner)
}

fn note_act(shared: &Shared, end: End, command: &str, answer: &str) {
    lock(shared).lines.push(format!("{}: {command} = {answer}", end.name()));
}

fn await_frames(shared: &Shared, wanted: [u64; 2]) -> Result<(), Trouble> {
    let missing = |notes: &mut Notes| notes.frames[0] < wanted[0] || notes.frames[1] < wanted[1];
    let waited = shared.1.wait_timeout_while(lock(shared), PATIENCE, missing);
    let (notes, _) = waited.unwrap_or_else(PoisonError::into_inner);
    if notes.frames == wanted {
        return Ok(());
    }
    Err(format!("wanted {wanted:?} frames, saw {:?}: {:?}", notes.frames, notes.lines))
}

/// Pass on what one end writes, frame by frame, and write it down first.
fn pump(
    from: &dyn Stream,
    to: &dyn Stream,
    end: End,
    pattern: Pattern,
    wire: Wire,
    shared: &Shared,
) -> Result<(), Trouble> {
    let failed = |e: std::io::Error| format!("the stream: {e}");
    let (mut from, mut to) = (from.twin().map_err(failed)?, to.twin().map_err(failed)?);
    let shared = shared.clone();
    std::thread::spawn(move || {
        let mut lead = 0;
        let mut is_first = true;
        // The end of a stream ends this; whoever waits for a frame then says that it is missing.
        while let Ok(frame) = read_frame(&mut *from, is_first, &mut lead, wire) {
            note_frame(&shared, end, pattern, &frame, lead);
            if to.write_all(&frame).is_err() {
                return;
            }
            is_first = false;
        }
    });
    Ok(())
}

/// The connection header, or a message with everything in front of it; `lead` becomes the length of that.
fn read_frame(
    from: &mut dyn Stream,
    is_first: bool,
    lead: &mut usize,
    wire: Wire,
) -> std::io::Result<Vec<u8>> {
    *lead = if is_first { 8 } else { wire.frame_lead().len() + 8 };
    let mut frame = vec![0; *lead];
    from.read_exact(&mut frame)?;
    if !is_first {
        let mut length = [0; 8];
        length.copy_from_slice(&frame[*lead - 8..]);
        let mut payload = vec![0; u64::from_be_bytes(length).min(1 << 20) as usize];
        from.read_exact(&mut payload)?;
        frame.extend(payload);
    }
    Ok(frame)
}

fn note_frame(shared: &Shared, end: End, pattern: Pattern, frame: &[u8], lead: usize) {
    let mut notes = lock(shared);
    let mark = if end == End::Connector { ">" } else { "<" };
    let (before, mut payload) = frame.split_at(lead);
    let mut words: Vec<String> = before.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut has_stack = matches!(pattern, Pattern::ReqRep | Pattern::Survey);
    while let (true, Some((word, rest))) = (has_stack, payload.split_first_chunk::<4>()) {
        let word = u32::from_be_bytes(*word);
        let fresh = format!("w{}", notes.words.len() + 1);
        let name = notes.words.entry(word).or_insert(fresh);
        words.push(format!("{{{name}={word:08x}}}"));
        payload = rest;
        has_stack = word >> 31 == 0;
    }
    words.extend(payload.iter().map(|byte| format!("{byte:02x}")));
    notes.lines.push(format!("{mark} {}", words.join(" ")));
    notes.frames[usize::from(end == End::Listener)] += 1;
    shared.1.notify_all();
}
