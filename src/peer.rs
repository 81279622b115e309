//! [`PeerIdentity`]: whom a verified certificate names.

use std::fmt;

/// The peer at the other end of a TLS connection, as its certificate names it. The certificate was verified: it leads
/// to a trusted authority and, on the connecting side, is for the host that was asked for.
///
/// Get it from [`Message::peer`](crate::Message::peer) or [`Endpoint::peers`](crate::Endpoint::peers).
///
/// ```
/// fn may_change_volumes(message: &spmsg::Message) -> bool {
///     message.peer().is_some_and(|peer| peer.names().iter().any(|name| name == "admin.example.org"))
/// }
/// assert!(!may_change_volumes(&"from nobody".into()));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct PeerIdentity {
    pub(crate) subject: String,
    pub(crate) names: Vec<String>,
    pub(crate) fingerprint: [u8; 32],
}

impl PeerIdentity {
    /// The subject's distinguished name, for example `CN=node7, O=Example`. Empty if the certificate has none: names
    /// of hosts stand in [`names`](PeerIdentity::names).
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The subject's alternative names: DNS names, IP addresses, mail addresses and URIs, in the certificate's order;
    /// the first 64 of them.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// SHA-256 of the certificate in DER form, as `openssl x509 -fingerprint -sha256` shows it.
    pub fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }
}

impl fmt::Debug for PeerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fingerprint: String = self.fingerprint.iter().map(|byte| format!("{byte:02x}")).collect();
        f.debug_struct("PeerIdentity")
            .field("subject", &self.subject)
            .field("names", &self.names)
            .field("fingerprint", &fingerprint)
            .finish()
    }
}
