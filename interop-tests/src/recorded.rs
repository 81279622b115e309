//! Conversations byte for byte: the files in `recorded/`, see `recorded/FORMAT.md`.

pub mod player;
pub mod recorder;

use crate::Trouble;
use crate::place::Wire;

/// One of the two ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It connected.
    Connector,
    /// It accepted.
    Listener,
}

impl End {
    /// As it is written in files.
    pub fn name(self) -> &'static str {
        match self {
            End::Connector => "connector",
            End::Listener => "listener",
        }
    }

    /// The other one.
    pub fn other(self) -> End {
        match self {
            End::Connector => End::Listener,
            End::Listener => End::Connector,
        }
    }
}

/// What stands in a line of bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// This byte.
    Byte(u8),
    /// Four bytes that its sender chose, the same wherever the name stands; here is what was chosen then.
    Word(String, [u8; 4]),
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// One end wrote this.
    Bytes(End, Vec<Piece>),
    /// One end closed the connection.
    Close(End),
    /// The application of one end gave this command and had this answer.
    Act(End, String, String),
}

/// A file.
#[derive(Clone, Debug)]
pub struct Conversation {
    /// The transport.
    pub wire: Wire,
    /// Socket types of connector and listener.
    pub kinds: (String, String),
    /// The end that ours is to play; both if none is named.
    pub only: Option<End>,
    /// What happened, in order.
    pub events: Vec<Event>,
}

impl Conversation {
    /// The socket type at this end.
    pub fn kind(&self, end: End) -> &str {
        match end {
            End::Connector => &self.kinds.0,
            End::Listener => &self.kinds.1,
        }
    }

    /// Read a file's text.
    pub fn parse(text: &str) -> Result<Conversation, Trouble> {
        let (mut wire, mut only, mut events) = (None, None, Vec::new());
        let (mut connector, mut listener) = (None, None);
        for (line, number) in text.lines().zip(1..) {
            let wrong = |why: &str| format!("line {number}, {why}: {line}");
            let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
            match first {
                "" | "#" => {}
                "wire" => wire = Wire::ALL.iter().copied().find(|w| w.name() == rest),
                "connector" => connector = Some(rest.to_owned()),
                "listener" => listener = Some(rest.to_owned()),
                "only" => only = Some(end_named(rest).ok_or_else(|| wrong("no such end"))?),
                ">" | "<" => {
                    let end = if first == ">" { End::Connector } else { End::Listener };
                    events.push(bytes(end, rest).ok_or_else(|| wrong("not bytes"))?);
                }
                _ => events.push(act(line).ok_or_else(|| wrong("not understood"))?),
            }
        }
        match (wire, connector, listener) {
            (Some(wire), Some(connector), Some(listener)) => {
                Ok(Conversation { wire, kinds: (connector, listener), only, events })
            }
            _ => Err("wire, connector or listener is missing".to_owned()),
        }
    }
}

fn end_named(name: &str) -> Option<End> {
    [End::Connector, End::Listener].into_iter().find(|end| end.name() == name)
}

/// `end`, or bytes in hexadecimal and words as `{name=HEX}`.
fn bytes(end: End, text: &str) -> Option<Event> {
    if text == "end" {
        return Some(Event::Close(end));
    }
    let pieces: Option<Vec<Piece>> = text.split_whitespace().map(piece).collect();
    pieces.map(|pieces| Event::Bytes(end, pieces))
}

fn piece(text: &str) -> Option<Piece> {
    match text.strip_prefix('{') {
        Some(word) => {
            let (name, value) = word.strip_suffix('}')?.split_once('=')?;
            let value = u32::from_str_radix(value, 16).ok()?;
            Some(Piece::Word(name.to_owned(), value.to_be_bytes()))
        }
        None => u8::from_str_radix(text, 16).ok().map(Piece::Byte),
    }
}

/// `END: COMMAND = ANSWER`.
fn act(line: &str) -> Option<Event> {
    let (end, rest) = line.split_once(": ")?;
    let (command, answer) = rest.split_once(" = ")?;
    Some(Event::Act(end_named(end)?, command.to_owned(), answer.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::{Conversation, End, Event, Piece};
    use crate::place::Wire;

    #[test]
    fn a_file_is_read() {
        let text = "# words\nwire ipc\nconnector req\nlistener rep\nonly listener\n\n\
            > 01 ff {id=80000001}\nlistener: recv 5 = msg 0 -\n< end\n";
        let read = Conversation::parse(text).expect("it is right");
        assert_eq!((read.wire, read.only), (Wire::Ipc, Some(End::Listener)));
        assert_eq!(read.kind(End::Connector), "req");
        let id = Piece::Word("id".to_owned(), [0x80, 0, 0, 1]);
        assert_eq!(
            read.events,
            [
                Event::Bytes(End::Connector, vec![Piece::Byte(1), Piece::Byte(255), id]),
                Event::Act(End::Listener, "recv 5".to_owned(), "msg 0 -".to_owned()),
                Event::Close(End::Listener),
            ]
        );
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for line in ["> 1g", "> {id}", "someone: recv 5 = ok", "listener: recv 5", "only both"] {
            let text = format!("wire tcp\nconnector req\nlistener rep\n{line}\n");
            let read = Conversation::parse(&text);
            assert!(read.is_err(), "{line}");
        }
        assert!(Conversation::parse("wire tcp\nconnector req\n").is_err());
    }
}
