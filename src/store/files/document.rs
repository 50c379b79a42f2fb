//! What a document consists of.

use super::field::Field;
use super::node::Content;
use super::reader::{NOT_A_TEXT, Reader};
use super::{rules, spelling};
use crate::definitions::{AgentDefinition, Document, Project, Prompt, Provider, Scenario, Secret, Secrets};
use crate::store::Kind;

/// The keys of a document.
const KEYS: [&str; 6] = ["project", "providers", "secrets", "prompts", "agents", "scenarios"];

/// Reads the document at `root`; nothing comes of one without a project.
pub(super) fn read(reader: &mut Reader<'_>, root: &Field<'_>) -> Option<Document> {
    check_keys(reader, root)?;
    let project = project(reader, root);
    let (providers, secrets) = (providers(reader, root), secrets(reader, root));
    let (prompts, agents, scenarios) = (prompts(reader, root), agents(reader, root), scenarios(reader, root));
    Some(Document { project: project?, providers, secrets, prompts, agents, scenarios })
}

fn check_keys(reader: &mut Reader<'_>, root: &Field<'_>) -> Option<()> {
    if !matches!(root.node.content, Content::Mapping(_)) {
        reader.report(root, format!("a document must be a mapping with the keys {}", KEYS.join(", ")));
        return None;
    }
    for (key, _) in root.entries().iter().filter(|(key, _)| !KEYS.contains(&key.name.as_str())) {
        let known = KEYS.map(|known| format!("`{known}`")).join(", ");
        let reason = format!("unknown field `{}`, expected one of {known}", key.name);
        reader.report(&root.key(&key.name), spelling::with_the_nearest(&key.name, &reason));
    }
    Some(())
}

fn project(reader: &mut Reader<'_>, root: &Field<'_>) -> Option<Project> {
    let Some(field) = root.get("project") else {
        reader.report(&root.at("project"), "is missing: a document must say which project it is of");
        return None;
    };
    let project: Project = reader.value(&field)?;
    reader.define(Kind::Project, project.id.as_str(), &field);
    rules::project(reader, &field, &project);
    Some(project)
}

fn providers(reader: &mut Reader<'_>, root: &Field<'_>) -> Vec<Provider> {
    let found = reader.list::<Provider>(root, "providers", Kind::Provider);
    let each = found.into_iter().map(|(field, provider)| {
        rules::provider(reader, &field, &provider);
        provider
    });
    each.collect()
}

fn secrets(reader: &mut Reader<'_>, root: &Field<'_>) -> Secrets {
    let mut secrets = Secrets::new();
    let Some(field) = root.get("secrets") else { return secrets };
    if !matches!(field.node.content, Content::Mapping(_)) {
        reader.report(&field, "must be a mapping of names to texts");
    }
    for (key, value) in field.entries() {
        let place = field.key(&key.name);
        rules::id(reader, &place, &key.name);
        reader.define(Kind::Secret, &key.name, &place);
        match &value.content {
            Content::Scalar(serde_json::Value::String(text)) => {
                secrets.insert(key.name.clone(), Secret::new(text.as_str()));
            }
            _ => reader.report(&place, NOT_A_TEXT),
        }
    }
    secrets
}

fn prompts(reader: &mut Reader<'_>, root: &Field<'_>) -> Vec<Prompt> {
    let found = reader.list::<Prompt>(root, "prompts", Kind::Prompt);
    let each = found.into_iter().map(|(field, prompt)| {
        rules::prompt(reader, &field, &prompt);
        prompt
    });
    each.collect()
}

fn agents(reader: &mut Reader<'_>, root: &Field<'_>) -> Vec<AgentDefinition> {
    let found = reader.list::<AgentDefinition>(root, "agents", Kind::Agent);
    let each = found.into_iter().map(|(field, agent)| {
        rules::id(reader, &field.at("id"), &agent.id);
        rules::limits(reader, &field, agent.limits.as_ref());
        agent
    });
    each.collect()
}

fn scenarios(reader: &mut Reader<'_>, root: &Field<'_>) -> Vec<Scenario> {
    let found = reader.list::<Scenario>(root, "scenarios", Kind::Scenario);
    let each = found.into_iter().map(|(field, scenario)| {
        rules::scenario(reader, &field, &scenario);
        scenario
    });
    each.collect()
}
