//! A cluster of servers.

use anyhow::{Context, Result};

use crate::server::READY_TIMEOUT;
use crate::{Flavour, Server, free_port};

const SLOTS: usize = 16_384;

/// Primaries without replicas that share the slots evenly.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Server>,
}

impl Cluster {
    /// Starts `nodes` servers, joins them, and waits until every one of them says the cluster is up.
    pub fn start(flavour: Flavour, nodes: usize) -> Result<Self> {
        Self::start_with(flavour, nodes, &[])
    }

    /// The same with further options for every server, such as `["--appendonly", "yes"]`.
    pub fn start_with(flavour: Flavour, nodes: usize, args: &[&str]) -> Result<Self> {
        let mut servers = Vec::with_capacity(nodes);
        let mut bus_ports = Vec::with_capacity(nodes);
        for index in 0..nodes {
            // The bus port's default is the port + 10,000, which may be taken or not exist.
            let bus = free_port()?.to_string();
            let mut options =
                vec!["--cluster-enabled", "yes", "--cluster-port", &bus, "--cluster-node-timeout", "5000"];
            options.extend(args);
            let server = Server::start_with(flavour, &options)?;
            let (first, end) = (index * SLOTS / nodes, (index + 1) * SLOTS / nodes);
            server.call(&format!("CLUSTER ADDSLOTSRANGE {first} {}", end - 1))?;
            // Unlike epochs from the start: otherwise the nodes first have to settle their collision.
            server.call(&format!("CLUSTER SET-CONFIG-EPOCH {}", index + 1))?;
            bus_ports.push(bus);
            servers.push(server);
        }
        let cluster = Self { nodes: servers };
        let first = cluster.nodes.first().context("a cluster needs a node")?;
        for (node, bus) in cluster.nodes.iter().zip(&bus_ports).skip(1) {
            first.call(&format!("CLUSTER MEET 127.0.0.1 {} {bus}", node.port()))?;
        }
        cluster.wait_until_up()?;
        Ok(cluster)
    }

    /// Waits until every node says that all slots are served by nodes it can reach.
    pub fn wait_until_up(&self) -> Result<()> {
        let up = |lines: &[String]| {
            let last = lines.iter().rev().find(|line| line.contains("Cluster state changed: "))?;
            last.contains("changed: ok").then_some(())
        };
        for node in &self.nodes {
            node.running()?.wait_for(READY_TIMEOUT, up)?;
        }
        Ok(())
    }

    /// The store URL that names all nodes.
    pub fn url(&self) -> String {
        let nodes: Vec<String> = self.nodes.iter().map(Server::address).collect();
        format!("valkey+cluster://{}", nodes.join(","))
    }

    /// Its servers.
    pub fn nodes(&self) -> &[Server] {
        &self.nodes
    }

    /// Its servers, to kill or restart one.
    pub fn nodes_mut(&mut self) -> &mut [Server] {
        &mut self.nodes
    }
}
