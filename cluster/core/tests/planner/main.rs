//! The planner, from outside: each rule with small numbers, and what must hold for all problems.

mod any;
mod caps;
mod invariants;
mod load;
mod load_properties;
mod pins;
mod properties;
mod rules;
mod settling;
mod standing;
mod support;
mod upheaval;
mod zones;
