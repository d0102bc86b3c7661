//! What a kubelet reads from a StatefulSet: how many pods, their variables, probes and how they end.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::Result;
use crate::kustomize::identity;

/// A StatefulSet among the objects of an overlay. Its pods have one container.
#[derive(Clone, Copy, Debug)]
pub struct Workload<'a> {
    object: &'a Value,
    objects: &'a [Value],
}

/// What is known of a pod before its container starts.
#[derive(Clone, Debug)]
pub struct Pod {
    /// Its name, as `greenroom-2`.
    pub name: String,
    /// Its address.
    pub ip: String,
    /// In which real folder a path of the container lies, for paths below mounted volumes.
    pub mounts: Vec<(String, PathBuf)>,
}

/// A probe by HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The path that it gets.
    pub path: String,
    /// The port of the container.
    pub port: u16,
    /// From one attempt to the next.
    pub period: Duration,
    /// How long an attempt may take.
    pub timeout: Duration,
    /// So many failures in a row count.
    pub failures: u32,
}

impl Probe {
    /// After how long a pod that fails from now on has failed, at the latest.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.period * self.failures + self.timeout
    }
}

impl<'a> Workload<'a> {
    /// The StatefulSet of a name.
    ///
    /// # Errors
    /// When there is none.
    pub fn find(objects: &'a [Value], name: &str) -> Result<Self> {
        let found = objects.iter().find(|object| identity(object) == ("StatefulSet", name));
        let object = found.ok_or_else(|| format!("there is no StatefulSet {name}"))?;
        Ok(Self { object, objects })
    }

    /// The object as a whole.
    #[must_use]
    pub fn object(&self) -> &'a Value {
        self.object
    }

    /// What each pod is.
    #[must_use]
    pub fn pod_spec(&self) -> &'a Value {
        &self.object["spec"]["template"]["spec"]
    }

    /// Its container.
    #[must_use]
    pub fn container(&self) -> &'a Value {
        &self.pod_spec()["containers"][0]
    }

    /// How many pods there are.
    #[must_use]
    pub fn replicas(&self) -> usize {
        let replicas = self.object["spec"]["replicas"].as_u64().unwrap_or(1);
        usize::try_from(replicas).unwrap_or(usize::MAX)
    }

    /// How long a pod may take to end, preStop included.
    #[must_use]
    pub fn grace(&self) -> Duration {
        seconds(&self.pod_spec()["terminationGracePeriodSeconds"], 30)
    }

    /// How long it sleeps before it is told to end.
    #[must_use]
    pub fn pre_stop(&self) -> Duration {
        seconds(&self.container()["lifecycle"]["preStop"]["sleep"]["seconds"], 0)
    }

    /// How long a new pod must be ready before the next is rolled.
    #[must_use]
    pub fn min_ready(&self) -> Duration {
        seconds(&self.object["spec"]["minReadySeconds"], 0)
    }

    /// A probe of the container, `startupProbe` for example.
    ///
    /// # Errors
    /// When it has none by HTTP.
    pub fn probe(&self, name: &str) -> Result<Probe> {
        let probe = &self.container()[name];
        let get = &probe["httpGet"];
        let path = get["path"].as_str().ok_or_else(|| format!("no {name} by HTTP"))?;
        let port = self.port(&get["port"]).ok_or_else(|| format!("no port for the {name}"))?;
        Ok(Probe {
            path: path.to_owned(),
            port,
            period: seconds(&probe["periodSeconds"], 10),
            timeout: seconds(&probe["timeoutSeconds"], 1),
            failures: u32::try_from(probe["failureThreshold"].as_u64().unwrap_or(3))?,
        })
    }

    /// A port of the container by name or number.
    #[must_use]
    pub fn port(&self, port: &Value) -> Option<u16> {
        let ports = self.container()["ports"].as_array()?;
        let is_it = |item: &&Value| item["name"] == *port || item["containerPort"] == *port;
        let number = ports.iter().find(is_it)?["containerPort"].as_u64()?;
        u16::try_from(number).ok()
    }

    /// The variables of a pod's container, each reference resolved, and paths below volumes replaced
    /// by where those really are.
    ///
    /// # Errors
    /// When something is referred to that isn't there.
    pub fn environment(&self, pod: &Pod) -> Result<BTreeMap<String, String>> {
        let mut variables = BTreeMap::new();
        for source in items(&self.container()["envFrom"]) {
            let name = source["configMapRef"]["name"].as_str().unwrap_or_default();
            let map = self.objects.iter().find(|object| identity(object) == ("ConfigMap", name));
            let map = map.ok_or_else(|| format!("there is no ConfigMap {name:?}"))?;
            for (key, value) in map["data"].as_object().into_iter().flatten() {
                variables.insert(key.clone(), value.as_str().unwrap_or_default().to_owned());
            }
        }
        for variable in items(&self.container()["env"]) {
            let name = variable["name"].as_str().unwrap_or_default();
            let value = match variable["value"].as_str() {
                Some(value) => expanded(value, &variables),
                None => {
                    let path = &variable["valueFrom"]["fieldRef"]["fieldPath"];
                    self.field(path.as_str().unwrap_or_default(), pod)?
                }
            };
            variables.insert(name.to_owned(), value);
        }
        for value in variables.values_mut() {
            for (inside, outside) in &pod.mounts {
                if let Ok(rest) = Path::new(value.as_str()).strip_prefix(inside) {
                    *value = outside.join(rest).display().to_string();
                }
            }
        }
        Ok(variables)
    }

    /// The downward API.
    fn field(&self, path: &str, pod: &Pod) -> Result<String> {
        let label = path.strip_prefix("metadata.labels['").and_then(|rest| rest.strip_suffix("']"));
        if let Some(label) = label {
            let labels = &self.object["spec"]["template"]["metadata"]["labels"];
            return Ok(labels[label].as_str().unwrap_or_default().to_owned());
        }
        match path {
            "metadata.name" => Ok(pod.name.clone()),
            "status.podIP" => Ok(pod.ip.clone()),
            _ => Err(format!("the field {path:?} is not known here").into()),
        }
    }
}

/// The items of a list that may be missing.
pub fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// `$(NAME)` becomes the variable's value if it was defined before, as Kubernetes has it.
fn expanded(text: &str, variables: &BTreeMap<String, String>) -> String {
    let mut expanded = text.to_owned();
    for (name, value) in variables {
        expanded = expanded.replace(&format!("$({name})"), value);
    }
    expanded
}

fn seconds(value: &Value, default: u64) -> Duration {
    Duration::from_secs(value.as_u64().unwrap_or(default))
}
