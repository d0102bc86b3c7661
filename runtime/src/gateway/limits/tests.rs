use governor::clock::FakeRelativeClock;
use greenroom_core::NodeId;

use super::*;

fn doorkeeper(limits: &GatewayLimits) -> (Doorkeeper<FakeRelativeClock>, FakeRelativeClock) {
    let mut complaints = Vec::new();
    limits.check(&mut complaints);
    assert_eq!(complaints, [""; 0]);
    let (refusals, clock) =
        (Refusals::of(&NodeId::new("n").unwrap()), FakeRelativeClock::default());
    (Doorkeeper::new(limits, Arc::new(refusals), clock.clone()), clock)
}

fn from(address: &str) -> Extensions {
    let mut extensions = Extensions::new();
    let address: IpAddr = address.parse().unwrap();
    extensions.insert(ConnectInfo(Client::of((address, 1).into())));
    extensions
}

/// How many of so many calls at once are let in, and the last refusal.
fn burst<C: Clock + Clone>(
    doorkeeper: &Doorkeeper<C>,
    headers: &HeaderMap,
    client: &str,
    calls: usize,
) -> (usize, Option<Refusal>) {
    let (mut admitted, mut refused) = (0, None);
    for _ in 0..calls {
        match doorkeeper.admit(headers, &from(client)) {
            Ok(_) => admitted += 1,
            Err(refusal) => refused = Some(refusal),
        }
    }
    (admitted, refused)
}

#[test]
fn rates_are_written_as_people_write_them() {
    let rate = |text| Rate::parse(text).map(|rate| (rate.calls, rate.per.as_secs(), rate.burst));
    assert_eq!(rate("1000/s"), Some((1000, 1, 1000)));
    assert_eq!(rate("90 / m"), Some((90, 60, 1)));
    assert_eq!(rate("7200/h"), Some((7200, 3600, 2)));
    for wrong in ["", "10", "0/s", "-1/s", "1.5/s", "10/d", "/s", "10/s/s"] {
        assert_eq!(rate(wrong), None, "{wrong}");
    }
}

#[test]
fn a_client_has_its_burst_and_then_its_rate_and_is_told_the_exact_time() {
    let rate = Rate { calls: 10, per: Duration::from_secs(1), burst: 3 };
    let limits = GatewayLimits { client_rate: Some(rate), ..GatewayLimits::default() };
    let (doorkeeper, clock) = doorkeeper(&limits);
    let none = HeaderMap::new();
    let (admitted, refusal) = burst(&doorkeeper, &none, "10.0.0.1", 5);
    assert_eq!(admitted, 3);
    let refusal = refusal.expect("five are too many");
    assert_eq!((refusal.status.as_u16(), refusal.code), (429, "rate_limited"));
    assert_eq!(
        (refusal.may_have_run, refusal.retry_after),
        (false, Some(Duration::from_millis(100)))
    );
    assert_eq!(burst(&doorkeeper, &none, "10.0.0.2", 5).0, 3, "another client");
    clock.advance(Duration::from_millis(99));
    assert_eq!(burst(&doorkeeper, &none, "10.0.0.1", 1).0, 0);
    clock.advance(Duration::from_millis(1));
    assert_eq!(burst(&doorkeeper, &none, "10.0.0.1", 5).0, 1);
    clock.advance(Duration::from_secs(3600));
    assert_eq!(burst(&doorkeeper, &none, "10.0.0.1", 5).0, 3);
}

#[test]
fn the_rate_of_all_holds_for_many_clients_and_one_that_asks_too_often_uses_up_its_own_alone() {
    let second = Duration::from_secs(1);
    let limits = GatewayLimits {
        rate: Some(Rate { calls: 10, per: second, burst: 10 }),
        client_rate: Some(Rate { calls: 4, per: second, burst: 4 }),
        ..GatewayLimits::default()
    };
    let (doorkeeper, _) = doorkeeper(&limits);
    let none = HeaderMap::new();
    assert_eq!(burst(&doorkeeper, &none, "10.0.0.1", 100).0, 4);
    assert_eq!(burst(&doorkeeper, &none, "10.0.0.2", 100).0, 4);
    let (admitted, refusal) = burst(&doorkeeper, &none, "10.0.0.3", 4);
    assert_eq!(admitted, 2);
    assert!(refusal.unwrap().message.contains("all clients together"));
}

#[test]
fn a_client_is_its_header_or_else_its_network() {
    let rate = Rate { calls: 1, per: Duration::from_secs(60), burst: 1 };
    let limits = GatewayLimits {
        client_rate: Some(rate),
        client_header: Some("x-client".into()),
        ..GatewayLimits::default()
    };
    let (doorkeeper, _) = doorkeeper(&limits);
    let named =
        |name: &str| HeaderMap::from_iter([("x-client".parse().unwrap(), name.parse().unwrap())]);
    let none = HeaderMap::new();
    let admitted = |headers: &HeaderMap, client| burst(&doorkeeper, headers, client, 1).0 == 1;
    assert!(admitted(&named("alice"), "10.0.0.1"));
    assert!(!admitted(&named("alice"), "10.0.0.2"), "the same client from elsewhere");
    assert!(admitted(&named("bob"), "10.0.0.1"));
    assert!(admitted(&none, "10.0.0.1"));
    assert!(!admitted(&none, "::ffff:10.0.0.1"), "the same address, written otherwise");
    assert!(admitted(&none, "2001:db8::1"));
    assert!(!admitted(&none, "2001:db8::ffff:1"), "the same network");
    assert!(admitted(&none, "2001:db8:0:1::1"));
}

#[test]
fn only_the_latest_clients_are_remembered() {
    let rate = Rate { calls: 1, per: Duration::from_secs(3600), burst: 1 };
    let limits = GatewayLimits {
        client_rate: Some(rate),
        client_header: Some("x-client".into()),
        ..GatewayLimits::default()
    };
    let (doorkeeper, _) = doorkeeper(&limits);
    for number in 0..CLIENTS_MAX.get() + 100 {
        let header = ("x-client".parse().unwrap(), number.to_string().parse().unwrap());
        let named = HeaderMap::from_iter([header]);
        assert_eq!(burst(&doorkeeper, &named, "10.0.0.1", 1).0, 1);
    }
    assert_eq!(doorkeeper.clients.lock().len(), CLIENTS_MAX.get());
}

#[test]
fn only_so_many_calls_are_served_at_a_time() {
    let limits = GatewayLimits { calls_max: 2, ..GatewayLimits::default() };
    let (doorkeeper, _) = doorkeeper(&limits);
    let admit = || doorkeeper.admit(&HeaderMap::new(), &from("10.0.0.1"));
    let (first, _second) = (admit().ok().unwrap(), admit().ok().unwrap());
    let refusal = admit().expect_err("a call too many");
    assert_eq!((refusal.status.as_u16(), refusal.code), (429, "overloaded"));
    assert!(refusal.message.contains("serves 2 calls"), "{}", refusal.message);
    assert!(refusal.retry_after.is_some() && !refusal.may_have_run);
    drop(first);
    assert!(admit().is_ok());
}
