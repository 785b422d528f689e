"""Training: the frame encoder, the motion tokenizer, the reaction transformer, and the evaluator that judges them."""
