//! A short soak; `cargo xtask soak` runs a long one.

#[test]
fn no_reason_is_wrong_and_nothing_is_left() {
    let report = tests::soak::run(60, 20_261_127);
    assert!(report.violations.is_empty(), "{report}");
    assert_eq!(report.tasks, 60);
    assert!(report.deaths > 0, "{report}");
    assert_eq!(report.ambiguous, 1, "one in a hundred: {report}");
}
