"""The paper's first experiments, as commands: causality, the ablation of the senses, the codebook's size, real recordings."""
