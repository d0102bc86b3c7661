//! The planner, from outside: each rule with small numbers, and what must hold for all problems.

mod properties;
mod rules;
mod support;
mod upheaval;
