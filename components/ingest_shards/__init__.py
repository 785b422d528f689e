"""Brings new shards from a folder or an S3 prefix into the data set, as a new revision; or says that there are none."""
