//! How a judge's model is to think.

use crate::definitions::Sampling;
use crate::execution::types::ModelName;

/// Models that refuse tools while they reason. As judges they do not, unless a scenario says otherwise.
const UNREASONING: [&str; 3] = ["openai/gpt-5.6-luna", "openai/gpt-5.6-sol", "openai/gpt-5.6-terra"];
const NO_REASONING: &str = "none";

/// What the scenario says, and where it says nothing what `model` needs in order to judge.
pub(super) fn sampling(asked: &Sampling, model: &ModelName) -> Sampling {
    let mut sampling = asked.clone();
    if sampling.reasoning_effort.is_none() && UNREASONING.contains(&model.to_string().as_str()) {
        sampling.reasoning_effort = Some(NO_REASONING.to_owned());
    }
    sampling
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effort(asked: Option<&str>, model: &str) -> Option<String> {
        let asked = Sampling {
            reasoning_effort: asked.map(str::to_owned),
            temperature: Some(0.0),
            ..Sampling::default()
        };
        let sampling = sampling(&asked, &ModelName::parse(model).unwrap());
        assert_eq!(sampling.temperature, Some(0.0));
        sampling.reasoning_effort
    }

    #[test]
    fn exactly_three_models_judge_without_reasoning_unless_told_otherwise() {
        for model in UNREASONING {
            assert_eq!(effort(None, model).as_deref(), Some("none"));
            assert_eq!(effort(Some("low"), model).as_deref(), Some("low"));
        }
        for model in
            ["openai/gpt-5.6", "openai/gpt-5.6-luna-mini", "azure/gpt-5.6-sol", "openai/gpt-5.6-Terra"]
        {
            assert_eq!(effort(None, model), None, "{model}");
        }
    }
}
