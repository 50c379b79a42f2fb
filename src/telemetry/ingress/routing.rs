//! From a request to the runs that its spans are for, wherever they are played.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{self, StreamExt as _};

use super::bundle::Bundle;
use super::hub::Hub;
use super::reception::{Reception, Refusal};
use crate::execution::failure::Unavailable;

/// The most traces of one request that are looked for at once.
const MOST_LOOKUPS: usize = 16;
/// A trace that nobody knows is looked for once more after this: its run may be on its way from one worker to another, or
/// may only just have begun.
const SECOND_LOOK: Duration = Duration::from_millis(300);

/// Other workers.
#[async_trait]
pub trait Elsewhere: fmt::Debug + Send + Sync {
    /// Offers spans to whichever worker plays their run; `None` if none does.
    ///
    /// # Errors
    /// [`Unavailable`] if that cannot be known now.
    async fn offer(&self, bundle: &Bundle) -> Result<Option<Reception>, Unavailable>;
}

/// Finds the runs that spans are for.
#[derive(Debug, Clone)]
pub struct Routing {
    /// The runs of this worker.
    pub hub: Hub,
    /// Those of others.
    pub elsewhere: Arc<dyn Elsewhere>,
}

impl Routing {
    /// Brings spans to their runs.
    pub(super) async fn deliver(&self, bundles: Vec<Bundle>) -> Result<Reception, Unavailable> {
        let (first, unknown) = self.deliver_known(bundles.into_iter().map(Arc::new).collect()).await?;
        if unknown.is_empty() {
            return Ok(first);
        }
        tokio::time::sleep(SECOND_LOOK).await;
        let (second, unknown) = self.deliver_known(unknown).await?;
        let lost = unknown.iter().map(|bundle| bundle.spans()).sum();
        Ok(first.plus(second).plus(Reception::refusal(Refusal::UnknownTrace, lost)))
    }

    /// What became of those that have a run, and those that have none.
    async fn deliver_known(
        &self,
        bundles: Vec<Arc<Bundle>>,
    ) -> Result<(Reception, Vec<Arc<Bundle>>), Unavailable> {
        let offers = bundles.into_iter().map(|bundle| async move {
            let said = self.offer(&bundle).await;
            (bundle, said)
        });
        let mut offers = stream::iter(offers).buffer_unordered(MOST_LOOKUPS);
        let (mut known, mut unknown) = (Reception::default(), Vec::new());
        while let Some((bundle, said)) = offers.next().await {
            match said? {
                Some(said) => known = known.plus(said),
                None => unknown.push(bundle),
            }
        }
        Ok((known, unknown))
    }

    /// A run that shares its trace may have siblings on other workers, which know whose spans these are.
    async fn offer(&self, bundle: &Arc<Bundle>) -> Result<Option<Reception>, Unavailable> {
        let here = self.hub.offer(bundle).await;
        if here.as_ref().is_some_and(|said| said.owns) {
            return Ok(here);
        }
        let there = self.elsewhere.offer(bundle).await?;
        Ok(match (here, there) {
            (Some(here), Some(there)) => Some(here.better(there)),
            (here, there) => here.or(there),
        })
    }
}
