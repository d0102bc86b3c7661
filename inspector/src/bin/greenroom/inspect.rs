//! Serves the page.

use greenroom_inspector::page::{Page, PageConfig};
use tokio::signal::ctrl_c;

use crate::args::Args;
use crate::{Failure, print};

/// Serves until the process is told to end.
pub(crate) async fn serve(args: &Args, listen: &str, hosts: &[String]) -> Result<(), Failure> {
    let config = PageConfig {
        listen: listen.to_owned(),
        hosts: hosts.to_vec(),
        ..PageConfig::new(&args.node)
    };
    let page = Page::bind(config).await?;
    let line = format!("{} shows the cluster of {}\n", page.url(), args.node);
    print(&line).map_err(Failure::Output)?;
    tokio::select! {
        served = page.serve() => served.map_err(Failure::Runtime),
        _ = ctrl_c() => Ok(()),
        () = terminated() => Ok(()),
    }
}

/// Until a service manager tells the process to end.
#[cfg(unix)]
async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut signal) => _ = signal.recv().await,
        Err(_) => std::future::pending().await,
    }
}

#[cfg(not(unix))]
async fn terminated() {
    std::future::pending().await
}
