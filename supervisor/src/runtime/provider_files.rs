//! Provider files that change while tasks run: the next dispatch sees them, and what
//! lives goes on by those that it was started with.

use std::sync::Arc;

use super::core_loop::Core;
use super::live::Live;
use crate::provider::Provider;

impl Core {
    /// Reads the provider files again if they changed. Called where a provider is
    /// about to be chosen or told of.
    pub(super) fn look_at_providers(&mut self) {
        let Some(before) = self.providers.look() else {
            return;
        };
        for live in self.tasks.values_mut() {
            // One that waits takes what there is when its turn comes.
            if live.provider.is_none() && !live.task.waits() {
                live.provider = before.get(&live.task.spec.provider).ok().cloned();
            }
        }
        let count = self.providers.registry().views(None).len();
        tracing::info!(count, "the provider files changed, and were read again");
        for problem in self.providers.new_problems(&before) {
            tracing::warn!("{problem}");
        }
    }

    /// The provider of a task, by the file that it was started with where this
    /// supervisor knows it; none if there is none any more.
    pub(super) fn provider_of<'a>(&'a self, live: &'a Live) -> Option<&'a Arc<Provider>> {
        let now = || self.providers.registry().get(&live.task.spec.provider).ok();
        live.provider.as_ref().or_else(now)
    }
}
