"""How good is it: metrics, the closed-loop protocol that fills a metric record, baselines, and the report of it all."""
