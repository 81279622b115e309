//! [`Endpoint`]: one bind or connect of a socket.

use std::sync::{Arc, Weak};

use crate::engine::Core;
use crate::error::Error;

/// A handle to one bind or connect. Dropping it changes nothing; the endpoint ends with [`close`](Endpoint::close) or
/// with its socket.
///
/// ```
/// let pair = spmsg::Pair::new()?;
/// let endpoint = pair.bind("inproc://endpoint-doc")?;
/// assert_eq!(endpoint.id(), 1);
/// # Ok::<(), spmsg::Error>(())
/// ```
#[derive(Clone)]
pub struct Endpoint {
    core: Weak<Core>,
    id: u32,
    address: String,
}

impl Endpoint {
    pub(super) fn new(core: &Arc<Core>, id: u32, address: String) -> Self {
        Endpoint { core: Arc::downgrade(core), id, address }
    }

    /// The number of the endpoint: from 1, never used again within its socket (R94).
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The address in canonical form; of a bound tcp endpoint with the port that the system chose.
    ///
    /// ```
    /// let pull = spmsg::Pull::new()?;
    /// let endpoint = pull.bind("tcp://127.0.0.1:0")?;
    /// assert!(!endpoint.address().ends_with(":0"));
    /// # Ok::<(), spmsg::Error>(())
    /// ```
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Why the endpoint's last failed attempt or connection came to nothing, as text for people; `None` if none ever
    /// did. Says for example which certificate was refused for which reason. Ordinary ends, such as a peer that
    /// leaves, are no failures.
    ///
    /// # Errors
    /// [`Error::NoSuchEndpoint`] when it was closed, [`Error::Closed`] when its socket is.
    ///
    /// ```
    /// let pull = spmsg::Pull::new()?;
    /// let endpoint = pull.bind("tcp://127.0.0.1:0")?;
    /// assert_eq!(endpoint.last_failure()?, None);
    /// # Ok::<(), spmsg::Error>(())
    /// ```
    pub fn last_failure(&self) -> Result<Option<String>, Error> {
        self.core.upgrade().ok_or(Error::Closed)?.last_failure(self.id)
    }

    /// Whom the endpoint's present peers proved to be: one entry for each pipe whose TLS connection verified a
    /// certificate. A connecting endpoint has at most one.
    ///
    /// # Errors
    /// [`Error::NoSuchEndpoint`] when it was closed, [`Error::Closed`] when its socket is.
    ///
    /// ```
    /// let pull = spmsg::Pull::new()?;
    /// let endpoint = pull.bind("tcp://127.0.0.1:0")?;
    /// assert!(endpoint.peers()?.is_empty(), "tcp proves nobody");
    /// # Ok::<(), spmsg::Error>(())
    /// ```
    #[cfg(feature = "tls")]
    pub fn peers(&self) -> Result<Vec<Arc<crate::PeerIdentity>>, Error> {
        self.core.upgrade().ok_or(Error::Closed)?.peers(self.id)
    }

    /// Ends the endpoint and its connections. A bound address is free when this returns (R238); what was accepted for
    /// its peers leaves in the background, within the linger time.
    ///
    /// # Errors
    /// [`Error::NoSuchEndpoint`] when it was closed before, [`Error::Closed`] when its socket is.
    ///
    /// ```
    /// let pull = spmsg::Pull::new()?;
    /// let endpoint = pull.bind("tcp://127.0.0.1:0")?;
    /// endpoint.close()?;
    /// pull.bind(endpoint.address())?;
    /// # Ok::<(), spmsg::Error>(())
    /// ```
    pub fn close(&self) -> Result<(), Error> {
        self.core.upgrade().ok_or(Error::Closed)?.shutdown(self.id)
    }
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").field("id", &self.id).field("address", &self.address).finish()
    }
}
