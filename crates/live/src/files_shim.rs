use httpserver::*;
pub struct Files(std::path::PathBuf);
impl Files {
    pub fn new(p: &std::path::Path) -> std::io::Result<Self> {
        Ok(Self(p.to_owned()))
    }
    pub fn answer(&self, _r: &Request) -> Response {
        Response::new(404)
    }
}
