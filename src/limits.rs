//! Every bound of the library, with its unit in the name and its reason beside it.

use std::time::Duration;

// Messages

/// Largest body, in bytes, that lives in the message itself: an allocation costs more than copying a cache line or two.
/// With so much a message of a 64-bit system takes 128 bytes.
pub const INLINE_BODY_BYTES: usize = 77;
/// Largest protocol header, in bytes, that lives in the message itself: the pipe key and five words.
pub const HEADER_INLINE_BYTES: usize = 24;
/// Default of the receive limit in bytes, protocol header included (R79).
pub const RECV_MAX_BYTES_DEFAULT: usize = 1 << 20;

// Protocols

/// Smallest time-to-live: direct peers only (R169).
pub const TTL_MIN_WORDS: u8 = 1;
/// Default time-to-live in header words, the id included (R169); in hops for PAIRv1 (R128).
pub const TTL_DEFAULT_WORDS: u8 = 8;
/// Largest count of hops that a PAIRv1 message can carry (R129).
pub const HOP_COUNT_MAX: u32 = 255;
/// Bytes of one header word: a pipe key, a request id or a survey id.
pub const HEADER_WORD_BYTES: usize = 4;
/// Bytes of the pipe id in a raw BUS header: nanomsg's is a native pointer, programs size buffers for 8 (R210).
pub const BUS_HEADER_BYTES: usize = 8;
/// Time after which an unanswered request is sent again (R140; nanomsg's default).
pub const REQ_RESEND_DEFAULT: Duration = Duration::from_millis(60_000);
/// Time a survey stays open (R201; the draft's 60 s is used by nobody).
pub const SURVEY_DEADLINE_DEFAULT: Duration = Duration::from_millis(1_000);
/// Messages up to this many bytes are copied into a block with others, unless they are there; larger ones keep memory of
/// their own, which a second copy would cost more than.
pub const FRAME_COPY_MAX_BYTES: usize = 16 * 1024 - 1;
/// An empty receive queue of one peer keeps this many bytes; ten thousand idle peers must not hold what a burst once
/// needed.
pub const FRAMES_KEEP_BYTES: usize = 1024;
/// What an empty socket keeps for the next block that one of its peers sends: what one read takes, and a message that the
/// read before ended in. Memory that is asked for and given back each time costs as many page faults as it has pages.
pub const FRAMES_SPARE_MAX_BYTES: usize = READ_BLOCK_BYTES / 2 * 3;
/// Best priority of an endpoint.
pub const PRIORITY_BEST: u8 = 1;
/// Worst priority of an endpoint.
pub const PRIORITY_WORST: u8 = 16;
/// Priority of an endpoint unless set.
pub const PRIORITY_DEFAULT: u8 = 8;

// Wire

/// Bytes of the SP connection header (R1).
pub const SP_HEADER_BYTES: usize = 8;
/// Time for the peer's SP header to arrive (R15): nanomsg gives 1 s, nng 10 s; a loaded peer needs the longer.
pub const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// A body grows by at most this many bytes beyond what has arrived (R81).
pub const BODY_GROWTH_STEP_BYTES: usize = 1024 * 1024;
/// Largest length a frame may claim: no allocation can be larger, so a larger claim is never honest.
pub const FRAME_MAX_BYTES: u64 = isize::MAX as u64 - 4096;

/// A sender of a body from here up waits a moment where the wire is full: kernels' default buffers take less at once, and
/// copying the rest, and then the next body as a whole, because the wire is still busy, costs more.
pub const WIRE_WAIT_BODY_BYTES: usize = 256 * 1024;
/// How long it waits for the wire to take more before it leaves the rest to others: so long as a peer that reads may need
/// to be scheduled. In vain it is where the peer waits for this very thread; then it is given up for longer each time.
pub const WIRE_WAIT: Duration = Duration::from_millis(1);
/// The same for one body in all, however well it goes on: how long a call is held up must not depend on the size of the
/// body.
pub const WIRE_WAIT_MAX: Duration = Duration::from_millis(10);
/// Frames up to this many bytes that leave at once are put together on the stack of who sends them: one slice costs the
/// system less than two.
pub const SMALL_FRAME_BYTES: usize = 256;
/// Room, in bytes, for what stands in front of a body: the head of its frame and an inline header. Behind a longer header
/// (a request that came through more than five devices) the body is copied.
pub const FRAME_FRONT_BYTES: usize = 36;
/// Bodies from here up are read into a buffer of their own and written by reference: from about this size on, copying them
/// twice costs more than system calls of their own.
pub const BODY_BY_REFERENCE_BYTES: usize = 32 * 1024;
/// Slices of one gather write; the kernel takes 1024, more than this gains nothing.
pub const GATHER_SLICES_MAX: usize = 64;
/// An idle outbound buffer keeps at most this much; ten thousand idle peers must not hold what a burst once needed.
pub const IDLE_BUFFER_KEEP_BYTES: usize = 16 * 1024;
/// What is read along behind a large body: the head of the next message and a little more, to be copied once.
pub const BODY_TAIL_BYTES: usize = 2 * 1024;
/// What one read takes from the kernel at most, into the reading thread's own block.
pub const READ_BLOCK_BYTES: usize = 128 * 1024;

// WebSocket

/// Longest head of an upgrade request or response: browsers send some kilobytes of cookies, nobody needs more than this.
pub const WS_HEAD_MAX_BYTES: usize = 16 * 1024;
/// Most header fields of an upgrade request or response.
pub const WS_HEADER_FIELDS_MAX: usize = 64;
/// Shortest upgrade request: nanomsg's server reads so many bytes before it looks at any of them (R45).
pub const WS_REQUEST_MIN_BYTES: usize = 151;
/// An upgrade response stays below this: nanomsg's client ends its process at a longer one (R49).
pub const WS_RESPONSE_MAX_BYTES: usize = 512;
/// Largest payload of one frame that we send; nng closes the connection at more (R62).
pub const WS_FRAME_MAX_BYTES: usize = 1 << 20;
/// Largest payload of one masked frame: masking makes a copy, and pieces of this size stay in the processor's cache.
pub const WS_MASKED_FRAME_MAX_BYTES: usize = 64 * 1024;
/// Largest payload of a control frame (RFC 6455 section 5.5).
pub const WS_CONTROL_MAX_BYTES: usize = 125;
/// Replies of the session (pongs) that may wait to be written: a peer that asks and does not read gets no more.
pub const REPLIES_WAITING_MAX_BYTES: usize = 64 * 1024;
/// Time in which a connection that ends with a last word (a Close frame, an HTTP error) may deliver it. Closing at once
/// would make the kernel reset the connection if the peer is still sending, and the word be lost.
pub const PARTING_MAX: Duration = Duration::from_secs(1);

// TLS

/// What one read of a TLS stream takes from the kernel at most, in bytes of ciphertext: four full records. Held only
/// while they are decrypted.
pub const TLS_READ_BYTES: usize = 64 * 1024;
/// Plaintext that is encrypted at a time, in bytes: eight full records, so that a message of 64 KiB leaves in one write
/// with its head. As much ciphertext, and a little more, waits at most for a full wire.
pub const TLS_WRITE_BYTES: usize = 128 * 1024;
/// Largest PEM file in bytes: the system's bundle of authorities has a quarter of a megabyte.
pub const TLS_FILE_MAX_BYTES: usize = 8 * 1024 * 1024;
/// Names of a peer's certificate that are kept: an authority signs few, and each connection keeps them.
pub const PEER_NAMES_MAX: usize = 64;

// Sockets and endpoints

/// Longest address in bytes (nanomsg: NN_SOCKADDR_MAX 128 with the NUL; R88).
pub const ADDRESS_MAX_BYTES: usize = 127;
/// Longest address in bytes outside the C interface: room for the longest host name behind a local part, and for
/// an abstract name all of whose bytes are escaped.
pub const ADDRESS_MAX_BYTES_RUST: usize = 1024;
/// Longest path of a Unix socket in bytes: sockaddr_un has 108, one of them NUL (R31).
pub const IPC_PATH_MAX_BYTES: usize = 107;
/// Longest host name (RFC 1035 section 2.3.4).
pub const HOST_NAME_MAX_BYTES: usize = 255;
/// Longest label of a host name (RFC 1035 section 2.3.4).
pub const HOST_LABEL_MAX_BYTES: usize = 63;
/// Longest socket name (NN_SOCKET_NAME).
pub const SOCKET_NAME_MAX_BYTES: usize = 63;
/// Default of NN_SNDBUF and NN_RCVBUF: bytes that wait in us per pipe and direction.
pub const BUFFER_DEFAULT_BYTES: usize = 128 * 1024;
/// Default wait before a reconnect (NN_RECONNECT_IVL).
pub const RECONNECT_DEFAULT: Duration = Duration::from_millis(100);
/// Shortest wait between two connection attempts that keep failing, whatever the program set: no tight loop (R234).
pub const RECONNECT_FLOOR: Duration = Duration::from_millis(1);
/// Waits from here up carry random jitter, so that a cluster does not reconnect in step (R233).
pub const RECONNECT_JITTER_FROM: Duration = Duration::from_millis(1_000);
/// A connection that lived this long counts as useful and resets the back-off (R232).
pub const CONNECTION_USEFUL_AFTER: Duration = Duration::from_millis(1_000);
/// Default time that close waits for what was accepted (R242).
pub const LINGER_DEFAULT: Duration = Duration::from_millis(1_000);
/// Longest wait of a negative linger, which nanomsg's manual calls infinite (R241).
pub const LINGER_MAX: Duration = Duration::from_secs(60);

/// What peers that are gone may leave behind in one socket; beyond it new network peers are turned away until the
/// application has taken some of it.
pub const ORPHANED_MAX_BYTES: usize = 16 * 1024 * 1024;

// Engine

/// Most I/O threads of an engine.
pub const IO_THREADS_MAX: usize = 64;
/// I/O threads of the default engine unless asked for.
pub const IO_THREADS_DEFAULT: usize = 1;
/// Events taken from the system at a time.
pub const EVENTS_PER_TURN: usize = 256;
/// What one connection may read before others get their turn.
pub const READ_BYTES_PER_TURN: usize = 1024 * 1024;
/// Connections one listener takes from the kernel before others get their turn: some 5 us each. What it does not take
/// may run over the kernel's queue ([`LISTEN_BACKLOG`]), and then clients wait for a second, or are reset.
pub const ACCEPTS_PER_TURN: usize = 512;
/// Of those, connections that begin (are watched, and say their first bytes) before others get their turn.
pub const STARTS_PER_TURN: usize = 64;
/// Connections of one listener that are accepted and have not begun; more are left to the kernel.
pub const ACCEPTED_MAX: usize = 4096;
/// Pause after accept failed for lack of descriptors or memory: trying at once would spin (R236).
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Connections waiting to be accepted; the kernel caps it at its own SOMAXCONN.
pub const LISTEN_BACKLOG: i32 = 4096;
/// Time for the operating system to connect: Linux alone would try for two minutes while another address may work.
pub const CONNECT_MAX: Duration = Duration::from_secs(20);
/// Wait before connecting again to a Unix listener whose backlog was full: it is alive.
pub const IPC_BUSY_RETRY: Duration = Duration::from_millis(2);
/// Silence after which tcp probes the peer's host (SO_KEEPALIVE).
pub const KEEPALIVE_IDLE: Duration = Duration::from_secs(15);
/// Wait between two probes: with [`KEEPALIVE_PROBES`] a vanished host is noticed within 15 + 4 * 5 = 35 s.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// Unanswered probes after which the connection is lost.
pub const KEEPALIVE_PROBES: u32 = 4;
/// Name look-ups at a time, each on a thread of its own: the system's resolver may hang for half a minute.
pub const RESOLVER_THREADS_MAX: usize = 8;
/// Messages a device moves in one direction before it looks at the other again.
pub const DEVICE_BURST_MESSAGES: usize = 64;
/// A thread that was away for less than this and did not wait long is expected back as soon. So it is with a client that
/// asks every millisecond: calling the I/O thread for each answer that is quicker than the client would cost a wake-up.
pub const GUEST_AWAY_MAX: Duration = Duration::from_millis(2);
/// How long the I/O thread leaves it to a thread that is expected to come back and turn the reactor. What arrives
/// meanwhile waits that long at most. In a conversation the I/O thread looks so often whether it is to be left alone for
/// longer: setting an alarm for each message would cost more.
pub const GUEST_LEASE: Duration = Duration::from_millis(4);
/// How long a thread sleeps at the connection that will bring its message before it looks up. A close, or a second peer that
/// connects meanwhile, is noticed so much later at most. Four such sleeps make a [`DIRECT_LEASE`]; to wake in between costs
/// less than to be woken through the poll.
pub const DIRECT_WAIT_MAX: Duration = Duration::from_millis(10);
/// How long the reactor ignores a connection to which a reader has come, before it looks whether it still does; what lies
/// between two messages of a conversation at most; and how long a thread waits at the connection in all, before it waits
/// where everything reaches it.
pub const DIRECT_LEASE: Duration = Duration::from_millis(40);
/// Each look that finds it was there for an answer doubles the time until the next, up to this: to look is to wake the I/O
/// thread, and one exchange of a hundred is what a 99th percentile sees. What the reader leaves lying is found so much later at most; an
/// end of the stream at once.
pub const DIRECT_LEASE_MAX: Duration = Duration::from_millis(640);
/// What such a thread reads at once, in bytes: a body that is not read by itself, with what stands before it.
pub const DIRECT_READ_BYTES: usize = BODY_BY_REFERENCE_BYTES + 64;
/// For so long the I/O thread leaves a timer that is due to who has its place.
pub const GUEST_TIMER_MAX: Duration = Duration::from_millis(1);
/// How long a thread that is about to block waits for an I/O thread at work to leave it its place: a few reads. Longer,
/// and being woken by it costs less.
pub const RELIEF_WAIT_MAX: Duration = Duration::from_micros(100);
/// How long after the last such thread the I/O thread still sleeps where it need not be woken to make room.
pub const GUESTS_REMEMBERED: Duration = Duration::from_secs(1);
/// Guests, one after the other, that leave for long: after so many the I/O thread stands by. Fewer, and it would do so in
/// the pauses of brisk traffic, whose next event calls it in vain. Half of them pay for each time it is woken in the place
/// of one.
pub const STANDBY_AFTER_GUESTS: u32 = 16;
/// Events that an I/O thread takes along when it is called while it stands by; more wait for the turn that it begins.
pub const STANDBY_EVENTS: usize = 8;
/// Events that can call a sleeping I/O thread; there are four.
pub const OUTSIDE_EVENTS: usize = 4;
/// How long a thread that turns the reactor looks for events before it sleeps, in a brisk conversation only: about what
/// one wake-up costs.
pub const SPIN_MAX: Duration = Duration::from_micros(50);
/// A conversation is brisk if the program was away for less than this between two waits...
pub const SPIN_IF_AWAY_BELOW: Duration = Duration::from_micros(100);
/// ... and the last wait was shorter than this. Rare traffic never spins.
pub const SPIN_IF_WAITED_BELOW: Duration = Duration::from_micros(150);
/// What was tried in vain, spinning or waiting for a wire, is not for so many chances, twice as many each time it happens
/// again...
pub const TRIAL_PENALTY_MIN: u32 = 4;
/// ... up to this: then a vain one costs less than a hundredth of what it could save.
pub const TRIAL_PENALTY_MAX: u32 = 512;
/// Looks between two looks at the clock while spinning, which costs as much as ten of them.
pub const SPIN_LOOKS_PER_CLOCK: usize = 64;
/// Waits in a row that a PULL or SUB spins through, if that is much of what it does, before it sleeps through one: it would
/// need a processor for itself, which is more than waking it costs.
pub const SPINS_OF_A_SINK_MAX: u32 = 2;
/// Spinning is much from this part of the time on, one in so many: of 10 us between two messages over tcp the read takes five
/// and the rest is spinning; with a half as the bound such a receiver would never sleep.
pub const SINK_SPINS_MUCH: u32 = 3;
/// What sleeping and being woken costs the sleeper, about: a shorter wait is cheaper spun through.
pub const WAKE_UP_COST: Duration = Duration::from_micros(2);
/// Looks for events between two offers of the processor to other threads while spinning: an offer costs half a look.
pub const SPIN_LOOKS_PER_YIELD: usize = 4;
/// How long a sender that spins for room goes on at most once there is some, until half of it is free: then there is room
/// for many messages.
pub const SPIN_FOR_MORE_ROOM: Duration = Duration::from_micros(20);
/// A sender writes itself once this much waits, without handing over to the I/O thread.
pub const INLINE_WRITE_BYTES: usize = 64 * 1024;
/// A wire not written to for this long counts as idle: the next send is written at once. About what one write costs.
pub const WIRE_IDLE_AFTER: Duration = Duration::from_micros(5);
/// A connection that has written nothing for this long gives back the buffers of its last burst.
pub const BUFFERS_IDLE_AFTER: Duration = Duration::from_millis(10);
/// How long the last messages of a burst may wait for more that leaves with them, if the sender neither receives nor
/// fills a block.
pub const TAIL_MAX: Duration = Duration::from_micros(100);
/// The same for a few messages: about what it costs to have them written by another thread. In the wake of a burst they
/// wait for the alarm that is set for it.
pub const TAIL_FEW_MAX: Duration = Duration::from_micros(15);
/// More messages than these that wait for each other are a burst.
pub const BURST_FRAMES: u32 = 4;
/// Over so many messages it is measured how fast a sender is, by turns if they wait for each other and if each is written
/// at once: a third of a millisecond at the pace where that matters.
pub const STEADY_FRAMES: u32 = 32;
/// So many times as many are written at once before it is measured again how fast they come when they wait: 3 of 100 do then.
pub const STEADY_STRETCHES: u32 = 32;
/// A sender is as fast as before if the time for a message differs by less than one part in so many.
pub const STEADY_MARGIN: u32 = 8;
/// The sender of a burst looks at the clock again after half as many messages as wait, and after so many at the latest:
/// which costs it a thirtieth of each.
pub const BURST_FRAMES_UNSEEN_MAX: u32 = 16;
/// A tail that has waited so long is written by its sender: who was to do it does not get a processor.
pub const TAIL_LATE_AFTER: Duration = Duration::from_micros(200);
/// A connection is told that its messages were taken once they make up this part of its bound: a message costs no lock,
/// and half of the bound, at which reading goes on, is reached all the same.
pub const TELL_AT_PART_OF_BOUND: usize = 8;
/// What a waiting message counts beyond its payload, so that empty ones cannot fill the memory.
pub const MESSAGE_OVERHEAD_BYTES: usize = 9;
/// What an empty message counts on inproc, where the bound is exact in payload bytes otherwise.
pub const EMPTY_MESSAGE_CHARGE_BYTES: usize = 1;
/// What a message that waits for the application takes beyond its body, allocations of odd sizes and half-filled tables
/// included: the bounds count bodies, so many tiny messages take more than NN_RCVBUF says, this much each.
pub const MESSAGE_MEMORY_BYTES: usize = 256;
/// What one end of a connection holds at most beyond NN_SNDBUF, NN_RCVBUF, two messages in each direction and
/// [`MESSAGE_MEMORY_BYTES`] for each message that waits for the application: a block that was read, and as much again
/// for buffers that grow by doubling.
pub const CONNECTION_MEMORY_BYTES: usize = 2 * READ_BLOCK_BYTES;
/// A stream of large bodies over inproc uses so many bytes of memory in turn, in the whole process: more than
/// the cache of one processor, of which 2 MiB are usual, so that the blocks have left it when they are written to again.
pub const BLOCKS_CYCLE_BYTES: usize = 4 * 1024 * 1024;
/// The memory of a received body of so many bytes is kept for the next one: from about this size on allocators give memory
/// back to the system, and ask for it again.
pub const SPARE_BODY_BYTES: usize = 128 * 1024;
/// Memory that is used again for a body is at most so many times as large: what is beyond the body no bound counts.
pub const REUSED_MEMORY_FACTOR_MAX: usize = 2;
/// Large bodies that follow each other more slowly are no stream, and the memory of the last one is given back.
pub const BLOCKS_CYCLE_GAP_MAX: Duration = Duration::from_millis(10);
/// How long whoever drops a body waits to put its memory in line: never in vain but in a forked child.
pub const BLOCKS_RETURN_WAIT: Duration = Duration::from_millis(10);
/// First look whether a closing connection's bytes have arrived.
pub const DRAIN_LOOK_FIRST: Duration = Duration::from_millis(1);
/// Later looks come at most this far apart.
pub const DRAIN_LOOK_MAX: Duration = Duration::from_millis(32);
/// A blocking call on a socket whose engine has no thread looks for wake-ups of other threads this often.
pub const THREADLESS_TURN: Duration = Duration::from_millis(5);

/// What close waits beyond the linger time for cut-off connections and blocked callers to leave.
pub const CLOSE_MARGIN: Duration = Duration::from_secs(5);

const _: () = assert!(READ_BLOCK_BYTES + BODY_BY_REFERENCE_BYTES <= FRAMES_SPARE_MAX_BYTES);
const _: () = assert!(INLINE_BODY_BYTES < u8::MAX as usize);
const _: () = assert!(HEADER_INLINE_BYTES < u8::MAX as usize);
const _: () = assert!(SP_HEADER_BYTES == 8);
const _: () = assert!(PRIORITY_BEST <= PRIORITY_DEFAULT && PRIORITY_DEFAULT <= PRIORITY_WORST);
const _: () = assert!(HANDSHAKE_MAX.as_millis() >= 1_000, "R15: not below nanomsg's own limit");
