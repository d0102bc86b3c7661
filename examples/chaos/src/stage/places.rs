//! The nodes of a stage, with what stands around them.

use std::net::SocketAddr;

use super::{IDLE, Stage};
use crate::Result;
use crate::process::{NodeProcess, NodeSetup, free_address};
use crate::proxy::Proxy;
use crate::rate::ClockRate;

/// A node with the proxies around it, which outlive its process.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) setup: NodeSetup,
    pub(super) process: Option<NodeProcess>,
    pub(super) etcd: Vec<Proxy>,
    pub(super) peer: Option<Proxy>,
    /// What its clocks obey, where that is possible.
    pub(super) clock: Option<ClockRate>,
}

impl Stage {
    /// Starts a node: a new one, or the process of one that ended, on its old port.
    ///
    /// # Errors
    /// When it can't be started.
    pub async fn join(&mut self, name: &str) -> Result<()> {
        if !self.places.contains_key(name) {
            let place = self.place(name).await?;
            self.places.insert(name.to_owned(), place);
        }
        let logs = self.logs.clone();
        let place = self.place_of(name)?;
        place.process = Some(NodeProcess::start(place.setup.clone(), &logs)?);
        Ok(())
    }

    async fn place(&self, name: &str) -> Result<Place> {
        let listen = free_address()?;
        let mut variables = self.setup.variables.clone();
        let (etcd, endpoints) = if self.setup.etcd_proxies {
            self.proxies_of_etcd().await?
        } else {
            (Vec::new(), self.etcd.endpoints())
        };
        variables.push(("GREENROOM_ETCD_ENDPOINTS".to_owned(), endpoints.join(",")));
        let mut peer = None;
        if self.setup.peer_proxies {
            let proxy = Proxy::start(listen).await?;
            variables.push(("GREENROOM_ADVERTISE".to_owned(), proxy.address().to_string()));
            peer = Some(proxy);
        }
        if name == IDLE {
            variables.push(("CHAOS_HOSTS".to_owned(), "nothing".to_owned()));
        }
        let mut clock = None;
        if self.setup.clocks {
            let rate = ClockRate::start(&self.clocks.path().join(name))?;
            variables.extend(rate.variables()?);
            clock = Some(rate);
        }
        let setup = NodeSetup { name: name.to_owned(), listen, variables };
        Ok(Place { setup, process: None, etcd, peer, clock })
    }

    /// A new proxy before each member of etcd, and the endpoints that lead through them.
    pub(super) async fn proxies_of_etcd(&self) -> Result<(Vec<Proxy>, Vec<String>)> {
        let mut proxies = Vec::new();
        for endpoint in self.etcd.endpoints() {
            let target: SocketAddr = endpoint.trim_start_matches("http://").parse()?;
            proxies.push(Proxy::start(target).await?);
        }
        let endpoints = proxies.iter().map(|proxy| format!("http://{}", proxy.address())).collect();
        Ok((proxies, endpoints))
    }

    pub(super) fn place_named(&self, name: &str) -> Result<&Place> {
        self.places.get(name).ok_or_else(|| format!("there is no node {name}").into())
    }

    pub(super) fn place_of(&mut self, name: &str) -> Result<&mut Place> {
        self.places.get_mut(name).ok_or_else(|| format!("there is no node {name}").into())
    }

    pub(super) fn process(&mut self, name: &str) -> Result<&mut NodeProcess> {
        let process = self.place_of(name)?.process.as_mut();
        process.ok_or_else(|| format!("{name} doesn't run").into())
    }
}
