//! What `greenroom` tells without a node.

mod support;

use serde_json::{Value, json};
use support::command::{complaint, greenroom, printed};

#[test]
fn config_tells_every_variable_for_programs_as_the_readme_shows() {
    let told = printed(&greenroom(&["config", "--output", "json"]));
    let told: Value = serde_json::from_str(&told).expect("JSON");
    let variables = told["variables"].as_array().expect("a list");
    assert_eq!(variables.len(), greenroom_settings::ALL.len());
    let (_, page) = include_str!("../README.md").split_once("$ greenroom config").expect("there");
    let (page, _) = page.split_once("```").expect("the block ends");
    let (_, shown) = page.split_once('\n').expect("an answer");
    let shown = serde_json::Deserializer::from_str(shown).into_iter::<Value>();
    let shown: Vec<Value> = shown.collect::<Result<_, _>>().expect("JSON");
    let chosen = ["GREENROOM_SHARDS", "GREENROOM_OPERATOR_TOKEN"].map(|name| {
        variables.iter().find(|variable| variable["name"] == json!(name)).expect("a variable")
    });
    assert_eq!(shown.iter().collect::<Vec<_>>(), chosen);
}

#[test]
fn config_tells_every_variable_for_people() {
    let told = printed(&greenroom(&["config"]));
    let mut lines = told.lines();
    assert!(lines.next().expect("titles").starts_with("VARIABLE "), "{told}");
    let names: Vec<&str> = lines.map(|line| line.split(' ').next().unwrap_or_default()).collect();
    let all: Vec<&str> = greenroom_settings::ALL.iter().map(|setting| setting.name).collect();
    assert_eq!(names, all);
    let weight = told.lines().find(|line| line.starts_with("GREENROOM_NODE_WEIGHT "));
    let cells: Vec<&str> = weight.expect("a line").split("  ").map(str::trim).collect();
    let cells: Vec<&str> = cells.into_iter().filter(|cell| !cell.is_empty()).collect();
    let meaning = "share of the shards relative to other nodes";
    assert_eq!(cells, ["GREENROOM_NODE_WEIGHT", "100", "1 to 1000", meaning]);
    assert!(!told.contains('`'), "no marks of Markdown");
}

#[test]
fn shells_get_a_script_that_knows_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let script = printed(&greenroom(&["completions", shell]));
        assert!(script.contains("in-motion") && script.contains("decisions"), "{shell}: {script}");
    }
    assert!(complaint(&greenroom(&["completions", "dos"]), 2).contains("bash"));
}
