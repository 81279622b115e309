//! [`Device`]: forwards whole messages between two raw sockets, or from one back to itself.

use std::time::{Duration, Instant};

use crate::error::Error;
use crate::limits::DEVICE_BURST_MESSAGES;
use crate::message::Message;
use crate::protocol::{Mode, Protocol};
use crate::socket::{Interest, PollItem, Socket, poll};

/// A forwarder between raw sockets: headers and bodies pass unchanged (R224), at most one message per direction waits
/// in it (R228).
///
/// REQ with REP and SURVEYOR with RESPONDENT make brokers, BUS with itself a hub, PUB with SUB and PUSH with PULL
/// pass on in one direction. A raw SUB must be subscribed like any other. There is no protection against cycles save
/// the time-to-live of REP, RESPONDENT and PAIRv1.
///
/// ```
/// use spmsg::{Device, Mode, Protocol, Pull, Push, Socket};
/// let (front, back) = (Socket::new(Protocol::Pull, Mode::Raw), Socket::new(Protocol::Push, Mode::Raw));
/// front.bind("inproc://device-doc-front")?;
/// back.bind("inproc://device-doc-back")?;
/// let (source, sink) = (Push::new()?, Pull::new()?);
/// source.connect("inproc://device-doc-front")?;
/// sink.connect("inproc://device-doc-back")?;
/// std::thread::scope(|scope| {
///     let device = scope.spawn(|| Device::new(&front, &back)?.run());
///     source.send("through")?;
///     assert_eq!(sink.recv()?.body(), b"through");
///     front.close()?;
///     assert!(matches!(device.join().unwrap(), Err(spmsg::Error::Closed)));
///     Ok::<(), spmsg::Error>(())
/// })?;
/// # Ok::<(), spmsg::Error>(())
/// ```
#[derive(Debug)]
pub struct Device<'a> {
    first: &'a Socket,
    second: &'a Socket,
}

/// One direction: at most one message on its way.
struct Way<'a> {
    from: &'a Socket,
    to: &'a Socket,
    held: Option<Message>,
    /// When the receive or send that is being waited for times out, by the options of its socket.
    deadline: Option<Instant>,
}

impl<'a> Device<'a> {
    /// A device between two sockets; the same socket twice makes a loop-back.
    ///
    /// # Errors
    /// [`Error::Device`] for a cooked socket, different families, or directions that do not fit (R223).
    pub fn new(first: &'a Socket, second: &'a Socket) -> Result<Self, Error> {
        if first.mode() != Mode::Raw || second.mode() != Mode::Raw {
            return Err(Error::Device("both must be raw"));
        }
        let (a, b) = (first.protocol(), second.protocol());
        // The two versions of PAIR share a family by their numbers and nothing else.
        if a != b && a.peer() != b {
            return Err(Error::Device("they are of different protocol families"));
        }
        let loopback = std::ptr::eq(first, second);
        // Two publishers have nothing to pass on.
        let moves = a.can_recv() || b.can_recv();
        if !(loopback || moves && fits(a, b) && fits(b, a)) {
            return Err(Error::Device("what one receives the other cannot send"));
        }
        Ok(Device { first, second })
    }

    /// Forwards until a receive or send fails and returns that failure; it never returns `Ok`. Closing either socket
    /// ends it with [`Error::Closed`] (R229); the sockets' timeouts apply.
    ///
    /// # Errors
    /// The first failure.
    pub fn run(&self) -> Result<std::convert::Infallible, Error> {
        self.run_until(false)
    }

    /// As [`run`](Device::run), but a signal handler that runs in this thread ends a one-way or loop-back device with
    /// [`Error::Interrupted`], as nn_device does.
    ///
    /// # Errors
    /// The first failure.
    pub fn run_interruptible(&self) -> Result<std::convert::Infallible, Error> {
        self.run_until(true)
    }

    fn run_until(&self, interruptible: bool) -> Result<std::convert::Infallible, Error> {
        let mut ways = Vec::with_capacity(2);
        let loopback = std::ptr::eq(self.first, self.second);
        if loopback || self.first.protocol().can_recv() {
            ways.push(Way::new(self.first, self.second)?);
        }
        if !loopback && self.second.protocol().can_recv() {
            ways.push(Way::new(self.second, self.first)?);
        }
        let interruptible = interruptible && ways.len() == 1;
        loop {
            let mut moved = false;
            for way in &mut ways {
                moved |= way.advance()?;
            }
            if !moved {
                wait(&ways, interruptible)?;
            }
        }
    }
}

/// Whether what `from` receives `to` can send.
fn fits(from: Protocol, to: Protocol) -> bool {
    !from.can_recv() || to.can_send()
}

impl<'a> Way<'a> {
    fn new(from: &'a Socket, to: &'a Socket) -> Result<Self, Error> {
        let mut way = Way { from, to, held: None, deadline: None };
        way.restart_clock()?;
        Ok(way)
    }

    /// Moves messages as long as neither side would block. Returns whether any moved.
    fn advance(&mut self) -> Result<bool, Error> {
        let mut moved = false;
        for _ in 0..DEVICE_BURST_MESSAGES {
            let (message, fresh) = match self.held.take() {
                Some(message) => (message, false),
                None => match self.from.try_recv() {
                    Ok(message) => (message, true),
                    Err(Error::WouldBlock) => return self.check_clock(moved),
                    Err(error) => return Err(error),
                },
            };
            match self.to.try_send(message) {
                Ok(()) => moved = true,
                Err(refused) if matches!(refused.error, Error::WouldBlock) => {
                    self.held = Some(refused.message);
                    // A message that was just received begins to wait for the other socket, by that one's timeout.
                    return self.check_clock(moved || fresh);
                }
                Err(refused) => return Err(refused.error),
            }
        }
        self.check_clock(moved)
    }

    /// The sockets' own timeouts end the device.
    fn check_clock(&mut self, moved: bool) -> Result<bool, Error> {
        if moved {
            self.restart_clock()?;
        } else if self.deadline.is_some_and(|at| at <= Instant::now()) {
            return Err(Error::TimedOut);
        }
        Ok(moved)
    }

    fn restart_clock(&mut self) -> Result<(), Error> {
        let timeout = match self.held {
            Some(_) => self.to.options()?.send_timeout(),
            None => self.from.options()?.recv_timeout(),
        };
        self.deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        Ok(())
    }
}

/// Sleeps until one of the directions can go on.
fn wait(ways: &[Way<'_>], interruptible: bool) -> Result<(), Error> {
    let mut items: Vec<PollItem<'_>> = ways
        .iter()
        .map(|way| match way.held {
            Some(_) => PollItem::new(way.to, Interest { recv: false, send: true }),
            None => PollItem::new(way.from, Interest { recv: true, send: false }),
        })
        .collect();
    // A direction that waits for one socket must notice when the other is closed, too.
    items.extend(
        ways.iter()
            .flat_map(|way| [way.from, way.to])
            .map(|socket| PollItem::new(socket, Interest::default())),
    );
    let deadline = ways.iter().filter_map(|way| way.deadline).min();
    let timeout: Option<Duration> = deadline.map(|at| at.saturating_duration_since(Instant::now()));
    poll(&mut items, timeout, interruptible).map(drop)?;
    match ways.iter().flat_map(|way| [way.from, way.to]).all(|socket| socket.options().is_ok()) {
        true => Ok(()),
        false => Err(Error::Closed),
    }
}
