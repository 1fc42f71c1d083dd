//! hyper on tokio, with one thread.

use std::convert::Infallible;
use std::net::TcpListener;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, body};
use hyper_util::rt::TokioIo;

use crate::others::on_tokio;

pub fn serve(listener: TcpListener) {
    on_tokio(listener, |socket| {
        socket.set_nodelay(true).expect("a socket");
        let mut http = http1::Builder::new();
        // One write for the responses to pipelined requests.
        http.pipeline_flush(true);
        http.serve_connection(TokioIo::new(socket), service_fn(hello))
    });
}

async fn hello(_: Request<body::Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::new(Bytes::from_static(b"Hello, world!")));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    Ok(response)
}
