//! Servers of others that HTTP benchmarks start: where they are, and when they listen.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// nginx in one process, which is the worker, with these lines inside of its block `http`. Its files are in the folder.
///
/// # Errors
/// If it is not installed.
pub fn nginx(folder: &Path, http: &str) -> Result<Command, &'static str> {
    let root = folder.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {root}/{name}; "))
        .concat();
    let config = format!(
        "daemon off; master_process off; pid {root}/pid; error_log {root}/errors;
        events {{ worker_connections 1024; }}
        http {{ access_log off; {temporary} {http} }}"
    );
    let path = folder.join("nginx.conf");
    fs::write(&path, config).expect("room");
    let mut command = Command::new(installed("nginx").ok_or("nginx is not installed")?);
    command.arg("-c").arg(path).arg("-e").arg(folder.join("errors"));
    Ok(command)
}

/// A server's program. Where it is, a user's PATH need not have.
pub fn installed(name: &str) -> Option<String> {
    let places = ["/usr/sbin", "/usr/local/sbin", "/usr/bin", "/usr/local/bin"];
    places.map(|place| format!("{place}/{name}")).into_iter().find(|path| Path::new(path).exists())
}

/// For servers that say nowhere that they listen.
pub fn await_listener(address: SocketAddr) {
    let start = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(start.elapsed() < Duration::from_secs(10), "no server listens on {address}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Accept on tokio, with one thread, and give each connection to `serve` in a task of its own.
pub fn on_tokio<F: Future + 'static>(listener: TcpListener, serve: impl Fn(tokio::net::TcpStream) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
        loop {
            let (socket, _) = listener.accept().await.expect("a connection");
            let connection = serve(socket);
            tokio::task::spawn_local(async {
                connection.await;
            });
        }
    });
}
