//! A virtual host of one test's own on the shared RabbitMQ, with everything in it gone when the test ends.

use anyhow::{Context, Result, bail};
use reqwest::Method;

/// Deleted when dropped, and every queue with it.
#[derive(Debug)]
pub struct VirtualHost {
    management: String,
    name: String,
}

impl VirtualHost {
    /// Makes one. `management` is the URL of the management API with its login.
    ///
    /// # Errors
    /// When the broker refuses.
    pub async fn create(management: &str, name: &str) -> Result<Self> {
        let host = Self {
            management: management.trim_end_matches('/').to_owned(),
            name: name.to_owned(),
        };
        host.call(Method::PUT, &format!("vhosts/{name}"), "{}").await?;
        let everything = r#"{"configure":".*","write":".*","read":".*"}"#;
        host.call(Method::PUT, &format!("permissions/{name}/guest"), everything)
            .await?;
        Ok(host)
    }

    /// `amqp` with this virtual host as its path.
    #[must_use]
    pub fn url(&self, amqp: &str) -> String {
        let server = amqp.rsplit_once('/').map_or(amqp, |(server, _)| server);
        format!("{server}/{}", self.name)
    }

    async fn call(&self, method: Method, path: &str, body: &'static str) -> Result<()> {
        let url = format!("{}/api/{path}", self.management);
        let request = reqwest::Client::new()
            .request(method, &url)
            .header("content-type", "application/json")
            .body(body);
        let answer = request.send().await.context("calling RabbitMQ's management API")?;
        if !answer.status().is_success() {
            bail!("RabbitMQ answered {} to {path}", answer.status());
        }
        Ok(())
    }
}

impl Drop for VirtualHost {
    fn drop(&mut self) {
        // A runtime cannot be entered twice, so the last call has one of its own. If it fails, the run's end does the rest.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.map(|runtime| runtime.block_on(self.call(Method::DELETE, &format!("vhosts/{}", self.name), "")))
            });
        });
    }
}
