//! Intents of which only a shim's journal knows: a supervisor that could record nothing
//! had sent them, or the ledger was put back to an earlier state. Their numbers may
//! have been given to others since.

use protocol::TaskId;
use protocol::shim::{IntentRecord, Record};

use super::core_loop::Core;

impl Core {
    /// The record, with a number for its intent that no other intent has.
    pub(super) fn with_unused_intent(&mut self, id: &TaskId, record: Record) -> Record {
        let next = self.next_intent;
        let Some(live) = self.tasks.get_mut(id) else {
            return record;
        };
        match record {
            Record::Intent(intent) => {
                let number = intent.intent_id;
                let known = live.task.intents.iter().any(|known| known.id == number);
                if !known && number < next && !live.renumbered.contains_key(&number) {
                    live.renumbered.insert(number, next);
                }
                let intent_id = *live.renumbered.get(&number).unwrap_or(&number);
                Record::Intent(IntentRecord {
                    intent_id,
                    ..intent
                })
            }
            Record::Superseded { at, intent_id, by } => Record::Superseded {
                at,
                intent_id: *live.renumbered.get(&intent_id).unwrap_or(&intent_id),
                by,
            },
            Record::Signalled {
                at,
                intent_id,
                signal,
                target,
            } => Record::Signalled {
                at,
                intent_id: intent_id.map(|id| *live.renumbered.get(&id).unwrap_or(&id)),
                signal,
                target,
            },
            Record::Claimed { .. }
            | Record::Execd { .. }
            | Record::SpawnFailed { .. }
            | Record::SessionSeen { .. }
            | Record::Result(_)
            | Record::ProviderError { .. }
            | Record::Usage { .. }
            | Record::SignalSeen { .. }
            | Record::Exited { .. }
            | Record::Swept(_)
            | Record::Alarm { .. }
            | Record::Finished { .. }
            | Record::ModelSeen { .. }
            | Record::FirstOutput { .. }
            | Record::LineKnown { .. }
            | Record::OutOfMemory(_)
            | Record::UnitSeen { .. } => record,
        }
    }
}
