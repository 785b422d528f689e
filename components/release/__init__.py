"""Puts the champion where the service finds it, and packs it as a Bento."""
