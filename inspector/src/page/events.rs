//! What changes, as server-sent events: first the whole picture, then what is new in it. Whoever
//! reads too slowly gets the whole picture again.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{Stream, unfold};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::error::RecvError;

use super::Shared;
use super::answer::Refusal;
use super::message::Message;
use super::watch::{Look, Watch};

/// How often a viewer hears from the server at least.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

pub(super) async fn events(
    State(shared): State<Shared>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Refusal> {
    let place = Arc::clone(&shared.viewers).try_acquire_owned();
    let place = place.map_err(|_| Refusal::busy("too many browsers look at this page"))?;
    let look = shared.watch.look().ok_or_else(|| Refusal::busy("the server ends"))?;
    let viewer = Viewer { look, watch: shared.watch, _place: place };
    let events = unfold(viewer, |mut viewer| async {
        let message = viewer.next().await?;
        Some((Ok(message.event()), viewer))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// One browser that looks.
struct Viewer {
    look: Look,
    watch: Arc<Watch>,
    _place: OwnedSemaphorePermit,
}

impl Viewer {
    /// Nothing once the server ends.
    async fn next(&mut self) -> Option<Arc<Message>> {
        loop {
            if let Some(message) = self.look.first.take() {
                return Some(message);
            }
            match self.look.news.recv().await {
                Ok(message) => return Some(message),
                Err(RecvError::Lagged(_)) => self.look = self.watch.look()?,
                Err(RecvError::Closed) => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::watch::tests::{seen, watch};

    async fn next(viewer: &mut Viewer) -> (&'static str, u64) {
        let message = viewer.next().await.expect("the server goes on");
        (message.name(), message.data()["number"].as_u64().expect("a picture"))
    }

    #[tokio::test]
    async fn a_viewer_that_reads_too_slowly_gets_the_whole_picture_and_goes_on_from_there() {
        let watch = Arc::new(watch());
        seen(&watch, 1);
        let viewers = Arc::new(tokio::sync::Semaphore::new(1));
        let place = viewers.try_acquire_owned().expect("it is free");
        let look = watch.look().expect("it goes on");
        let mut viewer = Viewer { look, watch: Arc::clone(&watch), _place: place };
        assert_eq!(next(&mut viewer).await, ("snapshot", 1));
        seen(&watch, 2);
        assert_eq!(next(&mut viewer).await, ("delta", 2));
        for epoch in 3..=500 {
            seen(&watch, epoch);
        }
        assert_eq!(next(&mut viewer).await, ("snapshot", 500), "nobody keeps 498 messages for it");
        seen(&watch, 501);
        assert_eq!(next(&mut viewer).await, ("delta", 501));
    }
}
