"""How people look: the mannequin skinned to a moving body, and its clothes."""
