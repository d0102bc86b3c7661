//! The inspector's page of the demo's cluster.

use greenroom_inspector::page::{Page, PageConfig, PageError};

use crate::nodes::Nodes;

/// Serves the page until the process ends, and answers with what to open in a browser. Without it the
/// demo goes on.
pub(crate) async fn serve(nodes: &Nodes) -> Option<String> {
    let usual = PageConfig::new(&nodes.caller().peer_address().to_string());
    // Where it is usually, or if something listens there, anywhere.
    let elsewhere = PageConfig { listen: "127.0.0.1:0".to_owned(), ..usual.clone() };
    let page = match Page::bind(usual).await {
        Err(PageError::Listen { .. }) => Page::bind(elsewhere).await,
        bound => bound,
    };
    let page = match page {
        Ok(page) => page,
        Err(error) => {
            println!("without the inspector's page: {error}");
            return None;
        }
    };
    let url = page.url();
    println!("watch the shards at {url}");
    tokio::spawn(page.serve());
    Some(url)
}
