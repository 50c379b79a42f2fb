//! What a limit is for.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::definitions::{CallLimits, Provider};
use crate::events::{ProjectId, ReferenceId};

/// Bytes of a scope's digest that are kept: enough that no two scopes share them by chance.
const ID_BYTES: usize = 16;

/// What kind of thing a limit is for, from the narrowest to the widest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScopeKind {
    /// An agent under test.
    Target,
    /// A key of a model provider.
    Provider,
    /// A project.
    Project,
}

impl ScopeKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Target, Self::Provider, Self::Project];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Target => "target",
            Self::Provider => "provider",
            Self::Project => "project",
        }
    }
}

/// Calls that are limited together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// What kind of thing is limited.
    pub kind: ScopeKind,
    /// Which one: a digest, because a key may be a part of it.
    pub id: String,
    /// Its limits.
    pub limits: CallLimits,
}

impl Scope {
    /// The scope of the thing of this `kind` that `parts` name; `None` where nothing is limited.
    #[must_use]
    pub fn of(kind: ScopeKind, parts: &[&str], limits: Option<CallLimits>) -> Option<Self> {
        let limits = limits.filter(|limits| !limits.is_empty())?;
        let mut hash = Sha256::new();
        for part in parts {
            // The length keeps `a, bc` and `ab, c` apart.
            hash.update(part.len().to_be_bytes());
            hash.update(part.as_bytes());
        }
        Some(Self { kind, id: hex::encode(&hash.finalize()[..ID_BYTES]), limits })
    }

    /// The scope of an agent under test.
    #[must_use]
    pub fn target(project: &ProjectId, id: &ReferenceId, limits: Option<CallLimits>) -> Option<Self> {
        Self::of(ScopeKind::Target, &[project.as_str(), id.as_str()], limits)
    }

    /// The scope of a provider's key. Who has the same key for the same address, by the same limits, shares them, whatever
    /// the provider is called and whichever project it is in. Without a key only the provider's own project does.
    #[must_use]
    pub fn provider(project: &ProjectId, provider: &Provider) -> Option<Self> {
        let Provider { limits, id, .. } = provider;
        let kind = format!("{:?} {limits:?}", provider.kind);
        let address = provider.base_url.as_deref().unwrap_or_default();
        let parts = match &provider.api_key {
            Some(key) => [kind.as_str(), address, key.expose()],
            None => [kind.as_str(), project.as_str(), id],
        };
        Self::of(ScopeKind::Provider, &parts, *limits)
    }

    /// The scope of a whole project.
    #[must_use]
    pub fn project(id: &ProjectId, limits: Option<CallLimits>) -> Option<Self> {
        Self::of(ScopeKind::Project, &[id.as_str()], limits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: CallLimits = CallLimits { requests_per_minute: Some(1), max_in_flight: None };

    fn id(parts: &[&str]) -> String {
        Scope::of(ScopeKind::Provider, parts, Some(LIMITS)).unwrap().id
    }

    #[test]
    fn a_scope_is_told_by_its_parts_and_shows_none_of_them() {
        assert_eq!(id(&["https://models.example", "sk-key"]), id(&["https://models.example", "sk-key"]));
        assert_ne!(id(&["a", "bc"]), id(&["ab", "c"]));
        let scope = Scope::of(ScopeKind::Provider, &["sk-key"], Some(LIMITS)).unwrap();
        assert!(!format!("{scope:?}").contains("sk-key"));
    }

    #[test]
    fn what_has_no_limits_is_no_scope() {
        assert_eq!(Scope::of(ScopeKind::Target, &["a"], None), None);
        assert_eq!(Scope::of(ScopeKind::Target, &["a"], Some(CallLimits::default())), None);
    }
}
