//! The daemons, their addresses, and the console's own sockets.

use std::path::PathBuf;

use spmsg::{Bus, Pull, Push, Surveyor};

use crate::Outcome;
use crate::children::{Child, Guard};
use crate::guests::{self, Guest};
use crate::lines::PATIENCE;
use crate::places::Places;

/// The storage nodes.
pub const NODES: [&str; 3] = ["n1", "n2", "n3"];
/// The workers.
pub const WORKERS: [&str; 2] = ["w1", "w2"];
/// The topic of the notices that everyone follows.
pub const TOPIC: &str = "config ";
/// The request that the first management daemon never answers.
pub const STALL_AT: &str = "status 100";

/// The console's sockets, which this program opens itself.
pub struct Console {
    pub surveyor: Surveyor,
    pub bus: Bus,
    pub jobs: Push,
    pub results: Pull,
    surveys_tcp: String,
    surveys_ipc: String,
    bus_tcp: String,
    jobs_tcp: String,
    results_ipc: String,
}

impl Console {
    fn open(places: &Places) -> Outcome<Console> {
        let system_chooses = "tcp://127.0.0.1:0";
        let surveyor = Surveyor::new()?;
        surveyor.set_deadline(PATIENCE)?;
        let bus = Bus::builder().recv_timeout(PATIENCE).build()?;
        let jobs = Push::builder().send_timeout(PATIENCE).build()?;
        let results = Pull::builder().recv_timeout(PATIENCE).build()?;
        Ok(Console {
            surveys_tcp: surveyor.bind(system_chooses)?.address().to_string(),
            surveys_ipc: surveyor.bind(&places.ipc("surveys"))?.address().to_string(),
            bus_tcp: bus.bind(system_chooses)?.address().to_string(),
            jobs_tcp: jobs.bind(system_chooses)?.address().to_string(),
            results_ipc: results.bind(&places.ipc("results"))?.address().to_string(),
            surveyor,
            bus,
            jobs,
            results,
        })
    }
}

/// The addresses of the management daemon.
pub struct Management {
    pub requests_tcp: String,
    pub requests_ipc: String,
    notices_tcp: String,
    notices_ipc: String,
}

impl Management {
    fn new(places: &mut Places) -> Outcome<Management> {
        Ok(Management {
            requests_tcp: places.tcp()?,
            requests_ipc: places.ipc("requests"),
            notices_tcp: places.tcp()?,
            notices_ipc: places.ipc("notices"),
        })
    }

    /// Starts the daemon; `stall_at` is the request that it never answers.
    fn start(&self, guard: &Guard, stall_at: Option<&str>) -> Outcome<Child> {
        let addresses = [&self.requests_tcp, &self.requests_ipc, &self.notices_tcp, &self.notices_ipc];
        let args: Vec<&str> = addresses.into_iter().map(String::as_str).chain(stall_at).collect();
        Child::start_daemon(guard, "mgmtd", &args)
    }
}

/// A subscriber that prints what it receives.
pub struct Watcher {
    pub name: &'static str,
    pub transport: &'static str,
    pub process: Child,
}

/// Everything that runs.
pub struct Cluster {
    pub guests: Vec<Guest>,
    pub console: Console,
    pub management: Management,
    /// Where each worker listens for a conversation.
    pub conversations: Vec<String>,
    pub watchers: Vec<Watcher>,
    responders: Vec<Child>,
    mgmtd: Option<Child>,
    daemons: Vec<Child>,
    pub guard: Guard,
    // Dropped last: ports are kept and the folder stays until every process has ended.
    places: Places,
}

impl Cluster {
    pub fn start(mut places: Places, guard: Guard) -> Outcome<Cluster> {
        let management = Management::new(&mut places)?;
        let mgmtd = management.start(&guard, Some(STALL_AT))?;
        let mut cluster = Cluster {
            guests: guests::find(),
            console: Console::open(&places)?,
            management,
            conversations: Vec::new(),
            watchers: Vec::new(),
            responders: Vec::new(),
            mgmtd: Some(mgmtd),
            daemons: Vec::new(),
            guard,
            places,
        };
        cluster.start_nodes()?;
        cluster.start_workers()?;
        println!("  mgmtd, {} noded, {} workerd run", NODES.len(), WORKERS.len());
        cluster.start_clients()?;
        Ok(cluster)
    }

    fn start_nodes(&mut self) -> Outcome<()> {
        let Console { surveys_tcp, surveys_ipc, bus_tcp, .. } = &self.console;
        for (index, name) in NODES.into_iter().enumerate() {
            // The first is asked over tcp, the others over ipc.
            let surveys = if index == 0 { surveys_tcp } else { surveys_ipc };
            let mut args = vec![name.to_string(), self.management.notices_tcp.clone(), surveys.clone()];
            // Each gossips with those before it and with the console.
            args.push(self.places.ipc(name));
            args.extend(NODES[..index].iter().map(|node| self.places.ipc(node)));
            args.push(bus_tcp.clone());
            self.daemons.push(Child::start_daemon(&self.guard, "noded", &args)?);
        }
        Ok(())
    }

    fn start_workers(&mut self) -> Outcome<()> {
        for name in WORKERS {
            let conversation = self.places.tcp()?;
            let args = [name, &self.console.jobs_tcp, &self.console.results_ipc, &conversation];
            self.daemons.push(Child::start_daemon(&self.guard, "workerd", &args)?);
            self.conversations.push(conversation);
        }
        Ok(())
    }

    fn start_clients(&mut self) -> Outcome<()> {
        let Management { notices_tcp, notices_ipc, .. } = &self.management;
        let process = Child::start(&self.guard, &client("watch")?, &[notices_ipc.as_str(), TOPIC])?;
        self.watchers.push(Watcher { name: "watch (Rust)", transport: "ipc", process });
        for guest in &self.guests {
            let process = guest.subscribe(&self.guard, notices_tcp, TOPIC)?;
            self.watchers.push(Watcher { name: guest.name, transport: "tcp", process });
            self.responders.push(guest.respond(&self.guard, &self.console.surveys_tcp, guest.name)?);
            println!("  {} joins", guest.name);
        }
        Ok(())
    }

    /// Everyone who follows the notices.
    pub fn subscribers(&self) -> usize {
        NODES.len() + self.watchers.len()
    }

    /// Waits until the management daemon holds back an answer, kills it, and starts another in its place.
    pub fn replace_mgmtd(&mut self) -> Outcome<()> {
        let mgmtd = self.mgmtd.take().ok_or("mgmtd does not run")?;
        mgmtd.await_line("stalled")?;
        mgmtd.kill();
        println!("  mgmtd killed while it owed an answer");
        self.mgmtd = Some(self.management.start(&self.guard, None)?);
        println!("  mgmtd started again");
        Ok(())
    }

    /// Ends all daemons in order.
    pub fn stop(mut self) -> Outcome<()> {
        // These do not end by themselves.
        self.watchers.clear();
        self.responders.clear();
        for daemon in self.daemons.into_iter().chain(self.mgmtd) {
            daemon.stop()?;
        }
        Ok(())
    }
}

/// A compiled C daemon: beside the folder of this program, or where SPMSG_DEMO_DAEMONS says.
pub fn daemon(name: &str) -> Outcome<PathBuf> {
    let folder = match std::env::var_os("SPMSG_DEMO_DAEMONS") {
        Some(folder) => PathBuf::from(folder),
        None => example_folder()?.with_file_name("c-examples"),
    };
    built(folder.join(name))
}

/// Another of the Rust examples.
pub fn client(name: &str) -> Outcome<PathBuf> {
    built(example_folder()?.join(name))
}

fn built(program: PathBuf) -> Outcome<PathBuf> {
    if program.is_file() {
        Ok(program)
    } else {
        Err(format!("{} is not built; run: make demo", program.display()).into())
    }
}

fn example_folder() -> Outcome<PathBuf> {
    let program = std::env::current_exe()?;
    Ok(program.parent().ok_or("this program has no folder")?.to_path_buf())
}
