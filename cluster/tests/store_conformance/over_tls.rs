//! A real etcd over TLS, with certificates made here.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use greenroom_cluster::store::{Commit, EtcdOptions, EtcdStore, EtcdTls, Store, StoreError, Txn};
use greenroom_cluster::testing::{EtcdServer, EtcdTlsFiles};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

use super::{next_changes, put, soon};

/// Somebody who signs certificates, and where these stand.
struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        Self { folder, issuer: Issuer::new(params, key) }
    }

    fn certificate(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Signs a certificate for `127.0.0.1`; answers with it and its key.
    fn sign(&self, name: &str) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let write = |end: &str, text: String| {
            let path = self.folder.path().join(format!("{name}{end}"));
            fs::write(&path, text).unwrap();
            path
        };
        (write(".pem", certificate.pem()), write(".key", key.serialize_pem()))
    }
}

fn serve(authority: &Authority, clients: Option<&Path>) -> EtcdServer {
    let (certificate, key) = authority.sign("server");
    let client_authority = clients.map(Path::to_owned);
    EtcdServer::start_with_tls(&EtcdTlsFiles { certificate, key, client_authority })
}

fn options(server: &EtcdServer, tls: EtcdTls) -> EtcdOptions {
    let mut options = EtcdOptions::new([server.endpoint()]);
    options.request_timeout = Duration::from_secs(5);
    options.tls = tls;
    options
}

async fn write(store: &EtcdStore, key: &str) -> Result<Commit, StoreError> {
    store.commit(Txn { guards: vec![], writes: vec![put(key, "x")] }).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_writes_and_watches_go_over_tls_to_an_etcd_that_asks_for_a_certificate() {
    let authority = Authority::new();
    let server = serve(&authority, Some(&authority.certificate()));
    assert!(server.endpoint().starts_with("https://"));
    let tls = EtcdTls {
        authorities: Some(authority.certificate()),
        identity: Some(authority.sign("node")),
    };
    let store = EtcdStore::connect(options(&server, tls)).await.unwrap();
    let mut watch = store.watch("a", 0).await.unwrap();
    assert!(matches!(write(&store, "a").await, Ok(Commit::Applied { .. })));
    assert!(store.get("a").await.unwrap().1.is_some());
    soon(next_changes(&mut *watch)).await.unwrap();

    let anonymous = EtcdTls { authorities: Some(authority.certificate()), identity: None };
    let anonymous = EtcdStore::connect(options(&server, anonymous)).await.unwrap();
    let refused = write(&anonymous, "b").await;
    assert!(refused.is_err(), "without a certificate: {refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_etcd_whose_authority_is_not_trusted_is_told_nothing() {
    let (theirs, ours) = (Authority::new(), Authority::new());
    let server = serve(&theirs, None);
    for authorities in [Some(ours.certificate()), None] {
        let tls = EtcdTls { authorities, identity: None };
        let store = EtcdStore::connect(options(&server, tls)).await.unwrap();
        let refused = write(&store, "a").await.unwrap_err();
        assert!(matches!(refused, StoreError::Transient(_)), "it was never sent: {refused:?}");
    }
    let tls = EtcdTls { authorities: Some(theirs.certificate()), identity: None };
    let trusting = EtcdStore::connect(options(&server, tls)).await.unwrap();
    assert!(trusting.get("a").await.unwrap().1.is_none(), "nothing was written");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_are_renewed_are_read_for_the_next_connection() {
    let (old, new) = (Authority::new(), Authority::new());
    let server = serve(&new, None);
    let tls = EtcdTls { authorities: Some(old.certificate()), identity: None };
    let store = EtcdStore::connect(options(&server, tls)).await.unwrap();
    assert!(store.get("a").await.is_err(), "the old authority does not know it");
    fs::copy(new.certificate(), old.certificate()).unwrap();
    store.get("a").await.unwrap();
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_named() {
    let mut options = EtcdOptions::new(["https://127.0.0.1:1"]);
    options.tls.authorities = Some("/no/such/file".into());
    let error = EtcdStore::connect(options).await.unwrap_err().to_string();
    assert!(error.contains("/no/such/file"), "{error}");
}
