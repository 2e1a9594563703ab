"""What owns the tasks: supervisor, dispatch, outbox, scheduler. It owns tasks, not policy."""
