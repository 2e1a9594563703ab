"""Steps that bring a store's file from one layout to the next; run by `qqops.runtime.storage.store`."""
