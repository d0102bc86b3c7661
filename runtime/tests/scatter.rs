//! Many calls at once: how many are under way, what becomes of those that are not needed any more,
//! that each is accounted for, and the merge of sorted answers.

mod support;

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt;
use greenroom::prelude::*;
use greenroom::scatter::{Replies, Scatter};
use greenroom::{FailureCode, Kind};
use support::probe::{Probe, probe};
use support::{PATIENCE, alone, begin, expect_failure, within};

/// One of a crew, whose turns a test can look into. Keys are `crew/name`; the probe of the crew sees
/// all of them.
#[greenroom::interface(kind = "test.hand")]
pub trait Hand {
    /// Notes its name with the crew.
    async fn call_out(&mut self) -> String;
    /// Waits until the test lets one of the crew go on, and notes its name then.
    async fn hold(&mut self) -> String;
    /// Refuses, with its name.
    async fn mutiny(&mut self) -> Result<String, String>;
    /// Panics if its name says so, else answers with its name.
    async fn step(&mut self) -> Result<String, String>;
    /// How much longer the caller waits, in milliseconds.
    async fn remaining(&mut self, ctx: &mut Context) -> u64;
    /// Asks others of the crew in its turn how long their caller waits; who fails, and why.
    async fn muster(&mut self, ctx: &mut Context, names: Vec<String>) -> (Vec<u64>, Vec<String>);
    /// Numbers that its name lists, those after a number only, at most so many.
    async fn numbers(&self, after: Option<u64>, at_most: usize) -> Vec<u64>;
    /// The same with its name.
    async fn named_numbers(&self) -> Vec<(u64, String)>;
}

struct HandActor {
    name: String,
    crew: std::sync::Arc<Probe>,
}

impl Actor for HandActor {
    async fn activate(ctx: &mut Activating<'_>) -> Result<Self, ActivateError> {
        let (crew, name) = ctx.key().split_once('/').expect("a test names its actors well");
        let crew = probe(crew);
        if name == "absent" {
            return Err(ActivateError::new("ashore"));
        }
        Ok(Self { name: name.to_owned(), crew })
    }
}

impl Hand for HandActor {
    async fn call_out(&mut self) -> String {
        self.crew.note(self.name.clone());
        self.name.clone()
    }

    async fn hold(&mut self) -> String {
        let now = self.crew.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.crew.most.fetch_max(now, Ordering::SeqCst);
        self.crew.hold().await;
        self.crew.now.fetch_sub(1, Ordering::SeqCst);
        self.call_out().await
    }

    async fn mutiny(&mut self) -> Result<String, String> {
        Err(self.name.clone())
    }

    async fn step(&mut self) -> Result<String, String> {
        match self.name.as_str() {
            "clumsy" => panic!("as the test wants it"),
            "rebel" => Err("no".to_owned()),
            "slow" => Ok(self.hold().await),
            _ => Ok(self.name.clone()),
        }
    }

    async fn remaining(&mut self, ctx: &mut Context) -> u64 {
        u64::try_from(ctx.remaining().as_millis()).unwrap_or(u64::MAX)
    }

    async fn muster(&mut self, ctx: &mut Context, names: Vec<String>) -> (Vec<u64>, Vec<String>) {
        let crew = names.iter().map(|name| ctx.actor::<HandRef>(name).expect("a good key"));
        let asked = Scatter::over(crew)
            .timeout(Duration::from_secs(3600))
            .call(|hand| hand.remaining().timeout(Duration::from_secs(3600)));
        let gathered = asked.gather().await;
        let failed = gathered.failed.into_iter();
        let failed = failed.map(|(hand, error)| format!("{}: {error}", hand.key()));
        let answered = gathered.answered.into_iter().map(|(_, remaining)| remaining);
        (answered.collect(), failed.collect())
    }

    async fn numbers(&self, after: Option<u64>, at_most: usize) -> Vec<u64> {
        let all = self.name.split(' ').filter_map(|number| number.parse().ok());
        let wanted = all.filter(|number| after.is_none_or(|after| *number > after));
        wanted.take(at_most).collect()
    }

    async fn named_numbers(&self) -> Vec<(u64, String)> {
        let numbers = self.numbers(None, usize::MAX).await.into_iter();
        numbers.map(|number| (number, self.name.clone())).collect()
    }
}

fn hands() -> Kind {
    HandRef::served_by::<HandActor>().mailbox_len_max(1)
}

fn hand(node: &Node, key: &str) -> HandRef {
    node.actor(key).expect("a good key")
}

fn crew(node: &Node, crew: &str, names: &[&str]) -> Vec<HandRef> {
    names.iter().map(|name| hand(node, &format!("{crew}/{name}"))).collect()
}

fn numbered(node: &Node, crew: &str, count: usize) -> Vec<HandRef> {
    (0..count).map(|number| hand(node, &format!("{crew}/{number}"))).collect()
}

/// The failure of a call that failed.
fn failure_of<E: std::fmt::Debug>(failed: &[(HandRef, CallError<E>)], name: &str) -> Failure {
    let (_, error) = failed
        .iter()
        .find(|(hand, _)| hand.key().ends_with(name))
        .unwrap_or_else(|| panic!("{name} did not fail"));
    match error {
        CallError::Failed(failure) => failure.clone(),
        CallError::Actor(error) => panic!("{name} answered: {error:?}"),
    }
}

#[tokio::test]
async fn no_more_calls_are_under_way_than_allowed_and_no_fewer() {
    let node = alone([hands()]).await;
    let all = numbered(&node, "bounded", 40);
    let gathering = tokio::spawn(Scatter::over(all).at_most(5).call(HandRef::hold).gather());
    let probe = probe("bounded");
    for _ in 0..5 {
        probe.arrival().await;
    }
    for _ in 5..40 {
        // One place, one more call.
        probe.release(1);
        probe.arrival().await;
    }
    probe.release(5);
    let gathered = within("all replies", gathering).await.expect("no panic");
    assert!(gathered.is_complete());
    assert_eq!(gathered.answered.len(), 40);
    assert_eq!(probe.most.load(Ordering::SeqCst), 5);
}

#[tokio::test]
async fn calls_are_made_only_as_their_replies_are_taken() {
    let node = alone([hands()]).await;
    let mut named = 0;
    let names = std::iter::from_fn(|| {
        named += 1;
        Some(hand(&node, &format!("lazy/{named}")))
    });
    // Without end: whoever made all calls first would never come back.
    let mut replies = Scatter::over(names).at_most(4).call(HandRef::call_out);
    for _ in 0..3 {
        let (hand, answer) = within("a reply", replies.next()).await.expect("there are more");
        assert_eq!(answer.as_deref(), Ok(hand.key().trim_start_matches("lazy/")));
    }
    assert_eq!(probe("lazy").log().len(), 3);
    drop(replies);
    assert!(named <= 3 + 4, "{named} actors were taken");
}

#[tokio::test]
async fn the_first_reply_takes_the_other_calls_out_of_their_mailboxes() {
    let node = alone([hands()]).await;
    let [busy, free] = &crew(&node, "first", &["busy", "free"])[..] else { unreachable!() };
    let holding = begin(busy.hold()).await;
    let both = [busy.clone(), free.clone()];
    let (first, answer) = within("a reply", Scatter::over(both).call(HandRef::call_out).first())
        .await
        .expect("there is one");
    assert_eq!((first.key(), answer.as_deref()), ("first/free", Ok("free")));
    // The mailbox holds one call: if the other still waited there, the next would be refused.
    let next = begin(busy.call_out()).await;
    probe("first").release(1);
    let both = within("both turns", async { tokio::join!(holding, next) }).await;
    assert_eq!(both, (Ok("busy".to_owned()), Ok("busy".to_owned())));
    assert_eq!(probe("first").log(), ["free", "busy", "busy"]);
}

#[tokio::test]
async fn any_passes_over_failures_and_tells_them_all_when_there_is_nothing_else() {
    let node = alone([hands()]).await;
    let mixed = crew(&node, "any", &["absent", "clumsy", "rebel", "willing"]);
    let stepping = Scatter::over(mixed).at_most(1).call(HandRef::step);
    let (who, answer) = within("an answer", stepping.any()).await.expect("one is willing");
    assert_eq!((who.key(), answer.as_str()), ("any/willing", "willing"));

    let unwilling = crew(&node, "any", &["rebel", "absent"]);
    let failed = within("all failures", Scatter::over(unwilling).call(HandRef::step).any());
    let failed = failed.await.expect_err("none is willing");
    assert_eq!((failed.required, failed.reached, failed.gathered.failed.len()), (1, 0, 2));
    let text = failed.to_string();
    assert!(
        text.contains("0 of 2 calls") && text.contains("2 failed, first test.hand/any/"),
        "{text}"
    );

    let nobody = Scatter::over(Vec::<HandRef>::new()).call(HandRef::step);
    let nobody = within("nothing", nobody.first()).await.expect_err("there is nobody");
    assert!(nobody.to_string().contains("0 of 0 calls"), "{nobody}");
}

#[tokio::test]
async fn an_answer_is_looked_for_among_all_and_those_that_are_not_wanted_are_kept() {
    let node = alone([hands()]).await;
    let all = || Scatter::over(crew(&node, "wanted", &["a", "b", "rebel"])).call(HandRef::step);
    let found = within("an answer", all().any_that(|_, answer| answer == "b")).await;
    assert_eq!(found.map(|(hand, _)| hand.key().to_owned()).ok().as_deref(), Some("wanted/b"));
    let none = within("an answer", all().any_that(|_, answer| answer == "c")).await;
    let none = none.expect_err("nobody is named so");
    assert_eq!((none.reached, none.gathered.answered.len(), none.gathered.failed.len()), (0, 2, 1));
}

#[tokio::test]
async fn a_quorum_waits_for_nobody_else() {
    let node = alone([hands()]).await;
    let names = ["slow", "absent", "a", "b"];
    let all = |names: &[&str]| Scatter::over(crew(&node, "quorum", names)).call(HandRef::step);
    let enough = within("a quorum", all(&names).quorum(2)).await.expect("two of four");
    let mut who: Vec<_> = enough.iter().map(|(hand, _)| hand.key()).collect();
    who.sort_unstable();
    assert_eq!(who, ["quorum/a", "quorum/b"]);
    let few = within("a quorum", all(&names[1..]).quorum(3)).await.expect_err("one is absent");
    assert_eq!((few.required, few.reached, few.gathered.answered.len()), (3, 2, 2));
    probe("quorum").release(1);
}

#[tokio::test]
async fn every_failure_is_reported_beside_the_answers() {
    let node = alone([hands()]).await;
    let names = ["a", "absent", "clumsy", "rebel", "slow", "b"];
    let began = tokio::time::Instant::now();
    let gathered = Scatter::over(crew(&node, "partial", &names))
        .timeout(Duration::from_millis(300))
        .call(HandRef::step);
    let gathered = within("all replies", gathered.gather()).await;
    assert!(began.elapsed() < Duration::from_secs(5), "no call outlives the scatter");
    let mut answered: Vec<_> = gathered.answered.iter().map(|(_, name)| name.as_str()).collect();
    answered.sort_unstable();
    assert_eq!(answered, ["a", "b"]);
    let failure = |name| failure_of(&gathered.failed, name);
    expect_failure(failure("absent"), FailureCode::ActivationFailed, false);
    expect_failure(failure("clumsy"), FailureCode::Panicked, true);
    expect_failure(failure("slow"), FailureCode::Timeout, true);
    let rebel = gathered.failed.iter().find(|(hand, _)| hand.key() == "partial/rebel");
    assert_eq!(rebel.map(|(_, error)| error), Some(&CallError::Actor("no".to_owned())));
    assert!(!gathered.is_complete());
    probe("partial").release(1);

    let two = gathered.require(2).expect("two answered");
    assert_eq!(two.len(), 2);
    let all = Scatter::over(crew(&node, "partial", &["a", "rebel"])).call(HandRef::step);
    let few = within("all replies", all.gather()).await.require_all().expect_err("one refuses");
    assert_eq!((few.required, few.reached), (2, 1));
    assert!(few.to_string().contains("1 failed, first test.hand/partial/rebel: no"), "{few}");
}

#[tokio::test]
async fn what_was_not_called_in_time_surely_did_not_run() {
    let node = alone([hands()]).await;
    let late = Scatter::over(crew(&node, "late", &["held", "second", "third"]))
        .at_most(1)
        .timeout(Duration::from_millis(100))
        .call(HandRef::hold);
    let gathered = within("all replies", late.gather()).await;
    assert_eq!(gathered.failed.len(), 3);
    let failure = |name| failure_of(&gathered.failed, name);
    expect_failure(failure("held"), FailureCode::Timeout, true);
    for name in ["second", "third"] {
        let message = expect_failure(failure(name), FailureCode::Timeout, false);
        assert!(message.contains("the deadline of the scatter passed"), "{message}");
    }
    let probe = probe("late");
    probe.release(3);
    // The turn that ran out of time runs on.
    assert_eq!(within("a call", hand(&node, "late/held").call_out()).await.as_deref(), Ok("held"));
    assert_eq!(probe.log(), ["held", "held"]);
}

#[tokio::test]
async fn a_closure_that_panics_fails_its_own_call_alone() {
    let node = alone([hands()]).await;
    let names = ["a", "b", "c"];
    let calls = Scatter::over(crew(&node, "closure", &names)).call(|hand| {
        assert_ne!(hand.key(), "closure/b", "as the test wants it");
        hand.call_out()
    });
    let gathered = within("all replies", calls.gather()).await;
    assert_eq!(gathered.answered.len(), 2);
    let failure = failure_of(&gathered.failed, "b");
    let message = expect_failure(failure, FailureCode::Panicked, false);
    assert!(message.contains("closure"), "{message}");
}

#[tokio::test]
async fn calls_made_in_a_turn_inherit_its_deadline_and_chain() {
    let node = alone([hands()]).await;
    let names: Vec<_> = ["a", "itself", "b"].map(|name| format!("turn/{name}")).into();
    let itself = hand(&node, "turn/itself");
    let mustered = itself.muster(names).timeout(Duration::from_secs(5));
    let (remaining, failed) = within("a turn", mustered).await.expect("it is answered");
    assert_eq!(remaining.len(), 2);
    assert!(remaining.iter().all(|ms| (1..=5000).contains(ms)), "{remaining:?}");
    let [cycle] = &failed[..] else { panic!("{failed:?}") };
    let names = "test.hand/turn/itself -> test.hand/turn/itself";
    assert!(cycle.starts_with("turn/itself: cycle:") && cycle.contains(names), "{cycle}");
}

#[tokio::test]
async fn a_one_way_broadcast_tells_whose_mailboxes_took_it() {
    let node = alone([hands()]).await;
    let [full, free] = &crew(&node, "oneway", &["full", "free"])[..] else { unreachable!() };
    let holding = begin(full.hold()).await;
    let waiting = begin(full.call_out()).await;
    let sent = Scatter::over([full.clone(), free.clone()]).send(HandRef::call_out);
    let sent = within("all replies", sent.gather()).await;
    assert_eq!(
        sent.answered.iter().map(|(hand, ())| hand.key()).collect::<Vec<_>>(),
        ["oneway/free"]
    );
    expect_failure(failure_of(&sent.failed, "full"), FailureCode::Overloaded, false);
    probe("oneway").release(1);
    within("both turns", async { tokio::join!(holding, waiting) }).await.1.expect("it is answered");
}

#[tokio::test]
async fn replies_are_a_stream_that_ends() {
    let node = alone([hands()]).await;
    let replies = Scatter::over(numbered(&node, "stream", 20)).call(HandRef::call_out);
    let answers = StreamExt::collect::<Vec<_>>(replies.map(|(_, answer)| answer));
    assert_eq!(
        within("all replies", answers).await.iter().filter(|answer| answer.is_ok()).count(),
        20
    );
    let mut replies = Scatter::over(crew(&node, "stream", &["a"])).call(HandRef::call_out);
    assert!(replies.next().await.is_some());
    assert!(Replies::next(&mut replies).await.is_none());
    assert!(Replies::next(&mut replies).await.is_none());
}

#[tokio::test]
async fn sorted_answers_merge_into_one_order_and_failures_stand_beside() {
    let node = alone([hands()]).await;
    let names = ["1 4 9", "absent", "2 4", "", "3 4 5 10"];
    let mut merged = Scatter::over(crew(&node, "merge", &names))
        .call(HandRef::named_numbers)
        .merge_by_key(|(number, _)| *number);
    let mut items = Vec::new();
    while let Some(item) = within("an item", merged.next()).await {
        items.push(item);
    }
    let numbers: Vec<_> = items.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 4, 4, 5, 9, 10]);
    let fours: Vec<_> = items.iter().filter(|(number, _)| *number == 4).collect();
    let in_order = ["1 4 9", "2 4", "3 4 5 10"].map(|name| (4, name.to_owned()));
    assert_eq!(fours, in_order.iter().collect::<Vec<_>>());
    let failure = failure_of(merged.failed(), "absent");
    expect_failure(failure, FailureCode::ActivationFailed, false);
    assert_eq!((merged.failed().len(), merged.unlisted().len()), (1, 0));
}

#[tokio::test]
async fn a_merge_of_pages_asks_each_actor_on_until_it_has_no_more() {
    let node = alone([hands()]).await;
    let names = ["1 2 3 4 5 6 7", "2 9", "5", ""];
    let merged = Scatter::over(crew(&node, "pages", &names))
        .call(|hand| hand.numbers(None, 2))
        .merge_by_key(|number| *number)
        .pages(|hand, last| hand.numbers(Some(*last), 2));
    let items: Vec<_> = within("all items", merged.collect()).await;
    assert_eq!(items, [1, 2, 2, 3, 4, 5, 5, 6, 7, 9]);

    let mut backwards = Scatter::over(crew(&node, "pages", &["5 6", "1 8"]))
        .call(|hand| hand.numbers(None, 2))
        .merge_by_key(|number| *number)
        .pages(|hand, last| match hand.key() {
            "pages/5 6" => hand.numbers(None, 1),
            _ => hand.numbers(Some(*last), 2),
        });
    let mut items = Vec::new();
    while let Some(item) = within("an item", backwards.next()).await {
        items.push(item);
        assert!(items.len() < 10, "it has no end");
    }
    assert_eq!(items, [1, 5, 6, 8], "the order holds, whatever an actor says");
    let failure = failure_of(backwards.failed(), "5 6");
    expect_failure(failure, FailureCode::BadReply, true);
}

#[tokio::test]
async fn a_number_beyond_the_bounds_means_the_nearest_within() {
    let node = alone([hands()]).await;
    let none = Scatter::over(numbered(&node, "clamped", 3)).at_most(0).timeout(PATIENCE);
    assert_eq!(format!("{none:?}"), "Scatter { at_most: 1, timeout: Some(30s), .. }");
    let gathered = within("all replies", none.call(HandRef::call_out).gather()).await;
    assert_eq!(gathered.answered.len(), 3);
}
