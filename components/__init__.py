"""What one step of the ladder does, unaware of what schedules it: pure logic, stage functions."""
