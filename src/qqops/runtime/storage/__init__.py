"""What outlives the process: the store, the journal in it, and the files beside it."""
