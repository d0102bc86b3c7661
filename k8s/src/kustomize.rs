//! Renders an overlay as `kustomize build` does, as far as the overlays here use kustomize:
//! `resources`, `patches` (strategic merge), `configMapGenerator`, `images`, `namespace`. Anything
//! else in a kustomization is an error, so that nothing is left out unnoticed. A test compares the
//! outcome with the real kustomize where one is installed.

mod config_map;
mod merge;

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::Result;

/// Kinds that stand in no namespace.
const CLUSTER_WIDE: &[&str] = &["Namespace"];

/// Documents of a YAML file.
///
/// # Errors
/// When the file is missing, or no YAML.
pub fn documents(path: &Path) -> Result<Vec<Value>> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    parse(&text).map_err(|error| format!("{}: {error}", path.display()).into())
}

fn parse(text: &str) -> Result<Vec<Value>> {
    use serde::Deserialize;
    let mut found = Vec::new();
    for document in serde_norway::Deserializer::from_str(text) {
        let value = Value::deserialize(document)?;
        if !value.is_null() {
            found.push(value);
        }
    }
    Ok(found)
}

/// The objects of an overlay or a base, in no order that means anything.
///
/// # Errors
/// When a file is missing or malformed, a patch has no object to change, or the kustomization uses
/// what this renderer doesn't know.
pub fn render(folder: &Path) -> Result<Vec<Value>> {
    let mut objects = accumulate(folder)?;
    config_map::add_hashes(&mut objects);
    Ok(objects)
}

/// Kind and name, for messages and look-ups.
#[must_use]
pub fn identity(object: &Value) -> (&str, &str) {
    (
        object["kind"].as_str().unwrap_or_default(),
        object["metadata"]["name"].as_str().unwrap_or_default(),
    )
}

fn accumulate(folder: &Path) -> Result<Vec<Value>> {
    let path = folder.join("kustomization.yaml");
    let [Value::Object(kustomization)] = &documents(&path)?[..] else {
        return Err(format!("{} must be one document", path.display()).into());
    };
    let context = |error| format!("{}: {error}", path.display());
    let mut objects = Vec::new();
    for resource in strings(kustomization, "resources") {
        let resource = folder.join(resource);
        if resource.is_dir() {
            objects.extend(accumulate(&resource)?);
        } else {
            objects.extend(documents(&resource)?);
        }
    }
    for generator in list(kustomization, "configMapGenerator") {
        config_map::generate(&mut objects, generator, folder).map_err(context)?;
    }
    for patch in list(kustomization, "patches") {
        for change in changes(patch, folder)? {
            merge::apply(&mut objects, &change).map_err(context)?;
        }
    }
    if let Some(namespace) = kustomization.get("namespace") {
        for object in &mut objects {
            let wide = CLUSTER_WIDE.contains(&identity(object).0);
            object["metadata"][if wide { "name" } else { "namespace" }] = namespace.clone();
        }
    }
    for image in list(kustomization, "images") {
        for object in &mut objects {
            rename_image(object, image);
        }
    }
    let known = |field: &String| {
        matches!(
            field.as_str(),
            "apiVersion"
                | "kind"
                | "resources"
                | "configMapGenerator"
                | "patches"
                | "namespace"
                | "images"
        )
    };
    match kustomization.keys().find(|field| !known(field)) {
        Some(field) => Err(context(format!("{field} is not known to this renderer").into()).into()),
        None => Ok(objects),
    }
}

/// The documents of an item of `patches`.
fn changes(patch: &Value, folder: &Path) -> Result<Vec<Value>> {
    match (patch["path"].as_str(), patch["patch"].as_str(), patch.get("target")) {
        (Some(path), None, None) => documents(&folder.join(path)),
        (None, Some(text), None) => parse(text),
        _ => Err(format!("a patch has a path or a text, and no target: {patch}").into()),
    }
}

/// Names images anew, wherever containers stand.
fn rename_image(node: &mut Value, image: &Value) {
    match node {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::Array(items) if name == "containers" || name == "initContainers" => {
                        for container in items {
                            rename_image_of(container, image);
                        }
                    }
                    _ => rename_image(value, image),
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                rename_image(item, image);
            }
        }
        _ => {}
    }
}

fn rename_image_of(container: &mut Value, image: &Value) {
    let Some(old) = container["image"].as_str() else { return };
    // A colon before the last slash belongs to a port.
    let split = old.rfind(':').filter(|colon| old.rfind('/').is_none_or(|slash| slash < *colon));
    let (name, tag) = split.map_or((old, ""), |colon| (&old[..colon], &old[colon + 1..]));
    if image["name"] != name {
        return;
    }
    let name = image["newName"].as_str().unwrap_or(name);
    let tag = image["newTag"].as_str().unwrap_or(tag);
    container["image"] = json!(if tag.is_empty() { name.into() } else { format!("{name}:{tag}") });
}

fn list<'a>(fields: &'a Map<String, Value>, name: &str) -> &'a [Value] {
    fields.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn strings<'a>(fields: &'a Map<String, Value>, name: &str) -> impl Iterator<Item = &'a str> {
    list(fields, name).iter().filter_map(Value::as_str)
}
