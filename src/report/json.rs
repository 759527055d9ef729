//! What `--format json` prints: the rows of the table under the names of the CSV columns, with
//! thresholds and warnings.

use serde_json::{Map, Value, json};

use super::columns::{Field, fields};
use super::rows::by_load;
use super::warnings::warnings;
use crate::results::Results;

/// One document, the last line ended. `folder` is where the results are.
pub fn render(results: &Results, folder: Option<&str>) -> String {
    let points = results.points();
    let rows: Vec<Value> = by_load(&points)
        .iter()
        .map(|row| {
            let named = fields(row).into_iter();
            let object: Map<String, Value> =
                named.map(|(name, field)| (name, value(&field))).collect();
            Value::Object(object)
        })
        .collect();
    let label = |broker: usize| results.plan.brokers.get(broker).map(|b| b.label.as_str());
    let thresholds: Vec<Value> = results
        .thresholds
        .iter()
        .map(|judged| {
            let brokers: Vec<Value> = judged
                .brokers
                .iter()
                .map(|it| {
                    json!({
                        "broker": label(it.broker),
                        "target_per_s": results.plan.sweep.get(it.point).map(|rate| rate.0),
                        "observed": it.observed,
                        "met": it.met,
                        "valid": it.valid,
                    })
                })
                .collect();
            json!({
                "threshold": judged.threshold,
                "met": judged.met,
                "brokers": brokers,
            })
        })
        .collect();
    let warnings: Vec<Value> = warnings(results)
        .iter()
        .map(|warning| {
            let said = warning.say();
            json!({ "warning": said.what, "remedy": said.remedy })
        })
        .collect();
    let capacities: Vec<Value> = results
        .capacities
        .iter()
        .enumerate()
        .map(|(place, capacity)| {
            let mut object = json!({ "broker": label(place) });
            if let (Some(object), Ok(Value::Object(found))) =
                (object.as_object_mut(), serde_json::to_value(capacity))
            {
                object.extend(found);
            }
            object
        })
        .collect();
    let courses = results.standing().filter(|it| !it.course.is_empty());
    let courses: Vec<Value> = courses
        .map(|it| {
            json!({
                "broker": label(it.broker),
                "target_per_s": results.plan.sweep.get(it.point).map(|rate| rate.0),
                "trial": it.repetition,
                "pauses_in_all": it.course.pauses_in_all,
                "pauses": it.course.pauses,
                "drifts": it.course.drifts,
            })
        })
        .collect();
    let mut document = json!({
        "schema_version": results.schema_version,
        "scenario": results.manifest.scenario,
        "id": results.manifest.id,
        "interrupted": results.manifest.interrupted,
        "results": folder,
        "calibration": results.provenance.calibration,
        "rows": rows,
        "thresholds": thresholds,
        "courses": courses,
        "warnings": warnings,
    });
    if !capacities.is_empty() {
        document["capacities"] = json!(capacities);
    }
    format!("{document:#}\n")
}

/// Numbers with the precision that the CSV gives them.
fn value(field: &Field) -> Value {
    match field {
        Field::Empty => Value::Null,
        Field::Text(text) => json!(text),
        Field::Number(number, decimals) | Field::Exact(number, decimals) => {
            let text = format!("{number:.decimals$}");
            let rounded: f64 = text.parse().unwrap_or(*number);
            match rounded.fract() == 0.0 && rounded.abs() < 9e15 {
                true => json!(rounded as i64),
                false => json!(rounded),
            }
        }
    }
}
