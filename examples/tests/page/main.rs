//! The inspector's page in a browser, against three node processes on a real etcd: what a person
//! sees and does there, compared with what the cluster says and what stands in etcd.
//!
//! Screenshots go to `target/tmp/page/`; with `GREENROOM_BLESS=1`, those that a README shows also to
//! `inspector/images/`.

mod browser;
#[path = "../support/calls.rs"]
mod calls;
mod cluster;

use std::path::Path;
use std::time::{Duration, Instant};

use greenroom_inspector::page::{Page, PageConfig};
use greenroom_inspector::{ClusterView, Operator, OperatorToken};
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};
use tokio::task::JoinHandle;

use browser::Browser;
use cluster::{Cluster, SHARDS, TOKEN};

const PATIENCE: Duration = Duration::from_secs(60);

/// Screenshots that a README shows.
const SHOWN: [&str; 3] = ["drain-light", "calls-dark", "orphans-light"];

/// One cluster and one browser at a time are enough for a small machine.
static ALONE: Mutex<()> = Mutex::const_new(());

/// Waits until something is so.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so().await {
        assert!(Instant::now() < deadline, "waited for {what} in vain");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A cluster, a page that shows it, and a browser that shows the page.
struct Stage {
    browser: Browser,
    cluster: Cluster,
    node: String,
    server: JoinHandle<()>,
    _alone: MutexGuard<'static, ()>,
}

impl Stage {
    /// The page asks the node with the name that `asked` chooses.
    async fn set(asked: impl AsyncFnOnce(&Cluster) -> String) -> Self {
        let alone = ALONE.lock().await;
        let cluster = Cluster::start().await;
        let node = cluster.peer_address(&asked(&cluster).await).await;
        let config = PageConfig {
            listen: "127.0.0.1:0".to_owned(),
            interval: Duration::from_millis(100),
            ..PageConfig::new(&node)
        };
        let page = Page::bind(config).await.expect("a free port");
        let url = page.url();
        let server = tokio::spawn(async move { page.serve().await.expect("it serves") });
        let browser = Browser::open(&url).await;
        let stage = Self { browser, cluster, node, server, _alone: alone };
        stage.is_ready().await;
        stage
    }

    async fn is_ready(&self) {
        self.browser.shows("#live", "live").await;
        until("a picture", async || self.total("shards").await == Some(SHARDS as u64)).await;
    }

    async fn total(&self, name: &str) -> Option<u64> {
        self.browser.number(&format!("[data-total={name}]")).await
    }

    async fn of_node(&self, node: &str, field: &str) -> Option<u64> {
        self.browser.number(&format!("[data-node={node}] [data-field={field}]")).await
    }

    /// An answer of the page's server, as the page itself asks for it.
    async fn api(&self, path: &str) -> Value {
        self.browser.run("return (await fetch(arguments[0])).json()", &[json!(path)]).await
    }

    /// Where the page's counts are not those of the API, of the node, or of the records in etcd.
    async fn differences(&self) -> Vec<(String, Option<u64>, u64)> {
        let view = ClusterView::fetch(&self.node).await.expect("the node answers");
        let status = self.api("/api/status").await;
        let owned = self.cluster.owned().await;
        let totals = view.totals();
        let mut pairs = Vec::new();
        for (name, count) in [
            ("shards", totals.shards),
            ("owned", totals.owned),
            ("in_motion", totals.in_motion),
            ("without_owner", totals.without_owner),
            ("orphans", totals.orphans),
            ("pinned", totals.pinned),
        ] {
            let shown = self.total(name).await;
            pairs.push((format!("{name} of the node"), shown, count as u64));
            let of_api = status["totals"][name].as_u64().expect("a count");
            pairs.push((format!("{name} of the API"), shown, of_api));
        }
        for (node, share) in view.shares() {
            let shown = self.of_node(node, "owned").await;
            pairs.push((format!("owned by {node}"), shown, share.owned as u64));
            pairs.push((format!("owned by {node} in etcd"), shown, owned[node] as u64));
            let targeted = self.of_node(node, "targeted").await;
            pairs.push((format!("targeted at {node}"), targeted, share.targeted as u64));
            let drawn = self.browser.number(&format!("[data-legend=owner-{node}]")).await;
            pairs.push((format!("drawn of {node}"), drawn, share.owned as u64));
        }
        pairs.retain(|(_, shown, count)| *shown != Some(*count));
        pairs
    }

    async fn look_at(&self, shard: &str) {
        self.browser.run("document.getElementById('find-text').value = ''", &[]).await;
        self.browser.type_into("#find-text", &format!("{shard}\n")).await;
        self.browser.shows("#detail-title", &format!("Shard {shard}")).await;
    }

    async fn picture(&self, name: &str) {
        // What has just changed shines for a moment.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let image = self.browser.screenshot().await;
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
        let mut folders = vec![Path::new(env!("CARGO_TARGET_TMPDIR")).join("page")];
        if std::env::var_os("GREENROOM_BLESS").is_some() && SHOWN.contains(&name) {
            folders.push(root.join("inspector/images"));
        }
        for folder in folders {
            std::fs::create_dir_all(&folder).expect("the folder is ours");
            std::fs::write(folder.join(format!("{name}.png")), &image).expect("it can be written");
        }
    }

    /// Switches to the other theme, as a person does; it begins light.
    async fn darken(&self) {
        self.browser.click("#theme").await;
        let theme = self.browser.run("return document.documentElement.dataset.theme", &[]).await;
        assert_eq!(theme, json!("dark"));
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn a_follower(cluster: &Cluster) -> String {
    let leader = cluster.leader().await;
    let names = ["node-1", "node-2", "node-3"];
    names.into_iter().find(|name| *name != leader).expect("two follow").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_counts_what_the_cluster_counts_and_says_why_a_shard_is_where_it_is() {
    let stage = Stage::set(a_follower).await;
    // The last shards may still be settling.
    let deadline = Instant::now() + PATIENCE;
    loop {
        let differences = stage.differences().await;
        if differences.is_empty() {
            break;
        }
        assert!(Instant::now() < deadline, "(what, on the page, elsewhere): {differences:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(stage.browser.text("#leader").await, stage.cluster.leader().await);

    // One shard, under the pointer and in the panel, as the record has it.
    stage.look_at("4711").await;
    let record = stage.cluster.record("shards/default/04711").await;
    let owner = record["owner"]["node"].as_str().expect("an owner");
    stage.browser.shows("#detail [data-fact=owner]", owner).await;
    let target = stage.browser.text("#detail [data-fact=target]").await;
    assert_eq!(json!(target), record["target"]);
    let epoch = stage.browser.text("#detail [data-fact=epoch]").await;
    assert_eq!(epoch, record["epoch"].to_string());
    let reason = record["reason"].as_str().expect("a reason");
    stage.browser.shows("#detail .decisions", reason).await;
    let script = "
        const cell = 4711, columns = 128, canvas = document.getElementById('heatmap');
        const pitch = canvas.clientWidth / columns;
        return [(cell % columns + .5) * pitch, (Math.floor(cell / columns) + .5) * pitch]";
    let at = stage.browser.run(script, &[]).await;
    let number = |place: usize| at[place].as_f64().expect("a number");
    stage.browser.point("#heatmap", number(0), number(1)).await;
    stage.browser.shows("#tip", "Shard 4711").await;
    stage.browser.shows("#tip", reason).await;

    // The same by keyboard alone: right, down, and Enter.
    let script = "document.getElementById('heatmap').focus();
        for (const key of ['ArrowRight', 'ArrowDown', 'Enter'])
            document.activeElement.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }))";
    stage.browser.run(script, &[]).await;
    stage.browser.shows("#detail-title", "Shard 4840").await;
    stage.browser.shows("#said", "Shard 4840, at rest, owned by node-").await;

    // An actor is found by its name, without being activated.
    stage.browser.run("document.getElementById('find-text').value = ''", &[]).await;
    stage.browser.type_into("#find-text", "bank.account/alice\n").await;
    stage.browser.shows("#detail-title", "Shard 5066").await;
    assert_eq!(stage.total("actors").await, Some(0));

    // Calls and actors, as the leader heard of them.
    let calls = stage.cluster.calls("node-1").await;
    until("calls to be seen", async || {
        stage.total("calls").await > Some(0) && stage.total("actors").await > Some(100)
    })
    .await;
    stage.browser.click("#modes [data-value=calls]").await;
    stage.browser.shows("#legend", "calls a second").await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    stage.darken().await;
    stage.picture("calls-dark").await;
    drop(calls);
    assert_eq!(stage.browser.complaints().await, [""; 0], "nothing was forbidden or went wrong");
    let inline =
        "const tag = document.createElement('script'); tag.textContent = 'window.ran = true';
                  document.head.append(tag); return window.ran ?? null";
    assert_eq!(stage.browser.run(inline, &[]).await, Value::Null, "no inline script may run");
    let complaints = stage.browser.complaints().await;
    assert!(
        complaints.len() == 1 && complaints[0].contains("Content Security Policy"),
        "{complaints:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_need_the_token_and_stand_in_etcd() {
    let stage = Stage::set(a_follower).await;
    let browser = &stage.browser;
    browser.run("window.sameAsBefore = true", &[]).await;
    stage.look_at("77").await;
    let record = stage.cluster.record("shards/default/00077").await;
    let owner = record["owner"]["node"].as_str().expect("an owner").to_owned();
    let other = ["node-1", "node-2", "node-3"].into_iter().find(|name| *name != owner).unwrap();

    // Without the token nothing is even sent; with a wrong one the node refuses.
    browser.click("#detail [data-order=pin]").await;
    browser.choose("#order-to", other).await;
    browser.shows("#order-text", &format!("kept at {other}")).await;
    browser.shows("#order-command", &format!("greenroom pin 77 --to {other}")).await;
    browser.click("#order-go").await;
    browser.shows("#order-result", "orders need the operators' token").await;
    browser.type_into("#order-token", "wrong-horse-battery").await;
    browser.click("#order-go").await;
    browser
        .shows("#order-result", "Refused: the token is missing or not that of this cluster")
        .await;
    let refused = stage.api_post("pin", json!({"shards": ["77"], "to": other}), None).await;
    assert_eq!(refused, json!([401, "unauthenticated"]));
    assert_eq!(stage.cluster.record("shards/default/00077").await, record, "nothing happened");

    // With it, the pin stands in etcd, and the shard moves while one looks.
    browser.type_into("#order-token", TOKEN).await;
    stage.picture("pin-light").await;
    browser.click("#order-go").await;
    browser.shows("#order-result", "Done: pinned 1 shard").await;
    let record = stage.cluster.record("shards/default/00077").await;
    assert_eq!(record["pinned"], json!(other), "{record}");
    browser.click("#order-cancel").await;
    browser.shows("#detail [data-fact=pin]", other).await;
    browser.shows("#detail [data-fact=owner]", other).await;
    assert_eq!(stage.total("pinned").await, Some(1));
    browser.shows("#timeline", &format!("ordered: pin shard 77 to {other}")).await;
    browser.shows("#timeline", &format!("shard 77 is pinned to {other}")).await;

    // A span of shards moves.
    let script = "const at = (cell, shiftKey) => {
            const canvas = document.getElementById('heatmap'), box = canvas.getBoundingClientRect();
            const pitch = box.width / 128;
            canvas.dispatchEvent(new MouseEvent('click', { bubbles: true, shiftKey,
                clientX: box.left + (cell % 128 + .5) * pitch,
                clientY: box.top + (Math.floor(cell / 128) + .5) * pitch }));
        };
        at(1000, false); at(1009, true)";
    browser.run(script, &[]).await;
    browser.shows("#detail-title", "Shards 1000-1009").await;
    browser.click("#detail [data-order=move]").await;
    browser.choose("#order-to", "node-2").await;
    browser.click("#order-go").await;
    browser.shows("#order-result", "Done: gave 10 shards the target node-2").await;
    browser.click("#order-cancel").await;
    browser.shows("#detail [data-fact=owner-node-2]", "10 shards").await;

    // Unpinned again.
    stage.look_at("77").await;
    browser.click("#detail [data-order=unpin]").await;
    browser.click("#order-go").await;
    browser.shows("#order-result", "Done: unpinned 1 shard").await;
    browser.click("#order-cancel").await;
    assert_eq!(stage.cluster.record("shards/default/00077").await["pinned"], Value::Null);
    until("no pin", async || stage.total("pinned").await == Some(0)).await;

    // A node drains until it has nothing, and takes shards again. While another is silent, what is
    // meant for that one waits on its way.
    let names = ["node-1", "node-2", "node-3"];
    let leader = stage.cluster.leader().await;
    let drained = a_follower(&stage.cluster).await;
    let silent = names.into_iter().find(|name| *name != leader && *name != drained).unwrap();
    // Somebody else pins shards meanwhile.
    let pinned = (1..8).flat_map(|row| (60..70).map(move |column| row * 1024 + column));
    let pinned: Vec<u32> = pinned.collect();
    let order = stage.operator().await.pin(pinned.clone(), Some(leader.clone())).await;
    order.expect("it is carried out");
    until("pins", async || stage.total("pinned").await == Some(pinned.len() as u64)).await;
    until("pins that are kept", async || stage.total("in_motion").await == Some(0)).await;
    browser.click(&format!("[data-node={drained}] [data-order=drain]")).await;
    browser.shows("#order-text", &format!("{drained} will give all its")).await;
    stage.cluster.signal(silent, "-STOP");
    browser.click("#order-go").await;
    browser.shows("#order-result", &format!("Done: {drained} gives its shards away")).await;
    browser.click("#order-cancel").await;
    until("shards in motion", async || stage.total("in_motion").await > Some(100)).await;
    stage.picture("drain-light").await;
    stage.cluster.signal(silent, "-CONT");
    until("nothing owned", async || stage.of_node(&drained, "owned").await == Some(0)).await;
    assert_eq!(stage.cluster.owned().await.get(&drained), None, "what stands in etcd");
    browser.click(&format!("[data-node={drained}] [data-order=undrain]")).await;
    browser.click("#order-go").await;
    browser.shows("#order-result", &format!("Done: {drained} takes shards again")).await;
    browser.click("#order-cancel").await;
    until("shards again", async || stage.of_node(&drained, "owned").await > Some(2000)).await;

    // Held and resumed.
    browser.click("#hold").await;
    browser.click("#order-go").await;
    browser.shows("#order-result", "Done: rebalancing is held").await;
    browser.click("#order-cancel").await;
    browser.shows("#rebalancing", "held").await;
    let held = stage.cluster.record("rebalancing").await;
    assert_eq!(held["held"], json!(true), "{held}");

    // Locked again, the token is forgotten; and no reload ever was needed.
    assert_eq!(browser.run("return window.sameAsBefore", &[]).await, json!(true));
    browser.click("#unlock").await;
    browser.shows("#unlock-text", "Orders locked").await;
    browser.click("#hold").await;
    assert!(browser.is_shown("#order-token").await, "it asks for the token again");
}

impl Stage {
    /// Who gives orders past the page.
    async fn operator(&self) -> Operator {
        let token = OperatorToken::new(TOKEN).expect("a token");
        Operator::connect(&self.node, token).await.expect("the node listens")
    }

    /// Gives an order past the page's own forms; status and code.
    async fn api_post(&self, order: &str, body: Value, token: Option<&str>) -> Value {
        let script = "
            const headers = { 'content-type': 'application/json' };
            if (arguments[2]) headers.authorization = `Bearer ${arguments[2]}`;
            const answer = await fetch(`/api/orders/${arguments[0]}`, {
                method: 'POST', headers, body: JSON.stringify(arguments[1]) });
            return [answer.status, (await answer.json()).error?.code ?? null]";
        self.browser.run(script, &[json!(order), body, json!(token)]).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_node_is_seen_to_leave_orphans_until_somebody_may_own_them() {
    let mut stage = Stage::set(async |_| "node-1".to_owned()).await;
    // Only node-3 has the label, so that nobody takes over from it.
    let mut operator = stage.operator().await;
    let require = [("disk".to_owned(), "ssd".to_owned())].into();
    let order = operator.set_rule("default".to_owned(), require, [].into(), false);
    order.await.expect("it is carried out");
    let all = Some(SHARDS as u64);
    until("all at one node", async || stage.of_node("node-3", "owned").await == all).await;
    stage.browser.shows("#timeline", "group default has a new rule").await;

    stage.cluster.signal("node-3", "-KILL");
    until("orphans", async || stage.total("orphans").await == all).await;
    assert_eq!(stage.total("without_owner").await, all);
    assert_eq!(stage.browser.number("[data-legend=orphan]").await, all);
    stage.browser.shows("[data-node=node-3] [data-field=state]", "dead").await;
    // By the leader; or seen by the page alone, if node-3 led itself.
    until("the end of node-3 in the timeline", async || {
        let texts = stage.browser.text("#timeline").await;
        texts.contains("declared node-3@") || texts.contains(" is gone")
    })
    .await;
    stage.picture("orphans-light").await;

    stage.cluster.start_node("node-3", "eu-1c");
    until("an owner again", async || stage.total("owned").await == all).await;
    assert_eq!(stage.total("orphans").await, Some(0));
    let browser = &stage.browser;
    let returned = browser.text("[data-node=node-3] [data-field=state]").await;
    assert_eq!(returned, "active");
    until("a node that joined", async || {
        let texts = browser.text("#timeline").await;
        texts.contains("node-3@") && texts.contains(" joined")
    })
    .await;
    let view = ClusterView::fetch(&stage.node).await.expect("the node answers");
    assert_eq!(view.totals().owned, SHARDS);

    // The entry of the plan shows its shards on the map.
    browser.click("#timeline li.moves .link").await;
    browser.shows("#chips", "of an entry of the timeline").await;
    browser.click("#chips .chip").await;

    // The node that is asked falls silent: the picture stays, and says how old it is.
    stage.cluster.signal("node-1", "-STOP");
    browser.shows("#banner", "The node cannot be asked. The picture is from").await;
    browser.shows("#live", "stale").await;
    assert_eq!(stage.total("shards").await, Some(SHARDS as u64), "what was known is still shown");
    stage.darken().await;
    stage.picture("stale-dark").await;
    stage.cluster.signal("node-1", "-CONT");
    browser.shows("#live", "live").await;
    assert!(!browser.is_shown("#banner").await);

    // So does the page's server.
    stage.server.abort();
    browser.shows("#live", "disconnected").await;
    browser.shows("#banner", "This page has lost its server.").await;
}
