use httpserver::*;
pub struct Files(std::path::PathBuf);
impl Files {
    pub fn new(p: &std::path::Path) -> std::io::Result<Self> {
        Ok(Self(p.to_owned()))
    }
    pub fn answer(&self, r: &Request) -> Response {
        if r.path().contains("..") || r.path().contains('%') {
            return Response::new(404);
        }
        let p = r.path().trim_start_matches('/');
        let p = if p.is_empty() { "index.html" } else { p };
        match std::fs::read(self.0.join(p)) {
            Ok(b) => Response::new(200)
                .header(
                    "Content-Type",
                    if p.ends_with("html") {
                        "text/html; charset=utf-8"
                    } else if p.ends_with("js") {
                        "text/javascript"
                    } else if p.ends_with("css") {
                        "text/css"
                    } else if p.ends_with("svg") {
                        "image/svg+xml"
                    } else {
                        "application/octet-stream"
                    },
                )
                .unwrap()
                .body(b),
            Err(_) => Response::new(404),
        }
    }
}
