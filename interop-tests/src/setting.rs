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
    /// Whether the active side's socket is raw.
    pub active_raw: bool,
    /// Whether the passive side's socket is raw.
    pub passive_raw: bool,
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
    /// Who connects.
    pub fn connector(&self) -> Peer {
        if self.active_binds { self.passive } else { self.active }
    }

    /// A line of the table.
    pub fn name(&self) -> String {
        let (active, passive) = self.pattern.types();
        let (one, two) = if self.active_binds { (" binds", "") } else { ("", " binds") };
        let raw = |raw| if raw { "raw " } else { "" };
        let (raw_one, raw_two) = (raw(self.active_raw), raw(self.passive_raw));
        let (active_name, passive_name) = (self.active.name(), self.passive.name());
        let wire = self.wire.name();
        format!("{wire} {raw_one}{active} {active_name}{one}, {raw_two}{passive} {passive_name}{two}")
    }

    /// Every setting of these two: every transport and pattern that both have, both roles, both who-binds.
    /// Where both sides of a pattern are equal, a conversation goes both ways and there is one role.
    pub fn all(one: Peer, two: Peer) -> Vec<Setting> {
        let roles = |pattern: Pattern| {
            if pattern.is_symmetric() { vec![(one, two)] } else { vec![(one, two), (two, one)] }
        };
        Setting::with_roles(Wire::ALL, roles)
    }

    /// As [`Setting::all`], over one transport.
    pub fn all_over(wire: Wire, one: Peer, two: Peer) -> Vec<Setting> {
        Setting::with_roles(&[wire], |pattern| {
            if pattern.is_symmetric() { vec![(one, two)] } else { vec![(one, two), (two, one)] }
        })
    }

    /// As [`Setting::all`], with both roles for every pattern: for cells in which the roles differ
    /// otherwise.
    pub fn all_both_roles(one: Peer, two: Peer) -> Vec<Setting> {
        Setting::with_roles(Wire::ALL, |_| vec![(one, two), (two, one)])
    }

    fn with_roles(wires: &[Wire], roles: impl Fn(Pattern) -> Vec<(Peer, Peer)>) -> Vec<Setting> {
        let mut settings = Vec::new();
        for (wire, pattern) in wires.iter().copied().flat_map(|w| Pattern::ALL.map(|p| (w, p))) {
            for (active, passive) in roles(pattern) {
                for active_binds in [true, false] {
                    settings.push(Setting {
                        pattern,
                        active,
                        passive,
                        active_raw: false,
                        passive_raw: false,
                        active_binds,
                        wire,
                    });
                }
            }
        }
        settings.retain(|s| s.active.speaks(s.pattern) && s.passive.speaks(s.pattern));
        settings.retain(|s| s.active.carries(s.wire) && s.passive.carries(s.wire));
        settings.retain(|s| {
            let binder = if s.active_binds { s.active } else { s.passive };
            s.connector().reaches(binder, s.wire)
        });
        settings
    }

    /// The same with raw sockets.
    pub fn with_raw(self, active_raw: bool, passive_raw: bool) -> Setting {
        Setting { active_raw, passive_raw, ..self }
    }

    /// Start both sides, open their sockets, bind one and connect the other.
    pub fn begin(&self, stage: &mut Stage) -> Result<Scene, Trouble> {
        let place = Place::reserve(self.wire)?;
        let (one, two) = self.pattern.types();
        let (mut active, mut passive) = (stage.spawn(self.active, one)?, stage.spawn(self.passive, two)?);
        talk::open_active(self.pattern, self.active_raw, &mut active)?;
        talk::open_passive(self.pattern, self.passive_raw, &mut passive)?;
        if let Some(preparation) = place.preparation() {
            active.order(&preparation)?;
            passive.order(&preparation)?;
        }
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
            talk::open_active(setting.pattern, setting.active_raw, side)?;
        } else {
            talk::open_passive(setting.pattern, setting.passive_raw, side)?;
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
    use crate::pattern::Pattern;
    use crate::peer::Peer;
    use crate::place::Wire;

    #[test]
    fn every_cell_has_a_name_of_its_own() {
        let mut names: Vec<String> =
            Setting::all(Peer::SpmsgC, Peer::Mangos).iter().map(Setting::name).collect();
        let count = Wire::ALL.len() * (4 * 4 + 2 * 2);
        assert_eq!(names.len(), count);
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn one_way_to_connect_is_left_out_for_the_faults_of_others() {
        let over_ws = |one, two| {
            let all = Setting::all(one, two).into_iter();
            all.filter(|s| s.wire == Wire::Ws && s.pattern == Pattern::Pair).count()
        };
        assert_eq!(over_ws(Peer::Nng, Peer::Mangos), 1);
        assert_eq!(over_ws(Peer::Nanomsg, Peer::Mangos), 2);
        assert_eq!(over_ws(Peer::SpmsgC, Peer::Nng), 2);
        assert!(Setting::all_over(Wire::Wss, Peer::SpmsgC, Peer::Nanomsg).is_empty());
        assert_eq!(Setting::all_over(Wire::Wss, Peer::SpmsgC, Peer::Nng).len(), 4 * 4 + 2 * 2);
    }

    #[test]
    fn version_1_of_pair_is_for_those_who_have_it() {
        let has = |one, two| Setting::all(one, two).iter().any(|s| s.pattern == Pattern::Pair1);
        assert!(has(Peer::SpmsgRust, Peer::Nng));
        assert!(!has(Peer::SpmsgC, Peer::Nng));
        assert!(!has(Peer::SpmsgRust, Peer::Nanomsg));
    }
}
