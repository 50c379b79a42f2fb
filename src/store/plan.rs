//! What an import is going to write, checked before anything is written.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde::Serialize;

use super::Kind;
use super::files::{ParsedDocument, Problem, Problems};
use crate::definitions::{AgentDefinition, Document};
use crate::events::ProjectId;

/// Says whether agents can work, by their type.
pub trait AgentCheck: Send + Sync {
    /// Checks what the type of `agent` makes of its definition.
    ///
    /// # Errors
    /// Why the agent cannot work: its type is unknown, or something in its definition is wrong.
    fn check(&self, agent: &AgentDefinition) -> Result<(), String>;
}

/// The documents of one project by kind and id, as JSON text.
pub(super) type ProjectPlan = BTreeMap<(Kind, String), String>;

/// What is to be there after an import.
#[derive(Default)]
pub(super) struct Plan {
    projects: BTreeMap<ProjectId, ProjectPlan>,
    problems: Vec<Problem>,
}

impl Plan {
    /// Puts `documents` together, each project's in one place, whatever file they are from.
    pub(super) fn of(
        documents: &[ParsedDocument],
        agents: &dyn AgentCheck,
    ) -> Result<BTreeMap<ProjectId, ProjectPlan>, Problems> {
        let mut plan = Self::default();
        for document in documents {
            plan.check_agents(document, agents);
            plan.add(document);
        }
        Problems::unless_empty(plan.problems)?;
        Ok(plan.projects)
    }

    fn check_agents(&mut self, parsed: &ParsedDocument, agents: &dyn AgentCheck) {
        for agent in &parsed.document().agents {
            if let Err(reason) = agents.check(agent) {
                self.problems.push(parsed.problem(Kind::Agent, &agent.id, &reason));
            }
        }
    }

    fn add(&mut self, parsed: &ParsedDocument) {
        let Document { project, providers, secrets, prompts, agents, scenarios } = parsed.document();
        self.put(parsed, Kind::Project, project.id.as_str(), project);
        for one in providers {
            self.put(parsed, Kind::Provider, &one.id, one);
        }
        for (name, secret) in secrets {
            self.put(parsed, Kind::Secret, name, secret.expose());
        }
        for one in prompts {
            self.put(parsed, Kind::Prompt, &one.id, one);
        }
        for one in agents {
            self.put(parsed, Kind::Agent, &one.id, one);
        }
        for one in scenarios {
            self.put(parsed, Kind::Scenario, one.id.as_str(), one);
        }
    }

    fn put(&mut self, parsed: &ParsedDocument, kind: Kind, id: &str, definition: &(impl Serialize + ?Sized)) {
        let Ok(json) = serde_json::to_string(definition) else {
            return self.problems.push(parsed.problem(kind, id, "cannot be written as JSON"));
        };
        let project = self.projects.entry(parsed.document().project.id.clone()).or_default();
        match project.entry((kind, id.to_owned())) {
            Entry::Vacant(place) => drop(place.insert(json)),
            // Each document of a project has to say which project it is of.
            Entry::Occupied(other) if kind == Kind::Project && *other.get() == json => {}
            Entry::Occupied(_) => {
                let reason = format!("another document of this import defines {kind} '{id}' too");
                self.problems.push(parsed.problem(kind, id, &reason));
            }
        }
    }
}
