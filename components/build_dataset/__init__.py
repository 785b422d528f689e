"""Makes the data set: renders the simulated shards that a recipe asks for; shards of other sources stay."""
