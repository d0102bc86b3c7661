//! Each alert is silent while all is well and fires when it should: promtool says so, by the cases in
//! `monitoring/alerts.test.yaml`.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Output};

use greenroom_k8s::kustomize::documents;
use greenroom_k8s::workload::items;
use serde_json::{Value, json};
use support::{folder, objects, of_kind};

/// The groups of rules that a cluster gets, as Prometheus reads them from a file.
fn groups() -> Value {
    let objects = objects("production");
    let rules: Vec<&Value> = of_kind(&objects, "PrometheusRule").collect();
    assert_eq!(rules.len(), 1, "the alerts are one object");
    json!({ "groups": rules[0]["spec"]["groups"] })
}

fn alerts(groups: &mut Value) -> impl Iterator<Item = &mut Value> {
    let groups = groups["groups"].as_array_mut().expect("groups");
    groups.iter_mut().flat_map(|group| group["rules"].as_array_mut().expect("rules"))
}

fn name(alert: &Value) -> &str {
    alert["alert"].as_str().expect("every rule is an alert")
}

/// Runs a command of promtool in a folder with these rules and the cases.
fn promtool(rules: &Value, arguments: [&str; 3]) -> Output {
    let scratch = tempfile::tempdir().unwrap();
    // Whatever is JSON is YAML.
    fs::write(scratch.path().join("rules.yaml"), rules.to_string()).unwrap();
    let cases = folder().join("monitoring/alerts.test.yaml");
    fs::copy(cases, scratch.path().join("alerts.test.yaml")).unwrap();
    let output = Command::new("promtool").args(arguments).current_dir(scratch.path()).output();
    output.expect("promtool is installed (`make setup`)")
}

/// The cases against rules of which the summary alone is left, since promtool compares all annotations.
fn run_cases(rules: &Value) -> (bool, String) {
    let mut rules = rules.clone();
    for alert in alerts(&mut rules) {
        alert["annotations"] = json!({ "summary": alert["annotations"]["summary"] });
    }
    let output = promtool(&rules, ["test", "rules", "alerts.test.yaml"]);
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn prometheus_takes_the_rules() {
    let output = promtool(&groups(), ["check", "rules", "rules.yaml"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn every_alert_fires_when_it_should_and_is_silent_while_all_is_well() {
    let (success, text) = run_cases(&groups());
    assert!(success, "{text}");
}

#[test]
fn every_alert_says_how_bad_it_is_what_is_wrong_and_what_to_do() {
    let mut rules = groups();
    for alert in alerts(&mut rules) {
        let name = name(alert).to_owned();
        assert!(
            ["critical", "warning"].iter().any(|it| alert["labels"]["severity"] == **it),
            "{name}"
        );
        let text = |field: &str| alert["annotations"][field].as_str().unwrap_or_default();
        assert!(!text("summary").is_empty(), "{name} has no summary");
        assert!(text("description").len() > 60, "{name} doesn't say what to do");
    }
}

#[test]
fn every_alert_leads_to_its_place_in_the_guide() {
    let guide = fs::read_to_string(folder().join("README.md")).unwrap();
    let (_, guide) = guide.split_once("\n## Alerts\n").expect("the guide has alerts");
    let guide = guide.split("\n## ").next().unwrap_or_default();
    let places: Vec<&str> = guide.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    let mut rules = groups();
    let all: Vec<&Value> = alerts(&mut rules).map(|alert| &*alert).collect();
    assert_eq!(places, all.iter().map(|alert| name(alert)).collect::<Vec<_>>());
    for alert in all {
        let anchor = format!("k8s/README.md#{}", name(alert).to_lowercase());
        assert_eq!(alert["annotations"]["runbook"], anchor, "{}", name(alert));
        let (_, text) = guide.split_once(&format!("\n### {}\n", name(alert))).expect("a place");
        let critical = alert["labels"]["severity"] == "critical";
        assert_eq!(text.starts_with("*Critical.*"), critical, "{}", name(alert));
    }
}

/// The alerts of the cases that say that something fires, or that nothing does.
fn in_cases(fires: bool) -> BTreeSet<String> {
    let cases = documents(&folder().join("monitoring/alerts.test.yaml")).unwrap();
    let cases = items(&cases[0]["tests"]).flat_map(|test| items(&test["alert_rule_test"]));
    let wanted = cases.filter(|case| items(&case["exp_alerts"]).next().is_some() == fires);
    wanted.map(|case| case["alertname"].as_str().expect("a name").to_owned()).collect()
}

#[test]
fn every_alert_has_a_case_that_fires_and_one_that_is_silent() {
    let all: BTreeSet<String> = alerts(&mut groups()).map(|alert| name(alert).to_owned()).collect();
    assert!(all.len() > 20, "{all:?}");
    assert_eq!(in_cases(true), all);
    assert_eq!(in_cases(false), all);
}

/// Breaks all rules in one way and returns the alerts whose cases did not notice.
fn unnoticed(break_it: impl Fn(&mut Value)) -> Vec<String> {
    let mut broken = groups();
    alerts(&mut broken).for_each(break_it);
    let (_, text) = run_cases(&broken);
    let noticed = |alert: &Value| text.contains(&format!("alertname: {}, ", name(alert)));
    alerts(&mut broken)
        .filter(|alert| !noticed(alert))
        .map(|alert| name(alert).to_owned())
        .collect()
}

fn expression(alert: &Value) -> &str {
    alert["expr"].as_str().expect("an expression")
}

#[test]
fn the_cases_notice_an_alert_that_never_fires() {
    let never = |alert: &mut Value| {
        alert["expr"] = format!("({}) == 123456789", expression(alert)).into();
    };
    assert_eq!(unnoticed(never), [""; 0]);
}

#[test]
fn the_cases_notice_an_alert_that_fires_all_the_time() {
    let always = |alert: &mut Value| {
        alert["expr"] = format!("({}) or on() vector(1)", expression(alert)).into();
    };
    assert_eq!(unnoticed(always), [""; 0]);
}

#[test]
fn the_cases_notice_an_alert_that_does_not_wait() {
    let mut with_for = groups();
    let patient: BTreeSet<String> = alerts(&mut with_for)
        .filter(|alert| alert.get("for").is_some())
        .map(|alert| name(alert).to_owned())
        .collect();
    let at_once = |alert: &mut Value| {
        alert.as_object_mut().expect("a rule").remove("for");
    };
    let unnoticed: BTreeSet<String> = unnoticed(at_once).into_iter().collect();
    assert!(unnoticed.is_disjoint(&patient), "{:?}", unnoticed.intersection(&patient));
}
