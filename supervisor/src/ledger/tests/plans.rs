//! Every frequent look goes by an index: with 100,000 ended tasks a scan would
//! be what the user waits for.

use protocol::Timestamp;
use protocol::control::ListFilter;

use super::support::Place;
use crate::ledger::read::plans;

fn plan(place: &Place, sql: &str, parameters: usize) -> String {
    let db = place.sql();
    let mut statement = db
        .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
        .expect("a query");
    let values = vec![rusqlite::types::Null; parameters];
    let rows = statement
        .query_map(rusqlite::params_from_iter(values), |row| {
            row.get::<_, String>(3)
        })
        .expect("explained");
    rows.collect::<rusqlite::Result<Vec<_>>>()
        .expect("reads")
        .join("; ")
}

#[test]
fn no_frequent_look_scans_a_table() {
    let place = Place::new();
    let ledger = place.open();
    for (sql, parameters, index) in plans::FREQUENT {
        let plan = plan(&place, sql, *parameters);
        assert!(plan.contains(index), "{sql}: {plan}");
        assert!(
            !plan.contains("SCAN") || plan.contains("USING"),
            "{sql}: {plan}"
        );
        // A sort is only there where few rows can be found.
        let few = [
            "task_history_live",
            "agent_sessions_by_id",
            "key=? AND provider=?",
        ];
        let few = few.iter().any(|found| plan.contains(found));
        assert!(few || !plan.contains("TEMP B-TREE"), "{sql}: {plan}");
    }
    ledger.close().expect("closed");
}

#[test]
fn lists_are_read_in_the_order_of_an_index() {
    let place = Place::new();
    let ledger = place.open();
    let bare = ListFilter {
        limit: Some(50),
        ..ListFilter::default()
    };
    let of_key = ListFilter {
        key: Some("k".into()),
        ..bare.clone()
    };
    let since = ListFilter {
        since: Some(Timestamp(5)),
        ..bare.clone()
    };
    for (filter, index) in [
        (bare, "SCAN t;"),
        (of_key, "task_history_by_key"),
        (since, "SCAN t;"),
    ] {
        let (sql, parameters) = plans::ended_query(&filter);
        let plan = plan(&place, &sql, parameters.len());
        assert!(plan.contains(index), "{plan}");
        assert!(!plan.contains("TEMP B-TREE"), "{plan}");
    }
    ledger.close().expect("closed");
}
