//! Several shards that listen on the same addresses.

use crate::{
    stack::{Cx, TransactionUser},
    transport::Target,
};

use super::{Endpoint, Figures, Unavailable};

/// What [`Builder::start_shards`](super::Builder::start_shards) started: at least one shard. Dropping it ends them.
pub struct Shards<U>(Vec<Endpoint<U>>);

impl<U: TransactionUser + Send + 'static> Shards<U> {
    pub(super) const fn new(shards: Vec<Endpoint<U>>) -> Self {
        Self(shards)
    }

    /// The addresses bound, in the order asked for.
    pub fn local(&self) -> &[Target] {
        self.0.first().map_or(&[], Endpoint::local)
    }

    /// Runs `act` on the thread of the first shard, which does what is to be done once, and waits for its result.
    pub async fn first<R: Send + 'static>(
        &self,
        act: impl FnOnce(&mut U, &mut Cx<'_>) -> R + Send + 'static,
    ) -> Result<R, Unavailable> {
        self.0.first().ok_or(Unavailable::Stopped)?.with(act).await
    }

    /// Runs `act` on the thread of each shard in turn, and waits for the results.
    pub async fn each<R: Send + 'static>(
        &self,
        act: impl FnOnce(&mut U, &mut Cx<'_>) -> R + Clone + Send + 'static,
    ) -> Result<Vec<R>, Unavailable> {
        let mut results = Vec::with_capacity(self.0.len());
        for shard in &self.0 {
            results.push(shard.with(act.clone()).await?);
        }
        Ok(results)
    }

    /// What was counted, and what there is, of each.
    pub async fn figures(&self) -> Result<Vec<Figures>, Unavailable> {
        let mut figures = Vec::with_capacity(self.0.len());
        for shard in &self.0 {
            figures.push(shard.figures().await?);
        }
        Ok(figures)
    }

    /// Ends them once everything posted before is done, and waits for their threads.
    pub async fn stop(self) {
        for shard in self.0 {
            shard.stop().await;
        }
    }
}
