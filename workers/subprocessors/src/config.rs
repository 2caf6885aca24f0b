//! The vendors as the configuration names them.

use crate::secret::{Auth, SecretError};
use erasure_kit::sha256_hex;
use erasure_protocol::IdentifierKind;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

/// The most calls that an allowance can be of: each has a place in Redis.
const CALLS_MAX: u32 = 10_000;

/// The vendors of one subsystem.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// A person is erased here only when every one of them has confirmed.
    #[serde(default)]
    pub vendors: Vec<Vendor>,
}

/// One vendor that speaks `OpenDSR`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vendor {
    /// Its name in reports, answers and ids: `a-z 0-9 _ -`, at most 40 characters. Renaming one submits open work again.
    pub name: String,
    /// Everything before `/requests`, with the version, for example `https://opendsr.mailer.example/v2`.
    pub base_url: String,
    /// Which `OpenDSR` it speaks.
    #[serde(default)]
    pub version: Version,
    /// How we prove who we are; a vendor in our own network may need nothing.
    #[serde(default)]
    pub auth: Option<Auth>,
    /// Which of our identifiers it is told, and as what.
    pub identities: Vec<Mapping>,
    /// Under which law we ask. Sent by version 2.0 only.
    #[serde(default)]
    pub regulation: Regulation,
    /// When set, every answer must carry this domain in its processor-domain header.
    #[serde(default)]
    pub processor_domain: Option<String>,
    /// How long to wait between two questions after one request, in milliseconds. One hour unless told.
    #[serde(default = "hour_ms")]
    pub poll_every_ms: u64,
    /// How long one call may take, in milliseconds. Ten seconds unless told.
    #[serde(default = "call_ms")]
    pub timeout_ms: u64,
    /// How many calls may be under way at once. Four unless told.
    #[serde(default = "calls")]
    pub calls_at_once: usize,
    /// How many calls of all processes together may start in any second; unlimited unless told. Every call counts.
    #[serde(default)]
    pub calls_per_second: Option<u32>,
    /// The same for a vendor that counts by the minute. One of the two at most.
    #[serde(default)]
    pub calls_per_minute: Option<u32>,
    /// How many people one call is about at most, where the version knows such calls. One unless told.
    #[serde(default = "one")]
    pub people_per_call: usize,
    /// Which of our applications the vendor is asked about: its id there. Version `appsflyer` alone, which needs it.
    #[serde(default)]
    pub property_id: Option<String>,
    /// That application's platform, where the vendor asks for it. Version `appsflyer` alone.
    #[serde(default)]
    pub platform: Option<String>,
    /// After how long of nothing but errors accepted work is parked and needs attention, in milliseconds. Three days unless told.
    #[serde(default = "days_ms")]
    pub give_up_after_ms: u64,
    /// What a person means of whom we hold no identifier that this vendor knows.
    #[serde(default)]
    pub on_unidentified: OnUnidentified,
}

/// A dialect: routes, field names and the prefix of headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Version {
    /// `/requests`, `X-OpenDSR-…`, with `regulation`.
    #[default]
    #[serde(rename = "2.0")]
    V2,
    /// `/opengdpr_requests`, `X-OpenGDPR-…`.
    #[serde(rename = "1.0")]
    V1,
    /// `AppsFlyer`'s dialect: `/opendsr_requests`, many people per call, an application id, codes of its own
    /// (<https://dev.appsflyer.com/hc/reference/create-batch-opendsr-requests>).
    #[serde(rename = "appsflyer")]
    AppsFlyer,
}

impl Version {
    /// The version by its name in the configuration.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::V2 => "2.0",
            Self::V1 => "1.0",
            Self::AppsFlyer => "appsflyer",
        }
    }

    /// The version as it stands in requests. Which values `AppsFlyer` takes is not documented, and it asks for none.
    pub(crate) fn on_the_wire(self) -> Option<&'static str> {
        match self {
            Self::V2 | Self::V1 => Some(self.as_str()),
            Self::AppsFlyer => None,
        }
    }

    /// How many people a call can be about. Of `AppsFlyer` it is only documented that there is a limit; ours keeps the answer well
    /// below what is read of one.
    pub(crate) fn people_per_call_max(self) -> usize {
        match self {
            Self::V2 | Self::V1 => 1,
            Self::AppsFlyer => 250,
        }
    }

    /// The route of requests.
    pub(crate) fn route(self) -> &'static str {
        match self {
            Self::V2 => "requests",
            Self::V1 => "opengdpr_requests",
            Self::AppsFlyer => "opendsr_requests",
        }
    }

    /// The header with the domain of whoever answered.
    pub(crate) fn domain_header(self) -> &'static str {
        match self {
            Self::V2 | Self::AppsFlyer => "x-opendsr-processor-domain",
            Self::V1 => "x-opengdpr-processor-domain",
        }
    }
}

/// The laws that `OpenDSR` 2.0 knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Regulation {
    /// The European one.
    #[default]
    Gdpr,
    /// The Californian one.
    Ccpa,
}

impl Regulation {
    /// The word on the wire.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Gdpr => "gdpr",
            Self::Ccpa => "ccpa",
        }
    }
}

/// What to say of a person whom we cannot name to a vendor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnUnidentified {
    /// The vendor never got such a person from us: nothing is held.
    #[default]
    NothingHeld,
    /// It may hold the person under something we do not know: somebody must look.
    Attention,
}

/// One of our identifiers in a vendor's words.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// Our kind, as the data map declares it, for example `user_id`.
    pub kind: IdentifierKind,
    /// The vendor's `identity_type`, for example `controller_customer_id` or `email`.
    pub identity_type: String,
    /// The form in which the value is sent.
    #[serde(default)]
    pub identity_format: Format,
}

/// The form of a value on its way to a vendor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// As it is.
    #[default]
    Raw,
    /// The SHA-256 of it in hexadecimal, blanks around it left out, an e-mail address in lower case.
    Sha256,
}

impl Mapping {
    /// The value in the form that this vendor asks for.
    pub(crate) fn formatted(&self, value: &str) -> String {
        match self.identity_format {
            Format::Raw => value.to_owned(),
            Format::Sha256 => {
                // Hashes are compared as they are: whoever hashes an address must have written it as the vendor does.
                let value = value.trim();
                let is_email = [self.kind.as_str(), self.identity_type.as_str()].contains(&"email");
                let written = if is_email { value.to_lowercase() } else { value.to_owned() };
                sha256_hex(written.as_bytes())
            }
        }
    }
}

impl Format {
    /// The word on the wire.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Sha256 => "sha256",
        }
    }
}

/// What is wrong with the settings of a vendor.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Nobody to tell: an empty list would call everybody "nothing held".
    #[error("subprocessors needs at least one vendor; without any, leave the subsystem out")]
    NoVendors,
    /// A setting of one vendor.
    #[error("vendor {vendor}: {rule}")]
    Vendor {
        /// Which vendor.
        vendor: String,
        /// The rule that it breaks.
        rule: &'static str,
    },
    /// Its secret.
    #[error("vendor {vendor}: its credentials")]
    Secret {
        /// Which vendor.
        vendor: String,
        /// Why.
        source: SecretError,
    },
    /// The system gives us no HTTP client.
    #[error("vendor {vendor}: starting its HTTP client: {why}")]
    Client {
        /// Which vendor.
        vendor: String,
        /// In the words of the HTTP library.
        why: String,
    },
}

impl Config {
    /// What is wrong with the settings, if anything.
    ///
    /// # Errors
    /// With the first rule that is broken.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.vendors.is_empty() {
            return Err(ConfigError::NoVendors);
        }
        let mut names = BTreeSet::new();
        self.vendors.iter().try_for_each(|vendor| {
            vendor.check()?;
            let rule = "two vendors have this name";
            names.insert(&vendor.name).then_some(()).ok_or_else(|| vendor.breaks(rule))
        })
    }
}

impl Vendor {
    fn check(&self) -> Result<(), ConfigError> {
        let rules = [
            (is_word(&self.name), "name must be 1 to 40 characters of a-z 0-9 _ -"),
            (
                !self.identities.is_empty(),
                "identities must map at least one of our identifiers",
            ),
            (
                self.identities.iter().all(|map| is_word(&map.identity_type)),
                "identity_type must be 1 to 40 characters of a-z 0-9 _ -",
            ),
            (self.poll_every_ms > 0, "poll_every_ms must be above zero"),
            (self.timeout_ms > 0, "timeout_ms must be above zero"),
            (self.calls_at_once > 0, "calls_at_once must be above zero"),
            (
                self.calls_per_second != Some(0) && self.calls_per_minute != Some(0),
                "calls_per_second and calls_per_minute must be above zero",
            ),
            (
                self.calls_per_second.is_none() || self.calls_per_minute.is_none(),
                "give calls_per_second or calls_per_minute, not both",
            ),
            (
                self.calls_per_second.max(self.calls_per_minute) <= Some(CALLS_MAX),
                "calls_per_second and calls_per_minute must be at most 10000",
            ),
            (
                (1..=self.version.people_per_call_max()).contains(&self.people_per_call),
                "people_per_call must be 1, or at most 250 where version is \"appsflyer\"",
            ),
            (
                self.property_id.is_some() == (self.version == Version::AppsFlyer),
                "property_id belongs to version \"appsflyer\", which needs it",
            ),
            (
                self.platform.is_none() || self.version == Version::AppsFlyer,
                "platform belongs to version \"appsflyer\"",
            ),
            (
                self.version != Version::AppsFlyer || self.identities.iter().all(|map| map.identity_format == Format::Raw),
                "version \"appsflyer\" takes identities as they are (identity_format = \"raw\")",
            ),
            (self.give_up_after_ms > 0, "give_up_after_ms must be above zero"),
        ];
        if let Some((_, rule)) = rules.into_iter().find(|(holds, _)| !holds) {
            return Err(self.breaks(rule));
        }
        check_url(&self.base_url).map_err(|rule| self.breaks(rule))?;
        let secret = self.auth.as_ref().map_or(Ok(()), Auth::check);
        secret.map_err(|source| ConfigError::Secret {
            vendor: self.name.clone(),
            source,
        })
    }

    fn breaks(&self, rule: &'static str) -> ConfigError {
        ConfigError::Vendor {
            vendor: self.name.clone(),
            rule,
        }
    }

    /// The base URL without a slash at its end.
    pub(crate) fn base(&self) -> &str {
        self.base_url.trim_end_matches('/')
    }

    /// How long to wait between two questions.
    pub(crate) fn poll_every(&self) -> Duration {
        Duration::from_millis(self.poll_every_ms)
    }

    /// How many calls it allows in which time.
    pub(crate) fn allowance(&self) -> Option<(u32, Duration)> {
        let second = self.calls_per_second.map(|calls| (calls, Duration::from_secs(1)));
        second.or_else(|| self.calls_per_minute.map(|calls| (calls, Duration::from_secs(60))))
    }

    /// Everything that decides what this vendor is told, and which vendor it is: what its evidence is bound to.
    pub(crate) fn identity(&self) -> Vec<&[u8]> {
        let head = [self.name.as_str(), self.base(), self.version.as_str()];
        let maps = self
            .identities
            .iter()
            .flat_map(|map| [map.kind.as_str(), map.identity_type.as_str(), map.identity_format.as_str()]);
        let property = [&self.property_id, &self.platform].into_iter().flatten().map(String::as_str);
        head.into_iter().chain(maps).chain(property).map(str::as_bytes).collect()
    }
}

fn is_word(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-');
    (1..=40).contains(&text.len()) && text.bytes().all(allowed)
}

/// Plain HTTP is for this machine only: everything else would show personal data to the network.
fn check_url(text: &str) -> Result<(), &'static str> {
    let url: reqwest::Url = text.parse().map_err(|_| "base_url must be a URL")?;
    let host = url.host_str().ok_or("base_url must name a host")?.trim_matches(['[', ']']);
    let loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if url.scheme() != "https" && !(url.scheme() == "http" && loopback) {
        return Err("base_url must be https (http is for this machine only)");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("base_url must hold no credentials; use auth");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("base_url must have no query and no fragment");
    }
    Ok(())
}

fn hour_ms() -> u64 {
    3_600_000
}

fn call_ms() -> u64 {
    10_000
}

fn calls() -> usize {
    4
}

fn one() -> usize {
    1
}

fn days_ms() -> u64 {
    3 * 24 * 3_600_000
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn vendor(base_url: &str) -> Value {
        json!({ "name": "mailer", "base_url": base_url, "identities": [{ "kind": "email", "identity_type": "email" }] })
    }

    fn check(vendors: Value) -> Result<(), String> {
        let config: Config = serde_json::from_value(json!({ "vendors": vendors })).map_err(|error| error.to_string())?;
        config.check().map_err(|error| error.to_string())
    }

    #[test]
    fn plain_http_leaves_this_machine_never() {
        for good in [
            "https://a.example/v2",
            "http://127.0.0.1:9/v2",
            "http://localhost/v2/",
            "http://[::1]:9/v2",
        ] {
            assert_eq!(check(json!([vendor(good)])), Ok(()), "{good}");
        }
        for bad in [
            "http://a.example/v2",
            "http://10.0.0.1/v2",
            "ftp://127.0.0.1/",
            "mailer",
            "https://key:secret@a.example/v2",
            "https://a.example/v2?key=secret",
            "http://localhost.evil.example/v2",
        ] {
            let refusal = check(json!([vendor(bad)])).unwrap_err();
            assert!(
                refusal.contains("base_url") && !refusal.contains("secret"),
                "{bad}: {refusal}"
            );
        }
    }

    #[test]
    fn settings_that_would_tell_nobody_are_refused() {
        assert!(check(json!([])).unwrap_err().contains("at least one vendor"));
        let mut nobody = vendor("https://a.example/v2");
        nobody["identities"] = json!([]);
        assert!(check(json!([nobody])).unwrap_err().contains("identities"));
        let twice = vendor("https://a.example/v2");
        assert!(check(json!([twice, twice])).unwrap_err().contains("two vendors"));
        let mut hashed = vendor("https://a.example/v2");
        hashed["identities"][0]["identity_format"] = json!("md5");
        assert!(check(json!([hashed])).unwrap_err().contains("sha256"));
        let mut typo = vendor("https://a.example/v2");
        typo["pol_every_ms"] = json!(1);
        assert!(check(json!([typo])).unwrap_err().contains("pol_every_ms"));
        let mut never = vendor("https://a.example/v2");
        never["calls_per_second"] = json!(0);
        assert!(check(json!([never])).unwrap_err().contains("calls_per_second"));
    }

    #[test]
    fn many_people_per_call_and_an_application_are_for_the_version_that_knows_them() {
        let with = |more: Value| {
            let mut vendor = vendor("https://a.example/v1");
            vendor.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            check(json!([vendor]))
        };
        assert!(
            with(json!({ "people_per_call": 50 }))
                .unwrap_err()
                .contains("people_per_call")
        );
        assert!(with(json!({ "property_id": "id1" })).unwrap_err().contains("property_id"));
        assert!(with(json!({ "version": "appsflyer" })).unwrap_err().contains("property_id"));
        let known = json!({ "version": "appsflyer", "property_id": "id1", "people_per_call": 50, "calls_per_minute": 350 });
        assert_eq!(with(known), Ok(()));
        let too_many = json!({ "version": "appsflyer", "property_id": "id1", "people_per_call": 251 });
        assert!(with(too_many).unwrap_err().contains("people_per_call"));
        let both = json!({ "calls_per_second": 1, "calls_per_minute": 60 });
        assert!(with(both).unwrap_err().contains("not both"));
        assert!(with(json!({ "calls_per_minute": 10_001 })).unwrap_err().contains("10000"));
    }
}
