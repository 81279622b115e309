//! [`Spare`]: the memory of a large body that was received, for the next one.
//!
//! What an allocator gives back to the system it has to ask for again, and the system clears each page: for bodies of 1 MiB
//! that is as much work as reading them. So the connection holds on to the last body, and when the application has let go
//! of it by the time the next one comes, that is read to the same place.

use std::sync::{Arc, Weak};
use std::time::Instant;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::engine::reactor::Reactor;
use crate::engine::source::{Ready, Source, Turn};
use crate::limits::BUFFERS_IDLE_AFTER;

#[derive(Default)]
pub(super) struct Spare {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    body: Bytes,
    since: Option<Instant>,
    /// Whoever turns the reactor will look later whether it can be given back.
    tidying: bool,
}

impl Spare {
    /// Holds on to `body` until the next one comes or none does.
    pub(super) fn keep(self: &Arc<Self>, body: &Bytes, now: Instant, reactor: &Reactor) {
        let mut kept = self.kept.lock();
        kept.body = body.clone();
        kept.since = Some(now);
        if !std::mem::replace(&mut kept.tidying, true) {
            reactor.tidy_later(Arc::downgrade(self) as Weak<dyn Source>);
        }
    }

    /// The memory, empty, if nobody else holds on to it; if not it is let go of.
    pub(super) fn take(&self) -> Vec<u8> {
        let mut body = std::mem::take(&mut self.kept.lock().body);
        // Nothing is left to be copied, of a body that others hold or to the front of its memory.
        body.truncate(0);
        Vec::from(body)
    }
}

impl Source for Spare {
    fn ready(self: Arc<Self>, _: Ready, _: &mut Turn<'_>) {}

    fn timer(self: Arc<Self>, _: &mut Turn<'_>) {}

    fn tidy(self: Arc<Self>, now: Option<Instant>) -> Option<Instant> {
        let mut kept = self.kept.lock();
        let over = kept.since.map(|since| since + BUFFERS_IDLE_AFTER);
        let again = over.filter(|over| now.is_some_and(|now| *over > now));
        if again.is_none() {
            *kept = Kept::default();
        }
        again
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::engine::Engine;

    const BODY: usize = 1000;

    fn kept(body: &Bytes) -> (Arc<Spare>, Instant) {
        let engine = Engine::new(1).expect("descriptors");
        let (spare, now) = (Arc::new(Spare::default()), Instant::now());
        spare.keep(body, now, engine.only_reactor().expect("one thread"));
        (spare, now)
    }

    #[test]
    fn the_memory_of_a_body_that_was_let_go_of_is_used_again() {
        let body = Bytes::from(vec![7; BODY]);
        let place = body.as_ptr();
        let (spare, _) = kept(&body);
        drop(body);
        let memory = spare.take();
        assert_eq!((memory.as_ptr(), memory.len(), memory.capacity()), (place, 0, BODY));
        assert_eq!(spare.take().capacity(), 0, "once");
    }

    #[test]
    fn a_body_that_somebody_holds_is_left_alone() {
        let body = Bytes::from(vec![7; BODY]);
        assert_eq!(kept(&body).0.take().capacity(), 0);
        assert!(body.is_unique() && body.iter().all(|byte| *byte == 7));
    }

    #[test]
    fn it_is_given_back_when_no_other_comes() {
        let body = Bytes::from(vec![7; BODY]);
        let (spare, now) = kept(&body);
        let over = now + BUFFERS_IDLE_AFTER;
        assert_eq!(Arc::clone(&spare).tidy(Some(now)), Some(over));
        assert!(!body.is_unique());
        assert_eq!(Arc::clone(&spare).tidy(Some(over)), None);
        assert!(body.is_unique());
    }
}
