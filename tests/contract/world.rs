//! An instance of the service for one test, with a new database and a settable clock. Each response of an operation is validated
//! against the OpenAPI document.

use std::{
    num::NonZeroU32,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use poem::{
    Body, Endpoint, Request,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri},
};
use serde_json::{Value, json};
use signet::{
    accounts::{self, Account, AccountStore, Database, Limits, NewAccount},
    api::{BodyLimits, Document, Operations, PublicKeys},
    auth::{
        Argon2Params, Audit, AuthMetrics, AuthService, AuthState, Clock, HashPoolLimits, Lifetimes,
        PasswordHasher, PreviousSecret, PrivateKey, Quotas, RateLimiter, Secrets, Tokens,
    },
    config::{Origins, TrustedProxies},
    http::{AdminApi, App, AppConfig, Proxies, ShutdownFlag, build_app},
};
use time::OffsetDateTime;

use crate::{
    relay::Relay,
    store::{LIMITS, Store},
};

pub(crate) const OBTAIN: &str = "/v1/auth/jwt/obtain/";
pub(crate) const REFRESH: &str = "/v1/auth/jwt/refresh/";
pub(crate) const VERIFY: &str = "/v1/auth/jwt/verify/";
/// The Unix time at which the documented token was issued.
pub(crate) const NOW: i64 = 1_539_737_696;
pub(crate) const EXPIRES_IN: i64 = 3600;
pub(crate) const REFRESH_WINDOW: i64 = 604_800;
pub(crate) const LIFETIMES: Lifetimes = Lifetimes {
    expires_in: EXPIRES_IN,
    refresh_window: REFRESH_WINDOW,
};
pub(crate) const SECRET: &str = "reference-oracle-secret-key-0123456789abcdefghijklmnopqrstuvwxyz";
/// Low cost, so that a test can log in often. Tests of the login cost use other parameters.
pub(crate) const CHEAP: Argon2Params = Argon2Params {
    memory_kib: 32,
    iterations: 1,
    parallelism: 1,
};

/// Limits that are higher than the needs of any test.
pub(crate) const GENEROUS: HashPoolLimits = HashPoolLimits {
    threads: 2,
    memory_kib: 1_000_000,
    wait: Duration::from_mins(10),
};

pub(crate) struct World {
    operations: Operations,
    pub(crate) auth: AuthService,
    pub(crate) app: App,
    pub(crate) admin: App,
    pub(crate) shutdown: ShutdownFlag,
    pub(crate) db: Database,
    pub(crate) url: String,
    relay: Option<Relay>,
    clock: Arc<AtomicI64>,
    store: Arc<Store>,
}

/// A response with its complete body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

/// Options of a [`World`]. Most tests use the default.
pub(crate) struct Setup {
    pub(crate) operations: Operations,
    pub(crate) cost: Argon2Params,
    pub(crate) budget: HashPoolLimits,
    pub(crate) limits: BodyLimits,
    /// The time limit of a query, including the time that other writers take.
    pub(crate) patience: Duration,
    pub(crate) connections: NonZeroU32,
    /// Whether the service connects to the database through a [`Relay`].
    pub(crate) relay: bool,
    pub(crate) secrets: Secrets,
    pub(crate) issuer: Option<&'static str>,
    pub(crate) lifetimes: Lifetimes,
    pub(crate) rates: Option<Quotas>,
    pub(crate) proxies: &'static str,
    pub(crate) client_ip_header: &'static str,
    pub(crate) origins: &'static str,
    /// The time at the start of the service, in Unix seconds.
    pub(crate) now: i64,
    /// Replaces the settable clock.
    pub(crate) clock: Option<Clock>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            operations: Operations::Contract,
            cost: CHEAP,
            budget: GENEROUS,
            limits: BodyLimits::default(),
            patience: Duration::from_mins(1),
            connections: LIMITS.connections,
            relay: false,
            secrets: default_secrets(),
            issuer: None,
            lifetimes: LIFETIMES,
            rates: None,
            proxies: "",
            client_ip_header: "x-forwarded-for",
            origins: "",
            now: NOW,
            clock: None,
        }
    }
}

impl Setup {
    /// A clock that panics simulates any bug that panics.
    pub(crate) fn that_panics() -> Self {
        Self {
            clock: Some(Clock::new(|| panic!("simulated bug: the clock panics"))),
            // The start of a service with keys needs the clock.
            secrets: Secrets::only(SECRET.as_bytes()),
            ..Self::default()
        }
    }

    pub(crate) fn impatient() -> Self {
        Self {
            limits: BodyLimits {
                read_timeout: Duration::from_millis(1),
                ..BodyLimits::default()
            },
            ..Self::default()
        }
    }
}

/// Whether `make test-es256` runs the suite: all services sign with ES256.
#[expect(
    clippy::disallowed_methods,
    reason = "this variable is for the tests, and is no setting of the service"
)]
pub(crate) fn is_es256() -> bool {
    std::env::var_os("SIGNET_TEST_ES256").is_some()
}

/// The secrets of a service. With ES256, the secret still verifies the tokens that the tests sign.
pub(crate) fn default_secrets() -> Secrets {
    let secret = Secrets::only(SECRET.as_bytes());
    if !is_es256() {
        return secret;
    }
    Secrets {
        current: None,
        previous: vec![PreviousSecret::read(SECRET.as_bytes()).unwrap()],
        keys: vec![PrivateKey::generate()],
    }
}

pub(crate) fn public_keys(secrets: &Secrets) -> PublicKeys {
    match (secrets.keys.is_empty(), &secrets.current) {
        (true, _) => PublicKeys::Absent,
        (false, Some(_)) => PublicKeys::Published,
        (false, None) => PublicKeys::Sign,
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::of(Setup::default()).await
    }

    pub(crate) async fn at_cost(cost: Argon2Params) -> Self {
        Self::of(Setup {
            cost,
            ..Setup::default()
        })
        .await
    }

    pub(crate) async fn that_panics() -> Self {
        Self::of(Setup::that_panics()).await
    }

    /// Creates a world that reads a request body for at most one millisecond.
    pub(crate) async fn impatient() -> Self {
        Self::of(Setup::impatient()).await
    }

    pub(crate) async fn of(setup: Setup) -> Self {
        let store = Arc::new(Store::migrated().await);
        Self::on(store, setup).await
    }

    /// Creates another service with the same database and the same time, and with these secrets.
    pub(crate) async fn replica(&self, secrets: Secrets) -> Self {
        let setup = Setup {
            secrets,
            now: self.now().unix_timestamp(),
            ..Setup::default()
        };
        Self::on(Arc::clone(&self.store), setup).await
    }

    /// Creates another service with the same database, and with this issuer since `now`.
    pub(crate) async fn replica_with_issuer(&self, issuer: Option<&'static str>, now: i64) -> Self {
        let setup = Setup {
            issuer,
            now,
            ..Setup::default()
        };
        Self::on(Arc::clone(&self.store), setup).await
    }

    async fn on(store: Arc<Store>, setup: Setup) -> Self {
        let clock = Arc::new(AtomicI64::new(setup.now));
        let shared = Arc::clone(&clock);
        let settable = Clock::new(move || {
            OffsetDateTime::from_unix_timestamp(shared.load(Ordering::SeqCst)).unwrap()
        });
        let limits = Limits {
            wait: setup.patience,
            connections: setup.connections,
            ..LIMITS
        };
        let url = store.url();
        let relay = setup.relay.then(|| Relay::new(&url));
        let url = relay.as_ref().map_or(url.clone(), |it| it.through(&url));
        let db = accounts::open(&url, limits).await.unwrap();
        let proxies = TrustedProxies::try_from(setup.proxies.to_owned()).unwrap();
        let origins = Origins::try_from(setup.origins.to_owned()).unwrap();
        let auth = AuthService::from(AuthState {
            rate_limiter: RateLimiter::new(setup.rates),
            audit: Audit {
                whole_emails: false,
            },
            accounts: AccountStore::new(db.clone(), limits),
            passwords: PasswordHasher::new(setup.cost, setup.budget).unwrap(),
            tokens: Tokens::new(&setup.secrets, setup.lifetimes)
                .unwrap()
                .with_issuer(setup.issuer.map(str::to_owned)),
            metrics: AuthMetrics::default(),
            clock: setup.clock.unwrap_or(settable),
        });
        auth.start_publication().await.unwrap();
        let options = AppConfig {
            keys: public_keys(&setup.secrets),
            operations: setup.operations,
            limits: setup.limits,
            proxies: Proxies {
                networks: proxies.networks,
                unix: proxies.unix,
                header: HeaderName::from_static(setup.client_ip_header),
            },
            cors_origins: origins.0,
            ..AppConfig::default()
        };
        let admin = AdminApi::default();
        let built = build_app(&auth, options, &admin);
        Self {
            operations: setup.operations,
            app: built.app,
            admin: admin.app(),
            shutdown: built.shutdown,
            auth,
            db,
            url,
            relay,
            clock,
            store,
        }
    }

    pub(crate) fn relay(&self) -> &Relay {
        self.relay.as_ref().unwrap()
    }

    pub(crate) fn set_clock(&self, now: i64) {
        self.clock.store(now, Ordering::SeqCst);
    }

    pub(crate) fn now(&self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(self.clock.load(Ordering::SeqCst)).unwrap()
    }

    /// Adds an account. An account without a password cannot log in.
    pub(crate) async fn add(&self, id: i64, email: &str, password: Option<&str>) -> Account {
        let password = match password {
            Some(password) => Some(self.auth.passwords.hash(password).await.unwrap()),
            None => None,
        };
        let account = NewAccount {
            id: Some(id),
            email: email.to_owned(),
            password,
        };
        self.auth.accounts.add(account, self.now()).await.unwrap()
    }

    /// Returns the account with this ID from the database.
    pub(crate) async fn account(&self, id: i64) -> Option<Account> {
        let accounts = self.auth.accounts.all().await.unwrap();
        accounts.into_iter().find(|account| account.id == id)
    }

    /// Adds the account of the contract's login example.
    pub(crate) async fn add_documented(&self) -> Account {
        self.add(1, "jonhdoeqa@email.com", Some("1234ABCD")).await
    }

    pub(crate) async fn send(&self, request: Request) -> Answer {
        let operation = request.method() == Method::POST;
        let path = request.uri().path().trim_end_matches('/').to_owned() + "/";
        let response = self.app.get_response(request).await;
        let answer = Answer {
            status: response.status(),
            headers: response.headers().clone(),
            text: String::from_utf8_lossy(&response.into_body().into_vec().await.unwrap())
                .into_owned(),
        };
        if operation {
            answer.assert_documented(self.operations, &path);
        }
        answer
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(post(path, body.to_string())).await
    }

    pub(crate) async fn obtain(&self, email: &str, password: &str) -> Answer {
        self.post(OBTAIN, &json!({ "email": email, "password": password }))
            .await
    }

    pub(crate) async fn refresh(&self, token: &str) -> Answer {
        self.post(REFRESH, &json!({ "token": token })).await
    }

    /// Returns a token of the documented account.
    pub(crate) async fn token(&self) -> String {
        self.obtain("jonhdoeqa@email.com", "1234ABCD").await.token()
    }
}

pub(crate) fn request(method: &str, path: &str, headers: &[(&str, &str)], body: Body) -> Request {
    let mut request = Request::builder()
        .method(Method::from_bytes(method.as_bytes()).unwrap())
        .uri(path.parse::<Uri>().unwrap())
        .body(body);
    for (name, value) in headers {
        let name: poem::http::HeaderName = name.parse().unwrap();
        request
            .headers_mut()
            .append(name, HeaderValue::from_str(value).unwrap());
    }
    request
}

pub(crate) fn post(path: &str, body: impl Into<Body>) -> Request {
    request(
        "POST",
        path,
        &[("content-type", "application/json")],
        body.into(),
    )
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub(crate) fn token(&self) -> String {
        assert_eq!(self.status, 200, "{}", self.text);
        self.json()["token"].as_str().unwrap().to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Asserts that obtain or refresh rejected the request with this message.
    pub(crate) fn assert_refused(&self, message: &str) {
        assert_eq!(self.status, 400, "{}", self.text);
        assert_eq!(self.json(), json!({ "non_field_errors": [message] }));
    }

    /// Asserts that the document contains the status, the body and the headers of this response.
    fn assert_documented(&self, operations: Operations, path: &str) {
        static CONTRACT: LazyLock<Document> =
            LazyLock::new(|| Document::build(Operations::Contract, None, LIFETIMES));
        static WITH_VERIFY: LazyLock<Document> =
            LazyLock::new(|| Document::build(Operations::WithVerify, None, LIFETIMES));
        let document = match operations {
            Operations::Contract => CONTRACT.value(),
            Operations::WithVerify => WITH_VERIFY.value(),
        };
        let Some(operation) = document["paths"].get(path) else {
            return;
        };
        let response = &operation["post"]["responses"][self.status.as_str()];
        assert!(
            response.is_object(),
            "{path} does not document {}",
            self.status
        );
        let schema = &response["content"]["application/json"]["schema"];
        let mut schema = schema.clone();
        schema["components"] = document["components"].clone();
        jsonschema::draft4::validate(&schema, &self.json())
            .unwrap_or_else(|error| panic!("{path} {}: {error}: {}", self.status, self.text));
        let documented = response["headers"].as_object();
        for name in documented.into_iter().flat_map(serde_json::Map::keys) {
            assert!(
                self.headers.contains_key(name),
                "{path} {}: header {name} is missing",
                self.status
            );
        }
    }
}
