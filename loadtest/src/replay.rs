mod drive;
mod explain;
mod live;
mod plan;
mod trips;
mod world;
#[cfg(test)]
mod tests;

/// Every key in its first bin, everyone permitted everywhere.
fn starting_model(plan: &plan::Plan) -> crate::model::Model {
    let bins: Vec<usize> = plan.places.iter().map(|place| place.bins).collect();
    let mut model = crate::model::Model::new(&bins);
    let mut first: Vec<Option<(usize, usize)>> = vec![None; plan.trips.bikes.len()];
    for (place, start) in plan.places.iter().enumerate() {
        for (bin, &key) in start.keys.iter().enumerate() {
            first[key] = Some((place, bin));
        }
    }
    // Keys have the numbers that the trips give them; each has a first trip, and so a first place.
    for (key, (place, bin)) in first.into_iter().flatten().enumerate() {
        model.add_key(place, bin, plan.roaming[key]);
    }
    for place in 0..plan.places.len() {
        for person in 0..plan::PEOPLE {
            model.grant(place, person);
        }
    }
    model
}
