//! The conversation itself: customer, agent and judge in turns, until there is a judgement.

mod judge;
mod transcript;
mod turns;
mod user_simulator;
mod verdict;
mod watched;

pub(super) use turns::{Simulation, SimulationStop};
