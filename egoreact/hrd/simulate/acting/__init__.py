"""How people move: a choreography of steps, hands and gaze, performed by a body of bones."""
