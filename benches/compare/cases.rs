//! What is measured.

use std::time::Duration;

/// How a case is run and read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Group {
    /// Messages per second from one to one.
    Throughput,
    /// Time from a question to its answer; `batch` above 1 is a burst with one answer.
    RoundTrip,
    /// Time from send to receive while the sender keeps a pace.
    Paced,
    /// Deliveries per second from one to many.
    FanOut,
    /// Messages per second from many to one.
    FanIn,
    /// Answers per second of one server to many clients.
    Clients,
    /// All clients at once: time until the last has its answer, memory of the server.
    Storm,
    /// What connected sockets cost while nothing happens.
    Idle,
    /// System calls per message, counted by strace.
    Calls,
}

/// One case. What does not apply stays at its neutral value.
#[derive(Clone, PartialEq, Debug)]
pub struct Case {
    pub group: Group,
    /// `push`, `pair` or `req`.
    pub pattern: &'static str,
    pub transport: &'static str,
    /// Bytes of a body.
    pub size: usize,
    pub peers: usize,
    pub pause_us: usize,
    /// Messages a second.
    pub rate: usize,
    /// Messages to one answer.
    pub batch: usize,
}

const SIZES: [usize; 7] = [8, 64, 256, 1 << 10, 8 << 10, 64 << 10, 1 << 20];
const TRANSPORTS: [&str; 3] = ["tcp", "ipc", "inproc"];
const NETWORK: [&str; 2] = ["tcp", "ipc"];
/// These are measured by what they cost beside tcp.
const UPON_TCP: [&str; 3] = ["ws", "tls+tcp", "wss"];

impl Case {
    pub fn new(group: Group, pattern: &'static str, transport: &'static str, size: usize) -> Case {
        Case { group, pattern, transport, size, peers: 1, pause_us: 0, rate: 1, batch: 1 }
    }

    /// In how many a round is divided, where several short runs say more than one long one. With large bodies the same
    /// program is twice or half as fast from one start to the next, as the kernel's memory happens to lie. With pauses and
    /// with a pace there are so few messages that a millisecond in which the machine does something else is the p99.
    pub fn parts(&self) -> usize {
        let is_wild = match self.group {
            Group::Throughput => self.size >= 64 << 10 && NETWORK.contains(&self.transport),
            Group::RoundTrip => self.pause_us > 0,
            Group::Paced => true,
            _ => false,
        };
        if is_wild { 3 } else { 1 }
    }

    /// The name in tables, in `docs/bench.json` and for `--only`.
    pub fn name(&self) -> String {
        let Case { pattern, transport, peers, .. } = self;
        let size = size_text(self.size);
        match self.group {
            Group::Throughput => format!("thr {pattern} {transport} {size}"),
            Group::RoundTrip if self.batch > 1 => format!("burst {transport} {size} {} and 1", self.batch),
            Group::RoundTrip if self.pause_us > 0 => {
                format!("rtt {pattern} {transport} {size} pause {} ms", self.pause_us / 1000)
            }
            Group::RoundTrip => format!("rtt {pattern} {transport} {size}"),
            Group::Paced => format!("paced {transport} {size} {} k/s", self.rate / 1000),
            Group::FanOut => format!("pub {transport} {size} to {peers}"),
            Group::FanIn => format!("fanin {transport} {size} from {peers}"),
            Group::Clients => format!("clients {transport} {size} {peers}"),
            Group::Storm => format!("storm {transport} {peers}"),
            Group::Idle => format!("idle {transport} {peers}"),
            Group::Calls => format!("calls {pattern} {transport} {size}"),
        }
    }

    /// Whether it needs certificates.
    pub fn is_secure(&self) -> bool {
        matches!(self.transport, "tls+tcp" | "wss")
    }

    /// The case by which this one is judged, itself mostly: what is put upon tcp by tcp, two connections of TLS by one.
    pub fn base(&self) -> Case {
        match self.group {
            Group::Throughput if UPON_TCP.contains(&self.transport) => {
                Case { transport: "tcp", ..self.clone() }
            }
            Group::FanIn if self.is_secure() => Case { peers: 1, ..self.clone() },
            _ => self.clone(),
        }
    }

    /// The figure that stands for the case.
    pub fn metric(&self) -> &'static str {
        match self.group {
            Group::RoundTrip | Group::Paced => "p50",
            Group::Storm => "seconds",
            Group::Idle => "wakeups",
            Group::Calls => "calls",
            _ => "rate",
        }
    }

    /// The measurement from which the count of the others is calculated.
    pub fn first_count(&self) -> usize {
        match self.group {
            Group::Throughput | Group::FanIn => ((16 << 20) / self.size).clamp(20, 20_000),
            Group::RoundTrip if self.pause_us == 0 => 400,
            Group::FanOut => (20_000 / self.peers).clamp(500, 5_000),
            Group::Clients => self.peers * 4,
            _ => self.count_for(1.0, 1.0),
        }
    }

    /// How many messages make a measurement of about `seconds`, given the figure of the first one.
    pub fn count_for(&self, figure: f64, seconds: f64) -> usize {
        let rate = match self.group {
            Group::Throughput | Group::FanIn | Group::Clients => figure,
            Group::FanOut => figure / self.peers as f64,
            Group::RoundTrip if self.pause_us > 0 => {
                return ((1_000_000.0 * seconds) as usize / self.pause_us).max(50);
            }
            Group::RoundTrip => 1e6 / figure,
            Group::Paced => return ((self.rate as f64 * seconds) as usize).max(500),
            Group::Storm | Group::Idle => return self.peers,
            // strace's runs have counts of their own.
            Group::Calls => return 1,
        };
        let count = ((rate * seconds) as usize).clamp(20, 20_000_000);
        count.next_multiple_of(self.peers)
    }

    /// Whether the count depends on how fast the rival is.
    pub fn needs_calibration(&self) -> bool {
        !matches!(self.group, Group::Paced | Group::Storm | Group::Idle | Group::Calls) && self.pause_us == 0
    }

    /// How long one measurement may take before it is given up.
    pub fn deadline(&self) -> Duration {
        Duration::from_secs(if matches!(self.group, Group::Storm | Group::Calls) { 60 } else { 20 })
    }
}

/// `64 B`, `1 KiB`, `1 MiB`.
pub fn size_text(bytes: usize) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..0x10_0000 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}

/// Everything that the full run measures, with as many clients in the storm.
pub fn all(storm_clients: usize) -> Vec<Case> {
    let mut cases = Vec::new();
    for pattern in ["push", "pair"] {
        for transport in TRANSPORTS {
            cases.extend(SIZES.map(|size| Case::new(Group::Throughput, pattern, transport, size)));
        }
    }
    cases.extend(upon_tcp());
    for pattern in ["req", "pair"] {
        cases.extend(TRANSPORTS.iter().flat_map(|transport| round_trips(pattern, transport)));
    }
    for transport in TRANSPORTS {
        for rate in [1_000, 10_000, 100_000] {
            cases.push(Case { rate, ..Case::new(Group::Paced, "push", transport, 64) });
        }
        cases.push(Case { batch: 3, ..Case::new(Group::RoundTrip, "pair", transport, 64) });
    }
    for transport in NETWORK {
        for peers in [1, 10, 100] {
            cases.push(Case { peers, ..Case::new(Group::FanOut, "pub", transport, 64) });
        }
        for peers in [8, 64] {
            cases.push(Case { peers, ..Case::new(Group::FanIn, "push", transport, 64) });
        }
        cases.push(Case { peers: 100, ..Case::new(Group::Clients, "req", transport, 64) });
        cases.push(Case { peers: storm_clients, ..Case::new(Group::Storm, "req", transport, 64) });
        cases.push(Case { peers: 10, ..Case::new(Group::Idle, "req", transport, 64) });
    }
    for transport in TRANSPORTS {
        cases.extend(["push", "req"].map(|pattern| Case::new(Group::Calls, pattern, transport, 64)));
    }
    cases
}

/// The daily selection: a few minutes with few rivals.
pub fn quick() -> Vec<Case> {
    let mut cases = Vec::new();
    for transport in TRANSPORTS {
        let sizes = [64, 1 << 10, 64 << 10];
        cases.extend(sizes.map(|size| Case::new(Group::Throughput, "push", transport, size)));
    }
    cases.extend(upon_tcp());
    for transport in TRANSPORTS {
        cases.extend(round_trips("req", transport));
    }
    cases.retain(|case| case.transport != "inproc" || case.pause_us == 0);
    cases
}

/// The cases of the transports that are tcp's with something in between: few sizes, and two connections of TLS at
/// once.
fn upon_tcp() -> Vec<Case> {
    let sizes =
        |transport| [64, 1 << 10, 64 << 10].map(|size| Case::new(Group::Throughput, "push", transport, size));
    let many = [1, 2].map(|peers| Case { peers, ..Case::new(Group::FanIn, "push", "tls+tcp", 64 << 10) });
    UPON_TCP.into_iter().flat_map(sizes).chain(many).collect()
}

fn round_trips(pattern: &'static str, transport: &'static str) -> [Case; 3] {
    [0, 1_000, 20_000]
        .map(|pause_us| Case { pause_us, ..Case::new(Group::RoundTrip, pattern, transport, 64) })
}
