//! Patches by strategic merge: maps merge, `null` removes, lists of things with names merge by name,
//! all other lists are replaced.

use serde_json::Value;

use super::identity;
use crate::Result;

/// By which field the items of a list are told apart. Lists that Kubernetes merges and that are not
/// here would be replaced, so a test compares with the real kustomize.
const MERGED_BY: &[(&str, &str)] = &[
    ("containers", "name"),
    ("initContainers", "name"),
    ("env", "name"),
    ("volumes", "name"),
    ("volumeMounts", "mountPath"),
    ("topologySpreadConstraints", "topologyKey"),
];

/// Changes the object that the patch names.
pub(super) fn apply(objects: &mut Vec<Value>, patch: &Value) -> Result<()> {
    let Some(found) = objects.iter().position(|object| identity(object) == identity(patch)) else {
        return Err(format!("no object for the patch of {:?}", identity(patch)).into());
    };
    if patch["$patch"] == "delete" {
        objects.remove(found);
    } else {
        merge(&mut objects[found], patch);
    }
    Ok(())
}

fn merge(into: &mut Value, patch: &Value) {
    let (Value::Object(fields), Value::Object(changes)) = (&mut *into, patch) else {
        *into = patch.clone();
        return;
    };
    for (name, change) in changes {
        if change.is_null() {
            fields.remove(name);
            continue;
        }
        let key = MERGED_BY.iter().find(|(list, _)| list == name).map(|(_, key)| *key);
        match (fields.get_mut(name), change, key) {
            (Some(Value::Array(items)), Value::Array(changes), Some(key)) => {
                merge_items(items, changes, key);
            }
            (Some(value), ..) => merge(value, change),
            (None, ..) => {
                fields.insert(name.clone(), change.clone());
            }
        }
    }
}

/// New items come first, as kustomize has it.
fn merge_items(items: &mut Vec<Value>, changes: &[Value], key: &str) {
    let mut new = Vec::new();
    for change in changes {
        match items.iter_mut().find(|item| item[key] == change[key]) {
            Some(item) => merge(item, change),
            None => new.push(change.clone()),
        }
    }
    items.splice(0..0, new);
}
