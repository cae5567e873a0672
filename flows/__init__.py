"""When each step runs, in what order and after which event; also the command line."""
