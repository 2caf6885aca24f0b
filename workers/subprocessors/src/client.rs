//! The calls to one vendor.

use crate::config::{ConfigError, Vendor};
use crate::reference::Batch;
use crate::reply::{Raw, permanent, transient};
use crate::secret::{Auth, Secret};
use erasure_protocol::{Blame, Fault, FaultCode};
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, Response, redirect};
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// The longest answer that is read, in bytes.
pub(crate) const BODY_MAX: usize = 256 * 1024;

/// One vendor's address, dialect and credentials.
#[derive(Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    vendor: Vendor,
}

impl Client {
    /// A client that follows no redirect: a redirect could carry personal data to anybody.
    pub(crate) fn new(vendor: Vendor) -> Result<Self, ConfigError> {
        let built = reqwest::Client::builder()
            .redirect(redirect::Policy::none())
            .timeout(Duration::from_millis(vendor.timeout_ms))
            .connect_timeout(Duration::from_millis(vendor.timeout_ms))
            .https_only(vendor.base_url.starts_with("https:"))
            .no_proxy()
            .user_agent(concat!("erasure-fleet/", env!("CARGO_PKG_VERSION")))
            .build();
        match built {
            Ok(http) => Ok(Self { http, vendor }),
            Err(error) => Err(ConfigError::Client {
                vendor: vendor.name,
                why: error.to_string(),
            }),
        }
    }

    /// The vendor's settings.
    pub(crate) fn vendor(&self) -> &Vendor {
        &self.vendor
    }

    /// The vendor's credentials as they are now.
    pub(crate) async fn secret(&self) -> Result<Option<Secret>, Fault> {
        match &self.vendor.auth {
            None => Ok(None),
            Some(auth) => auth.read().await.map(Some).map_err(|error| {
                tracing::error!(vendor = self.vendor.name, %error, "the credentials of a vendor cannot be read");
                permanent(&self.vendor.name, FaultCode::VendorRefusedLogin, Blame::Store)
            }),
        }
    }

    /// The call that submits a request.
    pub(crate) fn create(&self, secret: Option<&Secret>, body: &serde_json::Value) -> RequestBuilder {
        self.request(Method::POST, "", secret).json(body)
    }

    /// The call that submits several requests.
    pub(crate) fn create_many(&self, secret: Option<&Secret>, body: &serde_json::Value) -> RequestBuilder {
        self.request(Method::POST, "/batch", secret).json(body)
    }

    /// The call that asks how far a request is.
    pub(crate) fn poll(&self, secret: Option<&Secret>, id: Uuid) -> RequestBuilder {
        self.request(Method::GET, &format!("/{id}"), secret)
    }

    /// The call that asks how far the requests are that were submitted together.
    pub(crate) fn poll_many(&self, secret: Option<&Secret>, batch: &Batch) -> RequestBuilder {
        self.request(Method::GET, &format!("/batch/{}", batch.as_str()), secret)
    }

    fn request(&self, method: Method, rest: &str, secret: Option<&Secret>) -> RequestBuilder {
        let url = format!("{}/{}{rest}", self.vendor.base(), self.vendor.version.route());
        let request = self.http.request(method, url).header(ACCEPT, "application/json");
        match (&self.vendor.auth, secret) {
            (Some(Auth::Bearer { .. }), Some(secret)) => {
                request.headers(sensitive(AUTHORIZATION, &format!("Bearer {}", secret.0)))
            }
            (Some(Auth::Basic { user, .. }), Some(secret)) => request.basic_auth(user, Some(&secret.0)),
            (Some(Auth::Header { name, .. }), Some(secret)) => {
                let name = HeaderName::from_bytes(name.as_bytes()).expect("the name of the header was checked at start");
                request.headers(sensitive(name, &secret.0))
            }
            (Some(_) | None, None) | (None, Some(_)) => request,
        }
    }

    /// Makes a call. As soon as the answer begins to arrive, `answered` says so: by then the vendor has seen the call.
    pub(crate) async fn send(&self, request: RequestBuilder, answered: &mut Option<Instant>) -> Result<Raw, Fault> {
        // What the HTTP library says of an error may hold the URL and parts of the exchange: only the kind is kept.
        let unreachable = |_| transient(&self.vendor.name, FaultCode::VendorUnreachable);
        let mut response = request.send().await.map_err(unreachable)?;
        *answered = Some(Instant::now());
        let status = response.status().as_u16();
        let retry_after = header(response.headers(), RETRY_AFTER.as_str());
        if (200..300).contains(&status) {
            self.check_domain(&response)?;
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > BODY_MAX {
                return Err(transient(&self.vendor.name, FaultCode::VendorUnreadable));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Raw {
            status,
            retry_after,
            body,
        })
    }

    fn check_domain(&self, response: &Response) -> Result<(), Fault> {
        let Some(wanted) = &self.vendor.processor_domain else {
            return Ok(());
        };
        let named = header(response.headers(), self.vendor.version.domain_header());
        let same = named.is_some_and(|named| named.trim().eq_ignore_ascii_case(wanted));
        if same {
            Ok(())
        } else {
            Err(transient(&self.vendor.name, FaultCode::VendorUnreadable))
        }
    }
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// A header that the HTTP library never prints.
fn sensitive(name: HeaderName, value: &str) -> HeaderMap {
    let mut value = HeaderValue::from_str(value).expect("a secret is printable ASCII, which was checked when it was read");
    value.set_sensitive(true);
    [(name, value)].into_iter().collect()
}
