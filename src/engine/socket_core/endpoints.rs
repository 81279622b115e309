//! Endpoints of a socket: bind, connect, shut down.

use std::sync::Arc;
use std::time::Instant;

use super::{Core, Link, State};
use crate::address::{BindAddress, ConnectAddress};
use crate::engine::connection::Connection;
use crate::engine::endpoint::{Dialer, EndpointInfo};
use crate::engine::inproc;
use crate::engine::jobs::{self, Job, Jobs};
use crate::engine::listener::Listener;
use crate::engine::source::Notice;
use crate::error::Error;
use crate::protocol::{PipeId, Priorities};

pub(super) struct Endpoint {
    pub(super) info: EndpointInfo,
    pub(super) kind: Kind,
    /// Its last attempt failed (NN_STAT_CURRENT_EP_ERRORS).
    pub(super) failing: bool,
    /// The reason of its last failure, also after it recovered.
    pub(super) failure: Option<String>,
}

#[derive(Clone)]
pub(super) enum Kind {
    /// The id is taken, the endpoint is being made.
    Starting,
    Listener(Arc<Listener>),
    Dialer(Arc<Dialer>),
    InprocBound(Arc<inproc::Name>),
    InprocConnector(Arc<inproc::Name>),
}

impl Core {
    /// Listens. Returns the endpoint's id and the address with the port that the system chose.
    ///
    /// Failed calls take no id (R94).
    pub(crate) fn bind(self: &Arc<Self>, address: &BindAddress) -> Result<(u32, String), Error> {
        let info = self.reserve()?;
        let made = match address {
            BindAddress::Inproc(name) => self.bind_inproc(info, name),
            _ => match Listener::start(self, info, address) {
                Ok(listener) => {
                    let local = listener.local_address();
                    self.install(info, Kind::Listener(listener)).map(|()| local)
                }
                Err(error) => Err(Error::os("bind to", address.to_string(), error)),
            },
        };
        match made {
            Ok(local) => Ok((info.id, local)),
            Err(error) => {
                self.give_back(info);
                Err(error)
            }
        }
    }

    fn bind_inproc(self: &Arc<Self>, info: EndpointInfo, name: &[u8]) -> Result<String, Error> {
        let name: Arc<inproc::Name> = name.into();
        let text = format!("inproc://{}", String::from_utf8_lossy(&name));
        self.install(info, Kind::InprocBound(Arc::clone(&name)))?;
        let mut jobs = Jobs::new();
        if !inproc::bind(self, info, &name, &mut jobs) {
            return Err(Error::os("bind to", text, std::io::ErrorKind::AddrInUse.into()));
        }
        self.keep_name(info, &name)?;
        jobs::run(jobs);
        Ok(text)
    }

    /// A socket that was closed just before its name was entered did not take it out again.
    fn keep_name(self: &Arc<Self>, info: EndpointInfo, name: &Arc<inproc::Name>) -> Result<(), Error> {
        let open = self.open_state(|_| ());
        if open.is_err() {
            inproc::forget(self, info, name);
        }
        open
    }

    /// Connects in the background, for ever (R230). Network failures are not reported (R93).
    pub(crate) fn connect(self: &Arc<Self>, address: ConnectAddress) -> Result<u32, Error> {
        let info = self.reserve()?;
        let made = match address {
            ConnectAddress::Inproc(name) => self.connect_inproc(info, &name),
            address => self.dial(info, address),
        };
        if made.is_err() {
            self.give_back(info);
        }
        made.map(|()| info.id)
    }

    fn connect_inproc(self: &Arc<Self>, info: EndpointInfo, name: &[u8]) -> Result<(), Error> {
        let name: Arc<inproc::Name> = name.into();
        self.install(info, Kind::InprocConnector(Arc::clone(&name)))?;
        self.open_state(|state| state.stats.in_progress_connections += 1)?;
        let mut jobs = Jobs::new();
        inproc::connect(self, info, &name, &mut jobs);
        self.keep_name(info, &name)?;
        jobs::run(jobs);
        Ok(())
    }

    fn dial(self: &Arc<Self>, info: EndpointInfo, address: ConnectAddress) -> Result<(), Error> {
        let (reconnect, max) =
            self.open_state(|state| (state.options.reconnect, state.options.reconnect_max))?;
        let text = address.to_string();
        let dialer = Dialer::start(self, info, address, reconnect, max)
            .map_err(|error| Error::os("connect to", text, error))?;
        self.install(info, Kind::Dialer(dialer))
    }

    /// Takes the next id, with the priorities as they are now (R109).
    fn reserve(&self) -> Result<EndpointInfo, Error> {
        self.open_state(|state| {
            let options = &state.options;
            let priorities = Priorities { send: options.send_priority, recv: options.recv_priority };
            let info = EndpointInfo { id: state.next_endpoint, priorities };
            state.next_endpoint += 1;
            let endpoint = Endpoint { info, kind: Kind::Starting, failing: false, failure: None };
            state.endpoints.insert(info.id, endpoint);
            info
        })
    }

    fn install(&self, info: EndpointInfo, kind: Kind) -> Result<(), Error> {
        let installed = self.open_state(|state| {
            if let Some(endpoint) = state.endpoints.get_mut(&info.id) {
                endpoint.kind = kind.clone();
            }
        });
        if installed.is_err() {
            // Closed meanwhile by another thread, which did not see this endpoint.
            match &kind {
                Kind::Listener(listener) => listener.close(),
                Kind::Dialer(dialer) => dialer.close(),
                _ => (),
            }
        }
        installed
    }

    /// The endpoint came to nothing: its id is free again unless another was taken since.
    fn give_back(&self, info: EndpointInfo) {
        let _ = self.open_state(|state| {
            state.endpoints.remove(&info.id);
            if state.next_endpoint == info.id + 1 {
                state.next_endpoint = info.id;
            }
            state.stats.bind_errors += 1;
        });
        self.return_late_lease();
    }

    /// Ends one endpoint and its connections; what they accepted is delivered within the linger time, without the
    /// caller waiting for it (R237, R238).
    pub(crate) fn shutdown(self: &Arc<Self>, id: u32) -> Result<(), Error> {
        let mut jobs = Jobs::new();
        let now = Instant::now();
        let (endpoint, leaving, linger) = self.open_state(|state| {
            let endpoint = state.endpoints.remove(&id).ok_or(Error::NoSuchEndpoint(id))?;
            let leaving = state.connections_of(id);
            for link in state.let_go(|pipe_endpoint| pipe_endpoint == id, now) {
                if let Link::Inproc(end) = link {
                    end.leave(&mut jobs);
                }
            }
            if let Kind::InprocConnector(_) = endpoint.kind {
                state.inproc_endpoint_ended();
            }
            self.settle(state, now, &mut jobs);
            state.retry_inproc(&mut jobs);
            Ok::<_, Error>((endpoint, leaving, state.options.linger))
        })??;
        self.stop(&endpoint);
        for connection in leaving {
            connection.tell(Notice::Drain(now + linger));
        }
        jobs::run(jobs);
        Ok(())
    }

    /// Whom the peers of an endpoint proved to be.
    #[cfg(feature = "tls")]
    pub(crate) fn peers(&self, id: u32) -> Result<Vec<Arc<crate::peer::PeerIdentity>>, Error> {
        self.open_state(|state| {
            state.endpoints.get(&id).ok_or(Error::NoSuchEndpoint(id))?;
            let pipes = state.pipes.iter().filter(|pipe| pipe.endpoint == id);
            let peers = pipes.filter_map(|pipe| match &pipe.link {
                Link::Stream(connection) => connection.peer().cloned(),
                Link::Inproc(_) => None,
            });
            Ok(peers.collect())
        })?
    }

    /// Stops what makes new connections.
    pub(super) fn stop(self: &Arc<Self>, endpoint: &Endpoint) {
        match &endpoint.kind {
            Kind::Starting => (),
            Kind::Listener(listener) => listener.close(),
            Kind::Dialer(dialer) => dialer.close(),
            Kind::InprocBound(name) | Kind::InprocConnector(name) => {
                inproc::forget(self, endpoint.info, name)
            }
        }
    }

    /// An inproc peer went: a connector waits for the next one.
    pub(crate) fn inproc_unpaired(&self, endpoint: EndpointInfo) {
        self.state.lock().inproc_unpaired(endpoint.id);
    }
}

impl State {
    /// Detaches the pipes of some endpoints at once; returns what they were made of.
    pub(super) fn let_go(&mut self, of: impl Fn(u32) -> bool, now: Instant) -> Vec<Link> {
        let ids: Vec<_> = self.pipes.iter().filter(|pipe| of(pipe.endpoint)).map(|pipe| pipe.id).collect();
        ids.into_iter().filter_map(|id| self.forget_pipe(id, now)).collect()
    }

    /// The pipe is gone; what it sent and nobody took yet stays, and counts.
    pub(super) fn forget_pipe(&mut self, id: PipeId, now: Instant) -> Option<Link> {
        let pipe = self.pipes.remove(id)?;
        let (waiting, overhead) = pipe.waiting();
        self.orphans.add(id, waiting, overhead);
        self.pattern.handle_detach(&mut self.fx, now, id);
        Some(pipe.link)
    }

    /// The peer broke the rules of the pattern: its pipe is gone at once, its connection soon.
    pub(super) fn cut_off(&mut self, id: PipeId, now: Instant, jobs: &mut Jobs) {
        match self.forget_pipe(id, now) {
            None => return,
            Some(Link::Stream(connection)) => jobs.push(Job::Break(connection)),
            Some(Link::Inproc(end)) => {
                self.stats.broken_connections += 1;
                self.inproc_unpaired(end.endpoint());
                end.leave(jobs);
            }
        }
        self.retry_inproc(jobs);
    }

    fn inproc_unpaired(&mut self, endpoint: u32) {
        if matches!(self.endpoints.get(&endpoint).map(|e| &e.kind), Some(Kind::InprocConnector(_))) {
            self.stats.in_progress_connections += 1;
        }
    }

    fn connections_of(&self, endpoint: u32) -> Vec<Arc<Connection>> {
        self.connections.values().filter(|connection| connection.endpoint() == endpoint).cloned().collect()
    }

    /// After a pipe went, an inproc connector that was refused because of it may fit.
    pub(super) fn retry_inproc(&self, jobs: &mut Jobs) {
        for endpoint in self.endpoints.values() {
            if let Kind::InprocConnector(name) | Kind::InprocBound(name) = &endpoint.kind {
                jobs.push(Job::Pair(Arc::clone(name)));
            }
        }
    }

    fn inproc_endpoint_ended(&mut self) {
        // Paired endpoints have left the count when they were paired; this one is out either way.
        let waiting =
            self.endpoints.values().filter(|e| matches!(e.kind, Kind::InprocConnector(_))).count() as u64;
        self.stats.in_progress_connections = self.stats.in_progress_connections.min(waiting);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Patience;
    use super::*;
    use crate::engine::pace::Flow;
    use crate::limits::ORPHANED_MAX_BYTES;
    use crate::message::Message;
    use crate::options::Options;
    use crate::protocol::{Mode, Protocol};

    fn link_of(core: &Core) -> Link {
        core.state.lock().pipes.iter().next().expect("a pipe").link.clone()
    }

    /// No socket of ours sends such messages over inproc, so they go into the lane behind the pattern's back.
    fn push(core: &Core, messages: &[Message]) {
        let (link, mut jobs) = (link_of(core), Jobs::new());
        for message in messages {
            link.push(message.clone(), Flow::Unknown, &mut jobs);
        }
        jobs::run(jobs);
    }

    #[test]
    fn r129_an_inproc_pipe_that_is_cut_off_is_counted_and_paired_again() {
        let cores = [(); 2].map(|()| Core::new(Protocol::Pair1, Mode::Cooked, Options::default(), None));
        let [bound, connector] = &cores;
        bound.bind(&BindAddress::Inproc(b"cut-off"[..].into())).unwrap();
        connector.connect(ConnectAddress::Inproc(b"cut-off"[..].into())).unwrap();
        let more_than_may_be_left = Message::from(vec![0; ORPHANED_MAX_BYTES + 1]);
        for (from, to) in [(bound, connector), (connector, bound)] {
            push(from, &[Message::from("?"), more_than_may_be_left.clone()]);
            assert_eq!(to.statistics().unwrap().broken_connections, 1);
            assert!(!to.state.lock().orphans.is_full(), "what is thrown away is not left behind");
            push(from, &[Message::from(b"\0\0\0\x01again")]);
            assert_eq!(to.recv(Patience::Never).unwrap().body(), b"again");
        }
        let made = |core: &Core| {
            let stats = core.statistics().unwrap();
            (stats.accepted_connections, stats.established_connections, stats.in_progress_connections)
        };
        assert_eq!((made(bound), made(connector)), ((3, 0, 0), (0, 3, 0)));
        cores.iter().for_each(|core| drop(core.begin_close()));
    }
}
