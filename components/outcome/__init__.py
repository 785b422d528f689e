"""How a retraining ended, as one document: KFP joins branches in parameters, not in artifacts."""
