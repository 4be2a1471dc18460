"""Throw-away servers on loopback: real ones, in temporary folders, killed and hung by real signals.

    with RedisServer(appendfsync="always") as server:
        async with open_store(server.url) as store: ...
        server.kill(); server.start()

They never touch a server of the system, and end with the process that started them, however that ends.
"""
