//! An application with a metrics recorder of its own: a process has one, so this stands alone.

mod support;

use metrics_exporter_prometheus::PrometheusBuilder;
use support::http::get;
use support::{Pace, config, start, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_recorder_of_the_application_stays_and_metrics_answers_404() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).expect("the first one");
    let mut config = config(&greenroom::MemoryStore::new(), "elsewhere", Pace::Calm);
    config.http_listen = Some("127.0.0.1:0".to_owned());
    let node = start(config, []).await;
    let answer = get(node.http_address().expect("it has a gateway"), "/metrics").await;
    assert_eq!((answer.status, answer.code()), (404, "no_metrics"));
    assert!(answer.message().contains("recorder of its own"), "{answer:?}");
    let text = handle.render();
    assert!(text.contains("# HELP greenroom_fences_total "), "{text}");
    assert!(text.contains(r#"greenroom_fences_total{node="elsewhere"} 0"#), "{text}");
    within("stopping", node.stop()).await;
}
