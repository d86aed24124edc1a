"""What fits this machine, how fast it will run and what to choose: pure functions of facts, machine, measurements."""
