//! The HTTP server beside its peers, in one run and in turns with them: bare epoll with httparse, hyper, nginx, and libuv.
//!
//! `just http` measures all of it and prints a table; `just http pipelined` a part. Each server is a process of its own on the
//! first processor, and the load is on the second. A request's price is the processor's time of the server, so it moves
//! little if the load or another process is slower for a while. A peer that is not installed is left out, and the table
//! says why.

mod bare;
mod load;
mod on_hyper;
#[path = "../servers/others.rs"]
mod others;
mod ours;
mod peers;
#[allow(dead_code, reason = "the echo servers use all of it")]
#[path = "../servers/processors.rs"]
mod processors;
#[allow(dead_code, reason = "the rows of the loop use all of it")]
#[path = "../rows/table.rs"]
mod table;

use std::time::Duration;

use bench::{Turns, is_measuring, quartiles};
use load::{Load, Sample};
use peers::{Peer, Started};
use table::Row;

/// How long the load of one part takes, about.
const WHOLE: Duration = Duration::from_secs(20);

/// What is asked of the servers, and how many times as much ours may take as each peer.
struct Part {
    name: &'static str,
    ours: Peer,
    load: Load,
    limits: &'static [(Peer, f64)],
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    // The servers in Rust are this program, started with the name of one.
    if let [flag, name, folder] = args.as_slice()
        && flag == peers::SERVE
    {
        return peers::serve(name, folder);
    }
    let one = Load { path: "/", connections: 64, pipelined: 1, rounds: 100 };
    let parts = [
        Part {
            name: "hello, 64 connections",
            ours: Peer::Ours,
            load: one,
            limits: &[(Peer::Bare, 1.05), (Peer::Hyper, 1.0), (Peer::Nginx, 1.0), (Peer::Libuv, 1.0)],
        },
        Part {
            name: "hello, pipelined by 16",
            ours: Peer::Ours,
            load: Load { pipelined: 16, rounds: 25, ..one },
            limits: &[(Peer::Bare, 1.1), (Peer::Hyper, 1.0), (Peer::Nginx, 1.0), (Peer::Libuv, 1.0)],
        },
        Part {
            name: "a file of 100 KiB",
            ours: Peer::OurFiles,
            load: Load { path: peers::FILE, connections: 16, pipelined: 1, rounds: 25 },
            // It may take so much longer that it gets 0.95 times as much done.
            limits: &[(Peer::Nginx, 1.0 / 0.95)],
        },
    ];
    let named: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    let wanted = |part: &&Part| named.is_empty() || named.iter().any(|named| part.name.contains(*named));
    processors::on_processor(1);
    let rows: Vec<Row> = parts.iter().filter(wanted).flat_map(Part::rows).collect();
    table::print(&rows);
}

impl Part {
    fn rows(&self) -> Vec<Row> {
        let started = |peer| Started::new(peer, &self.load);
        let peers: Vec<_> = self.limits.iter().map(|(peer, limit)| (peer, limit, started(*peer))).collect();
        let mut servers = vec![started(self.ours).expect("it is this program")];
        let mut rows = Vec::new();
        let mut measured = Vec::new();
        for (peer, limit, started) in peers {
            let name = format!("{}: {}", self.name, peer.name());
            match started {
                Ok(server) => {
                    servers.push(server);
                    measured.push((name, *limit));
                }
                Err(why) => rows.push(Row::left_out(name, why)),
            }
        }
        let samples = self.measure(&mut servers);
        for ((name, limit), peer) in measured.into_iter().zip(&samples[1..]) {
            rows.push(Row::at_most(name, turns(peer, &samples[0]), limit));
        }
        rows
    }

    /// Put the load on one server after the other, many times. Returns the samples of each.
    fn measure(&self, servers: &mut [Started]) -> Vec<Vec<Sample>> {
        let first: Duration = servers.iter_mut().map(|server| server.block(&self.load).wall).sum();
        let blocks = match is_measuring() {
            true => (WHOLE.as_nanos() / first.as_nanos().max(1)).clamp(21, 1001) as usize,
            false => 1,
        };
        let mut samples = vec![Vec::new(); servers.len()];
        for block in 0..blocks {
            // Each is first, second and so on equally often: what one leaves in the caches is found by all.
            for turn in 0..servers.len() {
                let at = (block + turn) % servers.len();
                samples[at].push(servers[at].block(&self.load));
            }
        }
        samples
    }
}

/// The processor's time of a request, by block.
fn turns(peer: &[Sample], ours: &[Sample]) -> Turns {
    let times = |samples: &[Sample]| -> Vec<f64> { samples.iter().map(|sample| sample.request).collect() };
    let (mut bare, mut ours) = (times(peer), times(ours));
    let mut ratio: Vec<f64> = bare.iter().zip(&ours).map(|(bare, ours)| ours / bare).collect();
    let pairs = ratio.len();
    Turns { ratio: quartiles(&mut ratio), bare: quartiles(&mut bare), ours: quartiles(&mut ours), pairs }
}
