"""One module (or folder) a backend, named for the thing it stores in; `open_store` finds them by scheme."""
