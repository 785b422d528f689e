"""How fast this machine is at what the project does, in JSON, beside the limits that it runs against."""
