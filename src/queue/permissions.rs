//! What the server forbids this program's user.
//!
//! The server says so on the connection and not in an answer: a forbidden publish into a stream looks like a broker
//! that does not answer. So what it says is kept here, where readiness and metrics find it.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::settings::NatsSettings;

/// Denials that are remembered one by one. Where every run is forbidden its subject, that is enough to see it.
const MOST_REMEMBERED: usize = 64;
/// How the server's sentence begins (nats-server, client.go).
const VIOLATION: &str = "Permissions Violation for ";
/// Beginnings of the subjects that this program itself publishes on. Where answers go is for those to say who ask,
/// so that a denial there is theirs.
const OWN_SUBJECTS: [&str; 2] = ["$", "scenario."];

/// What is forbidden.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Forbidden {
    /// To publish.
    Publish,
    /// To subscribe.
    Subscribe,
}

/// One thing that the server forbids.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Denial {
    /// What is forbidden.
    pub forbidden: Forbidden,
    /// On which subject.
    pub subject: String,
}

impl Denial {
    /// Reads what the server says; `None` if it is about something else.
    fn read(error: &str) -> Option<Self> {
        let (_, rest) = error.split_once(VIOLATION)?;
        let (what, rest) = rest.split_once('"')?;
        let forbidden = match what.trim() {
            "Publish to" => Forbidden::Publish,
            "Subscription to" => Forbidden::Subscribe,
            _ => return None,
        };
        let (subject, _) = rest.split_once('"')?;
        Some(Self { forbidden, subject: subject.to_owned() })
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.forbidden {
            Forbidden::Publish => "publish on",
            Forbidden::Subscribe => "subscribe to",
        };
        write!(
            f,
            "the broker forbids this user to {what} '{}'; grant it in the broker's configuration, then restart",
            self.subject
        )
    }
}

/// Everything that was denied. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Denials {
    seen: Arc<Mutex<Seen>>,
    inbox: Inbox,
}

/// Where this program's answers come.
#[derive(Debug, Clone, Default)]
struct Inbox {
    prefix: Arc<str>,
    /// Whether nobody else's answers come there, as far as the settings can say.
    is_own: bool,
}

#[derive(Debug, Default)]
struct Seen {
    count: u64,
    ever: BTreeSet<Denial>,
    since_connected: BTreeSet<Denial>,
}

impl Denials {
    /// For whoever has the inbox of `settings`.
    pub(super) fn of_inbox(settings: &NatsSettings) -> Self {
        let inbox =
            Inbox { prefix: settings.inbox_prefix.as_str().into(), is_own: !settings.has_usual_inbox() };
        Self { seen: Arc::default(), inbox }
    }

    /// Reads what the server says; `None` if it is no denial. Inboxes are named as a permission names them, all at once:
    /// each has another subject.
    pub(super) fn read(&self, error: &str) -> Option<Denial> {
        let mut denial = Denial::read(error)?;
        let rest = denial.subject.strip_prefix(&*self.inbox.prefix);
        if rest.is_some_and(|rest| rest.starts_with('.')) {
            denial.subject = self.inbox.permission();
        }
        Some(denial)
    }

    /// How often the server denied something.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.seen().count
    }

    /// What the work of this program needs and the server denied since the connection was made last.
    #[must_use]
    pub fn in_the_way(&self) -> Vec<Denial> {
        self.seen().since_connected.iter().filter(|denial| self.is_own(denial)).cloned().collect()
    }

    /// Remembers `denial`; true if it is the first of its kind.
    pub(super) fn note(&self, denial: Denial) -> bool {
        let mut seen = self.seen();
        seen.count += 1;
        if seen.since_connected.len() < MOST_REMEMBERED {
            seen.since_connected.insert(denial.clone());
        }
        seen.ever.len() < MOST_REMEMBERED && seen.ever.insert(denial)
    }

    /// Whoever connects anew may have other permissions. What is still denied will be denied again.
    pub(super) fn connected(&self) {
        self.seen().since_connected.clear();
    }

    fn is_own(&self, denial: &Denial) -> bool {
        let Denial { forbidden, subject } = denial;
        *forbidden == Forbidden::Subscribe
            || OWN_SUBJECTS.iter().any(|own| subject.starts_with(own))
            || (self.inbox.is_own && *subject == self.inbox.permission())
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        // Every change leaves the sets whole.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inbox {
    fn permission(&self) -> String {
        format!("{}.>", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denial(error: &str) -> Option<(Forbidden, String)> {
        Denial::read(error).map(|denial| (denial.forbidden, denial.subject))
    }

    #[test]
    fn what_the_server_says_is_read() {
        let publish = denial(r#"Permissions Violation for Publish to "scenario.x""#);
        assert_eq!(publish, Some((Forbidden::Publish, "scenario.x".to_owned())));
        let subscribe = denial(r#"Permissions Violation for Subscription to "a.>" using queue "q""#);
        assert_eq!(subscribe, Some((Forbidden::Subscribe, "a.>".to_owned())));
        for other in ["Maximum Payload Violation", "Permissions Violation for Something", ""] {
            assert_eq!(denial(other), None, "{other}");
        }
    }

    #[test]
    fn a_denial_is_new_once_counts_always_and_is_over_with_its_connection() {
        let denials = Denials::default();
        let own = Denial { forbidden: Forbidden::Publish, subject: "scenario.x".to_owned() };
        assert!(denials.note(own.clone()));
        assert!(!denials.note(own.clone()));
        assert_eq!((denials.count(), denials.in_the_way()), (2, vec![own.clone()]));
        denials.connected();
        assert!(denials.in_the_way().is_empty());
        assert!(!denials.note(own.clone()), "it was reported before");
        assert_eq!(denials.in_the_way(), [own]);
    }

    #[test]
    fn a_place_that_somebody_wants_an_answer_at_is_not_in_the_way() {
        let denials = Denials::default();
        assert!(denials.note(Denial { forbidden: Forbidden::Publish, subject: "elsewhere".to_owned() }));
        assert!(denials.in_the_way().is_empty());
    }

    #[test]
    fn an_inbox_is_named_as_a_permission_and_is_in_the_way_if_it_is_the_own_one() {
        let said = r#"Permissions Violation for Publish to "_INBOX_w.Xy7""#;
        for (prefix, subject, in_the_way) in
            [("_INBOX_w", "_INBOX_w.>", true), ("_INBOX", "_INBOX_w.Xy7", false)]
        {
            let settings = NatsSettings { inbox_prefix: prefix.to_owned(), ..NatsSettings::default() };
            let denials = Denials::of_inbox(&settings);
            let denial = denials.read(said).unwrap();
            assert_eq!(denial.subject, subject);
            denials.note(denial);
            assert_eq!(!denials.in_the_way().is_empty(), in_the_way, "{prefix}");
        }
    }
}
