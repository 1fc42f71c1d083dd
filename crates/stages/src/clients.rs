//! The clients of a loop by number, from stage 7 on.
//!
//! Contract: a number is never used twice, so a timer or a lookup whose client has left finds no other in its place.

// ANCHOR: clients
use std::collections::BTreeMap;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{io, thread};

use crate::client::Client;
use crate::request::{Found, look_up, split};

/// The clients, each with what its loop keeps for it, a `W`. A clone has the same clients.
///
/// The Mutex is for the compiler: a lookup's thread sends a callback that has these clients. Only the loop's thread runs
/// the callback, so no thread ever waits for the lock.
pub struct Clients<W> {
    more: Arc<Path>,
    table: Arc<Mutex<Table<W>>>,
}

struct Table<W> {
    last: u64,
    ending: bool,
    clients: BTreeMap<u64, (Client, W)>,
}

impl<W> Clients<W> {
    /// No clients yet. Their programs are looked up in the file `more`, too.
    pub fn new(more: &Path) -> Self {
        let table = Table { last: 0, ending: false, clients: BTreeMap::new() };
        Self { more: more.into(), table: Arc::new(Mutex::new(table)) }
    }

    /// Adds a client, and returns its number.
    pub fn add(&self, socket: OwnedFd, kept: W) -> io::Result<u64> {
        let client = Client::new(TcpStream::from(socket))?;
        let mut table = self.lock();
        table.last += 1;
        let number = table.last;
        table.clients.insert(number, (client, kept));
        Ok(number)
    }

    /// Calls `call` with a client. Returns `None` if the client has left.
    pub fn with<T>(&self, number: u64, call: impl FnOnce(&mut Client, &mut W) -> T) -> Option<T> {
        self.lock().clients.get_mut(&number).map(|(client, kept)| call(client, kept))
    }

    /// Removes a client. Dropping it closes its connection, and kills its program.
    pub fn remove(&self, number: u64) -> Option<(Client, W)> {
        self.lock().clients.remove(&number)
    }

    /// Removes all clients, even if the thread of a lookup still has a clone of this table.
    pub fn clear(&self) {
        self.lock().clients.clear();
    }

    /// The numbers of the clients whose programs run, or have exited and were not waited for.
    pub fn running(&self) -> Vec<u64> {
        let table = self.lock();
        let running = table.clients.iter().filter(|(_, (client, _))| client.has_program());
        running.map(|(number, _)| *number).collect()
    }

    /// Looks up the program of a request in another thread, which passes the request and what it has found to `then`.
    pub fn look_up(
        &self,
        request: Vec<u8>,
        then: impl FnOnce((Vec<u8>, Found)) + Send + 'static,
    ) -> io::Result<()> {
        let more = Arc::clone(&self.more);
        let lookup = move || {
            let found = look_up(&split(&request).0, &more);
            then((request, found));
        };
        thread::Builder::new().spawn(lookup).map(drop)
    }

    /// Notes that no more clients come.
    pub fn end(&self) {
        self.lock().ending = true;
    }

    /// Whether no more clients come, and none is left.
    pub fn is_over(&self) -> bool {
        let table = self.lock();
        table.ending && table.clients.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Table<W>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// Not derived: that would ask W to be Clone.
impl<W> Clone for Clients<W> {
    fn clone(&self) -> Self {
        Self { more: Arc::clone(&self.more), table: Arc::clone(&self.table) }
    }
}
// ANCHOR_END: clients
