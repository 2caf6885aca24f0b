//! The routes without a server: a SQLite ledger, no tracker, and a broker that is not there.

use crate::router::OPENAPI;
use crate::{Api, Error, HttpConfig, NamedToken, Serving, Status, TenantNames, serve};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, Response, StatusCode, header};
use erasure_broker::Publisher;
use erasure_kit::{AnyResolve, Health, Resolve};
use erasure_ledger::{Accepted, Access, Event, Ledger, NewPart, NewSlice, Registration, SubjectHash};
use erasure_privacy::KeyRing;
use erasure_protocol::{
    EvidenceKey, Fault, IdentifierKind, KeyId, Lane, Millis, Operation, Options, Phase, PlanEntry, Record, RequestId, RequestKey,
    Sealed, Subject, SubsystemName, TenantId, WrappedKey,
};
use erasure_tracker::Tracker;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

mod listening;
mod servers;

const TOKEN: &str = "planted-0123456789abcdef";
const CRM_TOKEN: &str = "planted-crm-0123456789ab";
const NOW: Millis = Millis(1_790_000_000_000);

struct World {
    config: HttpConfig,
    tracker: Option<Tracker>,
    router: Router,
    ledger: Ledger,
    keys: Arc<KeyRing>,
    health: Health,
    _folder: tempfile::TempDir,
}

/// Finds nobody; compares e-mail addresses in lower case.
struct Kinds;

impl Resolve for Kinds {
    fn alternatives(&self) -> Vec<Vec<IdentifierKind>> {
        vec![vec![kind("user_id")], vec![kind("email"), kind("business_unit")]]
    }
    fn kinds(&self) -> Vec<IdentifierKind> {
        ["user_id", "email", "business_unit"].map(kind).into()
    }
    async fn resolve(&self, _tenant: &TenantId, given: &[Record]) -> Result<Vec<Subject>, Fault> {
        Ok(given.iter().cloned().map(Subject::given).collect())
    }
    fn normalise(&self, _kind: &IdentifierKind, value: &str) -> String {
        value.to_lowercase()
    }
}

fn kind(name: &str) -> IdentifierKind {
    IdentifierKind::new(name).unwrap()
}

fn tenant(id: &str) -> TenantId {
    TenantId::new(id).unwrap()
}

impl World {
    async fn new() -> Self {
        Self::with(|_| ()).await
    }

    async fn with(change: impl FnOnce(&mut HttpConfig)) -> Self {
        let broker = erasure_broker::Config {
            url: "amqp://guest:guest@127.0.0.1:1/%2f".to_owned(),
            confirm_timeout_ms: 100,
            ..erasure_broker::Config::default()
        };
        Self::on(&broker, None, change).await
    }

    async fn on(
        broker: &erasure_broker::Config,
        tracker: Option<erasure_tracker::Config>,
        change: impl FnOnce(&mut HttpConfig),
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = erasure_ledger::Config::at(format!("sqlite:{}", folder.path().join("ledger.db").display()));
        erasure_ledger::migrate(&place).await.unwrap();
        let ledger = Ledger::open(&place, Access::Write).await.unwrap();
        let ring = folder.path().join("keys.json");
        erasure_privacy::generate(&ring, NOW).unwrap();
        let keys = Arc::new(KeyRing::load(&ring).unwrap());
        let tracker = match tracker {
            Some(config) => Some(Tracker::connect(&config, ledger.id()).await.unwrap()),
            None => None,
        };
        let crm = NamedToken {
            token: Some(CRM_TOKEN.to_owned()),
            tenants: [tenant("1")].into(),
            ..NamedToken::default()
        };
        let mut config = HttpConfig {
            token: Some(TOKEN.to_owned()),
            tokens: [("crm".to_owned(), crm)].into(),
            ..HttpConfig::default()
        };
        change(&mut config);
        let health = Health::default();
        let api = Api {
            status: Status {
                ledger: ledger.clone(),
                tracker: tracker.clone(),
            },
            publisher: Publisher::start(broker, "test", CancellationToken::new()),
            keys: Arc::clone(&keys),
            resolve: Some(AnyResolve::new(Kinds)),
            tenants: TenantNames::new(
                |named| match named {
                    "1" | "Acme" => Some(tenant("1")),
                    "2" => Some(tenant("2")),
                    _ => None,
                },
                None,
            ),
            health: health.clone(),
            metrics: Arc::new(|| "erasure_up 1\n".to_owned()),
            config,
        };
        Self {
            config: api.config.clone(),
            tracker,
            router: api.router().unwrap(),
            ledger,
            keys,
            health,
            _folder: folder,
        }
    }

    /// A request on two people, the second of whom is `a@example.org` of `eu`.
    async fn accept(&self, of: &str, id: &str) {
        let (evidence, profiles) = (EvidenceKey([1; 16]), SubsystemName::new("profiles").unwrap());
        let new = Registration {
            name: profiles.clone(),
            kind: "profiles".to_owned(),
            evidence,
            map: [1; 16],
            replacing: None,
        };
        let registered = self.ledger.register_subsystem(&new, NOW).await;
        registered.unwrap();
        let (tenant, request_id) = (tenant(of), RequestId::new(id).unwrap());
        let (email, unit) = (kind("email"), kind("business_unit"));
        let pairs = [(&email, "a@example.org"), (&unit, "eu")];
        let hashes = self.keys.hashes(&tenant, &pairs).into_iter().map(|hash| SubjectHash {
            slice: 0,
            position: 1,
            key_id: hash.key,
            hash: hash.hash,
        });
        let new = NewPart {
            request: RequestKey::of(&tenant, &request_id),
            hashes: hashes.collect(),
            tenant,
            request_id,
            operation: Operation::Erase,
            options: Options::default(),
            source: "test".to_owned(),
            origin: "support".to_owned(),
            ticket: Some("T-1".to_owned()),
            received_at: NOW,
            regulation: "gdpr".to_owned(),
            due_at: Millis(NOW.0 + 2_592_000_000),
            accepted_at: NOW,
            lane: Lane::Bulk,
            fingerprint: vec![1; 32],
            part: None,
            slices: vec![NewSlice {
                number: 0,
                count: 2,
                sealed: Sealed(vec![7; 40]),
            }],
            key: WrappedKey {
                key: KeyId("k".to_owned()),
                wrapped: Sealed(vec![7; 40]),
            },
            plan: vec![PlanEntry {
                phase: Phase::Purge,
                subsystem: profiles,
                evidence,
            }],
            failed_now: Vec::new(),
            events: Vec::<Event>::new(),
        };
        assert!(matches!(self.ledger.accept(new).await, Ok(Accepted::New { .. })));
    }

    async fn serve(&self, stop: &CancellationToken) -> Result<Serving, Error> {
        serve(&self.config, self.router.clone(), self.health.clone(), stop.clone()).await
    }

    async fn send(&self, request: Request<Body>) -> Response<Body> {
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// The status and the JSON of the answer.
    async fn call(&self, method: &str, path: &str, token: &str, body: impl Into<Body>) -> (StatusCode, Value) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
            .body(body.into())
            .unwrap();
        json_of(self.send(request).await).await
    }

    async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        self.call("POST", path, TOKEN, body.to_string()).await
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.call("GET", path, TOKEN, Body::empty()).await
    }
}

async fn json_of(response: Response<Body>) -> (StatusCode, Value) {
    let status = response.status();
    let is_problem = response.headers()[header::CONTENT_TYPE] == "application/problem+json";
    let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    let value = serde_json::from_slice(&bytes).unwrap();
    if is_problem {
        assert_is("Problem", &value);
    }
    (status, value)
}

/// The value is what the published document says.
fn assert_is(schema: &str, value: &Value) {
    let mut document: Value = serde_json::from_str(OPENAPI).unwrap();
    document["$ref"] = json!(format!("#/components/schemas/{schema}"));
    let validator = jsonschema::draft202012::new(&document).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "not a {schema}: {errors:?} in {value}");
    let known = &document["components"]["schemas"][schema]["properties"];
    for field in value.as_object().unwrap().keys() {
        assert!(known.get(field).is_some(), "{schema} does not document {field}");
    }
}

fn command() -> Value {
    json!({"version": 1, "request_id": "r-1", "tenant": "Acme", "operation": "erase", "subjects": [{"user_id": "planted-7"}]})
}

#[tokio::test]
async fn without_a_token_nothing_under_v1_is_answered() {
    let world = World::new().await;
    for (method, path) in [("POST", "/v1/requests"), ("GET", "/v1/requests/r-1"), ("POST", "/v1/find")] {
        for token in ["", "wrong", &TOKEN[1..]] {
            let (status, problem) = world.call(method, path, token, Body::empty()).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{path} {problem}");
        }
    }
}

#[tokio::test]
async fn a_command_is_accepted_only_once_the_broker_has_it() {
    let world = World::new().await;
    assert_is("Command", &command());
    let (status, problem) = world.post("/v1/requests", &command()).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(problem["request_id"], "r-1");
    assert!(!problem.to_string().contains("planted"));
}

#[tokio::test]
async fn a_command_without_an_id_takes_the_idempotency_key() {
    let world = World::new().await;
    let mut anonymous = command();
    anonymous.as_object_mut().unwrap().remove("request_id");
    let (_, problem) = world.post("/v1/requests", &anonymous).await;
    assert!(problem["request_id"].as_str().unwrap().parse::<uuid::Uuid>().is_ok());
    let request = Request::post("/v1/requests")
        .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
        .header(header::CONTENT_TYPE, "application/json")
        .header("Idempotency-Key", "\"k-1\"")
        .body(Body::from(anonymous.to_string()))
        .unwrap();
    let (_, problem) = json_of(world.send(request).await).await;
    assert_eq!(problem["request_id"], "k-1");
    anonymous["part"] = json!({"number": 0, "last": true});
    let (status, problem) = world.post("/v1/requests", &anonymous).await;
    assert_eq!((status.as_u16(), &problem["errors"][0]["field"]), (422, &json!("request_id")));
}

#[tokio::test]
async fn a_wrong_command_is_refused_by_field_before_it_is_published() {
    let world = World::new().await;
    let with = |field: &str, value: Value| {
        let mut command = command();
        command[field] = value;
        command
    };
    for (wrong, field, code) in [
        (with("tenant", json!("planted")), "tenant", "COMMAND-030"),
        (
            with("subjects", json!([{"phone": "planted"}])),
            "subjects[0].phone",
            "COMMAND-017",
        ),
        (with("subjects", json!([{"email": "planted"}])), "subjects[0]", "COMMAND-018"),
        (with("subjects", json!([])), "subjects", "COMMAND-010"),
        (with("version", json!(2)), "version", "COMMAND-009"),
        (with("request", json!("planted")), "request", "COMMAND-006"),
    ] {
        let (status, problem) = world.post("/v1/requests", &wrong).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
        let error = &problem["errors"][0];
        assert_eq!((&error["field"], &error["code"]), (&json!(field), &json!(code)));
        assert!(!problem.to_string().contains("planted"), "{problem}");
    }
    for (body, status) in [("{", 400), ("", 400), ("[]", 422)] {
        let (found, problem) = world.call("POST", "/v1/requests", TOKEN, body).await;
        assert_eq!(found.as_u16(), status, "{problem}");
    }
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused() {
    let world = World::with(|config| config.body_bytes_max = 100).await;
    let (status, problem) = world.call("POST", "/v1/requests", TOKEN, vec![b' '; 101]).await;
    assert_eq!((status.as_u16(), &problem["errors"][0]["code"]), (413, &json!("COMMAND-001")));
}

#[tokio::test]
async fn another_content_type_is_refused() {
    let world = World::new().await;
    let request = Request::post("/v1/requests")
        .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
        .body(Body::from(command().to_string()))
        .unwrap();
    assert_eq!(json_of(world.send(request).await).await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn a_named_token_acts_for_its_tenants_alone() {
    let world = World::new().await;
    world.accept("2", "r-2").await;
    let mut other = command();
    other["tenant"] = json!("2");
    let unknown = json!({"tenant": "9", "identifiers": {"user_id": 7}});
    for (method, path, body) in [
        ("POST", "/v1/requests", other.to_string()),
        ("POST", "/v1/find", unknown.to_string()),
        ("GET", "/v1/requests/r-2?tenant=2", String::new()),
    ] {
        let (status, _) = world.call(method, path, CRM_TOKEN, body).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{path}");
    }
    let (status, _) = world.call("GET", "/v1/requests/r-2", CRM_TOKEN, Body::empty()).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_request_is_answered_from_the_ledger_when_the_tracker_knows_nothing() {
    let world = World::new().await;
    world.accept("1", "r-1").await;
    for path in [
        "/v1/requests/r-1",
        "/v1/requests/r-1?tenant=1",
        "/v1/requests/r-1?tenant=Acme",
    ] {
        let (status, answer) = world.get(path).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        assert_is("Answer", &answer);
        assert_is("Line", &answer["subsystems"][0]);
        assert_is("Counts", &answer["people"]);
        assert_eq!(answer["headline"], "not_erased_yet");
        assert_eq!(answer["people"]["in_progress"], 2);
        assert!(answer["text"].as_str().unwrap().starts_with("Not erased yet."));
    }
    let (status, problem) = world.get("/v1/requests/r-9").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(problem["detail"].as_str().unwrap().contains("intake"));
    assert_eq!(
        world.get("/v1/requests/r-1?tenant=9").await.0,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    assert_eq!(world.get("/v1/requests/a%20b").await.0, StatusCode::UNPROCESSABLE_ENTITY);
    world.accept("2", "r-1").await;
    assert_eq!(world.get("/v1/requests/r-1").await.0, StatusCode::CONFLICT);
}

#[tokio::test]
async fn a_person_is_found_by_identifiers_and_answered_alone() {
    let world = World::new().await;
    world.accept("1", "r-1").await;
    let find = |identifiers: Value| json!({"tenant": "Acme", "identifiers": identifiers});
    let person = find(json!({"email": "A@Example.org", "business_unit": "EU"}));
    assert_is("Find", &person);
    let (status, people) = world.post("/v1/find", &person).await;
    assert_eq!(status, StatusCode::OK, "{people}");
    assert_is("People", &people);
    assert_eq!(people["requests"][0]["request_id"], "r-1");
    assert_eq!(people["requests"][0]["subjects"], 1);
    let (_, nobody) = world.post("/v1/find", &find(json!({"user_id": 9}))).await;
    assert_eq!(nobody["requests"], json!([]));
    let (status, problem) = world.post("/v1/find", &find(json!({"email": "planted"}))).await;
    assert_eq!(
        (status.as_u16(), &problem["errors"][0]["field"]),
        (422, &json!("identifiers"))
    );
    let (_, problem) = world.post("/v1/find", &find(json!({"phone": "planted"}))).await;
    assert_eq!(problem["errors"][0]["field"], "identifiers.phone");
    assert!(!problem.to_string().contains("planted"));
}

#[tokio::test]
async fn health_is_told_without_a_token() {
    let world = World::new().await;
    let alive = world.send(Request::get("/healthz").body(Body::empty()).unwrap()).await;
    assert_eq!(alive.status(), StatusCode::OK);
    world.health.waiting("profiles", "no route");
    let (status, ready) = world.call("GET", "/readyz", "", Body::empty()).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_is("Readiness", &ready);
    let parts: Vec<_> = ready["waiting"].as_array().unwrap().iter().map(|it| &it["part"]).collect();
    assert_eq!(parts, ["profiles", "api"]);
    let metrics = world.send(Request::get("/metrics").body(Body::empty()).unwrap()).await;
    assert_eq!(to_bytes(metrics.into_body(), 100).await.unwrap(), "erasure_up 1\n");
}

#[tokio::test]
async fn unknown_routes_and_methods_are_problems() {
    let world = World::new().await;
    assert_eq!(world.get("/v2").await.0, StatusCode::NOT_FOUND);
    assert_eq!(world.get("/v1/find").await.0, StatusCode::METHOD_NOT_ALLOWED);
    let (status, problem) = world.call("DELETE", "/healthz", "", Body::empty()).await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(problem["type"], "urn:erasure:problem:method-not-allowed");
}

#[tokio::test]
async fn the_document_names_every_route_and_no_other() {
    let world = World::new().await;
    let (_, document) = world.get("/openapi.json").await;
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().unwrap();
    assert_eq!(paths.len(), 7);
    for (path, methods) in paths {
        for method in methods.as_object().unwrap().keys() {
            let path = path.replace("{id}", "r-1");
            let request = Request::builder().method(method.to_uppercase().as_str()).uri(&path);
            let response = world.send(request.body(Body::empty()).unwrap()).await;
            let missing = [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED];
            assert!(!missing.contains(&response.status()), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn no_more_calls_are_let_in_than_can_be_answered() {
    let world = World::with(|config| config.requests_at_once_max = 1).await;
    let command = command();
    let (first, second) = tokio::join!(world.post("/v1/requests", &command), world.post("/v1/requests", &command));
    // The first waits for the broker's confirmation while the second comes.
    assert_eq!(first.1["request_id"], "r-1");
    assert!(second.1["detail"].as_str().unwrap().contains("requests_at_once_max"));
}
