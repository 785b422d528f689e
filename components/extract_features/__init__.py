"""What the tokens see, encoded once per shard and encoder."""
