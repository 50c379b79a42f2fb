//! Runs in processes of their own, as the worker sees processes that come to grief or lie.

mod lies;
mod permits;
mod programs;
mod ruins;
