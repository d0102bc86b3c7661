//! ConfigMaps from files and literals, and the hash of their content in their name, which rolls the
//! pods that read them when something changes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::identity;
use crate::Result;

/// Marks a ConfigMap that gets a hash at the end, after all overlays had their say.
const WANTS_HASH: &str = "greenroom-k8s/wants-hash";

/// Adds the ConfigMap of a generator, or merges its values into one that is there.
pub(super) fn generate(objects: &mut Vec<Value>, generator: &Value, folder: &Path) -> Result<()> {
    let Some(name) = generator["name"].as_str() else {
        return Err("a configMapGenerator without a name".into());
    };
    let data = data(generator, folder)?;
    let there = objects.iter_mut().find(|object| identity(object) == ("ConfigMap", name));
    match (generator["behavior"].as_str().unwrap_or("create"), there) {
        ("create", None) => {
            let mut object = json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data,
            });
            if let Some(labels) = generator["options"].get("labels") {
                object["metadata"]["labels"] = labels.clone();
            }
            object[WANTS_HASH] = json!(generator["options"]["disableNameSuffixHash"] != true);
            objects.push(object);
            Ok(())
        }
        ("merge", Some(object)) => {
            for (key, value) in data {
                object["data"][key] = value;
            }
            Ok(())
        }
        (behavior, _) => Err(format!("can't {behavior} the ConfigMap {name}").into()),
    }
}

fn data(generator: &Value, folder: &Path) -> Result<Map<String, Value>> {
    let items = |name: &str| {
        let items = generator[name].as_array().cloned().unwrap_or_default();
        items.into_iter().filter_map(|item| item.as_str().map(str::to_owned)).collect::<Vec<_>>()
    };
    let mut data = Map::new();
    let mut pair = |line: &str| match line.split_once('=') {
        Some((key, value)) => {
            data.insert(key.to_owned(), json!(value));
            Ok(())
        }
        None => Err(format!("no key=value: {line}")),
    };
    for file in items("envs") {
        let text = fs::read_to_string(folder.join(file))?;
        let mut lines =
            text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
        lines.try_for_each(&mut pair)?;
    }
    items("literals").iter().try_for_each(|literal| pair(literal))?;
    for file in items("files") {
        let path = folder.join(&file);
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or(&file).to_owned();
        data.insert(name, json!(fs::read_to_string(path)?));
    }
    Ok(data)
}

/// Gives the generated ConfigMaps their last names, and tells all who refer to them.
pub(super) fn add_hashes(objects: &mut [Value]) {
    let mut renamed = BTreeMap::new();
    for object in &mut *objects {
        let wants = object.as_object_mut().and_then(|fields| fields.remove(WANTS_HASH));
        if wants == Some(json!(true)) {
            let old = identity(object).1.to_owned();
            let new = format!("{old}-{}", hash(&object["data"]));
            object["metadata"]["name"] = json!(new);
            renamed.insert(old, new);
        }
    }
    for object in objects {
        rename(object, &renamed);
    }
}

fn rename(node: &mut Value, renamed: &BTreeMap<String, String>) {
    match node {
        Value::Object(fields) => {
            for (field, value) in fields {
                let refers =
                    matches!(field.as_str(), "configMapRef" | "configMapKeyRef" | "configMap");
                let name = if refers { value["name"].as_str() } else { None };
                match name.and_then(|name| renamed.get(name)) {
                    Some(new) => value["name"] = json!(new),
                    None => rename(value, renamed),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, renamed)),
        _ => {}
    }
}

/// As kustomize does it: ten digits of a SHA-256, with letters that make no words. The name is always
/// empty in it, since kustomize looks for it in the wrong place.
fn hash(data: &Value) -> String {
    let sorted: BTreeMap<&String, &Value> = data.as_object().into_iter().flatten().collect();
    // Go writes these as escapes.
    let data = serde_json::to_string(&sorted).unwrap_or_default();
    let data = data.replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e");
    let text = format!("{{\"data\":{data},\"kind\":\"ConfigMap\",\"name\":\"\"}}");
    let digest = Sha256::digest(text.as_bytes());
    let hex: String = digest.iter().take(5).map(|byte| format!("{byte:02x}")).collect();
    let letter = |digit| match digit {
        '0' => 'g',
        '1' => 'h',
        '3' => 'k',
        'a' => 'm',
        'e' => 't',
        other => other,
    };
    hex.chars().map(letter).collect()
}
