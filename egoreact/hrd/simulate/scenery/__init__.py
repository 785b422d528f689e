"""Where encounters happen: rooms, halls, streets, parks and roads, painted and lit."""
