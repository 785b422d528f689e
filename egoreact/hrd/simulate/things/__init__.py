"""What comes at somebody: its shape, and its way through the clip."""
