//! A ledger that cannot be used: refused, or rebuilt from the task folders.

use std::path::{Path, PathBuf};

use protocol::TaskId;

use super::boot::{TASKS_DIR, configured};
use super::boot_error::BootError;
use super::rebuild::{self, Rebuilt};
use crate::cli::Cli;
use crate::config::OnDamage;
use crate::folder::Folders;
use crate::ledger::{self, Ledger, LedgerError, OpenError, OpenOptions};
use crate::places::Held;
use crate::text::in_words;

/// Opens the ledger, or rebuilds it first where the configuration says so.
pub(super) async fn open(
    options: &OpenOptions,
    folders: &Folders,
    on_damage: OnDamage,
) -> Result<Ledger, BootError> {
    let refusal = match ledger::open(options) {
        Ok(opened) => match unknown_to(&opened, &options.path, folders).await {
            Ok(None) => return Ok(opened),
            Ok(Some((folder, count))) => {
                opened.close().map_err(BootError::LedgerFailed)?;
                BootError::RolledBack {
                    path: options.path.clone(),
                    folder,
                    count,
                }
            }
            Err(error) => error,
        },
        Err(error) => BootError::Ledger(error),
    };
    if on_damage == OnDamage::Refuse || !is_damage(&refusal) {
        return Err(refusal);
    }
    tracing::warn!("[recovery] {refusal}");
    refuse_locked(&options.path)?;
    let rebuilt = rebuild::rebuild(&options.path, folders, &options.boot_id).await?;
    for line in lines(&rebuilt, &options.path) {
        tracing::warn!("[recovery] {line}");
    }
    ledger::open(options).map_err(BootError::Ledger)
}

/// What cannot be opened only because another program holds it is not to be replaced.
fn refuse_locked(path: &Path) -> Result<(), BootError> {
    if ledger::is_locked(path) {
        let (operation, path) = ("rebuild", path.to_owned());
        return Err(BootError::Ledger(OpenError::Locked { operation, path }));
    }
    Ok(())
}

/// What a ledger that failed under a running supervisor ends it with. Damage is
/// refused as at a start; where it is to be mended, the next start does it.
pub(super) fn met(path: &Path, on_damage: OnDamage, error: LedgerError) -> BootError {
    if !error.is_damage() {
        return BootError::LedgerFailed(error);
    }
    if let Err(error) = ledger::suspect(path) {
        tracing::warn!(error = %in_words(&error), "the next start may not notice it");
    }
    match on_damage {
        OnDamage::Refuse => failed(path, error),
        OnDamage::Recover => BootError::LedgerFailed(error),
    }
}

fn failed(path: &Path, error: LedgerError) -> BootError {
    if !error.is_damage() {
        return BootError::LedgerFailed(error);
    }
    BootError::Ledger(OpenError::Damaged {
        path: path.to_owned(),
        detail: in_words(&error),
    })
}

/// A rebuild helps against these, and only these.
const fn is_damage(error: &BootError) -> bool {
    matches!(
        error,
        BootError::RolledBack { .. }
            | BootError::Ledger(
                OpenError::Missing { .. }
                    | OpenError::Damaged { .. }
                    | OpenError::NotALedger { .. }
            )
    )
}

/// A folder whose start was decided had its row committed before, and one that tells
/// of an end had that committed. Otherwise an older ledger was put back: agents may
/// live of which this one knows nothing, and ends be lost that were told.
async fn unknown_to(
    opened: &Ledger,
    path: &Path,
    folders: &Folders,
) -> Result<Option<(TaskId, usize)>, BootError> {
    let mut unknown = folders.all()?;
    let known = opened.handle.task_ids().await;
    let known = known.map_err(|error| failed(path, error))?;
    let live = opened.handle.live_ids().await;
    let live = live.map_err(|error| failed(path, error))?;
    unknown.retain(|id| {
        let tells = || matches!(folders.settled(id), Ok(Some(kept)) if kept.tells_of_an_end());
        !known.contains(id) && (folders.is_decided(id) || tells())
    });
    // A rebuild could make nothing of these, and no other one will.
    let (lost, mut unknown): (Vec<TaskId>, Vec<TaskId>) =
        unknown.into_iter().partition(|id| folders.is_lost(id));
    for id in lost {
        tracing::warn!(
            task = %id,
            "[recovery] the folder of a lost task stays in {}: its agent may be alive, or a \
             newer program reads it; `agent-supervisor recover` looks again and tells more",
            folders.tasks_dir().display()
        );
    }
    for id in live {
        let kept = folders.settled(&id)?;
        if kept.is_some_and(|kept| kept.tells_of_an_end()) {
            unknown.push(id);
        }
    }
    let count = unknown.len();
    Ok(unknown.into_iter().min().map(|first| (first, count)))
}

/// `agent-supervisor recover`.
pub(super) fn recover(cli: &Cli) -> Result<(), BootError> {
    let (places, _mode, _config) = configured(cli)?;
    let held = Held::take(places)?;
    let places = held.places();
    let folders = Folders::new(&Path::new(&places.state_dir).join(TASKS_DIR));
    let path = PathBuf::from(places.ledger());
    let here = sys::process::here().map_err(BootError::system("read /proc"))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(BootError::system("start the runtime"))?;
    refuse_locked(&path)?;
    let rebuilt = runtime.block_on(rebuild::rebuild(&path, &folders, &here.boot_id))?;
    for line in lines(&rebuilt, &path) {
        println!("[recovery] {line}");
    }
    Ok(())
}

fn lines(rebuilt: &Rebuilt, path: &Path) -> Vec<String> {
    let mut lines = rebuilt.differences.clone();
    if let Some(kept) = &rebuilt.kept {
        lines.push(format!("the old ledger is kept as {}", kept.display()));
    }
    lines.push(format!(
        "{} was rebuilt from the task folders: {} tasks that had ended, {} that the next start \
         adopts or concludes",
        path.display(),
        rebuilt.ended,
        rebuilt.live
    ));
    lines
}
