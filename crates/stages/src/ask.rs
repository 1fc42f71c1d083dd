//! A client of the server: sends a request, and prints the answer.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::thread;

/// Names a program, sends its input, and copies what comes back to `output` until the server closes the connection.
///
/// Input and output are copied at the same time, because the server may answer before it has read everything.
///
/// # Errors
/// `ECONNREFUSED` if no server listens on the port; the errors of reading and writing.
pub fn ask(
    port: u16,
    name: &str,
    mut input: impl Read + Send + 'static,
    output: &mut impl Write,
) -> io::Result<()> {
    let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    let mut request = server.try_clone()?;
    writeln!(request, "{name}")?;
    // Not joined: if the server closes the connection first, the rest has no receiver.
    thread::spawn(move || {
        // A failure to send is a failure to read below, too.
        let _ = io::copy(&mut input, &mut request);
        // Without this the server would wait for more input.
        let _ = request.shutdown(Shutdown::Write);
    });
    io::copy(&mut server, output)?;
    output.flush()
}
