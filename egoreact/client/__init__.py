"""A thin client of the service: live sessions that survive a lost connection, and whole videos by REST."""
