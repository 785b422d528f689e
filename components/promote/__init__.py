"""Makes a bundle the champion, or says why not: the registry, the decision carried out, the way back."""
