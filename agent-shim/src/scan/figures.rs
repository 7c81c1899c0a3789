//! Turns, tokens and cost.

use protocol::shim::{Field, Usage};

use super::slot::Slot;

/// Takes a figure of the current line into the totals.
pub(super) fn count(totals: &mut Usage, field: Field, slot: &Slot) {
    let Some(figure) = slot.figure() else { return };
    match field {
        Field::Turns => set(&mut totals.turns, units(figure)),
        Field::InputTokens => set(&mut totals.input_tokens, units(figure)),
        Field::OutputTokens => set(&mut totals.output_tokens, units(figure)),
        Field::InputTokensAdd => add(&mut totals.input_tokens, units(figure)),
        Field::OutputTokensAdd => add(&mut totals.output_tokens, units(figure)),
        Field::CostUsd => set(&mut totals.cost_usd, amount(figure)),
        Field::CostUsdAdd => {
            let sum = amount(figure).map(|more| totals.cost_usd.unwrap_or(0.0) + more);
            set(&mut totals.cost_usd, sum.filter(|sum| sum.is_finite()));
        }
        Field::SessionId
        | Field::Model
        | Field::Progress
        | Field::ResultText
        | Field::ResultTextAdd
        | Field::ResultTextRestart
        | Field::ErrorText => {}
    }
}

fn set<T>(total: &mut Option<T>, figure: Option<T>) {
    if figure.is_some() {
        *total = figure;
    }
}

fn add(total: &mut Option<u64>, figure: Option<u64>) {
    set(
        total,
        figure.map(|more| total.unwrap_or(0).saturating_add(more)),
    );
}

/// A count; `12.0` and `1.2e1` are counts, `-1`, `0.5` and words are not.
fn units(figure: &str) -> Option<u64> {
    /// Beyond this a float has no units any more.
    const LARGEST: f64 = 9_007_199_254_740_992.0;
    figure.parse().ok().or_else(|| {
        let number = amount(figure)?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "in range and whole"
        )]
        (number.fract() == 0.0 && number <= LARGEST).then_some(number as u64)
    })
}

fn amount(figure: &str) -> Option<f64> {
    figure
        .parse::<f64>()
        .ok()
        .filter(|number| number.is_finite() && *number >= 0.0)
}
