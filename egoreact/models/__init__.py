"""What is trained: the motion tokenizer, the reaction transformer, the motion evaluator, and the bundle that holds them."""
