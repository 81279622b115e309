//! Who does what in a cell, and how its two sides come together.

use crate::Trouble;
use crate::cell::Stage;
use crate::pattern::Pattern;
use crate::peer::Peer;
use crate::place::{Place, Wire};
use crate::puppet::Puppet;
use crate::talk;

/// Two peers, a pattern, who binds, over what.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The pattern.
    pub pattern: Pattern,
    /// Who speaks first.
    pub active: Peer,
    /// Who listens first.
    pub passive: Peer,
    /// Whether the active side binds; the other one connects.
    pub active_binds: bool,
    /// The transport.
    pub wire: Wire,
}

/// Both sides of a setting, connected or connecting.
pub struct Scene {
    /// The address they use.
    pub place: Place,
    /// Who speaks first.
    pub active: Puppet,
    /// Who listens first.
    pub passive: Puppet,
}

impl Setting {
    /// A line of the table.
    pub fn name(&self) -> String {
        let (active, passive) = self.pattern.types();
        let (one, two) = if self.active_binds { (" binds", "") } else { ("", " binds") };
        let wire = self.wire.name();
        format!("{wire} {active} {}{one}, {passive} {}{two}", self.active.name(), self.passive.name())
    }

    /// Every setting of these two over this transport: six patterns, both roles, both who-binds. Where both
    /// sides of a pattern are equal, a conversation goes both ways and there is one role.
    pub fn all(one: Peer, two: Peer, wire: Wire) -> Vec<Setting> {
        let roles = |pattern: Pattern| {
            if pattern.is_symmetric() { vec![(one, two)] } else { vec![(one, two), (two, one)] }
        };
        Setting::with_roles(roles, wire)
    }

    /// As [`Setting::all`], with both roles for every pattern: for cells in which the roles differ
    /// otherwise.
    pub fn all_both_roles(one: Peer, two: Peer, wire: Wire) -> Vec<Setting> {
        Setting::with_roles(|_| vec![(one, two), (two, one)], wire)
    }

    fn with_roles(roles: impl Fn(Pattern) -> Vec<(Peer, Peer)>, wire: Wire) -> Vec<Setting> {
        let mut settings = Vec::new();
        for pattern in Pattern::ALL {
            for (active, passive) in roles(pattern) {
                for active_binds in [true, false] {
                    settings.push(Setting { pattern, active, passive, active_binds, wire });
                }
            }
        }
        settings
    }

    /// Start both sides, open their sockets, bind one and connect the other.
    pub fn begin(&self, stage: &mut Stage) -> Result<Scene, Trouble> {
        let place = Place::reserve(self.wire)?;
        let (one, two) = self.pattern.types();
        let (mut active, mut passive) = (stage.spawn(self.active, one)?, stage.spawn(self.passive, two)?);
        talk::open(self.pattern, &mut active, &mut passive)?;
        let (binder, connector) =
            if self.active_binds { (&mut active, &mut passive) } else { (&mut passive, &mut active) };
        binder.order(&format!("bind {}", place.address()))?;
        connector.order(&format!("connect {}", place.address()))?;
        Ok(Scene { place, active, passive })
    }
}

impl Scene {
    /// Kill one side without warning and start another in its place: same socket type, same part, same
    /// address.
    pub fn replace(&mut self, stage: &mut Stage, setting: &Setting, is_active: bool) -> Result<(), Trouble> {
        let side = if is_active { &mut self.active } else { &mut self.passive };
        side.kill()?;
        *side = stage.spawn(side.peer(), "restarted")?;
        if is_active {
            talk::open_active(setting.pattern, side)?;
        } else {
            talk::open_passive(setting.pattern, side)?;
        }
        let verb = if is_active == setting.active_binds { "bind" } else { "connect" };
        side.order(&format!("{verb} {}", self.place.address())).map(drop)
    }

    /// Wait until messages can pass.
    pub fn settle(&mut self, pattern: Pattern) -> Result<(), Trouble> {
        talk::settle(pattern, &mut self.active, &mut self.passive)
    }

    /// Hold the pattern's conversation.
    pub fn converse(&mut self, pattern: Pattern, run: &talk::Run) -> Result<talk::Account, Trouble> {
        talk::converse(pattern, &mut self.active, &mut self.passive, run)
    }
}

#[cfg(test)]
mod tests {
    use super::Setting;
    use crate::peer::Peer;
    use crate::place::Wire;

    #[test]
    fn every_cell_has_a_name_of_its_own() {
        let mut names: Vec<String> =
            Setting::all(Peer::SpmsgC, Peer::Mangos, Wire::Tcp).iter().map(Setting::name).collect();
        assert_eq!(names.len(), 4 * 4 + 2 * 2);
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 20);
    }
}
