//! Every input to its place.

use super::core_loop::Core;
use super::input::CoreInput;
use super::leave;
use crate::ledger::LedgerError;
use lifecycle::{Fact, Input};

impl Core {
    /// One input. Where nothing can be recorded, that is no reason to end.
    pub(super) async fn take(&mut self, input: CoreInput) -> Result<(), LedgerError> {
        let leaves = matches!(input, CoreInput::Leave);
        let handled = self.handle(input).await;
        if leaves && self.unsaved.waits() {
            self.hurry_unsaved();
        }
        match handled {
            Err(error) if error.passes() => Ok(()),
            handled => handled,
        }
    }

    /// One input, whatever its source.
    async fn handle(&mut self, input: CoreInput) -> Result<(), LedgerError> {
        match input {
            CoreInput::Control(call) => self.request(call.into()).await?,
            CoreInput::Http(call) => self.gateway_asks(call).await?,
            CoreInput::Shim(message) => {
                if leave::tells_of_the_manager(&message) {
                    match self.foresee_the_end().await {
                        Err(error) if error.passes() => {}
                        foreseen => foreseen?,
                    }
                }
                self.shim_said(message);
            }
            CoreInput::Attach(request) => self.attach(request).await?,
            CoreInput::OtherVersion(other) => self.hold_other_version(other),
            CoreInput::Placed(placed) => self.placed(*placed),
            CoreInput::LinkDown(down) => self.link_down(&down),
            CoreInput::ShimGone(gone) => self.shim_gone(&gone),
            CoreInput::LookAgain(id) => self.look_again(&id).await?,
            CoreInput::Undecided(ids) => self.wipe_rowless(&ids).await?,
            CoreInput::TreeEnded(id, ended) => self.tree_ended(&id, ended),
            CoreInput::OrphansFound(search) => self.orphans_found(*search).await?,
            CoreInput::Swept(id, swept) => self.swept(&id, swept),
            CoreInput::Rebooted(id, swept, detail) => {
                self.swept(&id, swept);
                self.step(&id, Input::Fact(Fact::HostRebooted { detail }));
            }
            CoreInput::Archive(aside) => self.put_aside(*aside).await?,
            CoreInput::Replace(replacing) => self.replaced(*replacing).await?,
            CoreInput::Retain => self.retain(),
            CoreInput::LedgerFailed(error) => return Err(error),
            CoreInput::Leave => self.told_to_leave().await?,
            CoreInput::MachineStops => self.machine_stops().await?,
        }
        Ok(())
    }
}
